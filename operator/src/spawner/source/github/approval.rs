//! Asks GitHub what [`super::gate`] has to know of an item, and remembers what was left out.

use axon_api::v1alpha1::SpawnerReason;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{Claim, People};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::gate::{Question, Step, Verdict, Why, next};
use crate::spawner::plan::match_state::Filter;
use crate::spawner::source::github::matched::MatchedItems;
use crate::spawner::source::github::reader::GithubReader;
use crate::spawner::source::item::Item;
use crate::spawner::status::Blocked;
use axon_github::{self as github, GithubError, History};

/// Most items of a poll that GitHub is asked about; the others wait for the next one.
const MOST_ASKED: usize = 20;
/// Most items of a spawner that are remembered as left out, and most in a replica: some hundred bytes each.
const MOST_KEPT: (usize, usize) = (10_000, 100_000);
/// Lifetime of a cached verdict about an unchanged item. A permission that its author gets later does not change `updated_at`.
const LEFT_OUT: Duration = Duration::from_secs(3600);
/// The same while the credential may not ask, which costs one request for all items.
const UNKNOWN: Duration = Duration::from_secs(300);
/// Minimum age of an item's last change before a verdict is cached. GitHub's times have whole seconds, so that a second change could
/// have the same time.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);

/// Message for an item whose check waits for a later poll.
pub(crate) const NOT_NOW: &str =
    "whether its author may write, or somebody who may has approved it, is asked at a later poll";

/// Cached verdicts about items of a TaskSpawner that were left out.
#[derive(Debug, Default)]
pub struct Gate {
    filter: Option<Filter>,
    known: HashMap<String, LeftOut>,
    asked: usize,
}

/// Counts what all spawners of a replica remember: each of them holds one.
pub type Remembered = Arc<()>;

#[derive(Clone, Debug)]
struct LeftOut {
    _one: Remembered,
    why: Why,
    updated: Option<Timestamp>,
    asked: Instant,
    until: Instant,
}

/// Verdict about an item from cached answers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The item can become a Task.
    Counts,
    /// The item cannot become a Task.
    LeftOut(Why),
    /// GitHub has to be asked.
    Ask,
    /// GitHub would have to be asked, which has been done often enough in this poll.
    NotNow,
}

impl Gate {
    /// Begins a poll that found these items.
    pub fn begin(&mut self, filter: &Filter, items: &[String]) {
        if self.filter.as_ref() != Some(filter) {
            self.forget();
            self.filter = Some(filter.clone());
        }
        let there: BTreeSet<&str> = items.iter().map(String::as_str).collect();
        self.known.retain(|id, _| there.contains(id.as_str()));
        self.asked = 0;
    }

    /// Forgets what was left out.
    pub fn forget(&mut self) {
        self.known.clear();
        self.asked = 0;
    }

    /// Lets GitHub be asked about one more item. What is claimed does not wait for the next poll.
    pub fn allow(&mut self) {
        self.asked = self.asked.min(MOST_ASKED - 1);
    }

    /// Returns when GitHub was last asked about an item that was left out. By that order all of them have their turn, although
    /// there may be more of them, which change again and again, than are asked about in a poll.
    #[must_use]
    pub fn last_asked(&self, id: &str) -> Option<Instant> {
        self.known.get(id).map(|left_out| left_out.asked)
    }

    fn left_out(&self, id: &str, updated: Option<Timestamp>, now: Instant) -> Option<Why> {
        let known = self.known.get(id)?;
        (known.updated == updated && now < known.until).then_some(known.why)
    }

    fn note(
        &mut self,
        all: &Remembered,
        id: &str,
        updated: Option<Timestamp>,
        why: Why,
        listed: Timestamp,
        now: Instant,
    ) {
        let is_settled = updated.is_some_and(|updated| listed.duration_since(updated) > SETTLED);
        let period = match why {
            _ if !is_settled => Duration::ZERO,
            Why::Unknown => UNKNOWN,
            Why::Untrusted | Why::Fork | Why::Edited => LEFT_OUT,
        };
        self.keep(all, id, updated, why, now, period);
    }

    /// Notes that GitHub was asked in vain: others come first the next time.
    fn note_failure(&mut self, all: &Remembered, id: &str, now: Instant) {
        self.keep(all, id, None, Why::Unknown, now, Duration::ZERO);
    }

    fn keep(
        &mut self,
        all: &Remembered,
        id: &str,
        updated: Option<Timestamp>,
        why: Why,
        now: Instant,
        period: Duration,
    ) {
        let is_full = self.known.len() >= MOST_KEPT.0 || Arc::strong_count(all) > MOST_KEPT.1;
        if is_full && !self.known.contains_key(id) {
            return;
        }
        let left_out = LeftOut {
            _one: Arc::clone(all),
            why,
            updated,
            asked: now,
            until: now + period,
        };
        self.known.insert(id.to_owned(), left_out);
    }
}

impl GithubReader {
    /// Returns whether an item may become a Task, as far as that is known.
    #[must_use]
    pub fn standing(&self, found: &MatchedItems, id: &str, gate: &Gate) -> Standing {
        let Some(trusted) = &found.trusted else {
            return Standing::Counts;
        };
        let Some(listed) = found.of(id) else {
            return Standing::LeftOut(Why::Untrusted);
        };
        let step = self.step(found, trusted, listed, None);
        match step {
            Step::Done(Verdict::Counts | Verdict::Approved(_)) => Standing::Counts,
            Step::Done(Verdict::LeftOut(why)) => Standing::LeftOut(why),
            Step::MayWrite(_) | Step::History => match gate.left_out(id, listed.updated, Instant::now()) {
                Some(why) => Standing::LeftOut(why),
                None if gate.asked >= MOST_ASKED => Standing::NotNow,
                None => Standing::Ask,
            },
        }
    }

    fn step(
        &self,
        found: &MatchedItems,
        trusted: &People,
        listed: &github::Item,
        history: Option<&History>,
    ) -> Step {
        let question = Question {
            author: &listed.author,
            author_is_user: listed.author_is_user,
            labels: &found.labels,
            exclude_labels: &found.exclude_labels,
            trusted,
            can_read: !found.credential.is_anonymous(),
        };
        let known = |login: &str| {
            self.github
                .known_permission(&found.repository, &found.credential, login)
        };
        next(question, known, history)
    }

    /// Asks GitHub whether an item may become a Task. One that was approved gets the text that was approved.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn approve(
        &self,
        found: &MatchedItems,
        item: &mut Item,
        gate: &mut Gate,
    ) -> Result<Verdict, GithubError> {
        let verdict = self.judge(found, item, gate).await;
        if verdict.is_err() {
            gate.note_failure(&self.left_out, &item.id, Instant::now());
        }
        verdict
    }

    async fn judge(
        &self,
        found: &MatchedItems,
        item: &mut Item,
        gate: &mut Gate,
    ) -> Result<Verdict, GithubError> {
        let Some(trusted) = &found.trusted else {
            return Ok(Verdict::Counts);
        };
        let Some(listed) = found.of(&item.id) else {
            return Ok(Verdict::LeftOut(Why::Untrusted));
        };
        let (repository, credential) = (&found.repository, &found.credential);
        gate.asked += 1;
        let mut history = None;
        loop {
            match self.step(found, trusted, listed, history.as_ref()) {
                Step::MayWrite(login) => {
                    found
                        .in_time(self.github.may_write(repository, credential, &login))
                        .await?;
                }
                Step::History => {
                    let asked = self.github.history(repository, credential, listed.number);
                    history = Some(found.in_time(asked).await?);
                }
                Step::Done(verdict) => {
                    if let Verdict::LeftOut(why) = verdict {
                        let (updated, now) = (listed.updated, Instant::now());
                        gate.note(&self.left_out, &item.id, updated, why, found.asked, now);
                    }
                    if let (Verdict::Approved(_), Some(history)) = (verdict, history) {
                        item.title = history.title;
                        item.body = Arc::from(history.body);
                    }
                    return Ok(verdict);
                }
            }
        }
    }

    /// Returns reason and message of those of these items that may not become Tasks; GitHub is asked about a few.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn sift(
        &self,
        found: &MatchedItems,
        items: impl Iterator<Item = &Item>,
        gate: &mut Gate,
    ) -> Result<BTreeMap<String, Standing>, GithubError> {
        let mut all = BTreeMap::new();
        for item in items {
            let standing = match self.standing(found, &item.id, gate) {
                Standing::Ask => match self.approve(found, &mut item.clone(), gate).await? {
                    Verdict::LeftOut(why) => Standing::LeftOut(why),
                    Verdict::Counts | Verdict::Approved(_) => Standing::Counts,
                },
                standing => standing,
            };
            all.insert(item.id.clone(), standing);
        }
        Ok(all)
    }
}

impl MatchedItems {
    /// Returns that the item of a claim was left out.
    pub(crate) fn left_out(&self, claim: &Claim, why: Why) -> Blocked {
        blocked(claim, why.reason(), self.told(&claim.item, why))
    }

    /// Returns why an item with this standing can't become a Task for now, in words only if they are told.
    pub(crate) fn refusal(&self, claim: &Claim, standing: Standing, is_told: bool) -> Option<Blocked> {
        match standing {
            Standing::LeftOut(why) if is_told => Some(self.left_out(claim, why)),
            Standing::LeftOut(why) => Some(blocked(claim, why.reason(), String::new())),
            Standing::NotNow => Some(blocked(
                claim,
                SpawnerReason::AuthorNotChecked,
                NOT_NOW.to_owned(),
            )),
            Standing::Counts | Standing::Ask => None,
        }
    }

    /// Returns what to tell of an item that was left out.
    #[must_use]
    pub fn told(&self, id: &str, why: Why) -> String {
        let author = self.of(id).map_or("", |listed| listed.author.login.as_str());
        why.message(author, &self.labels, self.credential.secret.as_deref())
    }
}

fn blocked(claim: &Claim, reason: SpawnerReason, message: String) -> Blocked {
    Blocked {
        item: claim.item.clone(),
        reason,
        message,
        transient: false,
        all: false,
        left_out: true,
        pause: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::fixtures::github;

    fn filter(repository: &str) -> Filter {
        let spawner = github("fix");
        Filter::of(repository, spawner.spec.when.github_issues.as_ref().unwrap())
    }

    fn time(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_changed_stays_left_out_for_an_hour() {
        let (all, mut gate, start) = (Remembered::default(), Gate::default(), Instant::now());
        let listed = time(1000).unwrap();
        let of = |gate: &Gate, second, now| gate.left_out("1", time(second), now);
        gate.begin(&filter("a"), &["1".to_owned()]);
        gate.note(&all, "1", time(900), Why::Edited, listed, start);
        assert_eq!(of(&gate, 900, start), Some(Why::Edited));
        assert_eq!(of(&gate, 901, start), None, "it has changed");
        assert_eq!(of(&gate, 900, start + LEFT_OUT), None);
        assert!(gate.last_asked("1") == Some(start) && gate.last_asked("2").is_none());
        gate.note(&all, "1", time(900), Why::Unknown, listed, start);
        assert_eq!(of(&gate, 900, start + UNKNOWN), None);
        // Another change of the same second may come, and nobody could tell.
        for updated in [time(995), time(2000), None] {
            gate.note(&all, "1", updated, Why::Untrusted, listed, start);
            assert_eq!(gate.left_out("1", updated, start), None, "{updated:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_kept_and_only_of_the_same_filter() {
        let (all, mut gate, start) = (Remembered::default(), Gate::default(), Instant::now());
        let listed = time(1000).unwrap();
        gate.begin(&filter("a"), &[]);
        for number in 0..MOST_KEPT.0 + 10 {
            gate.note(&all, &number.to_string(), time(1), Why::Untrusted, listed, start);
        }
        assert_eq!(
            (gate.known.len(), Arc::strong_count(&all)),
            (MOST_KEPT.0, MOST_KEPT.0 + 1)
        );
        gate.begin(&filter("a"), &["5".to_owned(), "7".to_owned()]);
        assert_eq!(gate.known.len(), 2);
        gate.asked = MOST_ASKED + 3;
        gate.allow();
        assert!(gate.asked < MOST_ASKED);
        gate.begin(&filter("b"), &["5".to_owned(), "7".to_owned()]);
        assert_eq!((gate.known.len(), gate.asked), (0, 0));
        assert_eq!(
            Arc::strong_count(&all),
            1,
            "what is forgotten makes room for others"
        );
    }
}
