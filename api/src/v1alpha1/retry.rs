//! When a Task is run again by itself.

use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::positive_duration;
use super::task_status::TaskReason;
use crate::go_duration;

/// Longest pause between two runs, however often it was doubled.
pub const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Most re-runs that a policy may ask for.
pub const MAX_RETRIES: i32 = 10;

/// When and how often a failed run is repeated, within the same Task: its dependents go on waiting, and its branch stays
/// its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Most runs after the first one. Each may spend as much as the first.
    #[schemars(range(min = 1, max = MAX_RETRIES))]
    pub limit: i32,
    /// Pause before the first repetition, such as `30s`; each further one doubles it, up to an hour.
    #[serde(default = "default_backoff")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = positive_duration("backoff"))]
    pub backoff: String,
    /// Reasons of failure after which the run is repeated.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub on: Vec<RetryReason>,
}

fn default_backoff() -> String {
    "30s".to_owned()
}

/// A reason of failure that another run may not meet again. The others (`InvalidConfig`, `DependencyFailed`,
/// `DependencyCycle`, `Stopped`) would be met again for certain.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
pub enum RetryReason {
    /// The agent failed or ended without a final result. Includes `ProviderUnavailable` and `ContextLengthExceeded`.
    AgentError,
    /// The model provider or the git host refused the credential.
    AuthFailed,
    /// The model provider's rate limit ended the run.
    RateLimited,
    /// The model provider failed or had no capacity.
    ProviderUnavailable,
    /// The prompt, or the session, is longer than the model can read.
    ContextLengthExceeded,
    /// The container was killed for its memory limit.
    OOMKilled,
    /// The pod wrote more to disk than its limit.
    StorageExceeded,
    /// The pod was evicted from its node, more often than is repeated without a policy.
    Evicted,
    /// The run took longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// An image can't be pulled.
    ImagePull,
    /// The repository could not be cloned, or the branch not be set up.
    CloneFailed,
    /// The pod or its Job vanished, more often than is repeated without a policy.
    PodLost,
    /// The agent was silent for longer than `stallTimeout`.
    Stalled,
}

impl RetryReason {
    /// Returns the reason that this is the repeatable form of.
    #[must_use]
    pub fn reason(self) -> TaskReason {
        match self {
            Self::AgentError => TaskReason::AgentError,
            Self::AuthFailed => TaskReason::AuthFailed,
            Self::RateLimited => TaskReason::RateLimited,
            Self::ProviderUnavailable => TaskReason::ProviderUnavailable,
            Self::ContextLengthExceeded => TaskReason::ContextLengthExceeded,
            Self::OOMKilled => TaskReason::OOMKilled,
            Self::StorageExceeded => TaskReason::StorageExceeded,
            Self::Evicted => TaskReason::Evicted,
            Self::DeadlineExceeded => TaskReason::DeadlineExceeded,
            Self::ImagePull => TaskReason::ImagePull,
            Self::CloneFailed => TaskReason::CloneFailed,
            Self::PodLost => TaskReason::PodLost,
            Self::Stalled => TaskReason::Stalled,
        }
    }
}

impl RetryReason {
    /// Returns whether a run that failed for `reason` is repeated. The two newest reasons were `AgentError` before they had
    /// names of their own, and policies of that time go on to work.
    fn covers(self, reason: TaskReason) -> bool {
        let newer = [TaskReason::ProviderUnavailable, TaskReason::ContextLengthExceeded];
        self.reason() == reason || (self == Self::AgentError && newer.contains(&reason))
    }
}

impl RetryPolicy {
    /// Returns how long to pause before the run that follows `made` repetitions, or `None` when a run that failed for
    /// `reason` is not repeated.
    #[must_use]
    pub fn pause(&self, reason: TaskReason, made: i32) -> Option<Duration> {
        if made >= self.limit || !self.on.iter().any(|on| on.covers(reason)) {
            return None;
        }
        // The schema refuses a backoff that is no duration.
        let first = go_duration::parse(&self.backoff).unwrap_or(MAX_BACKOFF);
        let doubled = 2u32.saturating_pow(u32::try_from(made).unwrap_or_default());
        Some(first.saturating_mul(doubled).min(MAX_BACKOFF))
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour_and_ends_with_the_limit() {
        let policy = RetryPolicy {
            limit: 10,
            backoff: "30s".into(),
            on: vec![RetryReason::AgentError],
        };
        let pause = |made| policy.pause(TaskReason::AgentError, made);
        assert_eq!(pause(0), Some(Duration::from_secs(30)));
        assert_eq!(pause(2), Some(Duration::from_secs(120)));
        assert_eq!(pause(9), Some(MAX_BACKOFF));
        assert_eq!(pause(10), None);
        assert_eq!(policy.pause(TaskReason::OOMKilled, 0), None);
    }

    #[test]
    fn a_repeatable_reason_has_the_name_of_its_reason() {
        for reason in RetryReason::iter() {
            assert_eq!(reason.to_string(), reason.reason().to_string());
        }
    }
}
