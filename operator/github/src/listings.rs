//! The listings that a replica keeps, and the memory that they may take.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::budget::Kept;
use super::credential::Credential;
use super::error::GithubError;
use super::listing::Shared;
use super::query::{Item, Listing, State};
use super::repository::Repository;
use super::target::Target;
use super::{Github, keep};

/// Most listings that are kept.
const MAX_LISTINGS: usize = 10_000;
/// Bytes that an entry of a caller's list takes: a pointer, and the number as text.
const PER_ENTRY: usize = 64;
/// Bytes that are made free beyond those that are asked for.
const SLACK: usize = 256 * 1024;
/// How long a listing that nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(3600);

pub(super) type Listings = HashMap<ListingKey, Arc<tokio::sync::Mutex<Shared>>>;

/// Whose listing of what. The state is part of it: a listing of all closed issues would be no help to those who want
/// the few open ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ListingKey {
    pub(super) api: String,
    pub(super) credential: String,
    pub(super) repository: String,
    pub(super) state: State,
}

impl Github {
    /// Reserves memory for the list that the caller gets; the items in it are the listing's own.
    pub(super) fn hold(&self, target: &Target<'_>, listing: Listing) -> Result<Listing, GithubError> {
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

    pub(super) fn listing(&self, key: ListingKey) -> Arc<tokio::sync::Mutex<Shared>> {
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
    pub(super) fn make_room(&self, namespace: &str, bytes: usize) {
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
