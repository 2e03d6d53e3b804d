//! GitHub's REST API, as spawners and Tasks need it: issues and pull requests with their comments, and tokens for App
//! installations.
//!
//! The files below are pure rules; this one is the shell around them. One [`Github`] serves a whole replica and shares
//! what can be shared: connections, installation tokens, listings with their ETags, and the knowledge of rate limits.
//! Nothing is ever shared between different credentials.

mod app;
mod client;
mod comments;
mod credential;
mod error;
mod figures;
mod gates;
mod limits;
mod link;
mod listing;
mod proxy;
mod query;
mod repository;
mod transport;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axon_api::v1alpha1::People;
use tokio::time::Instant;

use crate::clock::Clock;
use client::{Client, Got, Target};
use listing::{Page, Scope, Shared};

pub use app::InstallationToken;
pub use comments::Comments;
pub use credential::{App, Credential, CredentialError, is_app};
pub use error::{Asked, GithubError};
pub use figures::Figures;
pub use proxy::{BadProxy, Proxies};
pub use query::{Exclusion, Item, ItemKind, ListQuery, Listing, State};
pub use repository::{NotOnGithub, Repository};

/// Entries on a page: the most that GitHub gives.
const PER_PAGE: usize = 100;
/// Pages up to which GitHub takes a page's number; behind them its links name a place in the list.
const NUMBERED_PAGES: usize = 100;
/// Most pages of one listing. A repository with more is an error, not a short listing.
const MAX_PAGES: usize = 1000;
/// How often pages are read again when they changed while they were read.
const MAX_PASSES: usize = 4;
/// How long a listing that nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(3600);

/// Talks to GitHub. Clones share everything.
#[derive(Clone)]
pub struct Github(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Clock,
    listings: Mutex<HashMap<ListingKey, Arc<tokio::sync::Mutex<Shared>>>>,
}

/// Whose listing of what. The state is part of it: a listing of all closed issues would be no help to those who want
/// the few open ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ListingKey {
    api: String,
    credential: String,
    repository: String,
    state: State,
}

/// What may be set; the default is for production.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Longest that one request may take; 20 s if absent.
    pub time_limit: Option<Duration>,
    /// Age up to which a token of an App is not made anew for a 403 or 404; a minute if absent.
    pub young: Option<Duration>,
    /// What is reached through a proxy; nothing if absent.
    pub proxies: Proxies,
}

impl Github {
    /// Returns a client for all hosts and credentials. Must be called in a runtime.
    #[must_use]
    pub fn new(clock: Clock, figures: Figures, options: &Options) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(clock.clone(), figures, options),
            clock,
            listings: Mutex::default(),
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
            self.0.client.figures.listing(true);
            return answer.map_err(|error| error.for_who_has(credential.secret.as_deref()));
        }
        self.0.client.figures.listing(false);
        let scope = shared.scope();
        let target = Target {
            repository,
            credential,
            what: repository.path(),
        };
        let pages = self.fetch(&target, query.state, &scope, &shared).await;
        shared.fetched(query, pages, now, time)
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
            query::read_item(&got.into_fresh(&target)?.body).map_err(|error| target.malformed(&error))?;
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
        let now = query::read_repository(&got.into_fresh(target)?.body)
            .map_err(|error| target.malformed(&error))?;
        Ok(!found.eq_ignore_ascii_case(&now))
    }

    /// Returns the comments of an item that are `from` the right people, as one text of at most 64 KiB: the newest ones if
    /// they are more, the oldest of them first, with a line `---` between them. Empty, without a request, if it had none
    /// when it was listed.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn comments(
        &self,
        repository: &Repository,
        credential: &Credential,
        item: &Item,
        from: &People,
    ) -> Result<Comments, GithubError> {
        if item.comments == 0 {
            return Ok(Comments::default());
        }
        let target = Target {
            repository,
            credential,
            what: format!("{}#{}", repository.path(), item.number),
        };
        let path = |page: u64| {
            let number = item.number;
            self.path(
                repository,
                &format!("issues/{number}/comments?per_page={PER_PAGE}&page={page}"),
            )
        };
        let read = |body: &[u8]| {
            comments::read_page(body, from, &item.author).map_err(|error| target.malformed(&error))
        };
        let first = self
            .0
            .client
            .get(&target, &path(1), None)
            .await?
            .into_fresh(&target)?;
        let oldest = read(&first.body)?;
        let last = first.last.as_deref().and_then(link::page_number).unwrap_or(1);
        let mut newest = comments::Newest::default();
        for page in (2..=last).rev() {
            let page = self
                .0
                .client
                .get(&target, &path(page), None)
                .await?
                .into_fresh(&target)?;
            newest.add_older(read(&page.body)?);
            if newest.is_full() {
                return Ok(newest.into_comments());
            }
        }
        newest.add_older(oldest);
        Ok(newest.into_comments())
    }

    /// Gets a fresh token for an installation of an App, on the host of `repository`.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn installation_token(
        &self,
        repository: &Repository,
        app: &App,
    ) -> Result<InstallationToken, GithubError> {
        self.0.client.mint(repository, app).await
    }

    fn path(&self, repository: &Repository, rest: &str) -> String {
        format!("{}/{rest}", self.root(repository))
    }

    fn root(&self, repository: &Repository) -> String {
        let (owner, name) = (&repository.owner, &repository.name);
        format!("{}/repos/{owner}/{name}", client::prefix(&repository.api))
    }

    fn listing(&self, key: ListingKey) -> Arc<tokio::sync::Mutex<Shared>> {
        let mut all = self.0.listings.lock().unwrap_or_else(PoisonError::into_inner);
        forget_idle(&mut all);
        Arc::clone(all.entry(key).or_default())
    }

    /// Reads all pages, again and again until none has changed since the one before it was read: an issue that is
    /// closed moves all later ones up, and one of them may slip from an unread page to one that was read already.
    ///
    /// Returns the pages, and whether that came about. With an error they are those that were read, and behind them
    /// those that were known: the next fetch asks only for what has changed.
    async fn fetch(
        &self,
        target: &Target<'_>,
        state: State,
        scope: &Scope,
        known: &Shared,
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let first = self.first_page(target.repository, state, scope);
        let (mut pages, mut are_of_one_fetch) = (known.pages.clone(), known.is_whole());
        for _ in 0..MAX_PASSES {
            let (mut read, changed) = self.pass(target, &first, scope, &pages).await;
            match changed {
                Err(error) => {
                    read.extend(pages.into_iter().skip(read.len()));
                    return (read, Err(error));
                }
                Ok(changed) if !changed && are_of_one_fetch || read.len() == 1 => return (read, Ok(true)),
                Ok(_) => (pages, are_of_one_fetch) = (read, true),
            }
        }
        (pages, Ok(false))
    }

    fn first_page(&self, repository: &Repository, state: State, scope: &Scope) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("state", state.as_str())
            .append_pair("sort", "created")
            .append_pair("direction", "asc")
            .append_pair("per_page", &PER_PAGE.to_string());
        if !scope.labels.is_empty() {
            let labels: Vec<&str> = scope.labels.iter().map(String::as_str).collect();
            query.append_pair("labels", &labels.join(","));
        }
        self.path(repository, &format!("issues?{}", query.finish()))
    }

    async fn pass(
        &self,
        target: &Target<'_>,
        first: &str,
        scope: &Scope,
        known: &[Page],
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let (mut pages, mut changed) = (Vec::<Page>::new(), false);
        let mut path = first.to_owned();
        loop {
            let number = pages.len() + 1;
            let old = known.get(number - 1).filter(|page| page.path == path);
            let (mut page, mut is_new) = match self.page(target, path.clone(), scope, old).await {
                Ok(read) => read,
                Err(error) => return (pages, Err(error)),
            };
            if successor(&page, is_new, number, first) == Successor::AskAgain {
                (page, is_new) = match self.page(target, path, scope, None).await {
                    Ok(read) => read,
                    Err(error) => return (pages, Err(error)),
                };
            }
            changed |= is_new;
            let next = successor(&page, is_new, number, first);
            pages.push(page);
            match next {
                Successor::None | Successor::AskAgain => return (pages, Ok(changed)),
                Successor::At(_) if pages.len() >= MAX_PAGES => {
                    let most = MAX_PAGES * PER_PAGE;
                    let error = target.malformed(&format!("more than {most} issues and pull requests"));
                    return (pages, Err(error));
                }
                Successor::At(next) => path = next,
            }
        }
    }

    /// Reads a page, unless it is as it was. Returns whether it is not.
    async fn page(
        &self,
        target: &Target<'_>,
        path: String,
        scope: &Scope,
        old: Option<&Page>,
    ) -> Result<(Page, bool), GithubError> {
        let etag = old.and_then(|page| page.etag.as_deref());
        match (self.0.client.get(target, &path, etag).await?, old) {
            (Got::Same, Some(old)) => Ok((old.clone(), false)),
            (got, _) => Ok((read_page(path, got.into_fresh(target)?, scope, target)?, true)),
        }
    }
}

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
enum Successor {
    None,
    At(String),
    /// Only an unconditional answer to the same question tells.
    AskAgain,
}

/// Returns what follows the page of this number. One that has not changed may have got a successor that its old answer did
/// not know of: that costs nothing to ask for, by its number, as long as GitHub counts pages.
fn successor(page: &Page, is_new: bool, number: usize, first: &str) -> Successor {
    match &page.next {
        Some(next) => Successor::At(next.clone()),
        None if page.count < PER_PAGE => Successor::None,
        None if number < NUMBERED_PAGES => Successor::At(format!("{first}&page={}", number + 1)),
        None if is_new => Successor::None,
        None => Successor::AskAgain,
    }
}

fn read_page(
    path: String,
    got: client::Fresh,
    scope: &Scope,
    target: &Target<'_>,
) -> Result<Page, GithubError> {
    let (items, count, unread) = query::read_page(&got.body).map_err(|error| target.malformed(&error))?;
    if unread > 0 {
        tracing::warn!(repository = %target.what, unread, "GitHub listed entries that can't be read");
    }
    Ok(Page {
        path,
        etag: got.etag,
        next: got.next,
        count,
        unread,
        items: items
            .into_iter()
            .filter(|item| query::any_wants(scope.covers.iter(), item))
            .map(Arc::new)
            .collect(),
    })
}

/// Drops listings that nobody has asked for in a long time. One that is being fetched is in use.
fn forget_idle<K: Eq + Hash>(all: &mut HashMap<K, Arc<tokio::sync::Mutex<Shared>>>) {
    let now = Instant::now();
    all.retain(|_, shared| match shared.try_lock() {
        Ok(shared) => shared.used.is_none_or(|used| now.duration_since(used) < IDLE),
        Err(_) => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_without_a_link_is_the_last_one_if_that_is_known_for_sure() {
        let page = |count, next: Option<&str>| Page {
            path: "/p".into(),
            etag: None,
            next: next.map(str::to_owned),
            count,
            unread: 0,
            items: Vec::new(),
        };
        let at = |path: &str| Successor::At(path.to_owned());
        for (page, is_new, number, follows) in [
            (page(100, Some("/n")), false, 3, at("/n")),
            (page(99, None), false, 3, Successor::None),
            (page(100, None), true, 3, at("/f&page=4")),
            (page(100, None), false, 3, at("/f&page=4")),
            // GitHub refuses page 101 of what has 10,000 entries.
            (page(100, Some("/n?after=x")), false, 100, at("/n?after=x")),
            (page(100, None), false, 100, Successor::AskAgain),
            (page(100, None), true, 100, Successor::None),
        ] {
            assert_eq!(
                successor(&page, is_new, number, "/f"),
                follows,
                "{number} {is_new}"
            );
        }
    }
}
