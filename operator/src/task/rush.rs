//! When many Tasks may go at the same moment, their Jobs come first.
//!
//! A Job that is created starts pods; a status that says so starts nothing. While Jobs are created as fast as the API server
//! takes them, the Tasks' step to Pending waits. A crash in between is what a crash between the two writes always was: the
//! Job is found by its name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axon_api::{TaskPhase, TaskReason, TaskStatus};

/// Jobs that are being created at the same time from which on it is a rush.
const MANY: usize = 16;

/// Pause before a status that gave way is looked at again.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Counts the Jobs that are being created.
#[derive(Debug, Default)]
pub struct Rush(AtomicUsize);

impl Rush {
    /// Counts one until what is returned is dropped.
    #[must_use]
    pub(super) fn enter(&self) -> Creating<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Creating(self)
    }

    /// Returns true if writing `new` over `old` gives way to the Jobs that are being created now.
    ///
    /// Only the step of a first run to Pending does: whatever else is in a status, such as a token that was minted or the
    /// end of an earlier run, stands nowhere else.
    #[must_use]
    pub(super) fn delays(&self, old: Option<&TaskStatus>, new: &TaskStatus) -> bool {
        let step = (new.phase, new.reason) == (Some(TaskPhase::Pending), Some(TaskReason::Starting));
        let told = old.is_some_and(|old| old.job_name.is_some() || old.next_run.is_some());
        let more = new.github_token.is_some() || new.pod_name.is_some() || !new.attempts.is_empty();
        step && !told && !more && self.0.load(Ordering::Relaxed) >= MANY
    }
}

/// A Job that is being created.
pub(super) struct Creating<'a>(&'a Rush);

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
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
        let rush = Rush::default();
        let waiting = TaskStatus {
            phase: Some(TaskPhase::Waiting),
            ..TaskStatus::default()
        };
        assert!(!rush.delays(Some(&waiting), &pending()));
        let creating: Vec<_> = (0..MANY).map(|_| rush.enter()).collect();
        assert!(rush.delays(Some(&waiting), &pending()));
        assert!(rush.delays(None, &pending()));
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
            assert!(!rush.delays(Some(&waiting), &more), "{more:?}");
        }
        assert!(!rush.delays(Some(&pending()), &pending()), "it was told before");
        drop(creating);
        assert!(!rush.delays(Some(&waiting), &pending()));
    }
}
