//! GitHub's REST API, as spawners and Tasks need it: issues and pull requests with their comments, and tokens for App
//! installations.
//!
//! The files below are pure rules; this one is the shell around them. One [`Github`] serves a whole replica and shares
//! what can be shared: connections, installation tokens, listings with their ETags, and the knowledge of rate limits.
//! Nothing is ever shared between different credentials.

mod addresses;
mod api_url;
mod app;
mod approvals;
mod budget;
mod client;
pub mod clock;
mod comments;
mod cooldown;
mod credential;
mod discussion;
mod error;
mod exchange;

mod grant;
mod hosts;
mod keep;
mod limits;
mod link;
mod listing;
mod listings;
mod metrics;
mod paging;

mod proxy;
mod query;
mod read;
mod repository;
mod request_slots;
mod target;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::Instant;

use budget::Shelf;
use client::Client;
use clock::Clock;
use listings::{ListingKey, Listings};
use target::Target;

pub use app::InstallationToken;
pub use approvals::{Account, Event, History, MayWrite, What};
pub use budget::Kept;
pub use comments::{Comment, Comments, Heard, joined};
pub use credential::{App, Credential, TOKEN_KEY, hosts_of, is_app};
pub use error::{CredentialError, ErrorContext, GithubError};
pub use grant::Grant;
pub use hosts::{BadHost, Hosts, entry};
pub use metrics::GithubMetrics;
pub use proxy::{BadProxy, Proxies};
pub use query::{Exclusion, Item, ItemKind, ListQuery, Listing, State, fold};
pub use repository::{NotOnGithub, Repository};

/// Talks to GitHub. Clones share everything.
#[derive(Clone)]
pub struct Github(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Clock,
    listings: Mutex<Listings>,
    /// Memory for the items of all listings.
    shelf: Shelf,
    permissions: Mutex<approvals::Permissions<PermissionKey>>,
}

/// Key of a cached permission: API and repository, credential, and login. An entry without a login says that the credential cannot read
/// permissions at all.
type PermissionKey = (String, String, String, Option<String>);

/// What may be set; the default is for production.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Longest that one request may take; 20 s if absent.
    pub time_limit: Option<Duration>,
    /// Age up to which a token of an App is not made anew for a 403 or 404; a minute if absent.
    pub young: Option<Duration>,
    /// What is reached through a proxy; nothing if absent.
    pub proxies: Proxies,
    /// Hosts that are talked to; github.com and the subdomains of ghe.com if nothing is set.
    pub hosts: Hosts,
    /// Networks that all of these may be in, although they are private.
    pub private_networks: Vec<IpNet>,
}

impl Github {
    /// Returns a client for all hosts and credentials. Must be called in a runtime.
    #[must_use]
    pub fn new(clock: Clock, metrics: GithubMetrics, options: &Options) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(clock.clone(), metrics, options),
            clock,
            listings: Mutex::default(),
            shelf: Shelf::default(),
            permissions: Mutex::default(),
        }))
    }

    /// Returns the issues and pull requests that `query` wants, all of them, the oldest first.
    ///
    /// Callers that differ only in labels and kinds share one fetch a period; see [`ListQuery::max_age`]. Pages that
    /// have not changed cost nothing of the rate limit.
    ///
    /// # Errors
    /// [`GithubError`]. Errors are shared too, so that a wrong token is not tried by each spawner.
    pub async fn items(
        &self,
        repository: &Repository,
        credential: &Credential,
        query: &ListQuery,
    ) -> Result<Listing, GithubError> {
        let target = Target {
            repository,
            credential,
            what: repository.path(),
        };
        // Before anything that is shared: another Secret with the same token may be for other hosts.
        self.0.client.admit(&target)?;
        let shared = self.listing(ListingKey {
            api: repository.api.clone(),
            credential: credential.id().to_owned(),
            repository: repository.path().to_lowercase(),
            state: query.state,
        });
        // Held while pages are fetched: who comes meanwhile takes what this fetch gives.
        let mut shared = shared.lock().await;
        let (now, time) = (Instant::now(), self.0.clock.now());
        shared.note(query, now);
        if let Some(answer) = shared.answer(query, now) {
            self.0.client.metrics.listing(true);
            let answer = answer.map_err(|error| error.for_who_has(credential.secret.as_deref()))?;
            return self.hold(&target, answer);
        }
        self.0.client.metrics.listing(false);
        shared.owner = target.namespace();
        let scope = shared.scope();
        let pages = self.fetch(&target, query.state, &scope, &mut shared).await;
        self.0.client.metrics.kept(self.0.shelf.used());
        let listing = shared.fetched(query, pages, now, time)?;
        self.hold(&target, listing)
    }

    /// Returns an issue or pull request by its number, whatever its state and labels.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn item(
        &self,
        repository: &Repository,
        credential: &Credential,
        number: u64,
    ) -> Result<Item, GithubError> {
        let target = Target {
            repository,
            credential,
            what: format!("{}#{number}", repository.path()),
        };
        let path = self.path(repository, &format!("issues/{number}"));
        let got = self.0.client.get(&target, &path, None).await?;
        let item =
            query::read_item(&got.into_changed(&target)?.body).map_err(|error| target.malformed(&error))?;
        if item.number != number || self.is_elsewhere(&target, &item).await? {
            return Err(target.transferred(item.url));
        }
        Ok(item)
    }

    /// Returns whether an item that was asked for is in another repository than the one it was asked for in, which GitHub
    /// redirects to. A repository that was renamed is the same one.
    async fn is_elsewhere(&self, target: &Target<'_>, item: &Item) -> Result<bool, GithubError> {
        let asked = target.repository.path();
        let Some(found) = item.repository() else {
            return Ok(false);
        };
        if found.eq_ignore_ascii_case(&asked) {
            return Ok(false);
        }
        let got = self
            .0
            .client
            .get(target, &self.root(target.repository), None)
            .await?;
        let now = query::read_repository(&got.into_changed(target)?.body)
            .map_err(|error| target.malformed(&error))?;
        Ok(!found.eq_ignore_ascii_case(&now))
    }

    /// Returns whether `login` may write to a repository, if that is known without asking.
    #[must_use]
    pub fn known_permission(
        &self,
        repository: &Repository,
        credential: &Credential,
        login: &str,
    ) -> Option<MayWrite> {
        if credential.is_anonymous() {
            return Some(MayWrite::Unknown);
        }
        if !approvals::is_login(login) {
            return Some(MayWrite::No);
        }
        let key = |login| permission_key(repository, credential, login);
        let (of_all, own, now) = (key(None), key(Some(login)), Instant::now());
        let kept = self.permissions();
        kept.get(&own, now).or_else(|| kept.get(&of_all, now))
    }

    /// Returns whether `login`, a person's, may write to a repository. The answer may be five minutes old.
    ///
    /// # Errors
    /// [`GithubError`]; that the credential may not ask is an answer.
    pub async fn may_write(
        &self,
        repository: &Repository,
        credential: &Credential,
        login: &str,
    ) -> Result<MayWrite, GithubError> {
        if let Some(known) = self.known_permission(repository, credential, login) {
            return Ok(known);
        }
        let target = Target {
            repository,
            credential,
            what: format!("the permission of {login} in {}", repository.path()),
        };
        let path = self.path(repository, &format!("collaborators/{login}/permission"));
        let (of, permission) = match self.0.client.get(&target, &path, None).await {
            Ok(got) => {
                let fresh = got.into_changed(&target)?;
                let read = approvals::read_permission(&fresh.body, login);
                (Some(login), read.map_err(|error| target.malformed(&error))?)
            }
            // No such user, or one who is suspended.
            Err(GithubError::NotFound { .. }) => (Some(login), MayWrite::No),
            Err(GithubError::Forbidden { .. }) => (None, MayWrite::Unknown),
            Err(error) => return Err(error),
        };
        let key = permission_key(repository, credential, of);
        self.permissions().put(key, permission, Instant::now());
        Ok(permission)
    }

    /// Returns the text of an item and who has set its labels, all of the same moment.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn history(
        &self,
        repository: &Repository,
        credential: &Credential,
        number: u64,
    ) -> Result<History, GithubError> {
        let target = Target {
            repository,
            credential,
            what: format!("{}#{number}", repository.path()),
        };
        let question = approvals::question(&repository.owner, &repository.name, number);
        let body = self.0.client.graphql(&target, &question).await?;
        approvals::read_history(&body, number).map_err(|error| target.malformed(&error))
    }

    fn permissions(&self) -> parking_lot::MutexGuard<'_, approvals::Permissions<PermissionKey>> {
        self.0.permissions.lock()
    }

    /// Gets a fresh token for an installation of an App, on the host of `repository`.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn installation_token(
        &self,
        repository: &Repository,
        app: &App,
        grant: &Grant,
    ) -> Result<InstallationToken, GithubError> {
        self.0.client.mint(repository, app, grant, false).await
    }

    /// Ends a token that was made for an installation, on the host of `repository`. One that has ended already is a success.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn revoke(&self, repository: &Repository, token: &Credential) -> Result<(), GithubError> {
        self.0.client.revoke(repository, token).await
    }

    fn path(&self, repository: &Repository, rest: &str) -> String {
        format!("{}/{rest}", self.root(repository))
    }

    fn root(&self, repository: &Repository) -> String {
        let (owner, name) = (&repository.owner, &repository.name);
        format!("{}/repos/{owner}/{name}", api_url::prefix(&repository.api))
    }
}

fn permission_key(repository: &Repository, credential: &Credential, login: Option<&str>) -> PermissionKey {
    (
        repository.api.clone(),
        credential.id().to_owned(),
        repository.path().to_lowercase(),
        login.map(str::to_lowercase),
    )
}
