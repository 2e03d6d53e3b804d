//! Memory for what others send. A host that the operator talks to may answer anything; a replica has a fixed limit.
//!
//! Two budgets: [`Answers`] is for bodies while they are read, [`Shelf`] for the items of listings that are kept.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest body of an answer. GitHub's largest text has 65,536 characters, of up to six bytes in JSON: a page of twenty such
/// items fits, and a page that does not is asked for in smaller pieces.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;
/// Largest body that is read without a reservation; those of errors are cut there. [`super::request_slots::ALL`] of them are
/// under way at most: 4 MiB.
pub(super) const SMALL: usize = 64 * 1024;
/// All larger bodies under way. A body counts twice: for its bytes, and for what is read from them.
const ALL: usize = 32 * 1024 * 1024;
/// Of them, those of one host, and those of one namespace, which may choose several: one body of the largest size, so that
/// slow ones leave as much to the others.
const SHARE: usize = 16 * 1024 * 1024;
/// Most hosts and namespaces whose shares are remembered.
const MAX_SHARES: usize = 1000;
const UNIT: usize = 1024;

/// The budget for bodies under way.
pub(super) struct Answers {
    all: Arc<Semaphore>,
    hosts: Shares,
    namespaces: Shares,
}

/// Remaining bytes of each share, by its name.
type Shares = Mutex<HashMap<String, Arc<Semaphore>>>;

/// A part of the budget. It goes back when it is dropped.
///
/// Nobody may wait for a second one while it has one: those who all do so would wait for ever.
#[derive(Debug)]
pub(super) struct Room {
    _namespace: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL / UNIT)),
            hosts: Mutex::default(),
            namespaces: Mutex::default(),
        }
    }
}

impl Answers {
    /// Waits for room for a body of `bytes` of `host`, on behalf of `namespace`; in order, so that a large one is not passed
    /// over for ever.
    pub(super) async fn room(&self, host: &str, namespace: &str, bytes: usize) -> Option<Room> {
        let units = u32::try_from((2 * bytes.min(MAX_BODY)).div_ceil(UNIT)).ok()?;
        let (of_namespace, of_host) = (share(&self.namespaces, namespace), share(&self.hosts, host));
        // Those who wait hold nothing of what others need: first the namespace's own share, last what all need.
        Some(Room {
            _namespace: of_namespace.acquire_many_owned(units).await.ok()?,
            _host: of_host.acquire_many_owned(units).await.ok()?,
            _all: Arc::clone(&self.all).acquire_many_owned(units).await.ok()?,
        })
    }
}

fn share(all: &Shares, name: &str) -> Arc<Semaphore> {
    let mut all = all.lock();
    if all.len() >= MAX_SHARES {
        all.retain(|_, share| Arc::strong_count(share) > 1);
    }
    let share = all.entry(name.to_owned());
    Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(SHARE / UNIT))))
}

/// The budget for items that are kept between polls, and while somebody works on them; clones share it.
///
/// A namespace may hold as much as it leaves free. So one alone has half of all, and each further one still finds room for
/// ordinary listings, without a list of who is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Mutex<Used>>);

#[derive(Debug, Default)]
struct Used {
    all: usize,
    namespaces: HashMap<Arc<str>, usize>,
}

/// Bytes on the shelf. They are given back when it is dropped.
#[derive(Debug)]
pub struct Kept {
    shelf: Shelf,
    namespace: Arc<str>,
    bytes: usize,
}

impl Used {
    fn of(&self, namespace: &str) -> usize {
        self.namespaces.get(namespace).copied().unwrap_or_default()
    }

    fn has_room(&self, namespace: &str, bytes: usize, limit: usize) -> bool {
        let (all, own) = (self.all.checked_add(bytes), self.of(namespace).checked_add(bytes));
        let left = all.and_then(|all| limit.checked_sub(all));
        own.zip(left).is_some_and(|(own, left)| own <= left)
    }
}

impl Shelf {
    /// Takes `bytes` for a namespace, if at least as many as it holds then are left free of `limit`.
    pub(super) fn take(&self, namespace: &Arc<str>, bytes: usize, limit: usize) -> Option<Kept> {
        let mut used = self.lock();
        if !used.has_room(namespace, bytes, limit) {
            return None;
        }
        used.all += bytes;
        *used.namespaces.entry(Arc::clone(namespace)).or_default() += bytes;
        Some(Kept {
            shelf: self.clone(),
            namespace: Arc::clone(namespace),
            bytes,
        })
    }

    /// Returns whether [`Shelf::take`] would give as much.
    pub(super) fn has_room(&self, namespace: &str, bytes: usize, limit: usize) -> bool {
        self.lock().has_room(namespace, bytes, limit)
    }

    /// Returns how many bytes are taken.
    pub(super) fn used(&self) -> usize {
        self.lock().all
    }

    /// Returns how many bytes a namespace has taken.
    pub(super) fn used_by(&self, namespace: &str) -> usize {
        self.lock().of(namespace)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Used> {
        self.0.lock()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut used = self.shelf.lock();
        used.all = used.all.saturating_sub(self.bytes);
        if let Some(own) = used.namespaces.get_mut(&self.namespace) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                used.namespaces.remove(&self.namespace);
            }
        }
    }
}

/// What an item costs is no part of what it is.
impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Kept {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_host_does_not_take_the_whole_budget_and_what_is_dropped_is_free_again() {
        let answers = Answers::default();
        let slow = answers.room("slow", "a", usize::MAX).await.unwrap();
        let mut second = Box::pin(answers.room("slow", "b", SMALL + 1));
        assert!(futures::poll!(&mut second).is_pending(), "its share is used up");
        let other = answers.room("other", "c", MAX_BODY).await.unwrap();
        let mut third = Box::pin(answers.room("third", "d", SMALL + 1));
        assert!(futures::poll!(&mut third).is_pending(), "all is used up");
        drop(slow);
        assert!(third.await.is_some() && second.await.is_some());
        drop(other);
        assert_eq!(answers.all.available_permits(), ALL / UNIT);
    }

    #[tokio::test]
    async fn one_namespace_does_not_take_the_whole_budget_with_two_hosts() {
        let answers = Answers::default();
        let slow = answers.room("one", "a", MAX_BODY).await.unwrap();
        let mut second = Box::pin(answers.room("two", "a", MAX_BODY));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(answers.room("two", "b", MAX_BODY).await.is_some());
        drop(slow);
        assert!(second.await.is_some());
    }

    #[test]
    fn what_is_kept_is_counted_until_it_is_gone() {
        let (shelf, a) = (Shelf::default(), Arc::from("a"));
        let one = shelf.take(&a, 30, 100).unwrap();
        assert!(shelf.take(&a, 21, 100).is_none() && shelf.take(&a, usize::MAX, 100).is_none());
        let two = shelf.take(&a, 20, 100).unwrap();
        assert_eq!((shelf.used(), shelf.used_by("a")), (50, 50));
        let three = shelf.take(&Arc::from("b"), 25, 100).unwrap();
        drop((one, two, three));
        assert_eq!((shelf.used(), shelf.used_by("a")), (0, 0));
        assert!(shelf.lock().namespaces.is_empty());
    }

    proptest::proptest! {
        /// Greedy namespaces take and give back what they can. However they do it, something is left for one more.
        #[test]
        fn one_more_namespace_finds_room(
            greedy in 1u32..8, steps in proptest::collection::vec((0u32..8, 1usize..3000, proptest::bool::ANY), 1..400)
        ) {
            const LIMIT: usize = 100_000;
            let (shelf, mut kept) = (Shelf::default(), Vec::<Kept>::new());
            for (who, bytes, takes) in steps {
                let who: Arc<str> = (who % greedy).to_string().into();
                if takes {
                    let had_room = shelf.has_room(&who, bytes, LIMIT);
                    let taken = shelf.take(&who, bytes, LIMIT);
                    proptest::prop_assert_eq!(taken.is_some(), had_room);
                    kept.extend(taken);
                } else if let Some(at) = kept.iter().position(|kept| kept.namespace == who) {
                    kept.remove(at);
                }
                let sums: Vec<usize> = (0..greedy).map(|who| shelf.used_by(&who.to_string())).collect();
                proptest::prop_assert_eq!(sums.iter().sum::<usize>(), shelf.used());
                proptest::prop_assert!(sums.iter().all(|sum| *sum <= LIMIT / 2));
                // Each takes no more than half of what the others leave, so this much is left at least.
                let left = LIMIT >> greedy;
                proptest::prop_assert!(LIMIT - shelf.used() >= left);
                proptest::prop_assert!(shelf.has_room("late", left / 2, LIMIT));
            }
        }
    }
}
