//! A Task that has ended: what is left to clean up.

use std::time::Duration;

use axon_api::TaskStatus;

use super::{Decision, NET, Observed, owned};

pub(super) fn decide(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    if let Some(job) = &observed.job
        && owned(observed.task, job)
        && job.finished.is_none()
        && !job.deleting
    {
        return Decision::DeleteJob;
    }
    if status.observed_generation != observed.task.metadata.generation {
        return Decision::UpdateStatus(Box::new(seen(observed, status)));
    }
    let Some(ttl) = observed.task.spec.ttl_seconds_after_finished else {
        return Decision::Wait(None);
    };
    if observed.awaited {
        // Whoever waits for this Task's success must see it first; its start or end leads on.
        return Decision::Wait(Some(NET));
    }
    let Some(ended) = status.completion_time.as_ref() else {
        return Decision::Expire;
    };
    let left = ended
        .0
        .as_second()
        .saturating_add(i64::from(ttl))
        .saturating_sub(observed.now.as_second());
    match u64::try_from(left) {
        Ok(0) | Err(_) => Decision::Expire,
        Ok(seconds) => Decision::Wait(Some(Duration::from_secs(seconds))),
    }
}

/// Returns the status that says that a change of the spec after the end was seen, and that it changed nothing. Without
/// it, tools that follow kstatus would take the Task for one on its way.
fn seen(observed: &Observed<'_>, status: &TaskStatus) -> TaskStatus {
    let mut status = status.clone();
    status.observed_generation = observed.task.metadata.generation;
    for condition in &mut status.conditions {
        condition.observed_generation = status.observed_generation;
    }
    status
}
