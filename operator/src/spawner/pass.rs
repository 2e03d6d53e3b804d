//! One reconcile of a TaskSpawner, and the steps that all sources share.

use std::sync::Arc;
use std::time::Duration;

use axon_api::TaskSpawner;
use tokio::time::Instant;

use super::cluster::SpawnerError;
use super::plan::{Ledger, active};
use super::publish::publish;
use super::render::Templates;
use super::source::PolledItems;
use super::spawn::spawn;
use super::state::{Context, SpawnerState};
use super::status::PollOutcome;
use crate::slots::Turn;

/// Pause before work that failed half-way is taken up again.
pub(super) const AGAIN: Duration = Duration::from_millis(700);
/// Longest pause, in case a broken watch has lost an event.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// One reconcile of a TaskSpawner that this replica owns.
pub struct Pass<'a> {
    /// The object of the watch; a large one lacks parts of its spec.
    pub kept: &'a TaskSpawner,
    /// The whole object.
    pub held: Held,
    /// Everything that a replica has.
    pub context: &'a Context,
    /// What the replica remembers of the TaskSpawner.
    pub state: &'a mut SpawnerState,
    /// Its templates.
    pub templates: Templates,
}

/// A spawner with all that its user wrote, and the place that a large one takes.
pub struct Held {
    /// The object.
    pub spawner: Arc<TaskSpawner>,
    /// The place, for a large one.
    pub place: Option<Turn>,
}

/// Publishes an outcome without asking the API server first.
pub(super) async fn publish_outcome(
    spawner: &TaskSpawner,
    context: &Context,
    state: &mut SpawnerState,
    outcome: PollOutcome,
) -> Result<(), SpawnerError> {
    let tasks = context.stores.tasks_of(spawner);
    let published = publish(context, spawner.status.as_ref(), spawner, &tasks, &outcome).await;
    state.active = tasks.iter().filter(|t| !t.ended).count();
    state.outcome = Some(outcome);
    published
}

/// Creates the Tasks of polled items and publishes the result.
pub(super) async fn create_tasks(
    spawner: &TaskSpawner,
    context: &Context,
    state: &mut SpawnerState,
    templates: &Templates,
    items: &mut dyn PolledItems,
    outcome: &mut PollOutcome,
) -> Result<(), SpawnerError> {
    // A failure below is retried soon, also if the poll itself is not due.
    let planned = state.next_poll;
    state.next_poll = Some(sooner(planned, AGAIN));
    let run = (!items.is_listing()).then(|| context.run_burst.enter());
    let done = Box::pin(spawn(context, spawner, templates, items, state, outcome)).await?;
    if let Some(run) = run {
        drop(run);
        context.run_burst.passes().await;
    }
    state.next_poll = done.again.map_or(planned, |pause| Some(sooner(planned, pause)));
    let ledger = Ledger::of(&done.live.status.clone().unwrap_or_default());
    state.active = active(&done.tasks, &ledger);
    state.outcome = Some(outcome.clone());
    publish(context, spawner.status.as_ref(), &done.live, &done.tasks, outcome).await
}

/// Returns the moment after a pause, or the planned one if that comes first.
fn sooner(planned: Option<Instant>, pause: Duration) -> Instant {
    let at = Instant::now() + pause;
    planned.map_or(at, |planned| planned.min(at))
}

/// Returns how long to wait until `next`; an idle TaskSpawner waits for an event.
pub(super) fn until(next: Option<Instant>, now: Instant, idle: bool) -> Duration {
    if idle {
        return LONGEST;
    }
    next.map_or(LONGEST, |at| at.saturating_duration_since(now))
}
