//! Writes a TaskSpawner's status and its events.

use axon_api::TaskSpawner;
use axon_api::v1alpha1::TaskSpawnerStatus;

use super::cluster::{self, SpawnerError};
use super::plan::{self, ExistingTask, Ledger};
use super::source;
use super::state::Context;
use super::status::{self, PollOutcome, Situation};

/// The operator's Deployment, as `status.deploymentName` names it.
const DEPLOYMENT: &str = "axon-operator";

/// Writes what is known as the spawner's status, unless it says so already.
///
/// # Errors
/// [`SpawnerError`].
pub async fn publish(
    context: &Context,
    stored: Option<&TaskSpawnerStatus>,
    live: &TaskSpawner,
    tasks: &[ExistingTask],
    outcome: &PollOutcome,
) -> Result<(), SpawnerError> {
    // The CRD's rules allow no TaskSpawner without a source.
    let Some(source) = source::of(&live.spec.when) else {
        return Ok(());
    };
    let old = live.status.clone().unwrap_or_default();
    let paused = context.stores.paused_workspace(live);
    let ledger = Ledger::of(&old);
    let limits = context.limits(live);
    let situation = Situation {
        active: plan::active(tasks, &ledger),
        room: plan::room(tasks, &ledger, limits),
        concurrency: limits.concurrency,
        runner: &context.me,
        deployment: DEPLOYMENT,
        source: &*source,
        paused: paused.as_deref(),
        now: context.clock.now(),
    };
    let new = status::build(&old, live, outcome, &situation);
    if !status::is_news(stored, &new) {
        return Ok(());
    }
    cluster::write(context, live, &new).await?;
    context.events.spawner(live, stored, &new);
    Ok(())
}
