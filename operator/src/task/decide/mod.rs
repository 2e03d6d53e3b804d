//! What to do next for a Task: one decision from everything that was observed.
//!
//! Pure and total. Terminal is final: it is looked at first, and nothing below can leave it.
//!
//! Every file here is pure. The files in the order of a Task's life:
//!
//! - [`before_job`]: no Job yet; [`dependencies`]: `dependsOn`.
//! - [`with_job`]: the Job exists; [`progress`]: its pod starts or runs; [`volumes`]: the pod waits for volumes.
//! - [`agent_end`], [`lost`], [`preempted`]: the run ended by its agent, with its node, or by a queue.
//! - [`failure`]: a pod's failure becomes a reason; [`fault`]: the table of Kubernetes' words for it.
//! - [`retry`]: another run, or the end.
//! - [`cleanup`]: the Task has ended.
//!
//! Used by all: [`status`] builds the status, [`prices`] estimates a cost, [`budget`] says what may still be
//! spent, [`unknown_reasons`] reads what older definitions did
//! not store.

pub mod budget;
pub mod dependencies;
pub mod failure;
pub mod fault;
pub mod prices;
pub mod status;
pub mod unknown_reasons;

use std::time::Duration;

use axon_api::price::Price;
use axon_api::{AgentConfig, Task, TaskPhase, TaskReason, TaskStatus, Workspace};
use jiff::Timestamp;

use super::branch_lock::Rival;
use crate::task::build::prompt::PromptError;
use crate::task::decide::dependencies::Dependencies;
use crate::task::decide::status::enter;
use crate::task::decide::unknown_reasons::restore_reasons;
use crate::task::observe::pod::{JobView, Needed, PodView};

mod agent_end;
mod before_job;
mod cleanup;
mod lost;
mod preempted;
mod progress;
mod retry;
pub mod volumes;
mod with_job;

pub(super) use progress::STARTING;
pub use with_job::newest;

/// An object that a Task may name.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a, K> {
    /// The Task names none.
    No,
    /// It is not there (yet).
    Missing(&'a str),
    /// It is there.
    Found(&'a K),
}

impl<'a, K> Named<'a, K> {
    /// Returns the object, if it is there.
    #[must_use]
    pub fn found(&self) -> Option<&'a K> {
        match self {
            Self::Found(object) => Some(object),
            _ => None,
        }
    }
}

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The Task.
    pub task: &'a Task,
    /// The Job of the Task's name, whoever owns it.
    pub job: Option<JobView>,
    /// The Job's pods, in any order.
    pub pods: Vec<PodView>,
    /// Why the prompt can't be rendered; known only of a Task that has no Job yet.
    pub prompt_fault: Option<PromptError>,
    /// The Workspace.
    pub workspace: Named<'a, Workspace>,
    /// The AgentConfig.
    pub agent_config: Named<'a, AgentConfig>,
    /// The Tasks that must succeed first.
    pub dependencies: Dependencies,
    /// Other Tasks on the same branch of the same repository.
    pub rivals: Vec<Rival<'a>>,
    /// True if a Task that has not started yet depends on this one and has not recorded its success.
    pub awaited: bool,
    /// Lines of the marker block in the newest pod's log; read only for pods that left no report.
    pub log_outputs: Vec<String>,
    /// Secrets and ConfigMaps that the newest pod's volumes wait for and that are not there; looked for only if that takes
    /// unusually long.
    pub missing: Vec<Needed>,
    /// How long an image may fail to be pulled before the Task fails.
    pub image_pull_limit: Duration,
    /// What the Task's model costs, where there is a price table that knows it.
    pub price: Option<&'a Price>,
    /// False if the API server would not store how often a run was repeated.
    pub can_repeat: bool,
    /// Time of the reconcile, read once so that all rules see the same.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing, until an event or, if given, until that much time has passed.
    Wait(Option<Duration>),
    /// Create the Job (and the ConfigMap with its inputs); the status is what is known besides.
    CreateJob(Box<TaskStatus>),
    /// Write this status; an event will lead on.
    UpdateStatus(Box<TaskStatus>),
    /// Delete the Job: of a Task that has ended without it, that is stopped, or that runs again.
    DeleteJob,
    /// Delete the Task: its time to live is over.
    Expire,
}

/// Longest time between two reconciles of a Task that has not ended. Events come long before; this covers an event that a
/// broken watch has lost.
const NET: Duration = Duration::from_secs(300);

/// Returns the next step of a Task. It returns the same step for the same input, so that a reconcile can be repeated.
#[must_use]
pub fn decide(observed: &Observed<'_>) -> Decision {
    let over = observed
        .task
        .status
        .as_ref()
        .and_then(|s| s.phase)
        .is_some_and(TaskPhase::is_terminal);
    match step(observed) {
        Decision::Wait(None) if !over => Decision::Wait(Some(NET)),
        decision => decision,
    }
}

fn step(observed: &Observed<'_>) -> Decision {
    if observed.task.metadata.deletion_timestamp.is_some() {
        return Decision::Wait(None);
    }
    let mut status = observed.task.status.clone().unwrap_or_default();
    restore_reasons(&mut status);
    if status.phase.is_some_and(TaskPhase::is_terminal) {
        return cleanup::decide(observed, &status);
    }
    let stopped = observed.task.spec.is_stopped();
    match &observed.job {
        Some(job) if !owned(observed.task, job) && stopped && status.job_name.is_none() => {
            before_job::decide(observed, &status)
        }
        // A Task of this name was deleted and its Job is not gone yet.
        Some(job) if !owned(observed.task, job) && job.made_by_us => move_to(
            observed,
            &status,
            TaskPhase::Waiting,
            TaskReason::PodRefused,
            "waits for the Job of the former Task of this name to be gone",
            Some(LEFTOVER_PAUSE),
        ),
        Some(job) if !owned(observed.task, job) => fail(
            observed,
            &status,
            TaskReason::InvalidConfig,
            "a Job of this name exists and does not belong to this Task: create the Task under another name",
        ),
        job => match (&status.next_run, job) {
            // By UID: the Job of the next run has the same name, and a leader may have died after it created that Job.
            (Some(next), Some(job)) if next.replaces.is_some() && next.replaces == job.uid => {
                retry::between_runs(observed, &status, next, Some(job))
            }
            (Some(next), None) => retry::between_runs(observed, &status, next, None),
            (_, Some(job)) => with_job::decide(observed, &status, job),
            (None, None) if status.job_name.is_some() => with_job::without_job(observed, &status, None),
            (None, None) => before_job::decide(observed, &status),
        },
    }
}

/// Pause before the next reconcile while a former Task's Job is there, which nothing watches for this Task.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(2);

fn owned(task: &Task, job: &JobView) -> bool {
    job.owner_uid.is_some() && job.owner_uid == task.metadata.uid
}

/// Keeps phase, reason and message.
fn stay(observed: &Observed<'_>, status: &TaskStatus, wake: Option<Duration>) -> Decision {
    let phase = status.phase.unwrap_or(TaskPhase::Pending);
    let reason = status.reason.unwrap_or(TaskReason::Starting);
    let message = status.message.clone().unwrap_or_default();
    move_to(observed, status, phase, reason, &message, wake)
}

fn fail(observed: &Observed<'_>, status: &TaskStatus, reason: TaskReason, message: &str) -> Decision {
    move_to(observed, status, TaskPhase::Failed, reason, message, None)
}

/// Returns the write that brings the Task there, or the wait if it is there already.
fn move_to(
    observed: &Observed<'_>,
    status: &TaskStatus,
    phase: TaskPhase,
    reason: TaskReason,
    message: &str,
    wake: Option<Duration>,
) -> Decision {
    let next = enter(
        status,
        phase,
        reason,
        message,
        observed.task.metadata.generation,
        observed.now,
    );
    // Compared as decided on: a stored `Unknown` would differ from the reason in its place at every reconcile.
    let stored = observed.task.status.clone().map(|mut stored| {
        restore_reasons(&mut stored);
        stored
    });
    match stored {
        Some(stored) if adds_nothing(&next, &stored) => Decision::Wait(wake),
        _ => Decision::UpdateStatus(Box::new(next)),
    }
}

/// Returns true if `next` is not worth a write over `stored`. The name of a pod that has not started its agent is written
/// with the next change.
fn adds_nothing(next: &TaskStatus, stored: &TaskStatus) -> bool {
    if next.phase != Some(TaskPhase::Pending) || next.pod_name == stored.pod_name {
        return next == stored;
    }
    let named = TaskStatus {
        pod_name: next.pod_name.clone(),
        ..stored.clone()
    };
    *next == named
}

#[cfg(test)]
mod tests;
