//! Memory for what others send. A host that the operator talks to may answer anything; a replica has a fixed limit.
//!
//! Two budgets: [`Answers`] is for bodies while they are read, [`Shelf`] for the items of listings that are kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest body of an answer. GitHub's largest text has 65,536 characters, of up to six bytes in JSON: a page of twenty such
/// items fits, and a page that does not is asked for in smaller pieces.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;
/// Largest body that is read without a reservation; those of errors are cut there. [`super::places::ALL`] of them are
/// under way at most: 4 MiB.
pub(super) const SMALL: usize = 64 * 1024;
/// All larger bodies under way. A body counts twice: for its bytes, and for what is read from them.
const ALL: usize = 32 * 1024 * 1024;
/// Of them, those of one host: one body of the largest size, so that a slow host leaves as much to the others.
const PER_HOST: usize = 16 * 1024 * 1024;
/// Most hosts whose shares are remembered.
const MAX_HOSTS: usize = 1000;
const UNIT: usize = 1024;

/// The budget for bodies under way.
pub(super) struct Answers {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A part of the budget. It goes back when it is dropped.
///
/// Nobody may wait for a second one while it has one: those who all do so would wait for ever.
#[derive(Debug)]
pub(super) struct Room {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL / UNIT)),
            hosts: Mutex::default(),
        }
    }
}

impl Answers {
    /// Waits for room for a body of `bytes` of `host`; in order, so that a large one is not passed over for ever.
    pub(super) async fn room(&self, host: &str, bytes: usize) -> Option<Room> {
        let units = u32::try_from((2 * bytes.min(MAX_BODY)).div_ceil(UNIT)).ok()?;
        let of_host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= MAX_HOSTS {
                hosts.retain(|_, share| Arc::strong_count(share) > 1);
            }
            let share = hosts.entry(host.to_owned());
            Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(PER_HOST / UNIT))))
        };
        // First the own share: who waits for that holds nothing of what others need.
        Some(Room {
            _host: of_host.acquire_many_owned(units).await.ok()?,
            _all: Arc::clone(&self.all).acquire_many_owned(units).await.ok()?,
        })
    }
}

/// The budget for items that are kept between polls, and while somebody works on them; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<AtomicUsize>);

/// Bytes on the shelf. They are given back when it is dropped.
#[derive(Debug)]
pub struct Kept {
    shelf: Shelf,
    bytes: usize,
}

impl Shelf {
    /// Takes `bytes` if all that is kept stays within `limit` then.
    pub(super) fn take(&self, bytes: usize, limit: usize) -> Option<Kept> {
        let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
            .ok()?;
        Some(Kept {
            shelf: self.clone(),
            bytes,
        })
    }

    /// Returns how many bytes are taken.
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shelf.0.fetch_sub(self.bytes, Ordering::Relaxed);
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
        let slow = answers.room("slow", usize::MAX).await.unwrap();
        let mut second = Box::pin(answers.room("slow", SMALL + 1));
        assert!(futures::poll!(&mut second).is_pending(), "its share is used up");
        let other = answers.room("other", MAX_BODY).await.unwrap();
        let mut third = Box::pin(answers.room("third", SMALL + 1));
        assert!(futures::poll!(&mut third).is_pending(), "all is used up");
        drop(slow);
        assert!(third.await.is_some() && second.await.is_some());
        drop(other);
        assert_eq!(answers.all.available_permits(), ALL / UNIT);
    }

    #[test]
    fn what_is_kept_is_counted_until_it_is_gone() {
        let shelf = Shelf::default();
        let one = shelf.take(60, 100).unwrap();
        assert!(shelf.take(41, 100).is_none() && shelf.take(usize::MAX, 100).is_none());
        let two = shelf.take(40, 100).unwrap();
        assert_eq!(shelf.used(), 100);
        drop((one, two));
        assert_eq!(shelf.used(), 0);
    }
}
