//! The API server's time, so that replicas whose clocks differ agree about what is due.
//!
//! Every HTTP answer carries the server's time, cut to seconds. An answer bounds the difference between that time and
//! this machine's monotonic clock from both sides; many answers together bound it closely. The earliest time that fits
//! all of them is taken, so that nothing happens before its time. Without answers the machine's clock has to do.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use axon_github::clock::Clock;

/// How much two clocks may drift apart, as a part of the time between two answers.
const DRIFT: f64 = 500e-6;

/// Bounds of what has to be added to the monotonic clock (counted from the first moment) to get the server's time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    low: Timestamp,
    high: Timestamp,
    /// When they were last changed, since the first moment.
    at: Duration,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Sample {
    sent: Duration,
    received: Duration,
    /// Whole seconds.
    date: Timestamp,
}

impl Bounds {
    fn of(sample: Sample) -> Option<Self> {
        Some(Self {
            low: sample.date.checked_sub(sample.received).ok()?,
            high: sample
                .date
                .checked_add(SignedDuration::from_secs(1))
                .ok()?
                .checked_sub(sample.sent)
                .ok()?,
            at: sample.received,
        })
    }

    /// Returns bounds that fit both; if nothing does, a clock was set, and the newest answer counts.
    fn and(self, other: Self) -> Self {
        let slack = Duration::from_secs_f64(other.at.saturating_sub(self.at).as_secs_f64() * DRIFT);
        let low = self.low.checked_sub(slack).unwrap_or(self.low).max(other.low);
        let high = self.high.checked_add(slack).unwrap_or(self.high).min(other.high);
        if low <= high {
            Self {
                low,
                high,
                at: other.at,
            }
        } else {
            other
        }
    }
}

/// The API server's time as far as its answers tell it. Clones share what they know.
#[derive(Clone)]
pub struct ClusterClock {
    start: Instant,
    machine: Clock,
    bounds: Arc<Mutex<Option<Bounds>>>,
}

impl ClusterClock {
    /// Returns a clock that tells the machine's time until it has heard an answer.
    #[must_use]
    pub fn new(machine: Clock) -> Self {
        Self {
            start: Instant::now(),
            machine,
            bounds: Arc::default(),
        }
    }

    /// Takes note of an answer: its `Date` header, when the request was sent, and when the answer came.
    pub fn heard(&self, date: &str, sent: Instant, received: Instant) {
        let Ok(date) = jiff::fmt::rfc2822::parse(date).map(|d| d.timestamp()) else {
            return;
        };
        let sample = Sample {
            sent: sent.saturating_duration_since(self.start),
            received: received.saturating_duration_since(self.start),
            date,
        };
        let Some(new) = Bounds::of(sample) else { return };
        let mut bounds = self.bounds.lock();
        *bounds = Some(bounds.map_or(new, |old| old.and(new)));
    }

    /// Returns it as a clock like any other.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || clock.now())
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let bounds = *self.bounds.lock();
        bounds
            .and_then(|b| b.low.checked_add(self.start.elapsed()).ok())
            .unwrap_or_else(|| self.machine.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn sample(sent: u64, received: u64, date: &str) -> Bounds {
        Bounds::of(Sample {
            sent: Duration::from_millis(sent),
            received: Duration::from_millis(received),
            date: time(date),
        })
        .unwrap()
    }

    #[test]
    fn answers_together_bound_the_time_closely() {
        // The server's clock shows 12:00:00.7 at the first moment.
        let mut bounds = sample(0, 10, "2026-01-01T12:00:00Z");
        for (sent, date) in [
            (200, "2026-01-01T12:00:00Z"),
            (350, "2026-01-01T12:00:01Z"),
            (1250, "2026-01-01T12:00:01Z"),
        ] {
            bounds = bounds.and(sample(sent, sent + 10, date));
        }
        assert!(
            bounds.low >= time("2026-01-01T12:00:00.63Z") && bounds.low <= time("2026-01-01T12:00:00.7Z")
        );
        assert!(
            bounds.high >= time("2026-01-01T12:00:00.7Z") && bounds.high <= time("2026-01-01T12:00:00.76Z")
        );
    }

    #[test]
    fn a_clock_that_was_set_counts_anew() {
        let old = sample(0, 10, "2026-01-01T12:00:00Z");
        let new = sample(2000, 2010, "2026-01-01T13:00:00Z");
        assert_eq!(old.and(new), new);
    }

    #[tokio::test(start_paused = true)]
    async fn the_machines_clock_does_not_matter_once_the_server_was_heard() {
        let clock = ClusterClock::new(Clock::fixed(time("2020-01-01T00:00:00Z")));
        assert_eq!(clock.now(), time("2020-01-01T00:00:00Z"));
        let sent = Instant::now();
        clock.heard("no date", sent, sent);
        assert_eq!(clock.now(), time("2020-01-01T00:00:00Z"));
        clock.heard("Sun, 22 Nov 2026 20:00:00 GMT", sent, sent);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), time("2026-11-22T20:00:05Z"));
    }
}
