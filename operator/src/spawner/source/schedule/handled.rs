//! The clock as a source: what is due, and how far runs are dealt with. Pure.

use axon_api::TaskSpawner;
use axon_api::v1alpha1::SpawnerReason;
use axon_api::v1alpha1::{Cron, TaskSpawnerStatus};
use go_cron::Schedule;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::kube::conditions::whole_second;
use crate::spawner::source::item::Item;
use crate::spawner::source::schedule::due_run::{Due, due};
use crate::spawner::status::{Fault, note_skipped};

/// How much further ahead than the time now the last run that was dealt with may be: API servers differ a little.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The schedule of a spawner at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledRuns {
    /// Runs up to this time are dealt with.
    pub handled: Timestamp,
    /// The schedule and its zone, as the status names it.
    pub schedule: String,
    /// What is due.
    pub due: Due,
}

impl HandledRuns {
    /// Returns the item of the run that is due.
    #[must_use]
    pub fn item(&self, cron: &Cron) -> Option<Item> {
        self.due.run.map(|run| Item::of_tick(run, &cron.schedule))
    }

    /// Notes in `status` how far runs are dealt with before anything is done about those that are due.
    pub fn begin(&self, status: &mut TaskSpawnerStatus) {
        status.handled_until = Some(Time(self.handled));
        status.handled_schedule = Some(self.schedule.clone());
    }

    /// Notes in `status` that the run that is due is dealt with.
    pub fn finish(&self, status: &mut TaskSpawnerStatus, generation: Option<i64>, now: Timestamp) {
        let Some(run) = self.due.run else { return };
        status.handled_until = Some(Time(run));
        status.handled_schedule = Some(self.schedule.clone());
        status.last_run_time = Some(Time(run));
        status.last_discovery_time = Some(Time(whole_second(now)));
        note_skipped(status, self.due.skipped, run, generation, now);
    }
}

/// Notes in `status` that a run is due again because its claim was given back, unless a later one was dealt with since:
/// that one has taken its place.
pub fn take_back(status: &mut TaskSpawnerStatus, run: Timestamp) {
    if status.handled_until.as_ref().is_some_and(|until| until.0 == run) {
        status.handled_until = run.checked_sub(SignedDuration::from_secs(1)).ok().map(Time);
    }
}

/// Returns which runs of a schedule are dealt with and which one is due.
///
/// A new spawner's first run is the first one after its creation, and the first one after an edit of its schedule is the
/// next one: an edit makes up for nothing, also one that makes a schedule of another source. `lastDiscoveryTime` is where
/// the original's spawners, which have no `runner`, have got to.
///
/// # Errors
/// If it is no schedule, or has no run within five years.
pub fn read(
    spawner: &TaskSpawner,
    cron: &Cron,
    status: &TaskSpawnerStatus,
    now: Timestamp,
) -> Result<HandledRuns, Fault> {
    let invalid = |reason, message| Fault {
        reason,
        message,
        transient: false,
    };
    let parsed = Schedule::parse(&cron.schedule, cron.time_zone.as_deref())
        .map_err(|error| invalid(SpawnerReason::InvalidSchedule, format!("when.cron: {error}")))?;
    let schedule = match &cron.time_zone {
        Some(zone) => format!("{} {zone}", cron.schedule),
        None => cron.schedule.clone(),
    };
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    // What was dealt with by a clock that was far ahead would keep the schedule silent until it has come to that.
    let soon = now.checked_add(AHEAD).unwrap_or(now);
    let known = time(&status.handled_until);
    let handled = match (&status.handled_schedule, known) {
        (Some(of), Some(handled)) if *of == schedule && handled <= soon => handled,
        (Some(_), _) => whole_second(now),
        // It had another source, or none that could be used: what was due then was nobody's run.
        (None, _) if status.runner.is_some() => whole_second(now),
        (None, _) => time(&status.last_discovery_time)
            .or_else(|| time(&spawner.metadata.creation_timestamp))
            .unwrap_or_else(|| whole_second(now)),
    };
    let due = due(&parsed, handled, now);
    if due.run.is_none() && due.next.is_none() {
        let message = format!(
            "when.cron.schedule {:?} has no run within five years",
            cron.schedule
        );
        return Err(invalid(SpawnerReason::NeverRuns, message));
    }
    Ok(HandledRuns {
        handled,
        schedule,
        due,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::fixtures::cron as spawner;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn looked(spawner: &TaskSpawner, status: &TaskSpawnerStatus, now: &str) -> Result<HandledRuns, Fault> {
        read(spawner, spawner.spec.when.cron.as_ref().unwrap(), status, at(now))
    }

    #[test]
    fn the_first_run_is_the_first_after_creation_and_the_state_is_the_run() {
        let hourly = spawner("c", "0 * * * *");
        let mut status = TaskSpawnerStatus::default();
        let first = looked(&hourly, &status, "2026-01-01T00:30:00Z").unwrap();
        assert_eq!(
            (first.due.run, first.due.next),
            (None, Some(at("2026-01-01T01:00:00Z")))
        );
        first.begin(&mut status);
        let due = looked(&hourly, &status, "2026-01-01T01:00:07Z").unwrap();
        assert_eq!(due.due.run, Some(at("2026-01-01T01:00:00Z")));
        due.finish(&mut status, Some(1), at("2026-01-01T01:00:07Z"));
        assert_eq!(status.handled_until, Some(Time(at("2026-01-01T01:00:00Z"))));
        assert_eq!(
            looked(&hourly, &status, "2026-01-01T01:00:08Z").unwrap().due.run,
            None
        );
    }

    #[test]
    fn an_edit_of_the_schedule_or_zone_makes_up_for_nothing() {
        let mut edited = spawner("c", "0 * * * *");
        let mut status = TaskSpawnerStatus::default();
        looked(&edited, &status, "2026-01-01T09:30:00Z")
            .unwrap()
            .begin(&mut status);
        edited.spec.when.cron.as_mut().unwrap().schedule = "*/5 * * * *".into();
        let runs = looked(&edited, &status, "2026-01-01T12:31:00Z").unwrap();
        assert_eq!(
            (runs.due.run, runs.due.next),
            (None, Some(at("2026-01-01T12:35:00Z")))
        );
        runs.begin(&mut status);
        edited.spec.when.cron.as_mut().unwrap().time_zone = Some("Asia/Tokyo".into());
        let runs = looked(&edited, &status, "2026-01-01T15:01:00Z").unwrap();
        assert_eq!(runs.due.run, None);
    }

    #[test]
    fn a_clock_that_was_ahead_silences_nothing_once_it_is_right_again() {
        let hourly = spawner("c", "0 * * * *");
        let mut status = TaskSpawnerStatus::default();
        let wrong = "2026-01-01T15:30:00Z";
        looked(&hourly, &status, wrong)
            .unwrap()
            .finish(&mut status, Some(1), at(wrong));
        let runs = looked(&hourly, &status, "2026-01-01T09:30:00Z").unwrap();
        assert_eq!(
            (runs.due.run, runs.due.next),
            (None, Some(at("2026-01-01T10:00:00Z")))
        );
        runs.begin(&mut status);
        let runs = looked(&hourly, &status, "2026-01-01T10:00:00Z").unwrap();
        assert_eq!(
            (runs.due.run, runs.due.skipped),
            (Some(at("2026-01-01T10:00:00Z")), 0)
        );
        // API servers whose clocks differ by seconds repeat no run.
        runs.finish(&mut status, Some(1), at("2026-01-01T10:00:00Z"));
        let runs = looked(&hourly, &status, "2026-01-01T09:59:58Z").unwrap();
        assert_eq!((runs.handled, runs.due.run), (at("2026-01-01T10:00:00Z"), None));
    }

    #[test]
    fn a_spawner_of_the_original_goes_on_where_it_was() {
        let status = TaskSpawnerStatus {
            last_discovery_time: Some(Time(at("2026-03-01T10:20:00Z"))),
            ..TaskSpawnerStatus::default()
        };
        let runs = looked(&spawner("c", "0 * * * *"), &status, "2026-03-01T11:00:00Z").unwrap();
        assert_eq!(
            (runs.due.run, runs.due.skipped),
            (Some(at("2026-03-01T11:00:00Z")), 0)
        );
    }

    #[test]
    fn a_spawner_of_github_that_becomes_a_schedule_makes_up_for_nothing() {
        let status = TaskSpawnerStatus {
            runner: Some("operator-1".into()),
            last_discovery_time: Some(Time(at("2026-03-01T10:20:00Z"))),
            ..TaskSpawnerStatus::default()
        };
        let runs = looked(&spawner("c", "0 * * * *"), &status, "2026-03-01T11:00:30Z").unwrap();
        assert_eq!(
            (runs.due.run, runs.due.next),
            (None, Some(at("2026-03-01T12:00:00Z")))
        );
    }

    #[test]
    fn a_run_whose_claim_is_given_back_is_due_again_until_a_later_one_is_dealt_with() {
        let hourly = spawner("c", "0 * * * *");
        let mut status = TaskSpawnerStatus::default();
        looked(&hourly, &status, "2026-01-01T00:30:00Z")
            .unwrap()
            .begin(&mut status);
        let run = at("2026-01-01T01:00:00Z");
        let finish = |status: &mut TaskSpawnerStatus, now: &str| {
            let runs = looked(&hourly, status, now).unwrap();
            runs.finish(status, Some(1), at(now));
            runs.due
        };
        assert_eq!(finish(&mut status, "2026-01-01T01:00:07Z").run, Some(run));
        take_back(&mut status, run);
        let again = looked(&hourly, &status, "2026-01-01T01:02:00Z").unwrap();
        assert_eq!((again.due.run, again.due.skipped), (Some(run), 0));
        // It gives way to the next one, and is told of.
        let next = finish(&mut status, "2026-01-01T02:00:01Z");
        assert_eq!((next.run, next.skipped), (Some(at("2026-01-01T02:00:00Z")), 1));
        take_back(&mut status, run);
        let after = looked(&hourly, &status, "2026-01-01T02:00:02Z").unwrap();
        assert_eq!(after.due.run, None);
    }

    #[test]
    fn what_is_no_schedule_is_a_fault() {
        for (schedule, reason) in [
            ("@daily", SpawnerReason::InvalidSchedule),
            ("61 * * * *", SpawnerReason::InvalidSchedule),
            ("0 0 30 2 *", SpawnerReason::NeverRuns),
        ] {
            let fault = looked(
                &spawner("c", schedule),
                &TaskSpawnerStatus::default(),
                "2026-01-01T09:30:00Z",
            )
            .unwrap_err();
            assert_eq!((fault.reason, fault.transient), (reason, false));
        }
    }
}
