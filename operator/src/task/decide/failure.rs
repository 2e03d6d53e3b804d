//! Why a pod failed: typed, with the evidence.
//!
//! The order of the rules: memory, the agent's own final word, what the cluster did to the pod, and the exit code. What each
//! word of the cluster means is in [`super::fault`].

use axon_api::TaskReason;
use axon_api::outputs::tail;
use axon_api::v1alpha1::Attempt;

use super::fault::{self, Origin};
use crate::task::observe::pod::{Ended, JobEnd, PodView};

/// A reason and its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// For programs.
    pub reason: TaskReason,
    /// For people: what happened, with exit code, node, limit or the last words of the container.
    pub message: String,
}

impl Failure {
    fn new(reason: TaskReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// The Job controller's reason for a Job that took too long.
pub const DEADLINE: &str = "DeadlineExceeded";

/// Exit code of a container that was killed.
const SIGKILLED: i32 = 137;

/// Longest evidence (bytes) that goes into a message.
const EVIDENCE: usize = 1500;

/// The agent's own word about how its run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It has done its task.
    Succeeded,
    /// It could not.
    Failed(Failure),
}

/// Returns the agent's own word about how its run ended, if the pod has it: a final report of a container that has ended.
/// It counts whatever became of the pod and its Job afterwards. An agent that was stopped from outside has given none.
#[must_use]
pub fn verdict(pod: &PodView) -> Option<Verdict> {
    let ended = pod.agent_ended()?;
    let report = ended.report.as_ref().filter(|report| report.is_final)?;
    if report.reason == Some(TaskReason::Stopped) {
        return None;
    }
    if has_succeeded(ended) {
        return Some(Verdict::Succeeded);
    }
    let failure = of_pod(pod)?;
    // Images that give no reason fail by their exit code, which may be the cluster's doing.
    (report.reason.is_some() || !fault::is_lost(failure.reason)).then_some(Verdict::Failed(failure))
}

/// Returns true for an agent that has done its task: by its exit code or, if its node has lost that, by its final report.
#[must_use]
pub fn has_succeeded(ended: &Ended) -> bool {
    let lost =
        fault::rule_for(Origin::Terminated, &ended.reason).is_some_and(|word| fault::is_lost(word.reason));
    let says_so = ended
        .report
        .as_ref()
        .is_some_and(|r| r.is_final && r.reason.is_none());
    ended.exit_code == 0 || says_so && lost
}

/// Returns why `pod` failed, or `None` if nothing of it has failed.
#[must_use]
pub fn of_pod(pod: &PodView) -> Option<Failure> {
    let on_node = pod
        .node
        .as_deref()
        .map(|node| format!(" on node {node}"))
        .unwrap_or_default();
    if let Some(ended) = pod.workspace_failed() {
        return Some(of_container(
            pod,
            ended,
            TaskReason::CloneFailed,
            "preparing the workspace",
            &on_node,
        ));
    }
    match pod.agent_ended() {
        Some(ended) if has_succeeded(ended) => None,
        Some(ended) => Some(of_container(
            pod,
            ended,
            TaskReason::AgentError,
            "the agent",
            &on_node,
        )),
        // The agent did not end by itself, or never started: only the kubelet and the cluster can say why.
        None => disrupted(pod, &on_node).or_else(|| {
            let (reason, message) = pod.failure.as_ref()?;
            let message = format!("pod {} could not run{on_node} ({reason}): {message}", pod.name);
            Some(Failure::new(TaskReason::PodLost, message))
        }),
    }
}

/// Returns why a Job that failed did so. `last` is what was recorded of the last pod, which may be gone by now.
#[must_use]
pub fn of_job(end: &JobEnd, pod: Option<&PodView>, last: Option<&Attempt>) -> Failure {
    let of_pod = pod.and_then(of_pod);
    let JobEnd::Failed { reason, message, .. } = end else {
        return of_pod.unwrap_or_else(|| Failure::new(TaskReason::Unknown, "the Job has not failed"));
    };
    if let Some(word) = fault::rule_for(Origin::Job, reason) {
        return Failure::new(
            word.reason,
            "the run took longer than its deadline (podOverrides.activeDeadlineSeconds, or the operator's default) and was terminated",
        );
    }
    let recorded = || {
        let last = last?;
        Some(Failure::new(
            last.reason?,
            last.message.clone().unwrap_or_default(),
        ))
    };
    of_pod.or_else(recorded).unwrap_or_else(|| {
        Failure::new(
            TaskReason::PodLost,
            format!("the Job failed and its pod is gone: {message} ({reason})"),
        )
    })
}

/// Returns the reason that a pod may give for its own failure. What the cluster or the operator knows better is nothing that
/// an image can claim: some of it would run the Task again.
fn claimed(reason: TaskReason) -> TaskReason {
    use TaskReason as R;
    match reason {
        R::AgentError
        | R::AuthFailed
        | R::RateLimited
        | R::ProviderUnavailable
        | R::ContextLengthExceeded
        | R::ToolsDenied
        | R::Stalled
        | R::BudgetExceeded
        | R::Stopped
        | R::CloneFailed
        | R::InvalidConfig => reason,
        _ => R::AgentError,
    }
}

fn of_container(pod: &PodView, ended: &Ended, default: TaskReason, what: &str, on_node: &str) -> Failure {
    let said = ended.report.as_deref();
    let reason = said.and_then(|report| report.reason).map(claimed);
    // An agent that was stopped from outside has not failed.
    let own = reason.filter(|own| said.is_some_and(|r| r.is_final) && *own != TaskReason::Stopped);
    // The runtime tells of any process of the container that ran out of memory: a child's end explains a bare failure, and
    // not a credential that was refused.
    let bare = matches!(own, None | Some(TaskReason::AgentError | TaskReason::CloneFailed));
    if ended.reason == "OOMKilled" && (bare || ended.exit_code == SIGKILLED) {
        return Failure::new(
            TaskReason::OOMKilled,
            format!(
                "{what} was killed{on_node} because it used more memory than its limit (exit code {}): \
                     raise podOverrides.resources.limits.memory",
                ended.exit_code
            ),
        );
    }
    if own.is_none()
        && let Some(failure) = disrupted(pod, on_node).or_else(|| lost(pod, ended, what, on_node))
    {
        return failure;
    }
    let known = fault::rule_for(Origin::Terminated, &ended.reason);
    if let Some(word) = known.filter(|word| word.reason == TaskReason::InvalidConfig) {
        return Failure::new(
            word.reason,
            format!(
                "{what} can't be started, so the image does not follow the agent image interface: {}",
                evidence(&ended.message)
            ),
        );
    }
    let words = said
        .and_then(|report| report.message.clone())
        .unwrap_or_else(|| evidence(&ended.message));
    let message = if words.is_empty() {
        format!(
            "{what} ended with exit code {}{}",
            ended.exit_code,
            signal_name(ended.exit_code)
        )
    } else {
        words
    };
    Failure::new(reason.unwrap_or(default), message)
}

/// Returns what became of a container that its node lost, or whose pod was deleted, and that gave no other reason.
fn lost(pod: &PodView, ended: &Ended, what: &str, on_node: &str) -> Option<Failure> {
    let said = ended.report.as_deref();
    let known = fault::rule_for(Origin::Terminated, &ended.reason);
    if let Some(word) = known.filter(|word| fault::is_lost(word.reason)) {
        let message = format!(
            "{what} of pod {} was lost{on_node} (exit code {}, {}): the node or its container runtime has restarted, or \
             the node was too busy",
            pod.name, ended.exit_code, ended.reason
        );
        return Some(Failure::new(word.reason, message));
    }
    let reason = said.and_then(|report| report.reason);
    if !pod.deleting || !matches!(reason, None | Some(TaskReason::Stopped)) {
        return None;
    }
    // Among the last words may be what became of the work.
    let words = said.and_then(|report| report.message.as_deref());
    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
    Some(Failure::new(
        TaskReason::PodLost,
        format!(
            "pod {} was deleted{on_node} while {what} ran (exit code {}){words}",
            pod.name, ended.exit_code
        ),
    ))
}

/// Returns what the kubelet, the scheduler or a controller did to the pod as a whole.
fn disrupted(pod: &PodView, on_node: &str) -> Option<Failure> {
    let name = &pod.name;
    if let Some((reason, message)) = &pod.failure
        && let Some(word) = fault::rule_for(Origin::Pod, reason)
    {
        let message = message.trim().trim_end_matches('.');
        if reason == "Evicted" && fault::is_over_its_own_limit(message) {
            let advice = if fault::is_over_a_volumes_limit(message) {
                "raise the sizeLimit of the volume in podOverrides.volumes, or of the pod's own volumes by the operator's \
                 AXON_POD_SCRATCH_LIMIT"
            } else {
                "raise podOverrides.resources.limits.ephemeral-storage"
            };
            let message = format!("the kubelet ended pod {name}{on_node}: {message}; {advice}");
            return Some(Failure::new(TaskReason::StorageExceeded, message));
        }
        let what = match word.reason {
            TaskReason::DeadlineExceeded => {
                "was longer active than its own spec.activeDeadlineSeconds".into()
            }
            _ if reason == "Evicted" => format!("was evicted{on_node}"),
            _ if pod.has_started() => format!("was ended{on_node} ({reason})"),
            _ => format!("could not run{on_node} ({reason})"),
        };
        return Some(Failure::new(word.reason, format!("pod {name} {what}: {message}")));
    }
    pod.disruption.as_ref().map(|(reason, message)| {
        Failure::new(
            TaskReason::Evicted,
            format!("pod {name} was disrupted{on_node} ({reason}): {message}"),
        )
    })
}

fn evidence(log: &str) -> String {
    tail(log.trim(), EVIDENCE).trim().to_owned()
}

fn signal_name(exit_code: i32) -> &'static str {
    match exit_code {
        130 => " (interrupted)",
        SIGKILLED => " (killed, SIGKILL)",
        143 => " (terminated, SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
