//! A Task that has no Job yet: what it waits for.

use axon_api::{TaskPhase, TaskReason, TaskStatus};

use super::{Decision, Named, Observed, budget, fail, move_to};
use crate::task::branch_lock::{self, Blocker};
use crate::task::decide::dependencies::Dependencies;

pub(crate) fn decide(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    if observed.task.spec.is_stopped() {
        let message = "stopped on request before it had started";
        return fail(observed, status, TaskReason::Stopped, message);
    }
    // Before anything is waited for: a text that is no template will never be one.
    if let Some(error) = &observed.prompt_fault {
        return fail(observed, status, TaskReason::InvalidConfig, &error.to_string());
    }
    if let Err(refused) = budget::left(observed.task, status, observed.price) {
        return fail(observed, status, refused.reason, &refused.message);
    }
    if let Some(missing) = missing_objects(observed, status) {
        return missing;
    }
    let mut status = status.clone();
    match &observed.dependencies {
        Dependencies::Ready(satisfied) => satisfied.record(&mut status),
        Dependencies::Waiting { message, satisfied } => {
            satisfied.record(&mut status);
            let reason = TaskReason::WaitingForDependencies;
            return move_to(observed, &status, TaskPhase::Waiting, reason, message, None);
        }
        Dependencies::Failed(failure) => return fail(observed, &status, failure.reason, &failure.message),
    }
    if let Some(holder) = branch_lock::blocker(observed.task, &observed.rivals) {
        let branch = observed.task.spec.branch().unwrap_or_default();
        let message = match holder {
            Blocker::Holder(name) => format!("waits for branch {branch}, which Task {name} works on"),
            // Not by name: every release would rewrite the message of the whole queue.
            Blocker::Queue => format!("waits for branch {branch}, for which older Tasks wait too"),
        };
        let reason = TaskReason::WaitingForBranch;
        return move_to(observed, &status, TaskPhase::Waiting, reason, &message, None);
    }
    Decision::CreateJob(Box::new(status))
}

/// Returns the wait for a Workspace or AgentConfig that is not there.
pub(crate) fn missing_objects(observed: &Observed<'_>, status: &TaskStatus) -> Option<Decision> {
    let (reason, kind, name) = match (&observed.workspace, &observed.agent_config) {
        (Named::Missing(name), _) => (TaskReason::WorkspaceNotFound, "Workspace", name),
        (_, Named::Missing(name)) => (TaskReason::AgentConfigNotFound, "AgentConfig", name),
        _ => return None,
    };
    let message = format!("waits for {kind} {name}, which does not exist");
    Some(move_to(
        observed,
        status,
        TaskPhase::Waiting,
        reason,
        &message,
        None,
    ))
}
