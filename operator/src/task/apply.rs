//! Carries out decisions: the only place that writes to the cluster for a Task.
//!
//! Every write is safe to repeat: names are deterministic, "already exists" is success after a look at the owner, and
//! status writes carry the resourceVersion that the decision was made on.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use axon_api::contract::container;
use axon_api::outputs::parse_marker_block;
use axon_api::{API_VERSION, Task, TaskPhase, TaskReason, TaskStatus, labels};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, LogParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use kube_runtime::controller::Action;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::controller::{Context, Gathered};
use super::job;
use super::lifecycle::{Decision, STARTING};
use super::status::enter;

/// Longest that one API call may take; the client itself would wait for ever on a dead connection.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Most of a log (bytes) that is read for a marker block.
const LOG_LIMIT: i64 = 256 * 1024;
/// Pause before a Job that was refused is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

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
}

impl ApplyError {
    /// Returns what the API server said, if it said anything.
    fn said(&self) -> Option<&Status> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// Returns true when somebody else wrote the object first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.said().is_some_and(Status::is_conflict)
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

/// Does what was decided.
///
/// # Errors
/// [`ApplyError`] if a call failed; the reconciliation is then repeated as a whole.
pub async fn carry_out(
    task: &Task,
    decision: Decision,
    gathered: &Gathered,
    context: &Context,
) -> Result<Action, ApplyError> {
    let namespace = task.namespace().unwrap_or_default();
    match decision {
        Decision::Wait(None) => Ok(Action::await_change()),
        Decision::Wait(Some(pause)) => Ok(Action::requeue(pause)),
        Decision::CreateJob => create_job(task, gathered, context).await,
        Decision::UpdateStatus(status) => {
            write_status(task, &status, context).await?;
            Ok(Action::await_change())
        }
        Decision::DeleteJob => {
            let api = Api::<k8s_openapi::api::batch::v1::Job>::namespaced(context.client.clone(), &namespace);
            let params = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            ignore_missing(timed("delete job", api.delete(&task.name_any(), &params)).await)?;
            Ok(Action::await_change())
        }
        Decision::Expire => {
            let api = Api::<Task>::namespaced(context.client.clone(), &namespace);
            // Only this very Task: another one of the same name may have been created meanwhile.
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: task.uid(),
                    resource_version: None,
                }),
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            ignore_missing(timed("delete expired task", api.delete(&task.name_any(), &params)).await)?;
            Ok(Action::await_change())
        }
    }
}

fn ignore_missing<T>(result: Result<T, ApplyError>) -> Result<(), ApplyError> {
    match result {
        Err(error) if !error.said().is_some_and(Status::is_not_found) => Err(error),
        _ => Ok(()),
    }
}

async fn create_job(task: &Task, gathered: &Gathered, context: &Context) -> Result<Action, ApplyError> {
    let old = task.status.clone().unwrap_or_default();
    let generation = task.metadata.generation;
    let to =
        |phase, reason, message: &str| enter(&old, phase, reason, message, generation, context.clock.now());
    let plan = job::build(
        task,
        gathered.workspace.as_deref(),
        gathered.agent_config.as_deref(),
        &context.images,
    );
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            let failed = to(TaskPhase::Failed, TaskReason::InvalidConfig, &error.to_string());
            write_status(task, &failed, context).await?;
            return Ok(Action::await_change());
        }
    };
    let created = match &plan.config_map {
        Some(config_map) => create_owned("create configmap", task, config_map, context).await?,
        None => Created::Yes,
    };
    let created = match created {
        Created::Yes | Created::Before => create_owned("create job", task, &plan.job, context).await?,
        refused => refused,
    };
    let (status, action) = match created {
        Created::Yes | Created::Before => {
            let mut status = to(TaskPhase::Pending, TaskReason::Starting, STARTING);
            status.job_name = task.metadata.name.clone();
            (status, Action::await_change())
        }
        Created::Foreign(kind) => {
            let message = format!(
                "a {kind} with this Task's name exists and does not belong to it: create the Task under another name"
            );
            (
                to(TaskPhase::Failed, TaskReason::InvalidConfig, &message),
                Action::await_change(),
            )
        }
        Created::Invalid(message) => (
            to(TaskPhase::Failed, TaskReason::InvalidConfig, &message),
            Action::await_change(),
        ),
        Created::Refused(message) => (
            to(TaskPhase::Waiting, TaskReason::PodRefused, &message),
            Action::requeue(REFUSED_PAUSE),
        ),
    };
    if Some(&status) != task.status.as_ref() {
        write_status(task, &status, context).await?;
    }
    if status.phase == Some(TaskPhase::Pending) {
        context.metrics.created(task);
    }
    Ok(action)
}

/// What became of a creation.
enum Created {
    /// It is new.
    Yes,
    /// An earlier attempt, or an earlier leader, had created it.
    Before,
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
        return Ok(if ours {
            Created::Before
        } else {
            Created::Foreign(K::kind(&()).into_owned())
        });
    }
    match said.code {
        400 | 413 | 422 => Ok(Created::Invalid(format!(
            "the API server refuses to {what}: {}",
            said.message
        ))),
        403 => Ok(Created::Refused(format!(
            "the API server refuses to {what} for now: {}",
            said.message
        ))),
        _ => Err(error),
    }
}

async fn write_status(task: &Task, status: &TaskStatus, context: &Context) -> Result<(), ApplyError> {
    let api = Api::<Task>::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "Task",
        // The version makes the write a compare-and-swap: a decision on an old state is not written.
        "metadata": { "resourceVersion": task.resource_version() },
        "status": status,
    });
    let params = PatchParams::apply(labels::MANAGER).force();
    timed(
        "write task status",
        api.patch_status(&task.name_any(), &params, &Patch::Apply(&body)),
    )
    .await?;
    let before = task.status.as_ref().and_then(|s| s.phase);
    if status.phase != before {
        tracing::info!(
            task = %task.name_any(),
            namespace = %task.namespace().unwrap_or_default(),
            uid = %task.uid().unwrap_or_default(),
            phase = %status.phase.map(|p| p.to_string()).unwrap_or_default(),
            reason = %status.reason.map(|r| r.to_string()).unwrap_or_default(),
            message = status.message.as_deref().unwrap_or_default(),
            "task changed phase"
        );
        context.metrics.entered(task, status);
        context.events.phase(task, status).await;
    }
    Ok(())
}

/// Reads the marker block from the end of the agent's log. A log that can't be read has none: its pod is gone.
pub async fn read_outputs(context: &Context, namespace: &str, pod: &str) -> Vec<String> {
    let api = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(context.client.clone(), namespace);
    let params = LogParams {
        container: Some(container::AGENT.into()),
        tail_lines: Some(500),
        limit_bytes: Some(LOG_LIMIT),
        ..LogParams::default()
    };
    match timed("read log", api.logs(pod, &params)).await {
        Ok(log) => parse_marker_block(&log),
        Err(error) => {
            tracing::warn!(%namespace, %pod, %error, "no outputs: the agent left no report and its log can't be read");
            Vec::new()
        }
    }
}
