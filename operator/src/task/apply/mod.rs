//! Carries out decisions: the only place that writes to the cluster for a Task.
//!
//! Every write is safe to repeat: names are deterministic, "already exists" is success after a look at the owner, and
//! status writes carry the resourceVersion that the decision was made on.
//!
//! - [`write_status`]: the status, after the record if the Task ends.
//! - [`record`]: the TaskRecord of a finished Task; [`retention`] deletes old ones.
//! - [`network_policy`]: the NetworkPolicy that a namespace needs before its first Job.
//! - [`job_burst`]: Jobs come before status writes when many Tasks start at once.

pub mod job_burst;
pub mod network_policy;
pub mod record;
pub mod retention;
mod write_status;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus, labels};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use kube_runtime::controller::Action;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::context::Context;
use crate::task::apply::network_policy::Ready;
use crate::task::build::cap;
use crate::task::build::job;
use crate::task::build::pod_defaults;
use crate::task::build::pod_limits;
use crate::task::build::prompt;
use crate::task::build::prompt::ParsedPrompt;
use crate::task::build::volumes::ca;
use crate::task::decide::budget;
use crate::task::decide::dependencies::Dependencies;
use crate::task::decide::{Decision, STARTING};
use crate::task::github_token::rules;
use crate::task::observe::Gathered;
use crate::task::observe::full_objects;
use crate::task::observe::full_objects::JobInputs;

use super::apply::write_status::write_status;
use crate::kube::call::{CallError, timed};
use crate::kube::refusal;
use crate::kube::refusal::Refusal;
use crate::slots;
use crate::task::decide::status::enter;

/// Pause before a Job that was refused is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);
/// Pause before a Job is decided on again whose parts have changed, should the event of that change never come.
const CHANGED_PAUSE: Duration = Duration::from_millis(500);
/// Pause before another look at what a former Task of the same name has left.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(2);

/// The effect of a decision.
pub struct Applied {
    /// When to reconcile again.
    pub action: Action,
    /// True if the Task's Job is there as a result.
    pub has_job: bool,
    /// The status that was written, if it begins a phase.
    pub entered: Option<TaskStatus>,
}

impl Applied {
    /// Returns that nothing was done, and when to reconcile again.
    pub(super) fn nothing(action: Action) -> Self {
        Self {
            action,
            has_job: false,
            entered: None,
        }
    }
}

/// Carries out one decision.
///
/// # Errors
/// [`CallError`] if a call failed; the reconciliation is then repeated as a whole.
pub async fn carry_out(
    task: &Task,
    decision: Decision,
    gathered: &Gathered,
    context: &Context,
) -> Result<Applied, CallError> {
    let namespace = task.namespace().unwrap_or_default();
    match decision {
        Decision::Wait(None) => Ok(Applied::nothing(Action::await_change())),
        Decision::Wait(Some(pause)) => Ok(Applied::nothing(Action::requeue(pause))),
        Decision::CreateJob(known) => create_job(task, &known, gathered, context).await,
        Decision::UpdateStatus(status) if context.job_burst.defers(task.status.as_ref(), &status) => Ok(
            Applied::nothing(Action::requeue(context.job_burst.deferral(Instant::now()))),
        ),
        Decision::UpdateStatus(status) => {
            let written = write_status(task, &status, context).await?;
            Ok(Applied {
                entered: written.begins.then_some(*status),
                ..Applied::nothing(written.next)
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
            Ok(Applied::nothing(Action::await_change()))
        }
        Decision::Expire => {
            let api = Api::<Task>::namespaced(context.client.clone(), &namespace);
            let params = only(task.uid());
            ignore_missing(timed("delete expired task", api.delete(&task.name_any(), &params)).await)?;
            Ok(Applied::nothing(Action::await_change()))
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

fn ignore_missing<T>(result: Result<T, CallError>) -> Result<(), CallError> {
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
) -> Result<Applied, CallError> {
    let old = task.status.clone().unwrap_or_default();
    let generation = task.metadata.generation;
    let to =
        |phase, reason, message: &str| enter(&old, phase, reason, message, generation, context.clock.now());
    let namespace = task.namespace().unwrap_or_default();
    // First, so that a crowd in a namespace without the policy costs no reads.
    let created = match context.network.ensure(&namespace).await? {
        Ready::Later => {
            return Ok(Applied::nothing(Action::requeue(network_policy::pause(
                rand::random(),
            ))));
        }
        Ready::Busy => return Ok(Applied::nothing(Action::requeue(slots::pause(rand::random())))),
        Ready::Refused(message) => Created::Refused(message),
        Ready::Yes => {
            let Some(inputs) = full_objects::job_inputs(task, gathered, context).await? else {
                return Ok(Applied::nothing(Action::requeue(CHANGED_PAUSE)));
            };
            match plan(&inputs, known, gathered, context) {
                Err(message) => Created::Invalid(message),
                Ok(plan) => {
                    let _creating = context.job_burst.begin_create();
                    create_manifests(task, &plan, context).await?
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
            let note = budget::note(task, context.options.prices.price_of(task));
            let starting = note.map_or_else(|| STARTING.to_owned(), |note| format!("{STARTING}; {note}"));
            let mut status = enter(known, phase, reason, &starting, generation, context.clock.now());
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
    if context.job_burst.defers(task.status.as_ref(), &status) {
        return Ok(Applied {
            has_job,
            ..Applied::nothing(Action::requeue(context.job_burst.deferral(Instant::now())))
        });
    }
    if Some(&status) != task.status.as_ref() {
        entered = write_status(task, &status, context)
            .await?
            .begins
            .then_some(status);
    }
    Ok(Applied {
        action,
        has_job,
        entered,
    })
}

/// Returns what to create, or why nothing ever can be.
fn plan(
    inputs: &JobInputs,
    known: &TaskStatus,
    gathered: &Gathered,
    context: &Context,
) -> Result<job::Manifests, String> {
    if let Some(fault) = &inputs.task.fault {
        return Err(fault.clone());
    }
    let task = &inputs.task.object;
    let none = BTreeMap::new();
    let outputs = match &gathered.dependencies {
        Dependencies::Ready(satisfied) => &satisfied.outputs,
        _ => &none,
    };
    let parsed = gathered.prompt.as_ref().unwrap_or(&ParsedPrompt::LITERAL);
    let rendered;
    let task = match prompt::render(task, parsed, outputs).map_err(|error| error.to_string())? {
        Cow::Borrowed(_) => task,
        Cow::Owned(text) => {
            let mut with_prompt = task.clone();
            with_prompt.spec.prompt = text;
            rendered = with_prompt;
            &rendered
        }
    };
    let token = gathered.github_token.as_ref();
    let workspace = rules::seen_by_pod(inputs.workspace.as_deref(), token);
    let config = inputs.agent_config.as_deref();
    let mut plan = job::build(task, workspace.as_ref(), config, &context.options.images)
        .map_err(|error| error.to_string())?;
    pod_defaults::apply(&context.options.pod_defaults, task, &mut plan.job);
    pod_limits::apply(&context.options.pod_limits, &mut plan.job);
    let price = context.options.prices.price_of(task);
    let left = budget::left(task, known, price).map_err(|refused| refused.message)?;
    if let Some(left) = left {
        cap::apply(&left, &mut plan.job);
    }
    ca::mount(&mut plan.job, inputs.workspace.as_deref());
    if let Some(token) = token {
        rules::mount(&mut plan.job, token);
    }
    Ok(plan)
}

async fn create_manifests(
    task: &Task,
    plan: &job::Manifests,
    context: &Context,
) -> Result<Created, CallError> {
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
) -> Result<Created, CallError>
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
