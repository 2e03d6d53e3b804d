//! Builds a Task's status. The only place that sets conditions and times, so that phase, reason, message, times and
//! conditions never disagree.

use axon_api::outputs::claims;
use axon_api::outputs::{results, usage_from_results};
use axon_api::price::Price;
use axon_api::shown::storable;
use axon_api::usage::Usage;
use axon_api::v1alpha1::{Attempt, condition};
use axon_api::{TaskPhase, TaskReason, TaskStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::kube::conditions::{ConditionState, whole_second};
use crate::task::decide::failure::Failure;
use crate::task::observe::pod::{Ended, PodView};

/// Most attempts that a status keeps: those of the longest retry policy, and of the disruptions besides.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Returns `old` moved to `phase`. Times that are set stay as they are; a terminal phase sets the completion time.
#[must_use]
pub fn enter(
    old: &TaskStatus,
    phase: TaskPhase,
    reason: TaskReason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> TaskStatus {
    let mut status = old.clone();
    // Evidence is the words of containers, git and the cluster: one bad character would keep the status from being written.
    let message = &*storable(message);
    status.phase = Some(phase);
    status.reason = Some(reason);
    status.message = (!message.is_empty()).then(|| message.to_owned());
    status.observed_generation = generation;
    if phase.is_terminal() && status.completion_time.is_none() {
        status.completion_time = Some(Time(whole_second(now)));
    }
    if phase.is_terminal() {
        status.next_run = None;
        status.dependency_outputs.clear();
    }
    let kinds = [
        (condition::READY, phase == TaskPhase::Succeeded),
        (condition::RECONCILING, !phase.is_terminal()),
        (condition::STALLED, phase == TaskPhase::Failed),
    ];
    let word = reason.to_string();
    let state = |kind, status| ConditionState {
        kind,
        status,
        reason: &word,
        message,
    };
    status.conditions = kinds
        .map(|(kind, is)| state(kind, is).after(&old.conditions, generation, now))
        .to_vec();
    status
}

/// Records in `status` what a pod that ended leaves behind: outputs, usage and one attempt. Recording the same pod
/// again replaces what was recorded. `log_outputs` are the lines of a marker block, for images without a report; `price`
/// is that of the Task's model, if it is known.
pub fn record_attempt(
    status: &mut TaskStatus,
    pod: &PodView,
    ended: &Ended,
    failure: Option<Failure>,
    log_outputs: &[String],
    price: Option<&Price>,
) {
    let report = ended.report.as_ref();
    let (outputs, mut left_out) = match report {
        // Bounded when it was read.
        Some(report) if !report.outputs.is_empty() => (report.outputs.clone(), report.left_out.clone()),
        _ => claims::outputs(log_outputs),
    };
    if let Some(report) = report {
        left_out.extend(&report.left_out);
    }
    let map = results(&outputs);
    let mut usage = match report {
        Some(report) if !report.usage.is_empty() => report.usage.clone(),
        _ => usage_from_results(&map),
    };
    usage.estimated_cost_usd = price.and_then(|price| price.estimate(&usage));
    let (reason, said) = failure.map(|f| (f.reason, f.message)).unzip();
    let said = said.map(|said| storable(&said).into_owned());
    let parts: Vec<String> = said.into_iter().chain(left_out.sentence()).collect();
    let message = (!parts.is_empty()).then(|| parts.join("; "));
    let attempt = Attempt {
        pod_name: pod.name.clone(),
        job_uid: pod.owner_uid.clone(),
        exit_code: Some(ended.exit_code),
        reason,
        message,
        usage: (!usage.is_empty()).then_some(usage),
    };
    let full = status.attempts.len() >= MAX_ATTEMPTS;
    match status.attempts.iter_mut().find(|a| a.pod_name == pod.name) {
        Some(known) => *known = attempt,
        // The lifecycle ends a Task long before; dropping older ones instead would lose what they consumed.
        None if full => return,
        None => status.attempts.push(attempt),
    }
    if !outputs.is_empty() {
        status.outputs = outputs;
        status.results = map;
    }
    status.usage = total(&status.attempts);
}

/// Records in `status` a run of which nothing is left but that it failed: it may have spent money, and it is counted.
/// A pod that was recorded already stays as it is.
pub fn record_lost(status: &mut TaskStatus, pod_name: &str, job_uid: Option<String>, failure: &Failure) {
    let known = !pod_name.is_empty() && status.attempts.iter().any(|a| a.pod_name == pod_name);
    if known || status.attempts.len() >= MAX_ATTEMPTS {
        return;
    }
    status.attempts.push(Attempt {
        pod_name: pod_name.to_owned(),
        job_uid,
        reason: Some(failure.reason),
        message: Some(storable(&failure.message).into_owned()),
        ..Attempt::default()
    });
}

/// Returns what all attempts together consumed.
fn total(attempts: &[Attempt]) -> Option<Usage> {
    let mut reported = attempts.iter().filter_map(|a| a.usage.as_ref());
    let first = reported.next()?.clone();
    Some(reported.fold(first, |sum, next| sum.plus(next)))
}

#[cfg(test)]
mod tests;
