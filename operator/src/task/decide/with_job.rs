//! A Task that has a Job, or had one: what its pods leave behind, and how it ends.

use std::time::Duration;

use axon_api::v1alpha1::Attempt;
use axon_api::{TaskPhase, TaskReason, TaskStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::agent_end::{self, AgentEnd};
use super::{Decision, Observed, fail, lost, move_to, preempted, progress, stay};
use crate::task::decide::dependencies::Dependencies;
use crate::task::decide::failure;
use crate::task::decide::failure::Failure;
use crate::task::decide::fault;
use crate::task::decide::retry;
use crate::task::decide::retry::{disruptions, most_disruptions, was_lost};
use crate::task::decide::status::{record_attempt, record_lost};
use crate::task::observe::pod::{ContainerView, Held, JobEnd, JobView, PodView};

/// Seconds after a pod's grace period after which nobody waits for its last words any more.
const ENDING_MARGIN: i64 = 30;

pub(crate) fn decide(observed: &Observed<'_>, status: &TaskStatus, job: &JobView) -> Decision {
    let mut status = status.clone();
    status.job_name = observed.task.metadata.name.clone();
    status.next_run = None;
    if let Dependencies::Ready(satisfied) = &observed.dependencies {
        // The Job was created and its creator died before it could say so.
        satisfied.record(&mut status);
    }
    if let Some((pod_name, failure)) = lost::vanished_pod(observed, &status, job) {
        let started = status.start_time.as_ref().map(|time| time.0);
        let failure = preempted::reclassify_unseen(failure, job, started);
        preempted::make_room(&mut status, &pod_name, &failure);
        record_lost(&mut status, &pod_name, job.uid.clone(), &failure);
    }
    let agent_end = agent_end::find(observed, Some(job));
    let own = match agent_end {
        Some(AgentEnd::Over(pod)) => Some(pod),
        _ => None,
    };
    record(
        observed,
        &mut status,
        Some(job),
        job.finished.is_some() || own.is_some(),
    );
    let newest = newest(&observed.pods);
    if let Some(pod) = own.or(newest) {
        status.pod_name = Some(pod.name.clone());
        if let Some(since) = agent_started(pod) {
            status.start_time = Some(Time(since));
        }
    }
    if let Some(pod) = own {
        return ended_by_agent(observed, &status, Some(job), pod);
    }
    match &job.finished {
        Some(JobEnd::Complete) => succeed(observed, &status, newest),
        Some(JobEnd::Failed { at, .. }) if ending(observed, *at).is_some() => {
            stay(observed, &status, ending(observed, *at))
        }
        // Another container of the pod has failed.
        Some(JobEnd::Failed { reason, .. })
            if reason != failure::DEADLINE && agent_succeeded(newest, last_of(&status, job)) =>
        {
            succeed(observed, &status, newest)
        }
        Some(end) => {
            let failure = failure::of_job(end, newest, last_of(&status, job));
            let lost = fault::is_lost(failure.reason);
            retry::after_failure(observed, &status, Some(job), &failure, lost)
        }
        None if job.deleting => without_job(observed, &status, Some(job)),
        None if observed.task.spec.is_stopped() => stop(observed, &status),
        None if disruptions(&status) >= most_disruptions(observed)
            && last_of(&status, job).is_some_and(was_lost) =>
        {
            let last = status.attempts.last();
            let reason = last.and_then(|a| a.reason).unwrap_or(TaskReason::Evicted);
            let last = last.and_then(|a| a.message.as_deref());
            let message = format!(
                "the pod was disrupted {} while its agent ran; the last time: {}",
                times(most_disruptions(observed)),
                last.unwrap_or_default()
            );
            let failure = Failure { reason, message };
            // The Job may have made another pod by now. It is an attempt if it has begun to work.
            if newest.is_some_and(PodView::has_started) {
                return retry::after_failure(observed, &status, Some(job), &failure, false);
            }
            retry::after_attempts(observed, &status, Some(job), &failure, false)
        }
        None if let Some(AgentEnd::Soon(pause)) = agent_end => stay(observed, &status, Some(pause)),
        None if let Some(held) = job.held => queued(observed, &status, job, held),
        None => match overdue(observed, job) {
            Some(Overdue::Waits(pause)) => stay(observed, &status, Some(pause)),
            Some(Overdue::Over(end)) => {
                let failure = failure::of_job(end, newest, last_of(&status, job));
                retry::after_failure(observed, &status, Some(job), &failure, false)
            }
            None => {
                // What a suspension has ended is not the pod that the Job is about to have.
                let ended = |pod: &&PodView| (pod.is_over() || pod.gone) && job.has_suspended(pod.created);
                progress::decide(observed, &status, job, newest.filter(|pod| !ended(pod)))
            }
        },
    }
}

/// `pod` is the one whose agent succeeded, if it is still there: its report may say what people should know.
fn succeed(observed: &Observed<'_>, status: &TaskStatus, pod: Option<&PodView>) -> Decision {
    let (phase, reason) = (TaskPhase::Succeeded, TaskReason::Completed);
    let report = pod
        .and_then(PodView::agent_ended)
        .and_then(|ended| ended.report.as_ref());
    let note = report
        .filter(|report| report.is_final)
        .and_then(|report| report.message.as_deref());
    move_to(observed, status, phase, reason, note.unwrap_or_default(), None)
}

/// Ends the run as the agent in `pod` did, which is recorded.
fn ended_by_agent(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: Option<&JobView>,
    pod: &PodView,
) -> Decision {
    let Some(failure) = failure::of_pod(pod) else {
        return succeed(observed, status, Some(pod));
    };
    let lost = fault::is_lost(failure.reason);
    let replaced = newest(&observed.pods).filter(|newest| newest.name != pod.name);
    if replaced.is_some_and(PodView::has_started) {
        // It has begun to work, and is an attempt, too.
        return retry::after_failure(observed, status, job, &failure, lost);
    }
    retry::after_attempts(observed, status, job, &failure, lost)
}

/// Returns true if the agent of the Job's last pod ended with 0; the pod may be gone by now.
fn agent_succeeded(newest: Option<&PodView>, last: Option<&Attempt>) -> bool {
    match newest.and_then(PodView::agent_ended) {
        Some(ended) => failure::has_succeeded(ended),
        None => last.is_some_and(|last| last.exit_code == Some(0) && last.reason.is_none()),
    }
}

/// Says that the Job is kept from having a pod. The pod that it had is being ended, or has been.
fn queued(observed: &Observed<'_>, status: &TaskStatus, job: &JobView, held: Held) -> Decision {
    let message = match (held, &job.queue) {
        (Held::Suspended, Some(queue)) => {
            format!("the Job waits in queue {queue} (spec.suspend), which starts its pod when there is room")
        }
        (Held::Suspended, None) => {
            "the Job is suspended (spec.suspend): its pod starts when it is resumed".to_owned()
        }
        (Held::NoParallelism, _) => {
            "the Job has spec.parallelism 0: its pod starts when that is 1 again".to_owned()
        }
    };
    let (phase, reason) = (TaskPhase::Pending, TaskReason::Queued);
    move_to(observed, status, phase, reason, &message, None)
}

/// A pod that is to end because its Job's time is over, and has not.
enum Overdue<'a> {
    /// It has so much time left.
    Waits(Duration),
    /// It will not end by itself: its node does not answer. The Job ends as it was going to.
    Over(&'a JobEnd),
}

/// Looks at the pod of a Job that is past its deadline: the Job itself waits for it without end.
fn overdue<'a>(observed: &Observed<'_>, job: &'a JobView) -> Option<Overdue<'a>> {
    let end = job.ending.as_ref()?;
    let JobEnd::Failed { reason, at, .. } = end else {
        return None;
    };
    let runs = newest(&observed.pods).is_some_and(|pod| !pod.is_over() && !pod.gone);
    if reason != failure::DEADLINE || !runs {
        return None;
    }
    Some(ending(observed, *at).map_or(Overdue::Over(end), Overdue::Waits))
}

/// Returns what was recorded of the Job's last pod, which may be gone by now.
fn last_of<'a>(status: &'a TaskStatus, job: &JobView) -> Option<&'a Attempt> {
    let of_this_job = |a: &&Attempt| a.job_uid.is_none() || a.job_uid == job.uid;
    status.attempts.last().filter(of_this_job)
}

fn times(count: usize) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// Says first that the Task is being stopped, and then deletes the Job, which ends the pod with its grace period.
fn stop(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    if status.reason == Some(TaskReason::Stopping) {
        return Decision::DeleteJob;
    }
    let phase = status.phase.unwrap_or(TaskPhase::Pending);
    let message = "asked to stop: the agent has some seconds to end by itself";
    move_to(observed, status, phase, TaskReason::Stopping, message, None)
}

/// The Job is gone or going. Its pod may still run, and spend: its last words are waited for.
pub(crate) fn without_job(observed: &Observed<'_>, status: &TaskStatus, job: Option<&JobView>) -> Decision {
    let mut status = status.clone();
    record(observed, &mut status, job, true);
    if let Some(AgentEnd::Over(pod)) = agent_end::find(observed, None) {
        return ended_by_agent(observed, &status, job, pod);
    }
    if let Some(pause) = ending(observed, job.and_then(|job| job.deleting_since)) {
        return stay(observed, &status, Some(pause));
    }
    if observed.task.spec.is_stopped() {
        let last = status.attempts.last();
        let this_pod = last.filter(|a| Some(&a.pod_name) == status.pod_name.as_ref());
        let last_code = this_pod.and_then(|a| a.exit_code);
        let message = match last.filter(|a| a.reason == Some(TaskReason::Stopped)) {
            Some(last) => last.message.clone().unwrap_or_default(),
            None if last.is_some_and(|a| a.reason == Some(TaskReason::Queued)) => {
                "stopped on request while its Job was suspended; the agent did not run".to_owned()
            }
            None if let Some(code) = last_code => {
                format!("stopped on request; the agent ended with exit code {code}")
            }
            None if status.start_time.is_some() => {
                "stopped on request; nothing is known of the agent's last seconds".to_owned()
            }
            None => "stopped on request before the agent had started".to_owned(),
        };
        return fail(observed, &status, TaskReason::Stopped, &message);
    }
    let failure = Failure {
        reason: TaskReason::PodLost,
        message: "the Task's Job was deleted before the agent ended".to_owned(),
    };
    // Whoever deletes the Job of a Task means it: only a policy runs it again.
    retry::after_failure(observed, &status, job, &failure, false)
}

/// Returns how long to wait at most for a pod that has not ended though its Job has or is going, by `since`; `None` once
/// there is nothing to wait for any more.
fn ending(observed: &Observed<'_>, since: Option<Timestamp>) -> Option<Duration> {
    let pod = newest(&observed.pods).filter(|pod| !pod.is_over() && !pod.gone)?;
    // A pod without a node has nothing to tell. One that has a node may have an agent at work of which the kubelet has
    // not told yet: its word comes seconds after the fact, and what the agent has spent would be lost.
    if pod.node.is_none() && !matches!(pod.agent, ContainerView::Running { .. }) {
        return None;
    }
    let by = pod.gone_by.or(since)?.as_second() + ENDING_MARGIN;
    let left = u64::try_from(by - observed.now.as_second())
        .ok()
        .filter(|left| *left > 0)?;
    Some(Duration::from_secs(left))
}

/// Records the pods that have ended, or that were lost. `final_look` says that the Job is over.
fn record(observed: &Observed<'_>, status: &mut TaskStatus, job: Option<&JobView>, final_look: bool) {
    let newest = newest(&observed.pods);
    let is_held = job.is_some_and(|job| job.held.is_some());
    // Oldest first: what is summed up is told by what is recorded after it.
    let mut pods: Vec<&PodView> = observed.pods.iter().collect();
    pods.sort_by_key(|pod| age(pod));
    for pod in pods {
        if preempted::is_merged(status, &observed.pods, pod) {
            continue;
        }
        // A pod that stays is recorded with the Job's end, in one write. One that is on its way out is recorded now: its
        // figures would go with it.
        let leaves = pod.deleting || pod.gone;
        let stays = !leaves && pod.disruption.is_none() && newest.is_some_and(|n| n.name == pod.name);
        if stays && !final_look {
            continue;
        }
        let is_newest = newest.is_some_and(|n| n.name == pod.name);
        let Some(ended) = pod.agent_ended().or_else(|| pod.workspace_failed()) else {
            // What was lost with its Job is told by the Job's end.
            // A Job that is suspended goes on, and tells nothing.
            let tells = is_newest && !is_held;
            if let Some(failure) = lost::failure_of(pod, tells).filter(|_| !(is_newest && final_look)) {
                let failure = as_wished(
                    observed,
                    status,
                    pod,
                    preempted::reclassify(failure, status, job, pod),
                );
                preempted::make_room(status, &pod.name, &failure);
                record_lost(status, &pod.name, pod.owner_uid.clone(), &failure);
            }
            continue;
        };
        let failure = failure::of_pod(pod).map(|failure| {
            as_wished(
                observed,
                status,
                pod,
                preempted::reclassify(failure, status, job, pod),
            )
        });
        if let Some(failure) = &failure {
            preempted::make_room(status, &pod.name, failure);
        }
        let log_outputs: &[String] = if is_newest { &observed.log_outputs } else { &[] };
        let known = status.attempts.iter().find(|a| a.pod_name == pod.name);
        // The log is read once; a later look must not wipe out what it gave.
        if known.is_some() && ended.report.is_none() && log_outputs.is_empty() {
            continue;
        }
        record_attempt(status, pod, ended, failure, log_outputs, observed.price);
    }
}

/// A pod that is lost because its Task is stopped is not lost. One that was recorded as lost was so before.
fn as_wished(observed: &Observed<'_>, status: &TaskStatus, pod: &PodView, failure: Failure) -> Failure {
    let recorded = status.attempts.iter().find(|a| a.pod_name == pod.name);
    let was_lost_before = recorded.is_some_and(|a| a.reason == Some(TaskReason::PodLost));
    let ours = observed.task.spec.is_stopped() && failure.reason == TaskReason::PodLost;
    if !ours || was_lost_before {
        return failure;
    }
    Failure {
        reason: TaskReason::Stopped,
        message: format!("stopped on request: {}", failure.message),
    }
}

/// Returns the newest pod.
#[must_use]
pub fn newest(pods: &[PodView]) -> Option<&PodView> {
    pods.iter().max_by_key(|pod| age(pod))
}

/// Orders pods by their creation. Times are whole seconds: of two pods of the same one, a pod that is gone was there first.
pub(crate) fn age(pod: &PodView) -> (Option<Timestamp>, bool, &str) {
    (pod.created, !pod.gone, &pod.name)
}

fn agent_started(pod: &PodView) -> Option<Timestamp> {
    match &pod.agent {
        ContainerView::Running { since } => *since,
        ContainerView::Terminated(ended) => ended.started,
        _ => None,
    }
}
