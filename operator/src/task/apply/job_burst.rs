//! When many Tasks start at the same moment, their Jobs are created before their statuses are written.
//!
//! A Job starts a pod; a status starts nothing. While many Jobs are being created, the step of their Tasks to Pending waits.
//! A crash in between is harmless: the next leader finds the Job by its name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axon_api::{TaskPhase, TaskReason, TaskStatus};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Number of Jobs in creation from which on it is a burst: half of the workers of the controller.
const MANY: usize = 16;

/// Shortest pause before a deferred status is decided on again.
const PAUSE: Duration = Duration::from_secs(1);

/// Time between two deferred statuses: thousands at once would compete with Jobs again.
const APART: Duration = Duration::from_millis(1);

/// Counts the Jobs that are being created, and spreads the statuses that wait for them.
#[derive(Debug, Default)]
pub struct JobBurst {
    creating: AtomicUsize,
    /// Latest time that was given to a deferred status.
    last: Mutex<Option<Instant>>,
}

impl JobBurst {
    /// Counts one Job until the returned guard is dropped.
    #[must_use]
    pub(crate) fn begin_create(&self) -> Creating<'_> {
        // Relaxed: the count only decides which write goes first, and nothing is published by it.
        self.creating.fetch_add(1, Ordering::Relaxed);
        Creating(self)
    }

    /// Returns how long a status that is deferred `now` waits.
    #[must_use]
    pub(crate) fn deferral(&self, now: Instant) -> Duration {
        let mut last = self.last.lock();
        let soonest = now + PAUSE;
        let next = last.map_or(soonest, |last| soonest.max(last + APART));
        *last = Some(next);
        next - now
    }

    /// Returns true if writing `new` over `old` waits for the Jobs that are being created now.
    ///
    /// Only the step of a first run to Pending does. Anything else in a status, such as a minted token or the end of an earlier
    /// run, is stored nowhere else and would be lost by a crash.
    #[must_use]
    pub(crate) fn defers(&self, old: Option<&TaskStatus>, new: &TaskStatus) -> bool {
        let step = (new.phase, new.reason) == (Some(TaskPhase::Pending), Some(TaskReason::Starting));
        let told = old.is_some_and(|old| old.job_name.is_some() || old.next_run.is_some());
        let more = new.github_token.is_some() || new.pod_name.is_some() || !new.attempts.is_empty();
        step && !told && !more && self.creating.load(Ordering::Relaxed) >= MANY
    }
}

/// Guard of a Job that is being created.
pub(crate) struct Creating<'a>(&'a JobBurst);

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.creating.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::GithubToken;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn pending() -> TaskStatus {
        TaskStatus {
            phase: Some(TaskPhase::Pending),
            reason: Some(TaskReason::Starting),
            job_name: Some("t".into()),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn only_a_step_to_pending_gives_way_and_only_while_many_jobs_are_created() {
        let burst = JobBurst::default();
        let waiting = TaskStatus {
            phase: Some(TaskPhase::Waiting),
            ..TaskStatus::default()
        };
        assert!(!burst.defers(Some(&waiting), &pending()));
        let creating: Vec<_> = (0..MANY).map(|_| burst.begin_create()).collect();
        assert!(burst.defers(Some(&waiting), &pending()));
        assert!(burst.defers(None, &pending()));
        let running = TaskStatus {
            phase: Some(TaskPhase::Running),
            reason: Some(TaskReason::AgentRunning),
            ..pending()
        };
        let with_token = TaskStatus {
            github_token: Some(GithubToken {
                secret_name: "t".into(),
                expiration_time: Time(Timestamp::UNIX_EPOCH),
                renew_time: Time(Timestamp::UNIX_EPOCH),
            }),
            ..pending()
        };
        for more in [running, with_token] {
            assert!(!burst.defers(Some(&waiting), &more), "{more:?}");
        }
        assert!(!burst.defers(Some(&pending()), &pending()), "it was told before");
        drop(creating);
        assert!(!burst.defers(Some(&waiting), &pending()));
    }
    #[test]
    fn what_gives_way_comes_back_one_after_the_other() {
        let (burst, now) = (JobBurst::default(), Instant::now());
        assert_eq!(burst.deferral(now), PAUSE);
        assert_eq!(burst.deferral(now), PAUSE + APART);
        assert_eq!(burst.deferral(now + APART * 2), PAUSE, "the line has moved on");
        for _ in 0..1000 {
            let _ = burst.deferral(now);
        }
        let later = now + Duration::from_secs(60);
        assert_eq!(burst.deferral(later), PAUSE);
    }
}
