//! A pod that waits for its volumes: which Secret or ConfigMap is not there.

use std::time::Duration;

use axon_api::TaskReason;
use jiff::Timestamp;

use super::Observed;
use super::progress::STARTING;
use crate::task::observe::pod::{ContainerView, Needed, PodView};

/// Seconds in which volumes normally are ready.
const USUAL_SECONDS: i64 = 10;
/// Pause before the next reconcile while something is missing: Secrets and ConfigMaps are not watched.
const AGAIN: Duration = Duration::from_secs(30);

/// Returns true for a pod that has waited unusually long for volumes that need Secrets or ConfigMaps.
#[must_use]
pub fn are_overdue(pod: &PodView, now: Timestamp) -> bool {
    let begun = |container: &ContainerView| {
        matches!(
            container,
            ContainerView::Running { .. } | ContainerView::Terminated(_)
        )
    };
    let waits = !begun(&pod.workspace) && !begun(&pod.agent) && !pod.deleting && !pod.gone;
    waits && may_wait(pod) && left(pod, now).is_none()
}

/// Returns reason and message for a pod none of whose containers has started, and when to reconcile again.
pub(crate) fn describe(observed: &Observed<'_>, pod: &PodView) -> (TaskReason, String, Option<Duration>) {
    let starting = |wake| (TaskReason::Starting, STARTING.to_owned(), wake);
    if !may_wait(pod) {
        return starting(None);
    }
    if let Some(left) = left(pod, observed.now) {
        return starting(Some(left));
    }
    if !observed.missing.is_empty() {
        let names = listed(&observed.missing);
        let verb = if observed.missing.len() == 1 { "does" } else { "do" };
        let of_secret = observed.missing.iter().any(|needed| needed.kind == "Secret");
        let reason = if of_secret {
            TaskReason::SecretNotFound
        } else {
            TaskReason::Starting
        };
        let message = format!("the pod can't start: its volumes need {names}, which {verb} not exist");
        return (reason, message, Some(AGAIN));
    }
    if pod.volumes_ready == Some(false) {
        let message = format!(
            "the pod's volumes are not ready after {USUAL_SECONDS} s; they need {}: `kubectl describe pod {}` says \
             what is wrong",
            listed(&pod.needs),
            pod.name
        );
        return (TaskReason::Starting, message, Some(AGAIN));
    }
    starting(Some(AGAIN))
}

fn may_wait(pod: &PodView) -> bool {
    pod.scheduled.is_some() && !pod.needs.is_empty() && pod.volumes_ready != Some(true)
}

/// Returns how much of the usual time is left.
fn left(pod: &PodView, now: Timestamp) -> Option<Duration> {
    let age = now.as_second().saturating_sub(pod.scheduled?.as_second());
    let left = u64::try_from(USUAL_SECONDS.saturating_sub(age)).ok()?;
    (left > 0).then_some(Duration::from_secs(left))
}

fn listed(needs: &[Needed]) -> String {
    let names = needs.iter().map(ToString::to_string);
    names.collect::<Vec<_>>().join(", ")
}
