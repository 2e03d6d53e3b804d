//! What is done for a run of a schedule in the seconds before it is due, so that at its time only the claim and the Task
//! are left to write: many schedules have their runs at the same moment.
//!
//! The rule of [`crate::spawner::plan`] holds: the spawner is read first and its Tasks afterwards, and the claim goes through only
//! if the spawner has not been written since.

use std::time::Duration;

use axon_api::v1alpha1::{Claim, Cron};
use axon_api::{Task, TaskSpawner};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tokio::time::Instant;

use super::ScheduleItems;
use crate::spawner::cluster::{self, SpawnerError};
use crate::spawner::plan::{self, ExistingTask, Ledger};
use crate::spawner::render::Templates;
use crate::spawner::render::prepare::prepare;
use crate::spawner::source::PolledItems as _;
use crate::spawner::source::github::approval::Gate;
use crate::spawner::state::Context;

/// Shortest and longest time before a run at which it is made ready.
const LEAD: (f64, f64) = (1.0, 4.0);
/// What was read longer ago is read again.
const OLDEST: Duration = Duration::from_secs(6);

/// A run that is ready.
pub struct PreparedRun {
    run: Timestamp,
    since: Instant,
    /// The spawner as it was read.
    pub live: TaskSpawner,
    /// Its Tasks, which were read afterwards.
    pub tasks: Vec<ExistingTask>,
    /// The Task that the run is to get, which the API server would take.
    pub ready: (Claim, Task),
}

impl PreparedRun {
    /// Returns whether this may stand for reading `spawner` and its Tasks at `now`.
    #[must_use]
    pub fn is_of(&self, spawner: &TaskSpawner, now: Timestamp) -> bool {
        self.run <= now
            && self.since.elapsed() < OLDEST
            && self.live.uid() == spawner.uid()
            && self.live.metadata.generation == spawner.metadata.generation
            && spawner.metadata.deletion_timestamp.is_none()
    }

    /// Returns whether this is for that run.
    #[must_use]
    pub fn is_for(&self, run: Timestamp) -> bool {
        self.run == run
    }
}

/// Returns how long before its time a run is to be made ready; `random` from 0 to 1 spreads those of many spawners.
#[must_use]
pub fn lead(random: f64) -> Duration {
    Duration::from_secs_f64(LEAD.0 + (LEAD.1 - LEAD.0) * random.clamp(0.0, 1.0))
}

/// Returns whether it is time to make a run ready.
#[must_use]
pub fn is_near(run: Timestamp, now: Timestamp) -> bool {
    run.duration_since(now) <= SignedDuration::from_secs_f64(LEAD.1 + 0.1)
}

/// Makes a run ready, if nothing stands in its way. An obstacle is found again, and reported, when the run is due.
///
/// # Errors
/// [`SpawnerError`] if there is no answer.
pub async fn prepare_run(
    context: &Context,
    spawner: &TaskSpawner,
    templates: &Templates,
    cron: &Cron,
    run: Timestamp,
) -> Result<Option<PreparedRun>, SpawnerError> {
    let since = Instant::now();
    let (live, tasks) = cluster::fresh(context, spawner).await?;
    let ledger = Ledger::of(&live.status.clone().unwrap_or_default());
    if !ledger.claims.is_empty() || plan::room(&tasks, &ledger, context.limits(&live)).free == 0 {
        return Ok(None);
    }
    let items = ScheduleItems::of_run(cron, run);
    let claims = plan::wanted(&live.name_any(), &items.ids(), &tasks, &ledger, None);
    let Some(claim) = claims.into_iter().next() else {
        return Ok(None);
    };
    let mut no_gate = Gate::default();
    let made = prepare(context, &live, templates, &items, &claim, &mut no_gate).await?;
    Ok(made.ok().map(|task| PreparedRun {
        run,
        since,
        live,
        tasks,
        ready: (claim, task),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::fixtures;

    fn ahead(spawner: &TaskSpawner, run: Timestamp) -> PreparedRun {
        let claim = Claim {
            name: "c-1".into(),
            item: "1".into(),
        };
        let spec = serde_json::json!({"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}});
        let task = Task::new("c-1", serde_json::from_value(spec).unwrap());
        PreparedRun {
            run,
            since: Instant::now(),
            live: spawner.clone(),
            tasks: Vec::new(),
            ready: (claim, task),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_counts_for_its_run_only_and_not_for_long() {
        let run: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let mut spawner = fixtures::cron("c", "0 * * * *");
        spawner.metadata.uid = Some("u".into());
        spawner.metadata.generation = Some(3);
        let ahead = ahead(&spawner, run);
        assert!(ahead.is_of(&spawner, run));
        assert!(!ahead.is_of(&spawner, run - SignedDuration::from_millis(1)));
        let mut edited = spawner.clone();
        edited.metadata.generation = Some(4);
        assert!(!ahead.is_of(&edited, run));
        let mut made_anew = spawner.clone();
        made_anew.metadata.uid = Some("v".into());
        assert!(!ahead.is_of(&made_anew, run));
        tokio::time::advance(OLDEST).await;
        assert!(!ahead.is_of(&spawner, run));
    }

    #[test]
    fn whoever_sleeps_until_the_lead_is_near_the_run() {
        let run: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        for random in [0.0, 0.3, 1.0] {
            let now = run - SignedDuration::try_from(lead(random)).unwrap();
            assert!(is_near(run, now), "{random}");
        }
        assert!(!is_near(run, run - SignedDuration::from_secs(10)));
        assert!(lead(1.0) < OLDEST);
    }
}
