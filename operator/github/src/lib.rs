//! GitHub's REST API, as spawners and Tasks need it: issues and pull requests with their comments, and tokens for App
//! installations.
//!
//! The files below are pure rules; this one is the shell around them. One [`Github`] serves a whole replica and shares
//! what can be shared: connections, installation tokens, listings with their ETags, and the knowledge of rate limits.
//! Nothing is ever shared between different credentials.

mod addresses;
mod app;
mod approvals;
mod budget;
mod client;
pub mod clock;
mod comments;
mod credential;
mod discussion;
mod error;
mod exchange;
mod figures;
mod gates;
mod grant;
mod hosts;
mod keep;
mod limits;
mod link;
mod listing;
mod places;
mod proxy;
mod query;
mod read;
mod repository;
mod transport;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::Instant;

use budget::Shelf;
use client::{Client, Got, Target};
use clock::Clock;
use listing::{Page, Scope, Shared, Sum};

pub use app::InstallationToken;
pub use approvals::{Account, Event, History, MayWrite, What};
pub use budget::Kept;
pub use comments::{Comment, Comments, Heard, joined};
pub use credential::{App, Credential, TOKEN_KEY, hosts_of, is_app};
pub use error::{Asked, CredentialError, GithubError};
pub use figures::Figures;
pub use grant::Grant;
pub use hosts::{BadHost, Hosts, entry};
pub use proxy::{BadProxy, Proxies};
pub use query::{Exclusion, Item, ItemKind, ListQuery, Listing, State, fold};
pub use repository::{NotOnGithub, Repository};

/// Pages up to which GitHub takes a page's number; behind them its links name a place in the list.
const NUMBERED_PAGES: usize = 100;
/// Most pages of one listing. A repository with more is an error, not a short listing.
const MAX_PAGES: usize = 1000;
/// Most entries of a listing that are too large to be read one by one; a host with more of them is no GitHub.
const MAX_UNREADABLE: usize = 2;
/// Most listings that are kept.
const MAX_LISTINGS: usize = 10_000;
/// How often pages are read again when they changed while they were read.
const MAX_PASSES: usize = 4;
/// Bytes that an entry of a caller's list takes: a pointer, and the number as text.
const PER_ENTRY: usize = 64;
/// Bytes that are made free beyond those that are asked for.
const SLACK: usize = 256 * 1024;
/// How long a listing that nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(3600);

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

type Listings = HashMap<ListingKey, Arc<tokio::sync::Mutex<Shared>>>;

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
    /// Hosts that are talked to; github.com and the subdomains of ghe.com if nothing is set.
    pub hosts: Hosts,
    /// Networks that all of these may be in, although they are private.
    pub private_networks: Vec<IpNet>,
}

impl Github {
    /// Returns a client for all hosts and credentials. Must be called in a runtime.
    #[must_use]
    pub fn new(clock: Clock, figures: Figures, options: &Options) -> Self {
        Self(Arc::new(Inner {
            client: Client::new(clock.clone(), figures, options),
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
            self.0.client.figures.listing(true);
            let answer = answer.map_err(|error| error.for_who_has(credential.secret.as_deref()))?;
            return self.hold(&target, answer);
        }
        self.0.client.figures.listing(false);
        shared.owner = target.namespace();
        let scope = shared.scope();
        let pages = self.fetch(&target, query.state, &scope, &mut shared).await;
        self.0.client.figures.kept(self.0.shelf.used());
        let listing = shared.fetched(query, pages, now, time)?;
        self.hold(&target, listing)
    }

    /// Reserves memory for the list that the caller gets; the items in it are the listing's own.
    fn hold(&self, target: &Target<'_>, listing: Listing) -> Result<Listing, GithubError> {
        let held = self.reserve(target, listing.items.len() * PER_ENTRY)?;
        Ok(Listing {
            held: Some(held),
            ..listing
        })
    }

    /// Reserves memory for copies of items, without their texts, as long as what is returned lives.
    ///
    /// # Errors
    /// [`GithubError::OutOfMemory`].
    pub fn copies(
        &self,
        repository: &Repository,
        credential: &Credential,
        items: &[Arc<Item>],
    ) -> Result<Arc<Kept>, GithubError> {
        let target = Target {
            repository,
            credential,
            what: repository.path(),
        };
        self.reserve(&target, items.iter().map(|item| item.bytes()).sum())
    }

    fn reserve(&self, target: &Target<'_>, bytes: usize) -> Result<Arc<Kept>, GithubError> {
        let namespace = target.namespace();
        let take = || self.0.shelf.take(&namespace, bytes, keep::ALL);
        let taken = take().or_else(|| {
            self.make_room(&namespace, bytes);
            take()
        });
        taken.map(Arc::new).ok_or_else(|| target.out_of_memory())
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
                let fresh = got.into_fresh(&target)?;
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
        format!("{}/repos/{owner}/{name}", client::prefix(&repository.api))
    }

    fn listing(&self, key: ListingKey) -> Arc<tokio::sync::Mutex<Shared>> {
        let mut all = self.0.listings.lock();
        forget_idle(&mut all);
        if all.len() >= MAX_LISTINGS {
            let unused = least_used(&all);
            for (key, _) in unused.iter().take(MAX_LISTINGS / 10) {
                all.remove(key);
            }
        }
        Arc::clone(all.entry(key).or_default())
    }

    /// Forgets listings that nobody reads at this moment until a namespace has room for `bytes`; see [`keep::victim`].
    fn make_room(&self, namespace: &str, bytes: usize) {
        let all = self.0.listings.lock();
        let mut idle: HashMap<Arc<str>, VecDeque<_>> = HashMap::new();
        for (_, shared) in least_used(&all) {
            // One that keeps nothing frees nothing.
            let owner = shared.try_lock().ok().filter(|shared| !shared.pages.is_empty());
            if let Some(owner) = owner.map(|shared| Arc::clone(&shared.owner)) {
                idle.entry(owner).or_default().push_back(shared);
            }
        }
        let shelf = &self.0.shelf;
        // A little more, so that not each item of a page looks for room again.
        while !shelf.has_room(namespace, bytes + SLACK, keep::ALL) {
            let owners = idle.keys().map(|owner| (&**owner, shelf.used_by(owner)));
            let Some(owner) = keep::victim(owners, namespace, shelf.used_by(namespace)).map(str::to_owned)
            else {
                return;
            };
            match idle.get_mut(&*owner).and_then(VecDeque::pop_front) {
                Some(unused) => {
                    if let Ok(mut unused) = unused.try_lock() {
                        unused.forget();
                    }
                }
                None => drop(idle.remove(&*owner)),
            }
        }
    }

    /// Reads all pages, again and again until none has changed since the one before it was read: an issue that is
    /// closed moves all later ones up, and one of them may slip from an unread page to one that was read already.
    ///
    /// Returns the pages, and whether that came about. With an error they are those that were read, and behind them
    /// those that were known: the next fetch asks only for what has changed.
    ///
    /// Pages that are too large are asked for in smaller ones, all of them, and from then on.
    async fn fetch(
        &self,
        target: &Target<'_>,
        state: State,
        scope: &Scope,
        shared: &mut Shared,
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        loop {
            match self.passes(target, state, scope, shared).await {
                (_, Err(GithubError::AnswerTooLarge { .. })) if shared.shrink(Instant::now()) => {
                    tracing::info!(repository = %target.what, size = shared.size, "a page was too large: smaller ones are asked for");
                }
                (pages, result) => return (pages, result),
            }
        }
    }

    async fn passes(
        &self,
        target: &Target<'_>,
        state: State,
        scope: &Scope,
        known: &Shared,
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let size = known.size;
        let first = self.first_page(target.repository, state, scope, size);
        let (mut pages, mut are_of_one_fetch) = (known.pages.clone(), known.is_whole());
        for _ in 0..MAX_PASSES {
            let (mut read, changed) = self.pass(target, &first, size, scope, &pages).await;
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

    fn first_page(&self, repository: &Repository, state: State, scope: &Scope, size: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("state", state.as_str())
            .append_pair("sort", "created")
            .append_pair("direction", "asc")
            .append_pair("per_page", &size.to_string());
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
        size: usize,
        scope: &Scope,
        known: &[Page],
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let (mut pages, mut changed) = (Vec::<Page>::new(), false);
        let mut path = first.to_owned();
        loop {
            let number = pages.len() + 1;
            let old = known.get(number - 1).filter(|page| page.path == path);
            let before = pages.iter().map(|page| page.sum).sum();
            let ask = |path: String, old| self.page(target, path, size, scope, before, old);
            let (mut page, mut is_new) = match ask(path.clone(), old).await {
                Ok(read) => read,
                Err(error) => return (pages, Err(error)),
            };
            if successor(&page, is_new, number, size, first) == Successor::AskAgain {
                (page, is_new) = match ask(path, None).await {
                    Ok(read) => read,
                    Err(error) => return (pages, Err(error)),
                };
            }
            changed |= is_new;
            let next = successor(&page, is_new, number, size, first);
            pages.push(page);
            if pages.iter().filter(|page| page.is_too_large()).count() > MAX_UNREADABLE {
                return (pages, Err(target.answer_too_large()));
            }
            match next {
                Successor::None | Successor::AskAgain => return (pages, Ok(changed)),
                Successor::At(_) if pages.len() >= MAX_PAGES => {
                    let most = MAX_PAGES * size;
                    let error = target.listing_too_large(format!("more than {most}; select fewer by labels"));
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
        size: usize,
        scope: &Scope,
        before: Sum,
        old: Option<&Page>,
    ) -> Result<(Page, bool), GithubError> {
        let etag = old.and_then(|page| page.etag.as_deref());
        let got = match self.0.client.get(target, &path, etag).await {
            Err(GithubError::AnswerTooLarge { .. }) if size == 1 => {
                tracing::warn!(repository = %target.what, %path, "GitHub listed an entry that is too large to be read");
                self.0.client.figures.odd(1, 0);
                let is_new = old.is_none_or(|old| old.unread == 0);
                return Ok((Page::unreadable(path), is_new));
            }
            got => got?,
        };
        match (got, old) {
            (Got::Same, Some(old)) => Ok((old.clone(), false)),
            (got, _) => {
                let page = self.read_page(path, got.into_fresh(target)?, scope, before, target)?;
                Ok((page, true))
            }
        }
    }

    fn read_page(
        &self,
        path: String,
        got: client::Fresh,
        scope: &Scope,
        before: Sum,
        target: &Target<'_>,
    ) -> Result<Page, GithubError> {
        let found = query::read_page(&got.body).map_err(|error| target.malformed(&error))?;
        // The answer's memory is free for others from here on.
        drop(got.body);
        let (unread, cut) = (found.unread, found.cut);
        if unread + cut > 0 {
            self.0.client.figures.odd(unread, cut);
            tracing::warn!(repository = %target.what, unread, cut, "GitHub listed entries that can't be read, or are too long");
        }
        let wanted: Vec<Item> = found
            .items
            .into_iter()
            .filter(|item| query::any_wants(scope.covers.iter(), item))
            .collect();
        let page = Page {
            path,
            etag: got.etag,
            next: got.next,
            count: found.count,
            unread,
            ..Page::default()
        };
        let namespace = target.namespace();
        let make_room = |bytes| self.make_room(&namespace, bytes);
        keep::page(&self.0.shelf, &namespace, page, wanted, before, make_room).map_err(|error| match error {
            keep::NoRoom::InTheListing => target.listing_too_large(format!(
                "more than {} MiB without their texts; select fewer by labels",
                keep::LISTING / 1024 / 1024
            )),
            keep::NoRoom::AtAll => target.out_of_memory(),
        })
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
fn successor(page: &Page, is_new: bool, number: usize, size: usize, first: &str) -> Successor {
    match &page.next {
        Some(next) => Successor::At(next.clone()),
        None if page.count < size => Successor::None,
        None if number < NUMBERED_PAGES => Successor::At(format!("{first}&page={}", number + 1)),
        None if is_new => Successor::None,
        None => Successor::AskAgain,
    }
}

/// Returns the listings that nobody reads at this moment, the longest unused ones first.
fn least_used(all: &Listings) -> Vec<(ListingKey, Arc<tokio::sync::Mutex<Shared>>)> {
    let free = all.iter().filter_map(|(key, shared)| {
        let used = shared.try_lock().ok()?.used;
        Some((used, key.clone(), Arc::clone(shared)))
    });
    let mut free: Vec<_> = free.collect();
    free.sort_by_key(|(used, _, _)| *used);
    free.into_iter().map(|(_, key, shared)| (key, shared)).collect()
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
            next: next.map(str::to_owned),
            count,
            ..Page::default()
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
                successor(&page, is_new, number, 100, "/f"),
                follows,
                "{number} {is_new}"
            );
        }
    }
}
