//! A run that failed and is repeated: within the same Task, by a new Job of the same name, one at a time.

use std::time::Duration;

use axon_api::v1alpha1::{Attempt, NextRun};
use axon_api::{TaskPhase, TaskReason, TaskStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::with_job::newest;
use super::{Decision, Observed, agent_end, before_job, budget, fail, move_to, stay};
use crate::task::decide::failure::{self, Failure};
use crate::task::decide::fault;
use crate::task::decide::status::{record_attempt, record_lost};
use crate::task::observe::pod::{JobView, PodView};

/// Runs lost to something else than their agent after which a Task fails. Each may have spent money from the start.
pub(crate) const MAX_DISRUPTIONS: usize = 3;

/// Returns how many runs may be lost before the Task fails.
pub(super) fn most_disruptions(observed: &Observed<'_>) -> usize {
    if observed.can_repeat { MAX_DISRUPTIONS } else { 1 }
}

/// Returns how many runs were lost to something else than their agent.
pub(crate) fn disruptions(status: &TaskStatus) -> usize {
    status.attempts.iter().filter(|attempt| was_lost(attempt)).count()
}

/// Returns true for a run that was lost to something else than its agent. A reason that older definitions did not let in may
/// have been such a one: counting it bounds what a Task spends.
pub(super) fn was_lost(attempt: &Attempt) -> bool {
    let reason = attempt.reason;
    reason.is_some_and(|reason| fault::is_lost(reason) || reason == TaskReason::Unknown)
}

/// End of the message of a run that is not repeated because its count could not be stored.
const NOT_COUNTED: &str = "it is not run again, since the definitions are older than the operator and can't store how often: update them with \
                           `kubectl axon install`";

/// Decides what follows a run that failed. `job` is its Job, if that is still there; `replaced_anyway` says that the run
/// may be repeated without a policy.
pub(crate) fn after_failure(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: Option<&JobView>,
    failure: &Failure,
    replaced_anyway: bool,
) -> Decision {
    let mut status = status.clone();
    note_lost_pod(observed, &mut status, failure);
    after_attempts(observed, &status, job, failure, replaced_anyway)
}

/// Decides like [`after_failure`], for a failure whose attempts are all recorded.
pub(crate) fn after_attempts(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: Option<&JobView>,
    failure: &Failure,
    replaced_anyway: bool,
) -> Decision {
    let stopped = observed.task.spec.is_stopped();
    let mut status = status.clone();
    let policy = observed.task.spec.retry_policy.as_ref();
    let made = status.retries.unwrap_or_default();
    let refused = budget::left(observed.task, &status, observed.price).err();
    let pause = if stopped || !observed.can_repeat || refused.is_some() {
        None
    } else if replaced_anyway && disruptions(&status) < MAX_DISRUPTIONS {
        Some(Duration::ZERO)
    } else {
        // Only a run that the policy repeats costs a retry; a disruption has its own limit.
        let pause = policy.and_then(|policy| policy.pause(failure.reason, made));
        status.retries = pause.map(|_| made + 1).or(status.retries);
        pause
    };
    let Some(pause) = pause else {
        let would = replaced_anyway || policy.is_some_and(|p| p.pause(failure.reason, made).is_some());
        let message = &failure.message;
        if would && !observed.can_repeat && !stopped {
            let message = format!("{message}; {NOT_COUNTED}");
            return fail(observed, &status, failure.reason, &message);
        }
        if would
            && !stopped
            && let Some(refused) = refused
        {
            let message = format!(
                "{}, so it is not run again; the last run failed ({}): {message}",
                refused.message, failure.reason
            );
            return fail(observed, &status, refused.reason, &message);
        }
        return fail(observed, &status, failure.reason, message);
    };
    let after = later(observed.now, pause);
    status.next_run = Some(NextRun {
        after: Time(after),
        replaces: job.and_then(|job| job.uid.clone()),
    });
    let when = if pause.is_zero() {
        "at once".to_owned()
    } else {
        format!("at {after}")
    };
    let (reason, words) = (failure.reason, &failure.message);
    let message = format!("runs again {when}; the last run failed ({reason}): {words}");
    move_to(
        observed,
        &status,
        TaskPhase::Pending,
        TaskReason::Retrying,
        &message,
        None,
    )
}

/// Returns a whole second, as times are stored, that is no sooner than asked for.
fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let whole = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
    // Rounded up: the present second is cut off, and the pause would otherwise end early.
    let rest = i64::from(!pause.is_zero());
    let second = now.as_second().saturating_add(whole).saturating_add(rest);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// Records a pod that vanished without a report as an attempt: it may have spent money.
fn note_lost_pod(observed: &Observed<'_>, status: &mut TaskStatus, failure: &Failure) {
    let pod_name = newest(&observed.pods)
        .map(|pod| pod.name.clone())
        .or_else(|| status.pod_name.clone())
        .unwrap_or_default();
    let job_uid = observed.job.as_ref().and_then(|job| job.uid.clone());
    record_lost(status, &pod_name, job_uid, failure);
}

/// Records a pod that the Job made after the run had ended, such as for one that was evicted: it may have spent money before the Job
/// was deleted.
fn note_late_pod(observed: &Observed<'_>, status: &mut TaskStatus) {
    let of_run = status.pod_name.as_ref();
    let is_late = |pod: &&PodView| pod.has_started() && of_run.is_some_and(|name| *name != pod.name);
    let Some(pod) = newest(&observed.pods).filter(is_late) else {
        return;
    };
    if let Some(ended) = pod.agent_ended() {
        record_attempt(status, pod, ended, failure::of_pod(pod), &[], observed.price);
        return;
    }
    let lost = Failure {
        reason: TaskReason::PodLost,
        message: format!(
            "pod {} was made after the run had ended, and goes with its Job",
            pod.name
        ),
    };
    record_lost(status, &pod.name, pod.owner_uid.clone(), &lost);
}

/// Decides for a Task whose next run is planned. `job` is the Job that failed, if it is still there.
pub(crate) fn between_runs(
    observed: &Observed<'_>,
    status: &TaskStatus,
    next: &NextRun,
    job: Option<&JobView>,
) -> Decision {
    let mut known = status.clone();
    note_late_pod(observed, &mut known);
    if known.attempts != status.attempts {
        return stay(observed, &known, None);
    }
    if observed.task.spec.is_stopped() {
        let last = status.attempts.last().and_then(|a| a.message.as_deref());
        let message = format!(
            "stopped on request before another run; the last one failed: {}",
            last.unwrap_or_default()
        );
        return fail(observed, status, TaskReason::Stopped, &message);
    }
    let left = next.after.0.as_second().saturating_sub(observed.now.as_second());
    let pause = u64::try_from(left).ok().filter(|left| *left > 0);
    match (job, pause) {
        (Some(job), _) if job.deleting => Decision::Wait(None),
        // A Job that has not ended might still run. One that has, or in which nothing of the agent is left, is kept for its
        // log until the next run.
        (Some(job), pause) if may_run(job, &observed.pods) || pause.is_none() => Decision::DeleteJob,
        (_, Some(seconds)) => Decision::Wait(Some(Duration::from_secs(seconds))),
        (_, None) => create(observed, status),
    }
}

fn may_run(job: &JobView, pods: &[PodView]) -> bool {
    job.finished.is_none() && !agent_end::is_quiet(pods)
}

fn create(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    // Two pods of a Task at the same time would push to the same branch.
    if observed.pods.iter().any(|pod| !pod.is_over() && !pod.gone) {
        return Decision::Wait(None);
    }
    // The Task's budget and prices may be others than when the run was planned.
    if let Err(refused) = budget::left(observed.task, status, observed.price) {
        return fail(observed, status, refused.reason, &refused.message);
    }
    before_job::missing_objects(observed, status).unwrap_or_else(|| {
        Decision::CreateJob(Box::new(TaskStatus {
            next_run: None,
            ..status.clone()
        }))
    })
}
