//! The items that a poll of GitHub found in a TaskSpawner's match.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::People;
use jiff::Timestamp;
use tokio::time::Instant;

use super::reader;
use crate::kube::watch::LENT;
use crate::spawner::plan::match_state::Filter;
use crate::spawner::source::item::Item;
use axon_github::{self as github, Credential, Repository};

/// The items of a TaskSpawner's match, and how they were listed.
pub struct MatchedItems {
    /// Identifiers of the items in the match, the oldest first.
    pub ids: Vec<String>,
    /// GitHub's data about them, in the same order. TaskSpawners that use one listing share it.
    pub(super) listed: Vec<Arc<github::Item>>,
    /// Index in `listed` by the item's number.
    pub(super) places: HashMap<u64, usize>,
    /// SpawnerState for these lists.
    pub(super) _held: Option<Arc<github::Kept>>,
    /// Whose comments count.
    pub comments_from: People,
    /// False if an item that is missing may be there all the same.
    pub complete: bool,
    /// When it was asked.
    pub asked: Timestamp,
    /// The same moment, by the clock that never jumps.
    pub at: Instant,
    /// The filter.
    pub filter: Filter,
    /// `HOST/OWNER/NAME`.
    pub name: String,
    /// The labels that the spawner asks for.
    pub(crate) labels: Vec<String>,
    /// The labels that keep an item out.
    pub(crate) exclude_labels: Vec<String>,
    /// People who count without write permission; absent if the author gate is off.
    pub(crate) trusted: Option<People>,
    pub(crate) repository: Repository,
    pub(crate) credential: Credential,
    /// Until when GitHub may be asked for more; without end if absent.
    pub(super) until: Option<Instant>,
}

impl MatchedItems {
    /// Returns an item of the match.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<Item> {
        self.of(id).map(reader::item_of)
    }

    /// Returns the title of an item of the match.
    #[must_use]
    pub fn title(&self, id: &str) -> Option<&str> {
        self.of(id).map(|listed| listed.title.as_str())
    }

    /// Sets the moment from which on nothing more is read of the items: a large spawner is in memory until then.
    pub fn asks_until(&mut self, moment: Instant) {
        self.until = Some(moment);
    }

    /// Returns whether less than half of `period` is left before the moment of [`MatchedItems::asks_until`].
    #[must_use]
    pub fn is_late(&self, period: Duration) -> bool {
        self.until
            .is_some_and(|until| until.saturating_duration_since(Instant::now()) < period / 2)
    }

    /// Waits for an answer about an item, as long as there is time.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, github::GithubError>>,
    ) -> Result<T, github::GithubError> {
        let Some(until) = self.until else {
            return answer.await;
        };
        tokio::time::timeout_at(until, answer).await.unwrap_or_else(|_| {
            Err(github::GithubError::Unreachable {
                asked: github::ErrorContext {
                    host: self.repository.host.clone(),
                    what: self.repository.path(),
                    secret: self.credential.secret.clone(),
                },
                said: format!(
                    "no whole answer within {LENT:?}, the time that a TaskSpawner of more than 16 KiB has"
                ),
                pause: LENT,
            })
        })
    }

    /// Returns whether GitHub had comments of an item when it was listed.
    #[must_use]
    pub fn has_comments(&self, item: &Item) -> bool {
        self.of(&item.id).is_some_and(|listed| listed.comments > 0)
    }

    /// Returns whether the listing had no room for an item's text.
    #[must_use]
    pub fn lacks_text(&self, item: &Item) -> bool {
        self.of(&item.id).is_some_and(|listed| listed.body.is_none())
    }

    pub(crate) fn of(&self, id: &str) -> Option<&github::Item> {
        let place = self.places.get(&id.parse().ok()?)?;
        self.listed.get(*place).map(AsRef::as_ref)
    }
}
