//! A pod that is on its way, from its Job's creation to its agent's end.

use std::time::Duration;

use axon_api::contract::container::{AGENT, WORKSPACE};
use axon_api::{TaskPhase, TaskReason, TaskStatus};
use jiff::Timestamp;

use super::{Decision, Observed, move_to, stay, volumes};
use crate::task::decide::failure::Failure;
use crate::task::decide::fault;
use crate::task::decide::fault::{Consequence, Origin, Rule};
use crate::task::decide::retry;
use crate::task::observe::pod::{ContainerView, JobView, PodView, Stuck};

pub(crate) fn decide(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: &JobView,
    pod: Option<&PodView>,
) -> Decision {
    let pending =
        |reason, message: &str| move_to(observed, status, TaskPhase::Pending, reason, message, None);
    let Some(pod) = pod else {
        let starting = |wake| {
            let (phase, reason) = (TaskPhase::Pending, TaskReason::Starting);
            move_to(observed, status, phase, reason, STARTING, wake)
        };
        // Among thousands of new Jobs the Job controller takes its time; its first write to this one leads on.
        let Some(started) = job.started else {
            return starting(None);
        };
        let left = POD_EXPECTED_SECONDS + started.as_second() - observed.now.as_second();
        if let Ok(left @ 1..) = u64::try_from(left) {
            return starting(Some(Duration::from_secs(left)));
        }
        // A quota or a policy keeps the pod away: the Job controller says so only in events.
        return pending(
            TaskReason::PodRefused,
            &format!(
                "the Job has no pod after {POD_EXPECTED_SECONDS} s: a quota or policy may refuse it, see `kubectl describe job {}`",
                status.job_name.as_deref().unwrap_or_default()
            ),
        );
    };
    if pod.is_over() {
        // The Job has not taken note: what was recorded is kept, the phase stays.
        return stay(observed, status, None);
    }
    if let Some((stuck, word)) = stuck_container(pod) {
        let Stuck { reason, message, .. } = &stuck;
        let secret = word.word == "CreateContainerConfigError" && message.to_lowercase().contains("secret");
        return match word.then {
            Consequence::Waits if secret => pending(
                TaskReason::SecretNotFound,
                &format!("the pod can't start: {message}"),
            ),
            Consequence::Waits => pending(
                word.reason,
                &format!(
                    "the pod can't start: container {}: {message} ({reason})",
                    stuck.container
                ),
            ),
            _ => image_pull(observed, status, job, pod, &stuck, word.then),
        };
    }
    match (&pod.agent, &pod.workspace) {
        (ContainerView::Running { .. }, _) => {
            let (message, wake) = taken_away(pod, observed.now);
            let (phase, reason) = (TaskPhase::Running, TaskReason::AgentRunning);
            move_to(observed, status, phase, reason, &message, wake)
        }
        (_, ContainerView::Running { since }) => cloning(observed, status, *since),
        _ => match &pod.unschedulable {
            Some(why) => pending(
                TaskReason::Unschedulable,
                &format!("no node takes the pod: {why}"),
            ),
            None => {
                let (reason, message, wake) = volumes::describe(observed, pod);
                move_to(observed, status, TaskPhase::Pending, reason, &message, wake)
            }
        },
    }
}

/// Returns what is said of a pod that runs on while it is to end, empty if it is not, and when to look again.
fn taken_away(pod: &PodView, now: Timestamp) -> (String, Option<Duration>) {
    let why = match &pod.disruption {
        Some((reason, _)) => format!(" ({reason})"),
        None if pod.deleting || pod.gone => String::new(),
        None => return (String::new(), None),
    };
    let name = &pod.name;
    if pod.gone {
        return (
            format!("pod {name} is gone{why}; its Job decides what follows"),
            None,
        );
    }
    let node = pod.node.as_deref().unwrap_or_default();
    let message = format!("pod {name} is being taken away{why}: waits for node {node} to end it");
    let Some(by) = pod.gone_by else {
        return (message, None);
    };
    // Only then is something wrong with the node.
    let left = by.as_second() + OVERDUE - now.as_second();
    match u64::try_from(left) {
        Ok(left @ 1..) => (message, Some(Duration::from_secs(left))),
        _ => (
            format!("{message}, which is overdue; if the node is gone for good, delete its Node object"),
            None,
        ),
    }
}

/// Seconds after a pod's grace period in which its kubelet tells of the pod's end.
const OVERDUE: i64 = 30;

/// What is said from the Job's creation until the first container runs; one text, so that it is written once.
pub(in crate::task) const STARTING: &str = "the pod is starting";

/// Seconds after which a Job normally has a pod.
const POD_EXPECTED_SECONDS: i64 = 5;

/// Returns a container that keeps the agent from starting, and what the kubelet's word for that means. Containers of others
/// count as long as the agent has not started.
fn stuck_container(pod: &PodView) -> Option<(Stuck, &'static Rule)> {
    let own = [(WORKSPACE, &pod.workspace), (AGENT, &pod.agent)];
    let own = own.into_iter().filter_map(|(name, state)| match state {
        ContainerView::Waiting { reason, message } => Some(Stuck {
            container: name.to_owned(),
            reason: reason.clone(),
            message: message.clone(),
        }),
        _ => None,
    });
    let starts = !matches!(
        pod.agent,
        ContainerView::Running { .. } | ContainerView::Terminated(_)
    );
    let others = pod.stuck.clone().filter(|_| starts);
    own.chain(others).find_map(|stuck| {
        let word = fault::rule_for(Origin::Waiting, &stuck.reason)?;
        Some((stuck, word))
    })
}

/// Says that the workspace is being prepared, once that takes longer than an instant: most clones are over before anyone
/// could read of them, and each word is a write.
fn cloning(observed: &Observed<'_>, status: &TaskStatus, since: Option<Timestamp>) -> Decision {
    let age = since.map_or(CLONING_SECONDS, |since| {
        observed.now.as_second().saturating_sub(since.as_second())
    });
    let left = CLONING_SECONDS.saturating_sub(age);
    if let Ok(left @ 1..) = u64::try_from(left) {
        return stay(observed, status, Some(Duration::from_secs(left)));
    }
    let (phase, reason) = (TaskPhase::Pending, TaskReason::Cloning);
    let message = "the workspace is being prepared";
    move_to(observed, status, phase, reason, message, None)
}

/// Seconds that a clone takes before it is told of.
const CLONING_SECONDS: i64 = 2;

fn image_pull(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: &JobView,
    pod: &PodView,
    stuck: &Stuck,
    then: Consequence,
) -> Decision {
    let Stuck { reason, message, .. } = stuck;
    // Not from the pod's creation: it may have waited for a node, and its workspace may have taken long.
    let prepared = match &pod.workspace {
        ContainerView::Terminated(ended) => ended.finished,
        _ => None,
    };
    let since = prepared.max(pod.scheduled).or(pod.created);
    let age = since.map_or(0, |since| observed.now.as_second() - since.as_second());
    let limit = i64::try_from(observed.image_pull_limit.as_secs()).unwrap_or(i64::MAX);
    // The back-off message says only that it backs off; the pull error before it has the cause.
    let told = status
        .message
        .as_deref()
        .filter(|_| status.reason == Some(TaskReason::ImagePull));
    let message = match told {
        Some(told) if reason == "ImagePullBackOff" => told.to_owned(),
        _ => format!("an image can't be pulled: {message}"),
    };
    if age >= limit || then == Consequence::Fails {
        let failure = Failure {
            reason: TaskReason::ImagePull,
            message,
        };
        return retry::after_failure(observed, status, Some(job), &failure, false);
    }
    let wake = Duration::from_secs(u64::try_from(limit - age).unwrap_or(1));
    move_to(
        observed,
        status,
        TaskPhase::Pending,
        TaskReason::ImagePull,
        &message,
        Some(wake),
    )
}
