//! When many schedules have a run at the same moment, all their Tasks come first.
//!
//! A Task that is created starts work; a status that says so starts nothing. Whoever has created its Task lets the others
//! create theirs before it tells of it. A crash in between is what a crash between the two writes always was: the claim
//! stands, and whoever comes next finds the Task.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Runs without a Task at the same time from which on they are a crowd.
const MANY: usize = 8;
/// Longest that statuses wait for the others, from the crowd's first run on.
const LONGEST: Duration = Duration::from_secs(2);

/// Counts the runs that are due and have no Task yet.
#[derive(Debug, Default)]
pub struct RunBurst(watch::Sender<Due>);

#[derive(Debug, Default)]
struct Due {
    count: usize,
    /// When there was none last.
    since: Option<Instant>,
}

impl RunBurst {
    /// Counts one until what is returned is dropped.
    #[must_use]
    pub fn enter(&self) -> Member<'_> {
        self.0.send_modify(|due| {
            due.count += 1;
            due.since.get_or_insert_with(Instant::now);
        });
        Member(self)
    }

    /// If this is a crowd, waits until the last of it has its Task, but not for long.
    pub async fn passes(&self) {
        let mut due = self.0.subscribe();
        let until = {
            let due = due.borrow_and_update();
            let Some(since) = due.since.filter(|_| due.count >= MANY) else {
                return;
            };
            // One that hangs costs the others this once: they take up the places that others need.
            since + LONGEST
        };
        // An error of the channel can't be, and the end of patience is no error. Those who wait all write at once
        // afterwards: nobody should still be behind them.
        let _ = tokio::time::timeout_at(until, due.wait_for(|due| due.count == 0)).await;
    }
}

/// A run that is due.
#[derive(Debug)]
pub struct Member<'a>(&'a RunBurst);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|due| {
            due.count = due.count.saturating_sub(1);
            if due.count == 0 {
                due.since = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn only_a_crowd_is_waited_for_until_the_last_of_it() {
        let (crowd, start) = (RunBurst::default(), Instant::now());
        let mut due: Vec<_> = (1..MANY).map(|_| crowd.enter()).collect();
        crowd.passes().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        due.push(crowd.enter());
        let all_get_their_tasks = async {
            while due.pop().is_some() {
                tokio::time::sleep(STEP).await;
            }
        };
        let waits = async {
            crowd.passes().await;
            start.elapsed()
        };
        let (waited, ()) = tokio::join!(waits, all_get_their_tasks);
        assert_eq!(waited, STEP * 7, "until the last of eight");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_is_waited_for_once() {
        let (crowd, start) = (RunBurst::default(), Instant::now());
        let due: Vec<_> = (0..MANY).map(|_| crowd.enter()).collect();
        tokio::time::sleep(STEP).await;
        crowd.passes().await;
        crowd.passes().await;
        assert_eq!(start.elapsed(), LONGEST);
        drop(due);
        tokio::time::sleep(LONGEST).await;
        let again = Instant::now();
        let _due: Vec<_> = (0..MANY).map(|_| crowd.enter()).collect();
        crowd.passes().await;
        assert_eq!(again.elapsed(), LONGEST, "another crowd");
    }
}
