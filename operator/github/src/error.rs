//! What can go wrong with GitHub, said so that a person knows what to do.

use axon_api::v1alpha1::SpawnerReason;
use std::time::Duration;

use axon_api::labels::HOSTS;
use jiff::Timestamp;

use super::budget::MAX_BODY;
use super::credential::{APP_ID_KEY, INSTALLATION_ID_KEY, PRIVATE_KEY_KEY, TOKEN_KEY};
use super::hosts::BadHost;

/// Pause before memory is asked for again that others had.
const MEMORY_PAUSE: Duration = Duration::from_secs(30);

/// What was asked, for messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorContext {
    /// Host of the repository, such as `github.com`.
    pub host: String,
    /// `OWNER/NAME`, or what else was asked for.
    pub what: String,
    /// The Secret with the credential; `None` for anonymous requests.
    pub secret: Option<String>,
}

impl std::fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.what, self.host)?;
        match &self.secret {
            Some(secret) => write!(f, " with the credential of Secret {secret}"),
            None => f.write_str(" without a credential"),
        }
    }
}

/// A Secret that is no credential for GitHub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Neither a token nor an App.
    #[error(
        "Secret {secret} has neither the key {TOKEN_KEY} nor the keys {APP_ID_KEY}, {INSTALLATION_ID_KEY} and {PRIVATE_KEY_KEY}: \
         add a token or a GitHub App's key"
    )]
    Missing {
        /// Name of the Secret.
        secret: String,
    },
    /// The annotation of its hosts is wrong.
    #[error("Secret {secret}, annotation {HOSTS}: {bad}")]
    Hosts {
        /// Name of the Secret.
        secret: String,
        /// What is wrong.
        bad: BadHost,
    },
    /// A key that is there is empty or of a wrong form.
    #[error("Secret {secret}, key {key}: {said}")]
    Invalid {
        /// Name of the Secret.
        secret: String,
        /// The key.
        key: &'static str,
        /// What is wrong.
        said: &'static str,
    },
}

/// Why GitHub gave no answer that can be used. Those for which
/// [`GithubError::is_transient`] is false heal only by somebody's hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GithubError {
    /// 401: the credential is not known, has expired or was revoked.
    #[error("GitHub refuses the credential (401) for {asked}: put a valid one into the Secret ({said})")]
    Unauthorized {
        /// What was asked.
        asked: ErrorContext,
        /// GitHub's words.
        said: String,
    },
    /// 403 that is no rate limit: the credential may not do this.
    #[error(
        "GitHub forbids (403) {asked}: give the token or App access to the repository's issues and pull requests ({said})"
    )]
    Forbidden {
        /// What was asked.
        asked: ErrorContext,
        /// GitHub's words.
        said: String,
    },
    /// 404: there is no such repository, or the credential may not know of it.
    #[error(
        "GitHub knows no {asked} (404): check the Workspace's repo, and that the credential may see it ({said})"
    )]
    NotFound {
        /// What was asked.
        asked: ErrorContext,
        /// GitHub's words.
        said: String,
    },
    /// 404 to an App that asks for a token: it is not installed, or not there.
    #[error(
        "GitHub knows no {asked} (404): install the App, and check the keys appID and installationID of the Secret ({said})"
    )]
    NoInstallation {
        /// What was asked.
        asked: ErrorContext,
        /// GitHub's words.
        said: String,
    },
    /// 422 to an App that asks for a token: it is not installed on all of the repositories.
    #[error(
        "{asked} does not reach all of {repositories} ({said}): install the App on them, or correct spec.repo and \
         spec.githubApp.repositories of the Workspace; GitHub knows a renamed repository by its new name only"
    )]
    NotInstalled {
        /// What was asked.
        asked: ErrorContext,
        /// `OWNER/NAME` of each repository.
        repositories: String,
        /// GitHub's words, or what is wrong.
        said: String,
    },
    /// The App's installation does not have a permission that the Workspace names.
    #[error(
        "{asked} does not have a permission that was asked for ({said}): accept it on the installation's page, or take it out \
         of spec.githubApp.permissions of the Workspace"
    )]
    NotGranted {
        /// What was asked.
        asked: ErrorContext,
        /// GitHub's words, or what is wrong.
        said: String,
    },
    /// The primary or a secondary rate limit. Heals by itself at `until`.
    #[error("GitHub's rate limit is used up for {asked} until {until}: nothing is asked before{hint}", hint = anonymous_hint(.asked))]
    RateLimited {
        /// What was asked.
        asked: ErrorContext,
        /// When it may be asked again, by this machine's clock, in whole seconds.
        until: Timestamp,
        /// True for a secondary limit, which is about too many requests in a short time.
        secondary: bool,
    },
    /// No connection, no answer in time, or a 5xx one. Heals by itself.
    #[error("GitHub can't be reached for {asked}: {said}; it is tried again")]
    Unreachable {
        /// What was asked.
        asked: ErrorContext,
        /// What happened.
        said: String,
        /// How long to wait before the next try.
        pause: Duration,
    },
    /// An answer that is not GitHub's API, or too large.
    #[error("{host} gave an answer for {asked} that is not GitHub's API: {said}", host = .asked.host)]
    Malformed {
        /// What was asked.
        asked: ErrorContext,
        /// What is wrong with it.
        said: String,
    },
    /// An answer that is larger than any that is read.
    #[error("{host} gave an answer for {asked} of more than {} MiB, which is not read", MAX_BODY / 1024 / 1024, host = .asked.host)]
    AnswerTooLarge {
        /// What was asked.
        asked: ErrorContext,
    },
    /// The issue or pull request is in another repository now.
    #[error("{asked} was transferred to {url}: use a TaskSpawner of that repository")]
    Transferred {
        /// What was asked.
        asked: ErrorContext,
        /// Where it is.
        url: String,
    },
    /// The host is none that the administrator lets the operator talk to, or its address is.
    #[error(
        "the operator does not talk to {host}: {said}", host = .asked.host
    )]
    HostNotAllowed {
        /// What was asked.
        asked: ErrorContext,
        /// Why, and who can change it how.
        said: String,
    },
    /// The Secret is for other hosts.
    #[error(
        "{tls}Secret {secret} is not for {host}, so that its credential is not sent there; if it is meant to be, run: kubectl {namespace}\
         annotate --overwrite secret {secret} {HOSTS}={value}", tls = without_tls(.host), namespace = in_namespace(.namespace)
    )]
    SecretNotForHost {
        /// Name of the Secret.
        secret: String,
        /// Its namespace.
        namespace: String,
        /// The host, with the scheme if that is `http`.
        host: String,
        /// What the annotation would have to be.
        value: String,
    },
    /// More items than are kept of one repository.
    #[error("{asked} has more issues and pull requests than can be kept in memory: {said}")]
    ListingTooLarge {
        /// What was asked.
        asked: ErrorContext,
        /// The limit, and what to do.
        said: String,
    },
    /// The memory for items is in use. Heals by itself.
    #[error(
        "{asked} is not read for now: the listings of this replica take all the memory that there is for them; it is tried again"
    )]
    OutOfMemory {
        /// What was asked.
        asked: ErrorContext,
    },
    /// The App key in the Secret can't be used.
    #[error("Secret {secret}, key {key}: {said}")]
    BadKey {
        /// Name of the Secret.
        secret: String,
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        said: String,
    },
}

/// Returns what begins a message about a host that is reached without TLS.
fn without_tls(host: &str) -> &'static str {
    if host.starts_with("http://") {
        "the token would be sent without encryption: use https:// in Workspace.spec.repo; "
    } else {
        ""
    }
}

fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() {
        String::new()
    } else {
        format!("-n {namespace} ")
    }
}

fn anonymous_hint(asked: &ErrorContext) -> &'static str {
    if asked.secret.is_some() {
        ""
    } else {
        "; a Workspace with a secretRef has a far higher limit"
    }
}

impl GithubError {
    /// Returns true if it may heal without anybody's doing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unreachable { .. } | Self::OutOfMemory { .. }
        )
    }

    /// Returns a CamelCase reason for conditions and events.
    #[must_use]
    pub fn reason(&self) -> SpawnerReason {
        match self {
            Self::Unauthorized { .. } => SpawnerReason::Unauthorized,
            Self::Forbidden { .. } => SpawnerReason::Forbidden,
            Self::NotFound { .. } => SpawnerReason::RepositoryNotFound,
            Self::NoInstallation { .. } => SpawnerReason::InstallationNotFound,
            Self::NotInstalled { .. } => SpawnerReason::RepositoryNotInstalled,
            Self::NotGranted { .. } => SpawnerReason::PermissionNotGranted,
            Self::RateLimited { .. } => SpawnerReason::RateLimited,
            Self::Unreachable { .. } => SpawnerReason::Unreachable,
            Self::Malformed { .. } | Self::AnswerTooLarge { .. } => SpawnerReason::MalformedAnswer,
            Self::Transferred { .. } => SpawnerReason::ItemTransferred,
            Self::HostNotAllowed { .. } => SpawnerReason::HostNotAllowed,
            Self::SecretNotForHost { .. } => SpawnerReason::SecretNotForHost,
            Self::ListingTooLarge { .. } => SpawnerReason::ListingTooLarge,
            Self::OutOfMemory { .. } => SpawnerReason::OutOfMemory,
            Self::BadKey { .. } => SpawnerReason::InvalidCredential,
        }
    }

    /// Returns it as it concerns somebody else who would have asked the same: with the Secret that they use. A Secret's name
    /// is nothing that other namespaces should learn, or could do something about.
    #[must_use]
    pub fn for_who_has(mut self, own: Option<&str>) -> Self {
        match &mut self {
            Self::Unauthorized { asked, .. }
            | Self::Forbidden { asked, .. }
            | Self::NotFound { asked, .. }
            | Self::NoInstallation { asked, .. }
            | Self::NotInstalled { asked, .. }
            | Self::NotGranted { asked, .. }
            | Self::RateLimited { asked, .. }
            | Self::Unreachable { asked, .. }
            | Self::Malformed { asked, .. }
            | Self::Transferred { asked, .. }
            | Self::HostNotAllowed { asked, .. }
            | Self::ListingTooLarge { asked, .. }
            | Self::AnswerTooLarge { asked }
            | Self::OutOfMemory { asked } => asked.secret = own.map(str::to_owned),
            Self::BadKey { secret, .. } | Self::SecretNotForHost { secret, .. } => {
                own.unwrap_or_default().clone_into(secret);
            }
        }
        self
    }

    /// Returns how long to wait before asking again is of any use; `None` where only a change helps.
    #[must_use]
    pub fn pause(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::RateLimited { until, .. } => {
                let seconds = until.as_second().saturating_sub(now.as_second()).max(1);
                Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(1)))
            }
            Self::Unreachable { pause, .. } => Some(*pause),
            Self::OutOfMemory { .. } => Some(MEMORY_PAUSE),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> ErrorContext {
        ErrorContext {
            host: "ghe.example".into(),
            what: "org/repo".into(),
            secret: Some("gh".into()),
        }
    }

    #[test]
    fn messages_name_the_host_the_repository_and_the_secret() {
        let error = GithubError::Unauthorized {
            asked: asked(),
            said: "Bad credentials".into(),
        };
        let text = error.to_string();
        for words in ["401", "org/repo", "ghe.example", "Secret gh", "Bad credentials"] {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(
            (error.is_transient(), error.pause(Timestamp::UNIX_EPOCH)),
            (false, None)
        );
    }

    #[test]
    fn a_rate_limit_tells_when_it_ends() {
        let until = Timestamp::from_second(100).unwrap();
        let error = GithubError::RateLimited {
            asked: ErrorContext {
                secret: None,
                ..asked()
            },
            until,
            secondary: false,
        };
        assert!(
            error.to_string().contains("until 1970-01-01T00:01:40Z"),
            "{error}"
        );
        assert!(error.to_string().contains("secretRef"), "{error}");
        let now = Timestamp::from_second(40).unwrap();
        assert_eq!(error.pause(now), Some(Duration::from_secs(60)));
        assert_eq!(error.pause(until), Some(Duration::from_secs(1)));
    }
}
