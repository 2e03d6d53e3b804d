//! When a schedule is reconciled, and what a due run causes.

use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::Cron;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use super::due_run::pause_before;
use super::{ScheduleItems, handled, prefetch};
use crate::spawner::cluster::SpawnerError;
use crate::spawner::pass::{LONGEST, Pass, create_tasks, publish_outcome};
use crate::spawner::plan::{Ledger, room, wanted};
use crate::spawner::publish::publish;
use crate::spawner::render::Templates;
use crate::spawner::state::{Context, SpawnerState};
use crate::spawner::status::{PollOutcome, Waiting};

/// Creates the Task of the run that is due, and prepares the next one.
pub(super) async fn reconcile(spec: &Cron, pass: Pass<'_>) -> Result<Duration, SpawnerError> {
    let Pass {
        held,
        context,
        state,
        templates,
        ..
    } = pass;
    let spawner = &*held.spawner;
    let templates = &templates;
    let is_large = held.place.is_some();
    let status = spawner.status.clone().unwrap_or_default();
    let source = Some(format!("cron {}", spec.schedule));
    let runs = match handled::read(spawner, spec, &status, context.clock.now()) {
        Ok(runs) => runs,
        Err(fault) => {
            let outcome = PollOutcome {
                source,
                source_fault: Some(fault),
                ..PollOutcome::default()
            };
            publish_outcome(spawner, context, state, outcome).await?;
            return Ok(LONGEST);
        }
    };
    let mut outcome = PollOutcome {
        source,
        discovered: Some(usize::from(
            runs.due.run.is_some() || status.last_run_time.is_some(),
        )),
        next_run: runs.due.next,
        ..PollOutcome::default()
    };
    let ledger = Ledger::of(&status);
    let tasks = context.stores.tasks_of(spawner);
    let limits = context.limits(spawner);
    let has_room = room(&tasks, &ledger, limits).free > 0;
    let retry_at = state.next_poll.take().filter(|at| *at > Instant::now());
    let may_try = retry_at.is_none() || state.outcome.as_ref().is_none_or(|o| o.blocked.is_empty());
    let work_to_do = runs.due.run.is_some() && has_room || !ledger.claims.is_empty();
    if work_to_do && !limits.suspended && may_try {
        let mut items = ScheduleItems::new(spec);
        create_tasks(spawner, context, state, templates, &mut items, &mut outcome).await?;
    } else {
        state.next_poll = retry_at;
        if let (Some(run), false) = (runs.item(spec), limits.suspended) {
            let ids = [run.id.as_str()];
            let claims = wanted(&spawner.name_any(), &ids, &tasks, &ledger, None);
            outcome.waiting = Waiting::of(&claims, |_| Some(run.title.clone()));
            if let Some(old) = &state.outcome {
                outcome.blocked.clone_from(&old.blocked);
            }
        }
        let mut begun = spawner.clone();
        runs.begin(begun.status.get_or_insert_default());
        let published = publish(context, spawner.status.as_ref(), &begun, &tasks, &outcome).await;
        state.outcome = Some(outcome);
        published?;
    }
    if let Some(run) = runs.due.next
        && !limits.suspended
        && has_room
        && ledger.claims.is_empty()
        // What is ready stays in memory until the run is due, which a place is too scarce for.
        && !is_large
    {
        get_ready(spawner, context, state, templates, spec, run).await;
    }
    let now = context.clock.now();
    let lead = prefetch::lead(rand::random());
    let to_run = runs.due.next.map(|next| pause_before(next, now, lead));
    let retry = state
        .next_poll
        .map(|at| at.saturating_duration_since(Instant::now()));
    Ok(to_run.into_iter().chain(retry).min().unwrap_or(LONGEST))
}

/// Makes the next run of a schedule ready if it is near.
async fn get_ready(
    spawner: &TaskSpawner,
    context: &Context,
    state: &mut SpawnerState,
    templates: &Templates,
    cron: &Cron,
    run: Timestamp,
) {
    let is_ready = state.ahead.as_ref().is_some_and(|ahead| ahead.is_for(run));
    if is_ready || !prefetch::is_near(run, context.clock.now()) {
        return;
    }
    // The run does not wait for what is to make it faster.
    let left = Duration::try_from(run.duration_since(context.clock.now())).unwrap_or_default();
    let ready = tokio::time::timeout(
        left,
        prefetch::prepare_run(context, spawner, templates, cron, run),
    );
    state.ahead = match ready.await {
        Ok(Ok(ahead)) => ahead,
        Ok(Err(error)) => {
            tracing::debug!(taskspawner = %spawner.name_any(), %error, "a run is not ready before its time");
            None
        }
        Err(_) => None,
    };
}
