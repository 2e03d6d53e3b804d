//! Carries out decisions: the only place that writes to the cluster for a Task.
//!
//! Every write is safe to repeat: names are deterministic, "already exists" is success after a look at the owner, and
//! status writes carry the resourceVersion that the decision was made on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use axon_api::contract::container;
use axon_api::outputs::parse_marker_block;
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus, labels};
use futures::AsyncReadExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use kube_runtime::controller::Action;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::ca;
use super::controller::Context;
use super::dependencies::Dependencies;
use super::gather::Gathered;
use super::github_token;
use super::inputs::{self, Inputs};
use super::job;
use super::lifecycle::{Decision, STARTING};
use super::network::{self, Ready};
use super::pod_defaults;
use super::pod_limits;
use super::prompt;
use super::refusal::{self, Refusal};
use super::status::enter;
use super::view::PodView;
use super::write::write_status;
use crate::identity::IdentityError;
use crate::turns;

/// Longest that one API call may take; the client itself would wait for ever on a dead connection.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Lines of a log that are read for a marker block.
const LOG_LINES: i64 = 500;
/// Bytes of them that are kept.
const LOG_BYTES: usize = 64 * 1024;
/// Seconds after an agent's end in which its log is tried again.
const LOG_PATIENCE: i64 = 60;
/// Pause before a Job that was refused is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);
/// Pause before a Job is decided on again whose parts have changed, should the event of that change never come.
const CHANGED_PAUSE: Duration = Duration::from_millis(500);
/// Pause before another look at what a former Task of the same name has left.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(2);

/// A write or read that did not happen. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused or could not be reached.
    #[error("failed to {what}: {source}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// What came back.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("failed to {what}: no answer within {} s", CALL_LIMIT.as_secs())]
    Timeout {
        /// What was tried.
        what: &'static str,
    },
    /// What is done as the namespace's ServiceAccount did not work.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ApplyError {
    /// Returns what the API server said, if it said anything.
    #[must_use]
    pub fn said(&self) -> Option<&Status> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Identity(error) => error.said(),
            Self::Timeout { .. } => None,
        }
    }

    /// Returns true when somebody else wrote the object first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.said().is_some_and(Status::is_conflict)
    }

    /// Returns true when an object of this name is there.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.said().is_some_and(Status::is_already_exists)
    }

    /// Returns true when the object is gone, or another one has its name.
    #[must_use]
    pub fn is_missing_or_replaced(&self) -> bool {
        self.said()
            .is_some_and(|said| said.is_not_found() || said.is_conflict())
    }

    /// Returns true when the same call would be refused again: a missing right, kind or namespace, or bad content.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.said()
            .is_some_and(|said| matches!(said.code, 400 | 403 | 404 | 413 | 422))
    }
}

/// Waits for a call, but not for ever.
///
/// # Errors
/// [`ApplyError`].
pub async fn timed<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApplyError> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(result) => result.map_err(|source| ApplyError::Call {
            what,
            source: Box::new(source),
        }),
        Err(_) => Err(ApplyError::Timeout { what }),
    }
}

/// What was done.
pub struct Done {
    /// When to look again.
    pub action: Action,
    /// True if the Task's Job is there as a result.
    pub has_job: bool,
    /// The status that was written, if it begins a phase.
    pub entered: Option<TaskStatus>,
}

impl Done {
    /// Returns that nothing was done, and when to look again.
    pub(super) fn nothing(action: Action) -> Self {
        Self {
            action,
            has_job: false,
            entered: None,
        }
    }
}

/// Does what was decided.
///
/// # Errors
/// [`ApplyError`] if a call failed; the reconciliation is then repeated as a whole.
pub async fn carry_out(
    task: &Task,
    decision: Decision,
    gathered: &Gathered,
    context: &Context,
) -> Result<Done, ApplyError> {
    let namespace = task.namespace().unwrap_or_default();
    match decision {
        Decision::Wait(None) => Ok(Done::nothing(Action::await_change())),
        Decision::Wait(Some(pause)) => Ok(Done::nothing(Action::requeue(pause))),
        Decision::CreateJob(known) => create_job(task, &known, gathered, context).await,
        Decision::UpdateStatus(status) if context.rush.delays(task.status.as_ref(), &status) => Ok(
            Done::nothing(Action::requeue(context.rush.give_way(Instant::now()))),
        ),
        Decision::UpdateStatus(status) => {
            let written = write_status(task, &status, context).await?;
            Ok(Done {
                entered: written.begins.then_some(*status),
                ..Done::nothing(written.next)
            })
        }
        Decision::DeleteJob => {
            let api = Api::<k8s_openapi::api::batch::v1::Job>::namespaced(context.client.clone(), &namespace);
            let params = DeleteParams {
                // The Job stays until its pod is gone: until then no other one can have its name.
                propagation_policy: Some(PropagationPolicy::Foreground),
                ..only(gathered.job.as_ref().and_then(|job| job.uid.clone()))
            };
            ignore_missing(timed("delete job", api.delete(&task.name_any(), &params)).await)?;
            Ok(Done::nothing(Action::await_change()))
        }
        Decision::Expire => {
            let api = Api::<Task>::namespaced(context.client.clone(), &namespace);
            let params = only(task.uid());
            ignore_missing(timed("delete expired task", api.delete(&task.name_any(), &params)).await)?;
            Ok(Done::nothing(Action::await_change()))
        }
    }
}

/// Deletes this very object: another one of the same name may have been created meanwhile.
fn only(uid: Option<String>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    }
}

fn ignore_missing<T>(result: Result<T, ApplyError>) -> Result<(), ApplyError> {
    match result {
        Err(error) if !error.said().is_some_and(Status::is_not_found) => Err(error),
        _ => Ok(()),
    }
}

async fn create_job(
    task: &Task,
    known: &TaskStatus,
    gathered: &Gathered,
    context: &Context,
) -> Result<Done, ApplyError> {
    let old = task.status.clone().unwrap_or_default();
    let generation = task.metadata.generation;
    let to =
        |phase, reason, message: &str| enter(&old, phase, reason, message, generation, context.clock.now());
    let namespace = task.namespace().unwrap_or_default();
    // First, so that a crowd in a namespace without the policy costs no reads.
    let created = match context.network.ensure(&namespace).await? {
        Ready::Later => return Ok(Done::nothing(Action::requeue(network::pause(rand::random())))),
        Ready::Busy => return Ok(Done::nothing(Action::requeue(turns::pause(rand::random())))),
        Ready::Refused(message) => Created::Refused(message),
        Ready::Yes => {
            let Some(inputs) = inputs::read(task, gathered, context).await? else {
                return Ok(Done::nothing(Action::requeue(CHANGED_PAUSE)));
            };
            match plan(&inputs, gathered, context) {
                Err(message) => Created::Invalid(message),
                Ok(plan) => {
                    let _creating = context.rush.enter();
                    create_plan(task, &plan, context).await?
                }
            }
        }
    };
    let invalid = |message: &str| to(TaskPhase::Failed, TaskReason::InvalidConfig, message);
    let refused = |message: &str| to(TaskPhase::Waiting, TaskReason::PodRefused, message);
    let mut has_job = false;
    let (status, action) = match created {
        Created::Yes | Created::Before => {
            has_job = true;
            let (phase, reason) = (TaskPhase::Pending, TaskReason::Starting);
            let mut status = enter(known, phase, reason, STARTING, generation, context.clock.now());
            status.job_name = task.metadata.name.clone();
            status.github_token = gathered.github_token.clone();
            (status, Action::await_change())
        }
        Created::Leftover(kind) => {
            let message = format!("waits for the {kind} of the former Task of this name to be gone");
            (refused(&message), Action::requeue(LEFTOVER_PAUSE))
        }
        Created::Foreign(kind) => {
            let message = format!(
                "a {kind} with this Task's name exists and does not belong to it: create the Task under another name"
            );
            (invalid(&message), Action::await_change())
        }
        Created::Invalid(message) => (invalid(&message), Action::await_change()),
        Created::Refused(message) => (refused(&message), Action::requeue(REFUSED_PAUSE)),
    };
    let mut entered = None;
    if context.rush.delays(task.status.as_ref(), &status) {
        return Ok(Done {
            has_job,
            ..Done::nothing(Action::requeue(context.rush.give_way(Instant::now())))
        });
    }
    if Some(&status) != task.status.as_ref() {
        entered = write_status(task, &status, context)
            .await?
            .begins
            .then_some(status);
    }
    Ok(Done {
        action,
        has_job,
        entered,
    })
}

/// Returns what to create, or why nothing ever can be.
fn plan(inputs: &Inputs, gathered: &Gathered, context: &Context) -> Result<job::Plan, String> {
    if let Some(fault) = &inputs.task.fault {
        return Err(fault.clone());
    }
    let task = &inputs.task.object;
    let none = BTreeMap::new();
    let outputs = match &gathered.dependencies {
        Dependencies::Ready(satisfied) => &satisfied.outputs,
        _ => &none,
    };
    let rendered;
    let task = match prompt::render(task, outputs).map_err(|error| error.to_string())? {
        Cow::Borrowed(_) => task,
        Cow::Owned(text) => {
            let mut with_prompt = task.clone();
            with_prompt.spec.prompt = text;
            rendered = with_prompt;
            &rendered
        }
    };
    let token = gathered.github_token.as_ref();
    let workspace = github_token::seen_by_pod(inputs.workspace.as_deref(), token);
    let config = inputs.agent_config.as_deref();
    let mut plan = job::build(task, workspace.as_ref(), config, &context.options.images)
        .map_err(|error| error.to_string())?;
    pod_defaults::apply(&context.options.pod_defaults, task, &mut plan.job);
    pod_limits::apply(&context.options.pod_limits, &mut plan.job);
    ca::mount(&mut plan.job, inputs.workspace.as_deref());
    if let Some(token) = token {
        github_token::mount(&mut plan.job, token);
    }
    Ok(plan)
}

async fn create_plan(task: &Task, plan: &job::Plan, context: &Context) -> Result<Created, ApplyError> {
    if let Some(config_map) = &plan.config_map {
        let created = create_owned("create configmap", task, config_map, context).await?;
        if !matches!(created, Created::Yes | Created::Before) {
            return Ok(created);
        }
    }
    create_owned("create job", task, &plan.job, context).await
}

/// What became of a creation.
enum Created {
    /// It is new.
    Yes,
    /// An earlier attempt, or an earlier leader, had created it.
    Before,
    /// A deleted Task of the same name has left it; its kind.
    Leftover(String),
    /// Another object has the name; its kind.
    Foreign(String),
    /// The API server says that it can never be.
    Invalid(String),
    /// A quota or a policy says no for now.
    Refused(String),
}

async fn create_owned<K>(
    what: &'static str,
    task: &Task,
    object: &K,
    context: &Context,
) -> Result<Created, ApplyError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    let params = PostParams {
        field_manager: Some(labels::MANAGER.into()),
        ..PostParams::default()
    };
    let Err(error) = timed(what, api.create(&params, object)).await else {
        return Ok(Created::Yes);
    };
    let Some(said) = error.said() else {
        return Err(error);
    };
    if said.is_already_exists() {
        let existing = timed(what, api.get_metadata(&object.name_any())).await?;
        let ours = existing
            .owner_references()
            .iter()
            .any(|o| Some(&o.uid) == task.metadata.uid.as_ref());
        let made_by_us = existing.labels().get(labels::TASK) == task.metadata.name.as_ref()
            && existing.labels().get(labels::MANAGED_BY).map(String::as_str) == Some(labels::MANAGER);
        let kind = K::kind(&()).into_owned();
        // The Job of the last run, which is on its way out.
        let replaced = task
            .status
            .as_ref()
            .and_then(|s| s.next_run.as_ref()?.replaces.as_deref());
        let is_replaced = replaced.is_some() && existing.metadata.uid.as_deref() == replaced;
        return Ok(match (ours && !is_replaced, made_by_us) {
            (true, _) => Created::Before,
            (false, true) => Created::Leftover(kind),
            (false, false) => Created::Foreign(kind),
        });
    }
    match refusal::of(said) {
        Some(Refusal::Never) => Ok(Created::Invalid(format!(
            "the API server refuses to {what}: {}",
            said.message
        ))),
        Some(Refusal::ForNow) => Ok(Created::Refused(format!(
            "the API server refuses to {what} for now: {}",
            said.message
        ))),
        None => Err(error),
    }
}

/// Reads the marker block from the end of the agent's log.
///
/// # Errors
/// If the log can't be read now but may be later. A log that is gone, or that can't be read a minute after the agent's
/// end, has no outputs.
pub async fn read_outputs(
    context: &Context,
    namespace: &str,
    pod: &PodView,
) -> Result<Vec<String>, ApplyError> {
    let api = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let params = LogParams {
        container: Some(container::AGENT.into()),
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    let error = match timed("read log", read_end(&api, &pod.name, &params)).await {
        Ok(end) => return Ok(parse_marker_block(&end)),
        Err(error) => error,
    };
    let ended = pod.agent_ended().and_then(|ended| ended.finished);
    let long_ago = ended.is_none_or(|at| context.clock.now().as_second() - at.as_second() > LOG_PATIENCE);
    if long_ago
        || error
            .said()
            .is_some_and(|status| matches!(status.code, 400 | 404))
    {
        tracing::warn!(%namespace, pod = %pod.name, %error, "no outputs: the agent left no report and its log can't be read");
        return Ok(Vec::new());
    }
    Err(error)
}

/// Returns the last [`LOG_BYTES`] of a log. The API's own byte limit would keep the first ones.
async fn read_end(api: &Api<Pod>, pod: &str, params: &LogParams) -> kube::Result<String> {
    let mut stream = api.log_stream(pod, params).await?;
    let (mut end, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let read = stream.read(&mut buffer).await.map_err(kube::Error::ReadEvents)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&end).into_owned());
        }
        end.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let excess = end.len().saturating_sub(LOG_BYTES);
        end.drain(..excess);
    }
}
