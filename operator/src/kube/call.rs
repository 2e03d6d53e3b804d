//! One call of the API server, within a time limit.

use std::time::Duration;

use kube::core::Status;

use super::impersonation::IdentityError;

/// Longest that one API call may take; the client itself would wait for ever on a dead connection.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A write or read that did not happen. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server refused or could not be reached.
    #[error("failed to {what}: {source}")]
    Call {
        /// The call, as a verb and an object.
        what: &'static str,
        /// The error.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("failed to {what}: no answer within {} s", CALL_LIMIT.as_secs())]
    Timeout {
        /// The call, as a verb and an object.
        what: &'static str,
    },
    /// A call as the namespace's ServiceAccount failed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl CallError {
    /// Returns what the API server said, if it said anything.
    #[must_use]
    pub fn said(&self) -> Option<&Status> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Identity(error) => error.said(),
            Self::Timeout { .. } => None,
        }
    }

    /// Returns true when somebody else wrote the object first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.said().is_some_and(Status::is_conflict)
    }

    /// Returns true when an object of this name is there.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.said().is_some_and(Status::is_already_exists)
    }

    /// Returns true when the object is gone, or another one has its name.
    #[must_use]
    pub fn is_missing_or_replaced(&self) -> bool {
        self.said()
            .is_some_and(|said| said.is_not_found() || said.is_conflict())
    }

    /// Returns true when the same call would be refused again: a missing right, kind or namespace, or bad content.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.said()
            .is_some_and(|said| matches!(said.code, 400 | 403 | 404 | 413 | 422))
    }
}

/// Waits for a call, but not for ever.
///
/// # Errors
/// [`CallError`].
pub async fn timed<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(result) => result.map_err(|source| CallError::Call {
            what,
            source: Box::new(source),
        }),
        Err(_) => Err(CallError::Timeout { what }),
    }
}
