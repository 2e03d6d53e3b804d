//! What of a repository's issues and pull requests somebody wants. Pure.

use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{People, Writer};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::budget::Kept;
use super::read::{self, Cut, LabelNames, Unread, Whole};

/// Most entries on a page, as GitHub documents it for `per_page`.
pub const PER_PAGE: usize = 100;
/// Most characters of a text; GitHub takes no longer ones ("body is too long (maximum is 65536 characters)").
pub(super) const MAX_TEXT: usize = 64 * 1024;
/// Most characters of a title; GitHub's own limit is 256.
pub(super) const MAX_TITLE: usize = 1024;
/// Most labels of an item; GitHub's own limit is 100.
const MAX_LABELS: usize = 100;
/// Most bytes of a label: GitHub's own limit is 50 characters.
pub(super) const MAX_LABEL: usize = 200;
/// Most bytes of a login: GitHub's own limit is 39 characters, and `[bot]` behind them.
pub(super) const MAX_LOGIN: usize = 100;
/// Most bytes of a time.
pub(super) const MAX_TIME: usize = 40;
/// Most bytes of the page's address.
const MAX_URL: usize = 2048;

/// Which states count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Open ones.
    #[default]
    Open,
    /// Closed ones.
    Closed,
    /// Both.
    All,
}

impl State {
    /// Returns GitHub's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::All => "all",
        }
    }
}

/// Kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// An issue.
    Issue,
    /// A pull request.
    PullRequest,
}

/// An issue or pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Kind.
    pub kind: ItemKind,
    /// Number in the repository.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Text; empty if there is none, and absent if the listing had no room for it. It may be long, and is never copied.
    pub body: Option<Arc<str>>,
    /// Page for people.
    pub url: String,
    /// Names of its labels, in GitHub's order.
    pub labels: Vec<String>,
    /// Number of its comments when it was listed.
    pub comments: u64,
    /// Who opened it.
    pub author: Writer,
    /// True if that is a person, as far as GitHub knows, and no App.
    pub author_is_user: bool,
    /// GitHub's `updated_at`, which also changes with comments and labels; absent if it is unreadable.
    pub updated: Option<Timestamp>,
    /// What it takes of the budget for what is kept.
    pub(super) kept: Option<Arc<Kept>>,
}

impl Item {
    /// Returns how many bytes of memory it takes, its text left out.
    pub(super) fn bytes(&self) -> usize {
        let labels = self.labels.iter().map(|label| label.len() + size_of::<String>());
        let texts = [
            &self.title,
            &self.url,
            &self.author.login,
            &self.author.association,
        ]
        .map(String::len);
        size_of::<Self>() + labels.sum::<usize>() + texts.iter().sum::<usize>()
    }

    /// Returns the `OWNER/NAME` of the repository that its page is in.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        let page = url::Url::parse(&self.url).ok()?;
        let mut parts: Vec<&str> = page.path_segments()?.collect();
        // The page is at OWNER/NAME/issues/NUMBER.
        let tail = parts.split_off(parts.len().checked_sub(4)?);
        Some(tail.get(..2)?.join("/"))
    }
}

/// What a spawner wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// State.
    pub state: State,
    /// Labels that an item must all have. GitHub's labels do not differ by case alone, so case does not count.
    pub labels: Vec<String>,
    /// Labels that an item must not have any of; case does not count either.
    pub exclude_labels: Vec<String>,
    /// Who may have opened an item; anybody if absent.
    pub authors: Option<People>,
    /// True to get issues.
    pub issues: bool,
    /// True to get pull requests.
    pub pulls: bool,
    /// Who asks: the same text at each poll of one spawner, such as its UID.
    pub caller: String,
    /// How old a listing may be that another caller has fetched: the spawner's poll interval.
    pub max_age: Duration,
    /// A listing that was asked for before this moment will not do, whoever has fetched it.
    pub not_before: Option<Instant>,
}

/// What somebody wanted and GitHub has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Items, the oldest first.
    pub items: Vec<Arc<Item>>,
    /// False if the pages changed again and again while they were read, or an item could not be read: then an item
    /// that is missing may still be there, and must not count as gone. What is listed is there in any case.
    pub complete: bool,
    /// When it was asked for, by this machine's clock.
    pub fetched: Timestamp,
    /// The same moment, by the clock that never jumps.
    pub at: Instant,
    /// True if an earlier fetch, by this caller or another, was good enough.
    pub shared: bool,
    /// Memory for the list, as long as the caller works on it.
    pub(super) held: Option<Arc<Kept>>,
}

impl Listing {
    /// Returns the memory that is reserved for the list; it is given back with the last clone.
    #[must_use]
    pub fn held(&self) -> Option<Arc<Kept>> {
        self.held.clone()
    }
}

impl ListQuery {
    /// Returns true if the query wants `item`, which is of the right state.
    #[must_use]
    pub fn wants(&self, item: &Item) -> bool {
        let kind = match item.kind {
            ItemKind::Issue => self.issues,
            ItemKind::PullRequest => self.pulls,
        };
        kind && self.labels.iter().all(|label| has(item, label)) && self.excluded_by(item).is_none()
    }

    /// Returns what keeps `item` out although it has the labels, if something does.
    #[must_use]
    pub fn excluded_by(&self, item: &Item) -> Option<Exclusion> {
        let label = self.exclude_labels.iter().find(|label| has(item, label));
        let author = &item.author;
        let is_strange = |people: &People| !people.include(author, author);
        let by_author = || self.authors.as_ref().is_some_and(is_strange);
        label
            .map(|label| Exclusion::Label(label.clone()))
            .or_else(|| by_author().then(|| Exclusion::Author(author.clone())))
    }

    /// Returns its labels so that two queries with the same ones have equal sets.
    #[must_use]
    pub fn label_set(&self) -> Labels {
        self.labels.iter().map(|label| fold(label)).collect()
    }
}

/// What keeps an item out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// An excluded label.
    Label(String),
    /// It was opened by somebody whose items are not wanted.
    Author(Writer),
}

/// A set of labels, in lower case.
pub type Labels = std::collections::BTreeSet<String>;

/// Returns a label in the form that it is compared in.
#[must_use]
pub fn fold(label: &str) -> String {
    label.trim().to_lowercase()
}

fn has(item: &Item, label: &str) -> bool {
    let wanted = fold(label);
    item.labels.iter().any(|label| fold(label) == wanted)
}

/// Returns the labels that GitHub itself can filter by for all of `queries`: those that every one of them wants.
#[must_use]
pub fn common<'a>(mut queries: impl Iterator<Item = &'a Labels>) -> Labels {
    let first = queries.next().cloned().unwrap_or_default();
    let common = queries.fold(first, |all, next| all.intersection(next).cloned().collect());
    // A comma parts labels in GitHub's parameter and can't be escaped.
    common.into_iter().filter(|label| !label.contains(',')).collect()
}

/// Returns true if some of `queries` wants an item with these labels.
#[must_use]
pub fn any_wants<'a>(mut queries: impl Iterator<Item = &'a Labels>, item: &Item) -> bool {
    let labels: Labels = item.labels.iter().map(|label| fold(label)).collect();
    queries.any(|wanted| wanted.is_subset(&labels))
}

/// One page of GitHub's list of issues.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// Entries on the page.
    pub(super) count: usize,
    /// Entries that could not be read.
    pub(super) unread: usize,
    /// Items of which a part was left out.
    pub(super) cut: usize,
}

/// Reads one page of GitHub's list of issues.
///
/// # Errors
/// If it is no list at all, or longer than a page can be.
pub(super) fn read_page(body: &[u8]) -> Result<Found, Unread> {
    let found = read::list::<RawItem, PER_PAGE>(body)?;
    Ok(Found {
        count: found.count,
        unread: found.count - found.entries.len(),
        cut: found.entries.iter().filter(|raw| raw.was_cut()).count(),
        items: found.entries.into_iter().map(Item::from).collect(),
    })
}

/// Reads one issue or pull request.
///
/// # Errors
/// If it is none.
pub(super) fn read_item(body: &[u8]) -> Result<Item, Unread> {
    Ok(read::object::<RawItem>(body)?.into())
}

/// Reads the `OWNER/NAME` of a repository.
///
/// # Errors
/// If it is none.
pub(super) fn read_repository(body: &[u8]) -> Result<String, Unread> {
    #[derive(Deserialize)]
    struct Raw {
        full_name: Whole<MAX_URL>,
    }
    Ok(read::object::<Raw>(body)?.full_name.0)
}

// No `flatten` and no `untagged` here: serde reads all of an object's members into memory for these.
#[derive(Deserialize)]
struct RawItem {
    number: u64,
    #[serde(default)]
    title: Option<Cut<MAX_TITLE>>,
    #[serde(default)]
    body: Option<Cut<MAX_TEXT>>,
    #[serde(default)]
    html_url: Option<Whole<MAX_URL>>,
    #[serde(default)]
    labels: LabelNames<MAX_LABELS, MAX_LABEL>,
    #[serde(default)]
    comments: u64,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    user: Option<RawUser>,
    #[serde(default)]
    author_association: Option<Whole<MAX_LOGIN>>,
    #[serde(default)]
    updated_at: Option<Whole<MAX_TIME>>,
}

impl RawItem {
    fn was_cut(&self) -> bool {
        let title = self.title.as_ref().is_some_and(|title| title.was_cut);
        title || self.labels.was_cut || self.body.as_ref().is_some_and(|body| body.was_cut)
    }
}

/// An account, as GitHub tells it.
#[derive(Deserialize)]
pub(super) struct RawUser {
    #[serde(default)]
    login: Option<Whole<MAX_LOGIN>>,
    #[serde(default, rename = "type")]
    kind: Option<Whole<MAX_LOGIN>>,
}

/// A comment, as GitHub tells it.
#[derive(Deserialize)]
pub(super) struct RawComment {
    #[serde(default)]
    pub(super) body: Option<Cut<MAX_TEXT>>,
    #[serde(default)]
    pub(super) updated_at: Option<Whole<MAX_TIME>>,
    #[serde(default)]
    user: Option<RawUser>,
    #[serde(default)]
    author_association: Option<Whole<MAX_LOGIN>>,
}

impl RawComment {
    /// Returns who wrote it.
    pub(super) fn writer(&mut self) -> Writer {
        writer(self.user.take(), self.author_association.take())
    }
}

fn writer(user: Option<RawUser>, association: Option<Whole<MAX_LOGIN>>) -> Writer {
    let login = user.and_then(|user| user.login);
    Writer {
        login: login.unwrap_or_default().0,
        association: association.unwrap_or_default().0,
    }
}

impl From<RawItem> for Item {
    fn from(raw: RawItem) -> Self {
        let is_user = |user: &RawUser| user.kind.as_ref().is_some_and(|kind| kind.0 == "User");
        Self {
            author_is_user: raw.user.as_ref().is_some_and(is_user),
            updated: raw.updated_at.and_then(|time| time.0.parse().ok()),
            kind: if raw.pull_request.is_some() {
                ItemKind::PullRequest
            } else {
                ItemKind::Issue
            },
            number: raw.number,
            title: raw.title.unwrap_or_default().text,
            body: Some(raw.body.unwrap_or_default().text.into()),
            url: raw.html_url.unwrap_or_default().0,
            labels: raw.labels.names,
            comments: raw.comments,
            author: writer(raw.user, raw.author_association),
            kept: None,
        }
    }
}

#[cfg(test)]
mod tests;
