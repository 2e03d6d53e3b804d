//! When many schedules have a run at the same moment, all their Tasks come first.
//!
//! A Task that is created starts work; a status that says so starts nothing. Whoever has created its Task lets the others
//! create theirs before it tells of it. A crash in between is what a crash between the two writes always was: the claim
//! stands, and whoever comes next finds the Task.

use std::time::Duration;

use tokio::sync::watch;

/// Runs without a Task at the same time from which on they are a crowd.
const MANY: usize = 8;
/// Longest that a status waits for the others.
const LONGEST: Duration = Duration::from_secs(2);

/// Counts the runs that are due and have no Task yet.
#[derive(Debug, Default)]
pub struct Crowd(watch::Sender<usize>);

impl Crowd {
    /// Counts one until what is returned is dropped.
    #[must_use]
    pub fn enter(&self) -> Member<'_> {
        self.0.send_modify(|count| *count += 1);
        Member(self)
    }

    /// If this is a crowd, waits until the last of it has its Task, but not for long.
    pub async fn passes(&self) {
        let mut count = self.0.subscribe();
        if *count.borrow_and_update() < MANY {
            return;
        }
        // An error of the channel can't be, and the end of patience is no error. Those who wait all write at once
        // afterwards: nobody should still be behind them.
        let _ = tokio::time::timeout(LONGEST, count.wait_for(|count| *count == 0)).await;
    }
}

/// A run that is due.
#[derive(Debug)]
pub struct Member<'a>(&'a Crowd);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_crowd_is_waited_for_and_not_for_ever() {
        let (crowd, start) = (Crowd::default(), Instant::now());
        let mut due: Vec<_> = (1..MANY).map(|_| crowd.enter()).collect();
        crowd.passes().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        due.push(crowd.enter());
        let waits = tokio::time::timeout(Duration::from_secs(1), crowd.passes());
        assert!(waits.await.is_err());
        crowd.passes().await;
        assert_eq!(start.elapsed(), Duration::from_secs(1) + LONGEST);
        let all_get_their_tasks = async {
            while due.pop().is_some() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let waits = async {
            crowd.passes().await;
            start.elapsed()
        };
        let (waited, ()) = tokio::join!(waits, all_get_their_tasks);
        assert_eq!(
            waited,
            Duration::from_millis(1700) + LONGEST,
            "until the last of eight"
        );
    }
}
