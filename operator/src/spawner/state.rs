//! What every look at a spawner has.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axon_api::TaskSpawner;
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::{ExistingTask, Limits};
use super::status::PollOutcome;
use super::stores::Stores;
use crate::definitions::Definitions;
use crate::ha::membership::Membership;
use crate::ha::server_clock::ClusterClock;
use crate::kube::events::Events;
use crate::kube::impersonation::Identity;
use crate::kube::watch::Large;
use crate::metrics::Metrics;
use crate::slots::Turns;
use crate::spawner::source::github::approval::Gate;
use crate::spawner::source::github::matched::MatchedItems;
use crate::spawner::source::github::reader::GithubReader;
use crate::spawner::source::schedule::prefetch::PreparedRun;
use crate::spawner::source::schedule::run_burst::RunBurst;

/// What a replica knows of a spawner that it runs. Nothing that counts depends on it.
#[derive(Default)]
pub struct SpawnerState {
    /// Generation that the rest is about.
    pub generation: Option<i64>,
    /// What the last look gave.
    pub outcome: Option<PollOutcome>,
    /// When to look again.
    pub next_poll: Option<Instant>,
    /// When the source was last read.
    pub last_poll: Option<Instant>,
    /// A listing from before this moment is too old: what it does not know of has happened then.
    pub not_before: Option<Instant>,
    /// Version of the Workspace when the source was last read.
    pub workspace: Option<String>,
    /// Failed looks in a row.
    pub failures: u32,
    /// Since when each Task, by its UID, is known for sure.
    pub seen: HashMap<String, Timestamp>,
    /// Items that could not become Tasks last time: they come last.
    pub blocked: BTreeSet<String>,
    /// Since when claims, by name, have been found impossible to fulfil.
    pub stuck: HashMap<String, Instant>,
    /// Tasks that had not ended at the last look.
    pub active: usize,
    /// Cached verdicts of the author gate.
    pub gate: Gate,
    /// The next run of the schedule, if it is ready.
    pub ahead: Option<PreparedRun>,
    /// A listing that GitHub returned after a large TaskSpawner had given its place back. The next poll with a place uses it.
    pub late: Option<Polled>,
}

impl SpawnerState {
    /// Notes that something has happened that a listing must know of.
    pub fn require_listing_after(&mut self, moment: Instant) {
        self.not_before = self.not_before.max(Some(moment));
    }

    /// Returns whether the source was read since the last edit, and could be the last time.
    #[must_use]
    pub fn has_read(&self) -> bool {
        self.outcome
            .as_ref()
            .is_some_and(|outcome| outcome.source_fault.is_none())
    }

    /// Returns what a slow poll gave, unless something has happened since that a listing must know of.
    pub fn take_late(&mut self) -> Option<Polled> {
        let not_before = self.not_before;
        self.late.take().filter(|(found, ..)| {
            let asked = found.as_ref().map(|found| found.at);
            asked.is_none_or(|asked| not_before.is_none_or(|moment| asked >= moment))
        })
    }

    /// Forgets the Tasks that are no longer among `tasks`, at `now`. Returns true if there were any: an older listing
    /// may still have an item of theirs that has left the match since.
    pub fn forget_gone(&mut self, tasks: &[ExistingTask], now: Instant) -> bool {
        let there: BTreeSet<&str> = tasks.iter().map(|task| task.uid.as_str()).collect();
        let before = self.seen.len();
        self.seen.retain(|uid, _| there.contains(uid.as_str()));
        let gone = self.seen.len() < before;
        if gone {
            self.require_listing_after(now);
        }
        gone
    }
}

/// Result of a poll: the items unless it failed, the outcome, and the pause until the next poll.
pub type Polled = (Option<Box<MatchedItems>>, PollOutcome, Duration);

/// What is known of spawners, by UID, with namespace and name.
#[derive(Default)]
pub struct SpawnerStates(Mutex<HashMap<String, Entry>>);

struct Entry {
    namespace: String,
    name: String,
    state: Arc<tokio::sync::Mutex<SpawnerState>>,
}

/// What every look at a spawner has.
pub struct Context {
    /// The operator's own client.
    pub client: Client,
    /// Acts as the namespaces' ServiceAccounts.
    pub identity: Identity,
    /// Reads GitHub.
    pub github: GithubReader,
    /// Objects of the watches.
    pub stores: Stores,
    /// Who runs what.
    pub members: watch::Receiver<Option<Membership>>,
    /// Time.
    pub clock: ClusterClock,
    /// GithubMetrics.
    pub metrics: Metrics,
    /// Events for people.
    pub events: Events,
    /// Comparison of the served definitions with this operator's.
    pub definitions: Definitions,
    /// This replica.
    pub me: String,
    /// Most Tasks at the same time of a spawner that names no `maxConcurrency`.
    pub default_concurrency: Option<usize>,
    /// Places for large objects.
    pub large: Large,
    /// What is known of the spawners that this replica runs.
    pub states: SpawnerStates,
    /// Who may look at GitHub.
    pub turns: Turns,
    /// The runs that are due.
    pub run_burst: RunBurst,
}

impl Context {
    /// Returns whether this replica owns the spawner with this UID at this moment.
    #[must_use]
    pub fn owns(&self, uid: &str) -> bool {
        let members = self.members.borrow();
        members.as_ref().is_some_and(|m| m.owns(uid, Instant::now()))
    }

    /// Returns the limits of a spawner. A paused Workspace suspends it.
    #[must_use]
    pub fn limits(&self, spawner: &TaskSpawner) -> Limits {
        let limits = Limits::of(&spawner.spec, self.default_concurrency);
        Limits {
            suspended: limits.suspended || self.stores.paused_workspace(spawner).is_some(),
            ..limits
        }
    }

    /// Forgets a spawner that is gone or another replica's.
    pub fn let_go(&self, uid: &str) {
        if let Some((namespace, name)) = self.states.forget(uid) {
            self.metrics.spawners.lost(&namespace, &name);
        }
    }

    /// Forgets all spawners but those with these UIDs.
    pub fn keep_only(&self, uids: &BTreeSet<String>) {
        for uid in self.states.others(uids) {
            self.let_go(&uid);
        }
    }
}

impl SpawnerStates {
    /// Returns what is known of a spawner.
    #[must_use]
    pub fn of(&self, spawner: &TaskSpawner) -> Arc<tokio::sync::Mutex<SpawnerState>> {
        let mut all = self.0.lock();
        let entry = all
            .entry(spawner.uid().unwrap_or_default())
            .or_insert_with(|| Entry {
                namespace: spawner.namespace().unwrap_or_default(),
                name: spawner.name_any(),
                state: Arc::default(),
            });
        Arc::clone(&entry.state)
    }

    /// Forgets a spawner. Returns its namespace and name if it was known.
    pub fn forget(&self, uid: &str) -> Option<(String, String)> {
        let mut all = self.0.lock();
        all.remove(uid).map(|entry| (entry.namespace, entry.name))
    }

    /// Returns the UIDs that are known and not among these.
    #[must_use]
    pub fn others(&self, uids: &BTreeSet<String>) -> Vec<String> {
        let all = self.0.lock();
        all.keys().filter(|uid| !uids.contains(*uid)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spawners_that_went_unnoticed_are_forgotten() {
        let states = SpawnerStates::default();
        for name in ["a", "b"] {
            let mut spawner = crate::spawner::fixtures::github(name);
            spawner.metadata.uid = Some(format!("uid-{name}"));
            let _ = states.of(&spawner);
        }
        let there = BTreeSet::from(["uid-a".to_owned(), "uid-c".to_owned()]);
        assert_eq!(states.others(&there), ["uid-b"]);
        let gone = Some(("team".to_owned(), "b".to_owned()));
        assert_eq!((states.forget("uid-b"), states.forget("uid-b")), (gone, None));
    }

    #[test]
    fn a_task_that_is_gone_makes_older_listings_useless() {
        let task = |uid: &str| ExistingTask {
            uid: uid.into(),
            ..ExistingTask::default()
        };
        let start = Instant::now();
        let mut state = SpawnerState::default();
        for uid in ["a", "b"] {
            state.seen.insert(uid.into(), Timestamp::UNIX_EPOCH);
        }
        assert!(!state.forget_gone(&[task("a"), task("b"), task("c")], start));
        assert_eq!(state.not_before, None);
        let later = start + Duration::from_secs(1);
        assert!(state.forget_gone(&[task("b")], later));
        assert_eq!((state.not_before, state.seen.len()), (Some(later), 1));
        // It never goes back.
        state.require_listing_after(start);
        assert_eq!(state.not_before, Some(later));
    }
}
