//! What a Workspace's Secret gives to talk to GitHub with.

use std::collections::BTreeMap;

use axon_api::labels::HOSTS;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::CredentialError;
use super::hosts::Hosts;

/// Key of a token.
pub const TOKEN_KEY: &str = "GITHUB_TOKEN";
/// Key of a GitHub App's id.
pub const APP_ID_KEY: &str = "appID";
/// Key of the id of an App's installation.
pub const INSTALLATION_ID_KEY: &str = "installationID";
/// Key of an App's private key, PEM.
pub const PRIVATE_KEY_KEY: &str = "privateKey";

/// A way to be somebody on GitHub. Never shown by `Debug`.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The Secret that it is from; `None` for nobody in particular.
    pub secret: Option<String>,
    /// Where it is used.
    pub(super) scope: Scope,
    kind: Kind,
    id: String,
    /// Account that unanswered requests count for, if it differs from `id`.
    silence: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Anonymous,
    Token(SecretString),
    App(App),
    /// A token that is about to be revoked.
    Ending(SecretString),
}

/// For whom a credential is used, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The namespace; requests of several ones are sent in turn.
    pub(super) namespace: String,
    /// The hosts that it is sent to.
    pub(super) hosts: Hosts,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            hosts: Hosts::of_a_secret(),
        }
    }
}

/// A GitHub App and one of its installations.
#[derive(Clone, Debug)]
pub struct App {
    /// The Secret that it is from.
    pub secret: String,
    /// The App's id, or its client id.
    pub app_id: String,
    /// The installation's id.
    pub installation_id: String,
    /// Private key, PEM.
    pub private_key: SecretString,
    pub(super) scope: Scope,
}

impl Credential {
    /// Returns the credential of a Workspace without a Secret. Never a fallback: a Secret that can't be used is an
    /// error.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            secret: None,
            scope: Scope::default(),
            kind: Kind::Anonymous,
            id: "anonymous".into(),
            silence: None,
        }
    }

    /// Returns the credential as one of this namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        let hosts = self.scope.hosts.clone();
        self.with(Scope {
            namespace: namespace.to_owned(),
            hosts,
        })
    }

    /// Returns the credential as one that is for these hosts, and not for github.com alone.
    #[must_use]
    pub fn for_hosts(self, hosts: Hosts) -> Self {
        let namespace = self.scope.namespace.clone();
        self.with(Scope { namespace, hosts })
    }

    fn with(mut self, scope: Scope) -> Self {
        if let Kind::App(app) = &mut self.kind {
            app.scope = scope.clone();
        }
        Self { scope, ..self }
    }

    /// Reads a Secret as it is stored: its data, and the hosts that its annotation names.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn of(secret: &Secret) -> Result<Self, CredentialError> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let empty = BTreeMap::new();
        let credential = Self::from_secret(name, secret.data.as_ref().unwrap_or(&empty))?;
        Ok(credential.for_hosts(hosts_of(secret)?).in_namespace(namespace))
    }

    /// Reads a Secret's data: an App if all three keys of one are there, else a token.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_secret(name: &str, data: &BTreeMap<String, ByteString>) -> Result<Self, CredentialError> {
        let text = |key: &'static str, said| match data.get(key) {
            None => Ok(None),
            Some(bytes) => std::str::from_utf8(&bytes.0)
                .ok()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(Some)
                .ok_or_else(|| CredentialError::Invalid {
                    secret: name.to_owned(),
                    key,
                    said,
                }),
        };
        if is_app(data) {
            let digits = |key| {
                let said = "must be the number that GitHub shows";
                let id =
                    text(key, said)?.filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'));
                id.ok_or_else(|| CredentialError::Invalid {
                    secret: name.to_owned(),
                    key,
                    said,
                })
            };
            let (app_id, installation_id) = (digits(APP_ID_KEY)?, digits(INSTALLATION_ID_KEY)?);
            let private_key =
                text(PRIVATE_KEY_KEY, "must be the PEM text of a private key")?.unwrap_or_default();
            return Ok(Self {
                secret: Some(name.to_owned()),
                scope: Scope::default(),
                id: id_of(&["app", app_id, installation_id, private_key]),
                silence: None,
                kind: Kind::App(App {
                    secret: name.to_owned(),
                    app_id: app_id.to_owned(),
                    installation_id: installation_id.to_owned(),
                    private_key: private_key.to_owned().into(),
                    scope: Scope::default(),
                }),
            });
        }
        let token = text(TOKEN_KEY, "is empty")?.ok_or_else(|| CredentialError::Missing {
            secret: name.to_owned(),
        })?;
        if !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(CredentialError::Invalid {
                secret: name.to_owned(),
                key: TOKEN_KEY,
                said: "must be one token without spaces or line breaks",
            });
        }
        Ok(Self {
            secret: Some(name.to_owned()),
            scope: Scope::default(),
            id: id_of(&["token", token]),
            silence: None,
            kind: Kind::Token(token.to_owned().into()),
        })
    }

    /// Returns what tells two credentials apart, also as a label of metrics. Equal for equal credentials, whatever
    /// Secrets they are from, and of no use to anybody who does not have the credential: who shares an answer with
    /// another namespace by it could have asked for the answer.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the token that a Secret holds under `key`, to be revoked; `None` if there is none or it is not one.
    ///
    /// All of a namespace count as one account as to silence, so that a host that does not answer about one of them is not asked
    /// about the others for a time. A limit is each token's own: an agent could otherwise use up its limit to keep the tokens of
    /// others alive.
    #[must_use]
    pub fn to_revoke(secret: &Secret, key: &str) -> Option<Self> {
        let token = std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()?;
        let is_token = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        let hosts = hosts_of(secret).ok()?;
        is_token.then(|| Self {
            secret: secret.metadata.name.clone(),
            id: id_of(&["ending", token]),
            silence: Some(id_of(&["ending", &namespace])),
            scope: Scope { namespace, hosts },
            kind: Kind::Ending(token.to_owned().into()),
        })
    }

    /// Returns what requests without an answer are counted by.
    pub(super) fn silence_id(&self) -> &str {
        self.silence.as_deref().unwrap_or(&self.id)
    }

    /// Returns false for a credential whose requests say nothing about those to come.
    pub(super) fn stays(&self) -> bool {
        !matches!(self.kind, Kind::Ending(_))
    }

    /// Returns the App, if it is one.
    #[must_use]
    pub fn app(&self) -> Option<&App> {
        match &self.kind {
            Kind::App(app) => Some(app),
            _ => None,
        }
    }

    /// Returns whether it makes the asker nobody in particular.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.kind, Kind::Anonymous)
    }

    /// Returns the token, if it is one.
    pub(super) fn token(&self) -> Option<&SecretString> {
        match &self.kind {
            Kind::Token(token) | Kind::Ending(token) => Some(token),
            _ => None,
        }
    }
}

/// Returns the hosts that a Secret is for.
///
/// # Errors
/// [`CredentialError::Hosts`] if its annotation names something that is no host.
pub fn hosts_of(secret: &Secret) -> Result<Hosts, CredentialError> {
    let metadata = &secret.metadata;
    let annotations = metadata.annotations.as_ref();
    let Some(list) = annotations.and_then(|all| all.get(HOSTS)) else {
        return Ok(Hosts::of_a_secret());
    };
    Hosts::parse(list).map_err(|bad| CredentialError::Hosts {
        secret: metadata.name.clone().unwrap_or_default(),
        bad,
    })
}

/// Returns true for the data of a GitHub App's Secret, well-formed or not.
#[must_use]
pub fn is_app(data: &BTreeMap<String, ByteString>) -> bool {
    [APP_ID_KEY, INSTALLATION_ID_KEY, PRIVATE_KEY_KEY]
        .iter()
        .all(|key| data.contains_key(*key))
}

impl App {
    /// Returns the credential that it is.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential {
            secret: Some(self.secret.clone()),
            scope: self.scope.clone(),
            id: id_of(&[
                "app",
                &self.app_id,
                &self.installation_id,
                self.private_key.expose_secret(),
            ]),
            silence: None,
            kind: Kind::App(self.clone()),
        }
    }
}

fn id_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
