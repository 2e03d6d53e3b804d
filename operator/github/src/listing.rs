//! One listing that several callers share: who wants what, whether it is fresh, and what a new fetch asks for. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::budget::Kept;
use super::error::GithubError;
use super::query::{Item, Labels, ListQuery, Listing, PER_PAGE, common};

/// Shortest time for which a caller that is silent still counts.
const MEMORY: Duration = Duration::from_secs(600);

/// Longest time for which a refusal counts that only a person can end, for each who asks: a little less than the five
/// minutes after which a spawner asks again.
const LASTING: Duration = Duration::from_secs(225);

/// How long smaller pages are asked for after one was too large: each of them is a request.
const SMALL_PAGES: Duration = Duration::from_secs(3600);

/// A page as it was last read.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// Path and query that it was asked by.
    pub(super) path: String,
    pub(super) etag: Option<String>,
    /// Path and query of the next page, if GitHub named one.
    pub(super) next: Option<String>,
    /// Entries, wanted or not.
    pub(super) count: usize,
    /// Entries that could not be read.
    pub(super) unread: usize,
    /// Wanted entries.
    pub(super) items: Vec<Arc<Item>>,
    /// What they take.
    pub(super) sum: Sum,
    /// What the page itself takes of the budget for what is kept.
    pub(super) _kept: Option<Arc<Kept>>,
}

impl Page {
    /// Returns a page of one entry that is too large to be read.
    pub(super) fn unreadable(path: String) -> Self {
        Self {
            path,
            count: 1,
            unread: 1,
            ..Self::default()
        }
    }

    /// Returns whether it is such a page.
    pub(super) fn is_too_large(&self) -> bool {
        self.etag.is_none() && self.count == 1 && self.unread == 1
    }

    /// Returns how many bytes it takes, its items left out.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.etag, &self.next].map(|text| text.as_ref().map_or(0, String::len));
        size_of::<Self>() + self.path.len() + texts.iter().sum::<usize>()
    }
}

/// What items take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Bytes without their texts.
    pub(super) bytes: usize,
    /// Texts, and the bytes of all of them.
    pub(super) texts: usize,
    pub(super) text_bytes: usize,
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            bytes: sum.bytes + one.bytes,
            texts: sum.texts + one.texts,
            text_bytes: sum.text_bytes + one.text_bytes,
        })
    }
}

/// What the last fetch gave.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) at: Instant,
    pub(super) time: Timestamp,
    by: String,
    result: Result<(), GithubError>,
    consistent: bool,
}

#[derive(Clone, Debug)]
struct Interest {
    labels: Labels,
    seen: Instant,
    max_age: Duration,
}

/// The listing of one state of one repository with one credential.
#[derive(Debug)]
pub(super) struct Shared {
    interests: HashMap<String, Interest>,
    /// What the pages were read for: an item is kept if its labels have all of one of these.
    covers: Vec<Labels>,
    pub(super) pages: Vec<Page>,
    pub(super) last: Option<Fetched>,
    pub(super) used: Option<Instant>,
    /// Namespace of who read it last.
    pub(super) owner: Arc<str>,
    /// Entries that are asked for as one page: fewer once a page was too large.
    pub(super) size: usize,
    /// Since when they are fewer.
    shrunk: Option<Instant>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            interests: HashMap::new(),
            covers: Vec::new(),
            pages: Vec::new(),
            last: None,
            used: None,
            owner: Arc::from(""),
            size: PER_PAGE,
            shrunk: None,
        }
    }
}

/// What a fetch is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Labels that GitHub filters by.
    pub(super) labels: Labels,
    /// What items are kept for.
    pub(super) covers: Vec<Labels>,
}

impl Shared {
    /// Notes that `query` is wanted, and forgets who has not asked for long.
    pub(super) fn note(&mut self, query: &ListQuery, now: Instant) {
        let interest = Interest {
            labels: query.label_set(),
            seen: now,
            max_age: query.max_age,
        };
        self.interests.insert(query.caller.clone(), interest);
        self.interests
            .retain(|_, i| now.duration_since(i.seen) <= MEMORY.max(i.max_age.saturating_mul(3)));
        self.used = Some(now);
        if self
            .shrunk
            .is_some_and(|at| now.duration_since(at) >= SMALL_PAGES)
        {
            (self.size, self.shrunk) = (PER_PAGE, None);
            self.pages.clear();
        }
    }

    /// Returns what is there for `query`, if it is fresh enough.
    ///
    /// Whoever fetched last fetches again at its own next poll, also if that comes a little early; the others take what
    /// it fetched, unless it is late. So there is one fetch a period, and a single caller never gets old answers.
    pub(super) fn answer(&self, query: &ListQuery, now: Instant) -> Option<Result<Listing, GithubError>> {
        let last = self.last.as_ref()?;
        let good_for = if last.by == query.caller {
            query.max_age.mul_f64(0.75)
        } else {
            query.max_age
        };
        let age = now.duration_since(last.at);
        // An answer that may be better soon is not kept for a whole period.
        let good_for = match &last.result {
            Ok(()) => good_for,
            Err(error) => good_for.min(error.pause(last.time).unwrap_or(LASTING)),
        };
        if age >= good_for || query.not_before.is_some_and(|moment| last.at < moment) {
            return None;
        }
        match &last.result {
            // Another namespace may have room.
            Err(GithubError::OutOfMemory { .. }) if last.by != query.caller => None,
            Err(error) => Some(Err(error.clone())),
            Ok(()) if self.is_covered(&query.label_set()) => Some(Ok(self.select(query, last, true))),
            Ok(()) => None,
        }
    }

    fn is_covered(&self, labels: &Labels) -> bool {
        self.covers.iter().any(|cover| cover.is_subset(labels))
    }

    fn select(&self, query: &ListQuery, last: &Fetched, shared: bool) -> Listing {
        let mut items: Vec<Arc<Item>> = self
            .pages
            .iter()
            .flat_map(|page| &page.items)
            .filter(|item| query.wants(item))
            .cloned()
            .collect();
        // An item that moved between two pages while they were read is there twice.
        items.sort_by_key(|item| item.number);
        items.dedup_by_key(|item| item.number);
        Listing {
            items,
            complete: last.consistent && self.pages.iter().all(|page| page.unread == 0),
            fetched: last.time,
            at: last.at,
            shared,
            held: None,
        }
    }

    /// Asks for smaller pages from now on. Returns false if they are as small as they can be.
    pub(super) fn shrink(&mut self, now: Instant) -> bool {
        let can = self.size > 1;
        self.shrunk.get_or_insert(now);
        self.size = (self.size / 4).max(1);
        self.pages.clear();
        can
    }

    /// Forgets what was read, so that others have its memory: the next poll reads it again.
    pub(super) fn forget(&mut self) {
        self.pages = Vec::new();
        self.last = None;
    }

    /// Returns whether the pages are those of one fetch, and not some of one and some of another that did not end well.
    pub(super) fn is_whole(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.result.is_ok())
    }

    /// Returns what to fetch, and drops pages that were read for something else.
    pub(super) fn scope(&mut self) -> Scope {
        let wanted = common(self.interests.values().map(|i| &i.labels));
        let before = common(self.covers.iter());
        let covered = self.interests.values().all(|i| self.is_covered(&i.labels));
        if !covered || wanted != before {
            self.pages.clear();
            self.size = PER_PAGE;
            let mut covers: Vec<Labels> = self.interests.values().map(|i| i.labels.clone()).collect();
            covers.sort();
            covers.dedup();
            self.covers = covers;
        }
        Scope {
            labels: wanted,
            covers: self.covers.clone(),
        }
    }

    /// Takes what a fetch gave: the pages that are known now, and whether they are all there and belong together.
    pub(super) fn fetched(
        &mut self,
        query: &ListQuery,
        (pages, result): (Vec<Page>, Result<bool, GithubError>),
        at: Instant,
        time: Timestamp,
    ) -> Result<Listing, GithubError> {
        self.pages = pages;
        let (result, consistent) = match result {
            Ok(consistent) => (Ok(()), consistent),
            Err(error) => {
                if !error.is_transient() {
                    // What was redirected or renamed is looked up from the start.
                    self.pages.clear();
                }
                (Err(error), false)
            }
        };
        let last = Fetched {
            at,
            time,
            by: query.caller.clone(),
            result: result.clone(),
            consistent,
        };
        let answer = result.map(|()| self.select(query, &last, false));
        self.last = Some(last);
        answer
    }
}

#[cfg(test)]
mod tests;
