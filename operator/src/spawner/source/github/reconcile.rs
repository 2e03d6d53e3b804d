//! When GitHub is polled for a TaskSpawner, and what follows from a poll.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{GithubIssues, SpawnerReason};
use axon_api::{TaskSpawner, Workspace, go_duration};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::matched::MatchedItems;
use super::poll::poll;
use crate::kube::watch::LENT;
use crate::slots::Turn;
use crate::spawner::cluster::{self, SpawnerError};
use crate::spawner::pass::{Pass, create_tasks, publish_outcome, until};
use crate::spawner::plan::{self, ExistingTask, Ledger, room, wanted};
use crate::spawner::preview::request::is_asked;
use crate::spawner::source::NoSlot;
use crate::spawner::state::{Context, SpawnerState};
use crate::spawner::status::Blocked;
use axon_github::Repository;

/// Shortest poll interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest poll interval: what is added to a moment must not overflow.
const MAX_INTERVAL: Duration = Duration::from_secs(366 * 24 * 3600);
/// Poll interval of a spawner whose own can't be read.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// Shortest time between two polls when a Task's end makes room.
const REFILL_PAUSE: Duration = Duration::from_secs(5);
/// How much later than a Task was known a listing must have been asked for to prove that its item has left the match.
const SURELY: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// Takes a slot for a poll of GitHub, if the TaskSpawner is to be polled now.
///
/// # Errors
/// If none is free: nothing was done, and everything is as due as it was.
pub(super) fn take_slot(
    spawner: &TaskSpawner,
    context: &Context,
    state: &SpawnerState,
) -> Result<Option<Turn>, NoSlot> {
    let workspace = workspace(spawner, context);
    let version = workspace.as_ref().and_then(|w| w.resource_version());
    let is_elsewhere = state.last_poll.is_some() && version != state.workspace;
    let suspended = context.limits(spawner).suspended;
    if !is_elsewhere && !is_due(suspended, state, Instant::now()) && !is_asked(spawner) {
        return Ok(None);
    }
    let host = workspace.and_then(|workspace| Repository::of(&workspace.spec.repo).ok());
    let host = host.map(|repository| repository.host).unwrap_or_default();
    let namespace = spawner.namespace().unwrap_or_default();
    let turn = context.turns.take(&host, &namespace, Instant::now());
    turn.map(Some).ok_or(NoSlot)
}

/// Returns whether a poll of GitHub is due. A suspended TaskSpawner is polled once after each edit, and again until that poll
/// succeeds, so that its status shows what it would do.
fn is_due(suspended: bool, state: &SpawnerState, now: Instant) -> bool {
    match state.next_poll {
        None => true,
        Some(at) if suspended => !state.has_read() && now >= at,
        Some(at) => now >= at,
    }
}

/// Polls GitHub if that is due, and creates the Tasks that follow.
pub(super) async fn reconcile(spec: &GithubIssues, pass: Pass<'_>) -> Result<Duration, SpawnerError> {
    let Pass {
        kept,
        held,
        context,
        state,
        templates,
    } = pass;
    let spawner = &*held.spawner;
    let interval = interval(spawner);
    let now = Instant::now();
    let suspended = context.limits(spawner).suspended;
    let workspace = workspace(spawner, context).and_then(|workspace| workspace.resource_version());
    let is_elsewhere = state.last_poll.is_some() && workspace != state.workspace;
    if is_elsewhere {
        state.require_listing_after(now);
        state.late = None;
    }
    if !is_elsewhere && !is_due(suspended, state, now) {
        refill(spawner, context, state);
        if let Some(outcome) = state.outcome.clone() {
            publish_outcome(spawner, context, state, outcome).await?;
        }
        return Ok(until(state.next_poll, now, suspended && state.has_read()));
    }
    state.workspace = workspace;
    let polled = match state.take_late() {
        Some(late) => late,
        None => {
            let mut polling = Box::pin(poll(context, kept, spec, state, interval));
            let limit = held.place.as_ref().map(|_| LENT);
            match within(limit, &mut polling).await {
                Some(polled) => polled,
                None => {
                    // The large spawners of others do not wait for GitHub.
                    drop((held, templates));
                    let late = polling.await;
                    state.next_poll = None;
                    state.late = Some(late);
                    return Ok(Duration::ZERO);
                }
            }
        }
    };
    let (mut found, mut outcome, pause) = polled;
    state.next_poll = Some(Instant::now() + pause);
    if let Some(found) = found.as_mut().filter(|_| held.place.is_some()) {
        found.asks_until(Instant::now() + LENT);
    }
    let Some(mut found) = found else {
        publish_outcome(spawner, context, state, outcome).await?;
        return Ok(until(state.next_poll, Instant::now(), false));
    };
    let tasks = context.stores.tasks_of(spawner);
    outcome
        .blocked
        .extend(write_marks(context, spawner, &found, &tasks, state).await);
    let ids: Vec<&str> = found.ids.iter().map(String::as_str).collect();
    let ledger = Ledger::of(&spawner.status.clone().unwrap_or_default());
    let new = wanted(&spawner.name_any(), &ids, &tasks, &ledger, Some(&found.filter));
    if new.is_empty() && ledger.claims.is_empty() {
        publish_outcome(spawner, context, state, outcome).await?;
        return Ok(until(state.next_poll, Instant::now(), suspended));
    }
    create_tasks(spawner, context, state, &templates, &mut *found, &mut outcome).await?;
    Ok(until(state.next_poll, Instant::now(), suspended))
}

/// Waits for `future`, but no longer than `limit`.
async fn within<F: Future + Unpin>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// Returns the Workspace that names the repository.
fn workspace(spawner: &TaskSpawner, context: &Context) -> Option<Arc<Workspace>> {
    let name = &spawner.spec.task_template.workspace_ref.as_ref()?.name;
    let reference = ObjectRef::new(name).within(&spawner.namespace()?);
    context.stores.workspaces.get(&reference)
}

/// A Task has ended, and items wait for room: they need not wait for the next poll.
fn refill(spawner: &TaskSpawner, context: &Context, state: &mut SpawnerState) {
    let waits = state
        .outcome
        .as_ref()
        .is_some_and(|o| o.waiting.count > 0 && o.source_fault.is_none());
    let tasks = context.stores.tasks_of(spawner);
    let active = tasks.iter().filter(|t| !t.ended).count();
    let ledger = Ledger::of(&spawner.status.clone().unwrap_or_default());
    let free = room(&tasks, &ledger, context.limits(spawner)).free;
    if waits && active < state.active && free > 0 {
        let at = state
            .last_poll
            .map_or_else(Instant::now, |last| last + REFILL_PAUSE);
        state.next_poll = state.next_poll.map(|next| next.min(at));
        state.require_listing_after(Instant::now());
    }
    state.active = active;
}

/// Writes the marks that follow from a listing, on the newest Task of each item. Returns why that is not allowed, if it
/// is not.
async fn write_marks(
    context: &Context,
    spawner: &TaskSpawner,
    found: &MatchedItems,
    tasks: &[ExistingTask],
    state: &SpawnerState,
) -> Option<Blocked> {
    let matching: BTreeSet<&str> = found.ids.iter().map(String::as_str).collect();
    for (item, task) in plan::newest_of_items(tasks) {
        let known = state.seen.get(&task.uid);
        let later = found.complete && known.is_some_and(|seen| *seen + SURELY < found.asked);
        if let Some(mark) = task.mark.next(matching.contains(item), later, &found.filter) {
            let Err(error) = cluster::mark(context, spawner, task, &mark).await else {
                continue;
            };
            tracing::warn!(task = %task.name, %error, "failed to note whether an item has left the match");
            let is_denied = error.is_denied() || error.is_refused();
            return is_denied.then(|| Blocked {
                item: item.to_owned(),
                reason: if error.is_denied() {
                    SpawnerReason::AccessDenied
                } else {
                    SpawnerReason::TaskRefused
                },
                message: format!(
                    "nobody can note that it has left the match, so that it runs again: {error}"
                ),
                transient: false,
                all: false,
                left_out: false,
                pause: None,
            });
        }
    }
    None
}

fn interval(spawner: &TaskSpawner) -> Duration {
    go_duration::parse(&spawner.spec.poll_interval)
        .unwrap_or(DEFAULT_INTERVAL)
        .clamp(MIN_INTERVAL, MAX_INTERVAL)
}
