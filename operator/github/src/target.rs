//! The object that a request is about, and the parts of a request and of its answer.

use std::sync::Arc;

use http::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::credential::Credential;
use super::error::{ErrorContext, GithubError};
use super::repository::Repository;
use super::transport::Body;

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) repository: &'a Repository,
    pub(super) credential: &'a Credential,
    /// For messages.
    pub(super) what: String,
}

impl Target<'_> {
    pub(super) fn asked(&self) -> ErrorContext {
        ErrorContext {
            host: self.repository.host.clone(),
            what: self.what.clone(),
            secret: self.credential.secret.clone(),
        }
    }

    pub(super) fn not_allowed(&self, said: String) -> GithubError {
        GithubError::HostNotAllowed {
            asked: self.asked(),
            said,
        }
    }

    /// Returns the namespace on whose behalf it is asked.
    pub(super) fn namespace(&self) -> Arc<str> {
        Arc::from(self.credential.scope.namespace.as_str())
    }

    pub(super) fn answer_too_large(&self) -> GithubError {
        GithubError::AnswerTooLarge { asked: self.asked() }
    }

    pub(super) fn listing_too_large(&self, said: String) -> GithubError {
        GithubError::ListingTooLarge {
            asked: self.asked(),
            said,
        }
    }

    pub(super) fn out_of_memory(&self) -> GithubError {
        GithubError::OutOfMemory { asked: self.asked() }
    }

    pub(super) fn transferred(&self, url: String) -> GithubError {
        GithubError::Transferred {
            asked: self.asked(),
            url,
        }
    }

    pub(super) fn malformed(&self, said: &dyn std::fmt::Display) -> GithubError {
        GithubError::Malformed {
            asked: self.asked(),
            said: said.to_string(),
        }
    }
}

/// A good answer.
#[derive(Debug)]
pub(super) enum Conditional {
    /// 304.
    Unchanged,
    /// 200.
    Changed(PageResponse),
}

#[derive(Debug)]
pub(super) struct PageResponse {
    pub(super) body: Body,
    pub(super) etag: Option<String>,
    /// Path and query of the pages that the answer names.
    pub(super) next: Option<String>,
    pub(super) last: Option<String>,
}

impl Conditional {
    /// Returns the answer to a request that was not conditional.
    pub(super) fn into_changed(self, target: &Target<'_>) -> Result<PageResponse, GithubError> {
        match self {
            Self::Changed(page) => Ok(page),
            Self::Unchanged => Err(target.malformed(&"304 to a question that named no version")),
        }
    }
}

/// A request to GitHub, but for its host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a str,
    pub(super) bearer: Option<&'a SecretString>,
    pub(super) etag: Option<&'a str>,
    pub(super) body: Option<&'a Value>,
}
