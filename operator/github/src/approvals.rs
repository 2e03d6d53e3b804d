//! Who may write to a repository, and who has approved an item there. Reading is pure; [`super::Github`] asks.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::query::{MAX_LABEL, MAX_LOGIN, MAX_TEXT, MAX_TIME, MAX_TITLE};
use super::read::{self, Cut, List, Unread, Whole};

/// Lifetime of a cached permission. A permission that was revoked counts for this time at most.
const PERIOD: Duration = Duration::from_secs(300);
/// Most permissions that are kept.
const MOST: usize = 10_000;
/// Events that are read, the latest ones; also GitHub's own limit for a page.
const EVENTS: usize = 100;

/// GraphQL has all of it in one answer: text and events of the same moment. REST does not tell when a text was edited.
const QUESTION: &str = "query($owner:String!,$name:String!,$number:Int!){repository(owner:$owner,name:$name){\
issueOrPullRequest(number:$number){__typename \
...on Issue{number title body lastEditedAt ...events} \
...on PullRequest{number title body lastEditedAt isCrossRepository ...pullEvents}}}} \
fragment events on Issue{timelineItems(last:100,itemTypes:[LABELED_EVENT,UNLABELED_EVENT,RENAMED_TITLE_EVENT]){nodes{...event}}} \
fragment pullEvents on PullRequest{timelineItems(last:100,itemTypes:[LABELED_EVENT,UNLABELED_EVENT,RENAMED_TITLE_EVENT]){nodes{...event}}} \
fragment event on Node{__typename \
...on LabeledEvent{createdAt actor{__typename login} label{name}} \
...on UnlabeledEvent{createdAt actor{__typename login} label{name}} \
...on RenamedTitleEvent{createdAt actor{__typename login}}}";

/// Whether somebody may write to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayWrite {
    /// The permission is admin, maintain or write.
    Yes,
    /// It is less, or there is no such user.
    No,
    /// The credential may not ask.
    Unknown,
}

/// An account that appears in the history of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Login, in REST's form: that of an App ends with `[bot]`. Empty for an account that is gone.
    pub login: String,
    /// True for a person, false for Apps and all others.
    pub is_user: bool,
}

/// What happened to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time of the event, in whole seconds.
    pub at: Timestamp,
    /// Account that caused the event.
    pub actor: Account,
    /// Kind of the event.
    pub what: What,
}

/// What happened to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody set this label.
    Labeled(String),
    /// Somebody removed this label.
    Unlabeled(String),
    /// The title was changed.
    Renamed,
}

/// An item's text, and what has happened to it until then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Title.
    pub title: String,
    /// Text.
    pub body: String,
    /// Time of the last edit of the text; absent if nobody has edited it.
    pub edited: Option<Timestamp>,
    /// True for a pull request whose commits are in another repository, or may be.
    pub is_from_fork: bool,
    /// The latest events, the oldest first.
    pub events: Vec<Event>,
}

/// Returns the question about an item.
pub(super) fn question(owner: &str, name: &str, number: u64) -> Value {
    json!({ "query": QUESTION, "variables": { "owner": owner, "name": name, "number": number } })
}

/// Returns whether a login is one that GitHub gives to people, so that nothing else gets into a URL's path.
pub(super) fn is_login(login: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !login.is_empty() && login.len() <= MAX_LOGIN && login.chars().all(plain)
}

/// Reads the permission of `login`.
///
/// # Errors
/// If it is none, or another user's.
pub(super) fn read_permission(body: &[u8], login: &str) -> Result<MayWrite, Odd> {
    #[derive(Deserialize)]
    struct Raw {
        permission: Whole<MAX_LOGIN>,
        #[serde(default)]
        user: Option<User>,
    }
    #[derive(Deserialize)]
    struct User {
        login: Whole<MAX_LOGIN>,
    }
    let raw = read::object::<Raw>(body)?;
    if raw
        .user
        .is_some_and(|user| !user.login.0.eq_ignore_ascii_case(login))
    {
        return Err(Odd::Other);
    }
    // A role of the organisation's own has the permission that it is built on.
    Ok(match raw.permission.0.as_str() {
        "admin" | "maintain" | "write" => MayWrite::Yes,
        _ => MayWrite::No,
    })
}

/// An answer that can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Odd {
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("it is about somebody or something else")]
    Other,
    #[error("an event can't be read")]
    Event,
    #[error("{0}")]
    Refused(String),
    #[error("there is no such item")]
    Gone,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default, rename = "type")]
    kind: Option<Whole<MAX_LOGIN>>,
    #[serde(default)]
    message: Option<Cut<300>>,
}

#[derive(Deserialize)]
struct GraphqlResponse {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    errors: Option<List<Refusal, 100>>,
}

#[derive(Deserialize)]
struct Data {
    repository: Option<InRepository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InRepository {
    issue_or_pull_request: Option<RawHistory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHistory {
    #[serde(rename = "__typename")]
    kind: Whole<MAX_LOGIN>,
    number: u64,
    title: Cut<MAX_TITLE>,
    body: Option<Cut<MAX_TEXT>>,
    last_edited_at: Option<Whole<MAX_TIME>>,
    #[serde(default)]
    is_cross_repository: Option<bool>,
    timeline_items: Timeline,
}

#[derive(Deserialize)]
struct Timeline {
    nodes: List<RawEvent, EVENTS>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent {
    #[serde(rename = "__typename")]
    kind: Whole<MAX_LOGIN>,
    created_at: Timestamp,
    #[serde(default)]
    actor: Option<RawActor>,
    #[serde(default)]
    label: Option<RawLabel>,
}

#[derive(Deserialize)]
struct RawActor {
    #[serde(rename = "__typename")]
    kind: Whole<MAX_LOGIN>,
    login: Whole<MAX_LOGIN>,
}

#[derive(Deserialize)]
struct RawLabel {
    name: Whole<MAX_LABEL>,
}

/// Returns whether an answer says that the limit is used up.
pub(super) fn is_limited(body: &[u8]) -> bool {
    let errors = read::object::<GraphqlResponse>(body)
        .ok()
        .and_then(|answer| answer.errors);
    let of_limit = |refusal: &Refusal| refusal.kind.as_ref().is_some_and(|kind| kind.0 == "RATE_LIMITED");
    errors.is_some_and(|errors| errors.0.entries.iter().any(of_limit))
}

/// Reads the history of the item with this number.
///
/// # Errors
/// [`Odd`], also if a part is missing: an edit that was not seen must not be taken for none.
pub(super) fn read_history(body: &[u8], number: u64) -> Result<History, Odd> {
    let answer = read::object::<GraphqlResponse>(body)?;
    if let Some(refused) = answer.errors.filter(|errors| errors.0.count > 0) {
        let first = refused.0.entries.into_iter().next();
        let said = first.and_then(|refusal| refusal.message).unwrap_or_default().text;
        return Err(Odd::Refused(said.chars().filter(|c| !c.is_control()).collect()));
    }
    let raw = answer.data.and_then(|data| data.repository);
    let raw = raw
        .and_then(|found| found.issue_or_pull_request)
        .ok_or(Odd::Gone)?;
    if raw.number != number {
        return Err(Odd::Other);
    }
    let nodes = raw.timeline_items.nodes.0;
    if nodes.entries.len() != nodes.count {
        return Err(Odd::Event);
    }
    let edited = raw
        .last_edited_at
        .map(|time| time.0.parse().map_err(|_| Odd::Event));
    Ok(History {
        title: raw.title.text,
        body: raw.body.unwrap_or_default().text,
        edited: edited.transpose()?,
        is_from_fork: raw.kind.0 != "Issue" && raw.is_cross_repository != Some(false),
        events: nodes.entries.into_iter().map(event).collect::<Result<_, _>>()?,
    })
}

fn event(raw: RawEvent) -> Result<Event, Odd> {
    let label = || {
        raw.label
            .as_ref()
            .map(|label| label.name.0.clone())
            .ok_or(Odd::Event)
    };
    let what = match raw.kind.0.as_str() {
        "LabeledEvent" => What::Labeled(label()?),
        "UnlabeledEvent" => What::Unlabeled(label()?),
        "RenamedTitleEvent" => What::Renamed,
        _ => return Err(Odd::Event),
    };
    Ok(Event {
        at: raw.created_at,
        actor: raw.actor.map(account).unwrap_or_default(),
        what,
    })
}

/// GraphQL names an App without the `[bot]` that keeps its name apart from a person's.
fn account(raw: RawActor) -> Account {
    let (kind, login) = (raw.kind.0, raw.login.0);
    let login = match kind.as_str() {
        "Bot" if !login.is_empty() && !login.ends_with("[bot]") => format!("{login}[bot]"),
        _ => login,
    };
    Account {
        is_user: kind == "User",
        login,
    }
}

/// Permissions that were asked for.
#[derive(Debug)]
pub(super) struct Permissions<K>(HashMap<K, (MayWrite, Instant)>);

impl<K> Default for Permissions<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Permissions<K> {
    /// Returns a permission that is known at `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<MayWrite> {
        let (permission, until) = self.0.get(key)?;
        (now < *until).then_some(*permission)
    }

    /// Keeps a permission that was asked for at `now`.
    pub(super) fn put(&mut self, key: K, permission: MayWrite, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, until)| now < *until);
        }
        // All of them are asked for again some day anyway.
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, (permission, now + PERIOD));
    }
}

#[cfg(test)]
mod tests;
