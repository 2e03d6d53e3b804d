//! Runs that ended because their Job was suspended, by a queue or by hand: no failures, and never counted as disruptions.

use axon_api::v1alpha1::Attempt;
use axon_api::{TaskReason, TaskStatus};
use jiff::Timestamp;

use super::with_job::age;
use crate::task::decide::failure::Failure;
use crate::task::decide::fault;
use crate::task::decide::fault::Origin;
use crate::task::observe::pod::{Ended, JobView, PodView};

/// Attempts of this kind that a status keeps: the last one, and the sum of those before. A queue may preempt a Task more
/// often than a status has room for attempts.
const KEPT: usize = 2;

/// Returns `failure`, or that the Job was suspended if that is why `pod` was lost. What was recorded so stays.
pub(crate) fn reclassify(
    failure: Failure,
    status: &TaskStatus,
    job: Option<&JobView>,
    pod: &PodView,
) -> Failure {
    let recorded = status.attempts.iter().find(|a| a.pod_name == pod.name);
    let suspended = match recorded.and_then(|attempt| attempt.reason) {
        Some(TaskReason::Queued) if fault::is_lost(failure.reason) => {
            // The Job may be gone by now, and with it the queue's name.
            let message = recorded.and_then(|attempt| attempt.message.clone());
            return Failure {
                reason: TaskReason::Queued,
                message: message.unwrap_or(failure.message),
            };
        }
        Some(_) => false,
        // What the cluster did to the pod itself is told by the pod.
        None => !is_told(pod) && job.is_some_and(|job| job.has_suspended(pod.created)),
    };
    named(failure, job, suspended)
}

/// Returns true if the pod says itself that its node or the cluster ended it.
fn is_told(pod: &PodView) -> bool {
    let lost = |ended: &Ended| fault::rule_for(Origin::Terminated, &ended.reason).is_some();
    pod.disruption.is_some() || pod.failure.is_some() || pod.agent_ended().is_some_and(lost)
}

/// Does the same as [`reclassify`] for a pod that vanished unseen; `started` is when its agent had started.
pub(crate) fn reclassify_unseen(failure: Failure, job: &JobView, started: Option<Timestamp>) -> Failure {
    named(failure, Some(job), job.has_suspended(started))
}

fn named(failure: Failure, job: Option<&JobView>, suspended: bool) -> Failure {
    if !suspended || !fault::is_lost(failure.reason) {
        return failure;
    }
    let who = match job.and_then(|job| job.queue.as_deref()) {
        Some(queue) => format!("queue {queue} suspended the Job"),
        None => "the Job was suspended".to_owned(),
    };
    Failure {
        reason: TaskReason::Queued,
        message: format!("{who}: {}", failure.message),
    }
}

fn preemptions(status: &TaskStatus) -> impl Iterator<Item = &Attempt> {
    let attempts = status.attempts.iter();
    attempts.filter(|a| a.reason == Some(TaskReason::Queued))
}

/// Makes room for the attempt of `pod` if it is one more of these: those before become one, with the sum of their usage.
pub(crate) fn make_room(status: &mut TaskStatus, pod: &str, failure: &Failure) {
    let known = status.attempts.iter().any(|a| a.pod_name == pod);
    if failure.reason != TaskReason::Queued || known || preemptions(status).count() < KEPT {
        return;
    }
    let is_one = |a: &Attempt| a.reason == Some(TaskReason::Queued);
    let Some(first) = status.attempts.iter().position(is_one) else {
        return;
    };
    let earlier = status.attempts.remove(first);
    let Some(last) = status.attempts.iter_mut().find(|a| is_one(a)) else {
        return;
    };
    last.usage = match (earlier.usage, last.usage.take()) {
        (Some(earlier), Some(last)) => Some(earlier.plus(&last)),
        (one, other) => one.or(other),
    };
    let message = last.message.take().unwrap_or_default();
    let message = message.strip_prefix(MERGED).unwrap_or(&message);
    last.message = Some(format!("{MERGED}{message}"));
}

/// How the message of several attempts in one begins.
const MERGED: &str = "the sum of several runs; the last of them: ";

/// Returns true if what `pod` consumed is part of such a sum: its attempt is the sum, or a later pod is recorded and it is not.
pub(crate) fn is_merged(status: &TaskStatus, pods: &[PodView], pod: &PodView) -> bool {
    let is_sum = |a: &Attempt| a.message.as_deref().is_some_and(|m| m.starts_with(MERGED));
    if preemptions(status).any(|a| a.pod_name == pod.name && is_sum(a)) {
        return true;
    }
    let recorded = |name: &str| status.attempts.iter().any(|a| a.pod_name == name);
    let later = |other: &&PodView| age(other) > age(pod);
    preemptions(status).count() >= KEPT
        && !recorded(&pod.name)
        && pods.iter().filter(later).any(|other| recorded(&other.name))
}
