//! Runs that were lost without a last word, with their node or by force: they are counted like any other.

use axon_api::{TaskPhase, TaskReason, TaskStatus};

use super::Observed;
use crate::task::decide::failure;
use crate::task::decide::failure::Failure;
use crate::task::observe::pod::{JobView, PodView};

/// Returns why `pod`, of which no end was told, was lost, if it was: it had started, and nothing runs in it any more.
/// A pod that is gone for no reason given is lost only once its Job has made another one: else the Job's end tells.
pub(crate) fn failure_of(pod: &PodView, is_newest: bool) -> Option<Failure> {
    if !pod.has_started() || !(pod.gone || pod.failed) {
        return None;
    }
    let vanished = || {
        let node = pod.node.as_deref().unwrap_or("its node");
        vanished(&format!("pod {} vanished from {node}", pod.name))
    };
    failure::of_pod(pod).or_else(|| (!is_newest).then(vanished))
}

/// Returns the pod in which the agent ran when the status was written, if there is no trace of it: it went while nobody
/// looked, as with the node that the leader was on. A Job that has ended, or goes, tells of its last pod itself.
pub(crate) fn vanished_pod(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: &JobView,
) -> Option<(String, Failure)> {
    let name = status
        .pod_name
        .as_deref()
        .filter(|_| status.phase == Some(TaskPhase::Running))?;
    let is_seen = observed.pods.iter().any(|pod| pod.name == name);
    let is_recorded = status.attempts.iter().any(|a| a.pod_name == name);
    let job_tells = observed.pods.is_empty() && (job.finished.is_some() || job.deleting);
    if is_seen || is_recorded || job_tells {
        return None;
    }
    Some((name.to_owned(), vanished(&format!("pod {name} vanished"))))
}

fn vanished(what: &str) -> Failure {
    Failure {
        reason: TaskReason::PodLost,
        message: format!("{what} while it ran, without a last word"),
    }
}
