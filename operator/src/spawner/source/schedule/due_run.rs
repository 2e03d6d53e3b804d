//! Which run of a schedule is due.
//!
//! Of all runs that came due since the last one that was dealt with, only the latest is made up for: after an outage, a
//! pause or a time at the limit there is one late run, not a herd. How many were left out is told.

use std::time::Duration;

use go_cron::Schedule;
use jiff::{SignedDuration, Timestamp};

/// Runs that are counted one by one; beyond, their number is not told exactly.
const MAX_COUNTED: usize = 1000;
/// Hours to look back for the latest run, shortest first; the last is five years, as far as schedules look ahead.
const WINDOWS: [i64; 6] = [1, 24, 24 * 8, 24 * 32, 24 * 367, 24 * 367 * 5];

/// What is due at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The latest run up to now that was not dealt with.
    pub run: Option<Timestamp>,
    /// Runs before that one that were not dealt with either; at least so many if it is [`MAX_COUNTED`].
    pub skipped: usize,
    /// The first run after now.
    pub next: Option<Timestamp>,
}

/// Returns what is due at `now` if everything up to `handled` was dealt with.
#[must_use]
pub fn due(schedule: &Schedule, handled: Timestamp, now: Timestamp) -> Due {
    let next = schedule.next_after(now);
    let run = latest(schedule, handled, now);
    let skipped = run.map_or(0, |run| {
        std::iter::successors(schedule.next_after(handled), |tick| schedule.next_after(*tick))
            .take_while(|tick| *tick < run)
            .take(MAX_COUNTED)
            .count()
    });
    Due { run, skipped, next }
}

/// Returns how long to sleep before a run. There is one more look, about `lead` before the run: to make it ready, and
/// because the server's time is known better and better.
#[must_use]
pub fn pause_before(run: Timestamp, now: Timestamp, lead: Duration) -> Duration {
    let wait = Duration::try_from(run.duration_since(now)).unwrap_or_default();
    if wait > lead + Duration::from_millis(500) {
        wait - lead
    } else {
        wait
    }
}

/// Returns the latest run after `handled` and up to `now`.
fn latest(schedule: &Schedule, handled: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let first = schedule.next_after(handled).filter(|first| *first <= now)?;
    let from = WINDOWS.iter().find_map(|hours| {
        let start = now.checked_sub(SignedDuration::from_hours(*hours)).ok()?;
        let start = start.max(handled);
        schedule.next_after(start).filter(|tick| *tick <= now)
    });
    std::iter::successors(Some(from.unwrap_or(first)), |tick| schedule.next_after(*tick))
        .take_while(|tick| *tick <= now)
        .last()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hourly() -> Schedule {
        Schedule::parse("0 * * * *", None).unwrap()
    }

    #[test]
    fn nothing_is_due_before_the_tick_and_one_run_at_it() {
        let (handled, tick) = (at("2026-01-01T09:00:00Z"), at("2026-01-01T10:00:00Z"));
        let before = due(&hourly(), handled, at("2026-01-01T09:59:59.999Z"));
        assert_eq!((before.run, before.next), (None, Some(tick)));
        let after = due(&hourly(), handled, tick);
        assert_eq!(
            (after.run, after.skipped, after.next),
            (Some(tick), 0, Some(at("2026-01-01T11:00:00Z")))
        );
        assert_eq!(due(&hourly(), tick, tick).run, None);
    }

    #[test]
    fn an_outage_is_followed_by_one_late_run() {
        let missed = due(&hourly(), at("2026-01-01T09:00:00Z"), at("2026-01-01T15:30:00Z"));
        assert_eq!(
            (missed.run, missed.skipped),
            (Some(at("2026-01-01T15:00:00Z")), 5)
        );
        let minutely = Schedule::parse("* * * * *", None).unwrap();
        let year = due(&minutely, at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
        assert_eq!(
            (year.run, year.skipped),
            (Some(at("2026-01-01T00:00:00Z")), MAX_COUNTED)
        );
        let leap = Schedule::parse("0 0 29 2 *", None).unwrap();
        let rare = due(&leap, at("2023-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"));
        assert_eq!((rare.run, rare.skipped), (Some(at("2024-02-29T00:00:00Z")), 0));
    }

    #[test]
    fn what_never_happens_is_never_due() {
        let never = Schedule::parse("0 0 30 2 *", None).unwrap();
        assert_eq!(
            due(&never, at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z")),
            Due::default()
        );
    }

    proptest! {
        /// Whenever a look happens, the sleeps after it end at the very run, after two more looks at most.
        #[test]
        fn sleeps_end_at_the_run(before in 0i64..86_400_000, lead in 0u64..5000) {
            let run = at("2026-01-02T00:00:00Z");
            let mut now = run - SignedDuration::from_millis(before);
            let mut looks = 0;
            while now < run {
                let due = due(&Schedule::parse("0 0 * * *", None).unwrap(), now, now);
                prop_assert_eq!((due.run, due.next), (None, Some(run)));
                now += pause_before(run, now, Duration::from_millis(lead));
                looks += 1;
            }
            prop_assert_eq!(now, run);
            prop_assert!(looks <= 3, "{} looks", looks);
            let handled = run - SignedDuration::from_secs(1);
            prop_assert_eq!(due(&Schedule::parse("0 0 * * *", None).unwrap(), handled, now).run, Some(run));
        }

        #[test]
        fn the_run_is_the_last_of_all(minute in 0..60u32, step in 1..9u32, from in 0i64..2_000_000, length in 0i64..400_000) {
            let schedule = Schedule::parse(&format!("{minute} */{step} * * *"), None).unwrap();
            let handled = Timestamp::from_second(1_700_000_000 + from).unwrap();
            let now = Timestamp::from_second(handled.as_second() + length).unwrap();
            let all: Vec<_> = std::iter::successors(schedule.next_after(handled), |t| schedule.next_after(*t))
                .take_while(|t| *t <= now).collect();
            let due = due(&schedule, handled, now);
            prop_assert_eq!(due.run, all.last().copied());
            prop_assert_eq!(due.skipped, all.len().saturating_sub(1).min(MAX_COUNTED));
        }
    }
}
