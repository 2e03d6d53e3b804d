//! A Task that has ended: deletes a Job that still runs, and the Task itself when its time to live is over.

use std::time::Duration;

use axon_api::TaskStatus;

use super::{Decision, NET, Observed, agent_end, owned};
use crate::task::observe::pod::JobView;

/// Seconds after a Task's end in which the log of an agent can be read from a pod that other containers keep running.
const LINGER: i64 = 60;

pub(crate) fn decide(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    let Some(left) = job_lingers(observed, status) else {
        return Decision::DeleteJob;
    };
    match clean_up(observed, status) {
        Decision::Wait(pause) => Decision::Wait(pause.into_iter().chain(left).min()),
        decision => decision,
    }
}

/// Returns how long to leave a Job alone that has not ended, if there is one; `None` if it is to be deleted.
///
/// Most Jobs end a moment after their agent. One whose pod has containers of others may never end.
fn job_lingers(observed: &Observed<'_>, status: &TaskStatus) -> Option<Option<Duration>> {
    let unfinished = |job: &&JobView| owned(observed.task, job) && job.finished.is_none() && !job.deleting;
    if observed.job.as_ref().filter(unfinished).is_none() {
        return Some(None);
    }
    if !agent_end::is_quiet(&observed.pods) {
        return None;
    }
    let ended = status.completion_time.as_ref()?.0.as_second();
    let left = u64::try_from(ended + LINGER - observed.now.as_second()).ok()?;
    (left > 0).then_some(Some(Duration::from_secs(left)))
}

fn clean_up(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
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
