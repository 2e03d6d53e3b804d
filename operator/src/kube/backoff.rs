//! Pauses after errors of watches.
//!
//! kube's own go up to a minute, and a controller makes such a pause for all of its watches and triggers when one of
//! them fails. After an API server's restart nothing would be seen for that long: no edit, no end of a Task, no replica
//! that has died. The cluster has few operators: they may ask more often.

use std::time::Duration;

use kube_runtime::utils::Backoff;

/// Pauses that double up to the longest, each with up to half of it more, so that not all watches come at once.
#[derive(Clone, Debug)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// Returns those of one watch.
    #[must_use]
    pub fn of_watch() -> Self {
        Self::new(Duration::from_millis(800), Duration::from_secs(5))
    }

    /// Returns those of a controller, whose watches make their own.
    #[must_use]
    pub fn of_triggers() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_millis(50))
    }

    fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        Some(pause.mul_f64(rand::random_range(1.0..1.5)))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_never_silent_for_long_and_a_controller_hardly_at_all() {
        let mut pauses = Pauses::of_watch();
        let first = pauses.next().unwrap();
        assert!((800..1200).contains(&first.as_millis()), "{first:?}");
        let all: Vec<_> = pauses.by_ref().take(20).collect();
        assert!(
            all.iter().all(|pause| pause.as_millis() < 7500 && *pause > first),
            "{all:?}"
        );
        pauses.reset();
        assert!(pauses.next().unwrap().as_millis() < 1200);
        assert!(Pauses::of_triggers().take(20).all(|pause| pause.as_millis() < 75));
    }
}
