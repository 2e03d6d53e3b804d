//! What of a repository's issues and pull requests somebody wants. Pure.

use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{People, Writer};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

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
    /// Text; empty if there is none. It may be long, and is never copied.
    pub body: Arc<str>,
    /// Page for people.
    pub url: String,
    /// Names of its labels, in GitHub's order.
    pub labels: Vec<String>,
    /// Number of its comments when it was listed.
    pub comments: u64,
    /// Who opened it.
    pub author: Writer,
}

impl Item {
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

fn fold(label: &str) -> String {
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

/// Reads one page of GitHub's list of issues. Returns its items, how many entries it had, and how many of them could
/// not be read.
///
/// # Errors
/// If it is no list at all.
pub fn read_page(body: &[u8]) -> Result<(Vec<Item>, usize, usize), serde_json::Error> {
    let entries: Vec<Value> = serde_json::from_slice(body)?;
    let count = entries.len();
    let items: Vec<Item> = entries
        .into_iter()
        .filter_map(|entry| RawItem::deserialize(entry).ok())
        .map(Item::from)
        .collect();
    let unread = count - items.len();
    Ok((items, count, unread))
}

/// Reads one issue or pull request.
///
/// # Errors
/// If it is none.
pub fn read_item(body: &[u8]) -> Result<Item, serde_json::Error> {
    Ok(serde_json::from_slice::<RawItem>(body)?.into())
}

/// Reads the `OWNER/NAME` of a repository.
///
/// # Errors
/// If it is none.
pub fn read_repository(body: &[u8]) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Raw {
        full_name: String,
    }
    Ok(serde_json::from_slice::<Raw>(body)?.full_name)
}

#[derive(Deserialize)]
struct RawItem {
    number: u64,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    labels: Vec<RawLabel>,
    #[serde(default)]
    comments: u64,
    #[serde(default)]
    pull_request: Option<serde::de::IgnoredAny>,
    #[serde(flatten)]
    written: RawWriter,
}

/// Who wrote an item or a comment, as GitHub tells it.
#[derive(Deserialize)]
pub(super) struct RawWriter {
    #[serde(default)]
    user: Option<RawUser>,
    #[serde(default)]
    author_association: Option<String>,
}

#[derive(Deserialize)]
struct RawUser {
    #[serde(default)]
    login: Option<String>,
}

impl From<RawWriter> for Writer {
    fn from(raw: RawWriter) -> Self {
        Self {
            login: raw.user.and_then(|user| user.login).unwrap_or_default(),
            association: raw.author_association.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLabel {
    Name(String),
    Object {
        #[serde(default)]
        name: Option<String>,
    },
}

impl From<RawItem> for Item {
    fn from(raw: RawItem) -> Self {
        let name = |label| match label {
            RawLabel::Name(name) => Some(name),
            RawLabel::Object { name } => name,
        };
        Self {
            kind: if raw.pull_request.is_some() {
                ItemKind::PullRequest
            } else {
                ItemKind::Issue
            },
            number: raw.number,
            title: raw.title.unwrap_or_default(),
            body: raw.body.unwrap_or_default().into(),
            url: raw.html_url.unwrap_or_default(),
            labels: raw.labels.into_iter().filter_map(name).collect(),
            comments: raw.comments,
            author: raw.written.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::Association;

    use super::*;

    fn item(kind: ItemKind, labels: &[&str]) -> Item {
        Item {
            kind,
            number: 1,
            title: String::new(),
            body: "".into(),
            url: String::new(),
            labels: labels.iter().map(ToString::to_string).collect(),
            comments: 0,
            author: Writer::default(),
        }
    }

    fn set(labels: &[&str]) -> Labels {
        labels.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_labels_none_of_the_excluded_and_the_kind() {
        let query = ListQuery {
            labels: vec!["Bug".into(), "axon".into()],
            exclude_labels: vec!["axon/needs-input".into()],
            issues: true,
            ..ListQuery::default()
        };
        for (labels, wanted) in [
            (&["bug", "Axon", "x"][..], true),
            (&["bug"], false),
            (&["bug", "axon", "Axon/Needs-Input"], false),
        ] {
            assert_eq!(query.wants(&item(ItemKind::Issue, labels)), wanted, "{labels:?}");
        }
        assert!(!query.wants(&item(ItemKind::PullRequest, &["bug", "axon"])));
        let pulls = ListQuery {
            pulls: true,
            ..ListQuery::default()
        };
        assert!(pulls.wants(&item(ItemKind::PullRequest, &[])) && !pulls.wants(&item(ItemKind::Issue, &[])));
    }

    #[test]
    fn who_opened_an_item_may_keep_it_out() {
        let query = ListQuery {
            issues: true,
            exclude_labels: vec!["no".into()],
            authors: Some(People {
                associations: vec![Association::Member],
                users: Vec::new(),
            }),
            ..ListQuery::default()
        };
        let by = |association: &str, labels: &[&str]| {
            let author = Writer {
                login: "x".into(),
                association: association.into(),
            };
            Item {
                author,
                ..item(ItemKind::Issue, labels)
            }
        };
        assert!(query.wants(&by("MEMBER", &[])));
        let stranger = by("NONE", &[]);
        assert!(!query.wants(&stranger));
        assert_eq!(
            query.excluded_by(&stranger),
            Some(Exclusion::Author(stranger.author.clone()))
        );
        let label = Some(Exclusion::Label("no".into()));
        assert_eq!(query.excluded_by(&by("NONE", &["NO"])), label);
        let anybody = ListQuery {
            authors: None,
            ..query
        };
        assert!(anybody.wants(&stranger));
    }

    #[test]
    fn github_filters_by_what_all_want() {
        let (a, b) = (set(&["axon", "bug"]), set(&["axon", "docs", "a,b"]));
        assert_eq!(common([&a, &b].into_iter()), set(&["axon"]));
        assert_eq!(common([&b].into_iter()), set(&["axon", "docs"]));
        assert_eq!(common([&a, &set(&[])].into_iter()), set(&[]));
        assert_eq!(common(std::iter::empty()), set(&[]));
        assert!(any_wants(
            [&a, &b].into_iter(),
            &item(ItemKind::Issue, &["AXON", "bug"])
        ));
        assert!(!any_wants(
            [&a, &b].into_iter(),
            &item(ItemKind::Issue, &["axon"])
        ));
    }

    #[test]
    fn an_entry_that_cannot_be_read_does_not_hide_the_others() {
        let body =
            br#"[{"number":1,"title":"t","body":null,"html_url":"u","labels":[{"name":"a"},"b"],"comments":2,
             "user":{"login":"ann","id":1},"author_association":"MEMBER"},
            {"number":"x"}, {"number":3,"title":"p","pull_request":{"url":"y"}}]"#;
        let (items, count, unread) = read_page(body).unwrap();
        assert_eq!((items.len(), count, unread), (2, 3, 1));
        assert_eq!(items[0].labels, ["a", "b"]);
        let author = &items[0].author;
        assert_eq!(
            (author.login.as_str(), author.association.as_str()),
            ("ann", "MEMBER")
        );
        assert_eq!(items[1].author, Writer::default());
        assert_eq!(
            (items[0].kind, items[1].kind),
            (ItemKind::Issue, ItemKind::PullRequest)
        );
        assert!(read_page(b"{}").is_err());
    }
}
