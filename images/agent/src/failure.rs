//! Why a subcommand gives up.

use axon_api::TaskReason;
use axon_api::outputs::Report;

/// A failure with the reason that the Task's status shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub reason: TaskReason,
    /// For people.
    pub message: String,
}

impl Failure {
    /// Returns a failure that lies in how the Task, its Workspace or its AgentConfig is written.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            reason: TaskReason::InvalidConfig,
            message: message.into(),
        }
    }

    /// Returns a failure to get or prepare the clone.
    #[must_use]
    pub fn clone_failed(message: impl Into<String>) -> Self {
        Self {
            reason: TaskReason::CloneFailed,
            message: message.into(),
        }
    }

    /// Returns the final report that tells of this failure.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            is_final: true,
            reason: Some(self.reason),
            message: Some(self.message.clone()),
            ..Report::new()
        }
    }
}
