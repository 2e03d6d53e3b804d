//! Which items become Tasks, under which names, and how many at a time. Pure.
//!
//! Limits hold because every Task is **claimed** before it is created: one compare-and-swap on the spawner's status adds
//! the Task's name to `claims` and to `totalTasksCreated`. Only then is it created, under that name, and a later write
//! takes the claim out. Whoever plans reads the spawner first and then all its Tasks, both from the API server itself
//! and in this order: a Task whose claim is gone from the status was created before, so it is in the list; and a claim
//! that someone else added in between makes the swap fail. So two owners at once, or one that dies at any point, can
//! neither exceed a limit nor create a Task twice, and nothing that was claimed is lost: the next owner finds the claim.
//!
//! [`match_state`] marks Tasks whose item has left the match.

pub mod match_state;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use axon_api::naming;
use axon_api::v1alpha1::{Claim, TaskSpawnerSpec, TaskSpawnerStatus};
use jiff::Timestamp;

use crate::spawner::plan::match_state::{Filter, Mark};

/// A Task of the spawner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExistingTask {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// The item that it was made for; `None` for a Task that the original made.
    pub item: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// True in a terminal phase.
    pub ended: bool,
    /// Whether its item has left the match.
    pub mark: Mark,
}

/// What keeps a spawner from creating Tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most Tasks that have not ended.
    pub concurrency: Option<usize>,
    /// Most Tasks in the spawner's life.
    pub total: Option<i64>,
    /// True while it is paused.
    pub suspended: bool,
}

impl Limits {
    /// Returns the limits of a spawner; 0 means none. One that names no `maxConcurrency` gets the default.
    #[must_use]
    pub fn of(spec: &TaskSpawnerSpec, default_concurrency: Option<usize>) -> Self {
        let named = spec.max_concurrency.map(|max| usize::try_from(max).ok());
        Self {
            concurrency: named.unwrap_or(default_concurrency).filter(|max| *max > 0),
            total: spec.max_total_tasks.map(i64::from).filter(|max| *max > 0),
            suspended: spec.suspend,
        }
    }
}

/// The part of the status that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Tasks that are being created.
    pub claims: Vec<Claim>,
    /// Tasks created in the spawner's life, claims included.
    pub total: i64,
}

impl Ledger {
    /// Reads it from a status.
    #[must_use]
    pub fn of(status: &TaskSpawnerStatus) -> Self {
        Self {
            claims: status.claims.clone(),
            total: status.total_tasks_created.unwrap_or_default(),
        }
    }

    /// Writes it to a status.
    pub fn write(self, status: &mut TaskSpawnerStatus) {
        status.claims = self.claims;
        status.total_tasks_created = Some(self.total);
    }

    /// Returns it without the claims of these Tasks, which are there now.
    #[must_use]
    pub fn settled(mut self, created: &BTreeSet<String>) -> Self {
        self.claims.retain(|claim| !created.contains(&claim.name));
        self
    }

    /// Returns it without the claims of these Tasks, which nobody will ever create, and without having counted them.
    #[must_use]
    pub fn given_back(mut self, names: &BTreeSet<String>) -> Self {
        let before = self.claims.len();
        self.claims.retain(|claim| !names.contains(&claim.name));
        let gone = before - self.claims.len();
        self.total -= i64::try_from(gone).unwrap_or_default();
        self
    }
}

/// How many Tasks may be created, and what the limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many more.
    pub free: usize,
    /// `maxConcurrency` is reached.
    pub concurrency_full: bool,
    /// `maxTotalTasks` is reached.
    pub budget_spent: bool,
}

/// Returns how many Tasks have not ended, those included that are claimed and not there yet.
#[must_use]
pub fn active(tasks: &[ExistingTask], ledger: &Ledger) -> usize {
    let names: BTreeSet<&str> = tasks.iter().map(|t| t.name.as_str()).collect();
    let claimed = ledger.claims.iter().filter(|c| !names.contains(c.name.as_str()));
    tasks.iter().filter(|t| !t.ended).count() + claimed.count()
}

/// Returns how many more Tasks the limits allow.
#[must_use]
pub fn room(tasks: &[ExistingTask], ledger: &Ledger, limits: Limits) -> Room {
    let by_concurrency = limits
        .concurrency
        .map_or(usize::MAX, |max| max.saturating_sub(active(tasks, ledger)));
    let by_budget = limits.total.map_or(usize::MAX, |max| {
        usize::try_from(max.saturating_sub(ledger.total)).unwrap_or_default()
    });
    let free = if limits.suspended {
        0
    } else {
        by_concurrency.min(by_budget)
    };
    Room {
        free,
        concurrency_full: by_concurrency == 0,
        budget_spent: by_budget == 0,
    }
}

/// Returns the claims that items (identifiers, in order) call for, without regard to limits. `filter` is the one that
/// the items have passed; schedules have none.
#[must_use]
pub fn wanted(
    spawner: &str,
    items: &[&str],
    tasks: &[ExistingTask],
    ledger: &Ledger,
    filter: Option<&Filter>,
) -> Vec<Claim> {
    items
        .iter()
        .filter(|item| !ledger.claims.iter().any(|claim| claim.item == **item))
        .filter_map(|item| {
            Some(Claim {
                name: next_name(spawner, item, tasks, filter)?,
                item: (*item).to_owned(),
            })
        })
        .collect()
}

/// Returns the name of the Task that an item is to get, or `None` if it has had its turn.
fn next_name(spawner: &str, item: &str, tasks: &[ExistingTask], filter: Option<&Filter>) -> Option<String> {
    let own: Vec<&ExistingTask> = tasks.iter().filter(|t| belongs(t, spawner, item)).collect();
    let Some(newest) = newest(own.iter().copied(), item) else {
        return Some(naming::spawned(spawner, item, 1));
    };
    let came_back = filter.is_some_and(|filter| newest.mark.came_back(filter));
    if !came_back || own.iter().any(|t| !t.ended) {
        return None;
    }
    // What a person repeated has a name of its own, and may be the newest without being the latest run.
    let runs = own.iter().map(|task| run_of(&task.name, item));
    let latest = runs.max().unwrap_or_default();
    Some(naming::spawned(spawner, item, latest.saturating_add(1)))
}

/// Returns the newest of the Tasks of an item: the one that its mark stands on.
#[must_use]
pub fn newest<'a>(own: impl Iterator<Item = &'a ExistingTask>, item: &str) -> Option<&'a ExistingTask> {
    own.max_by_key(|task| (task.created, run_of(&task.name, item), task.name.as_str()))
}

/// Returns whether a Task was made for an item.
#[must_use]
pub fn belongs(task: &ExistingTask, spawner: &str, item: &str) -> bool {
    match &task.item {
        Some(of) => of == item,
        None => task.name == naming::spawned(spawner, item, 1),
    }
}

/// Returns the newest Task of each item that has one, of those that name their item.
pub fn newest_of_items(tasks: &[ExistingTask]) -> impl Iterator<Item = (&str, &ExistingTask)> {
    let mut all: BTreeMap<&str, Vec<&ExistingTask>> = BTreeMap::new();
    for task in tasks {
        if let Some(item) = task.item.as_deref() {
            all.entry(item).or_default().push(task);
        }
    }
    all.into_iter()
        .filter_map(|(item, own)| Some((item, newest(own.into_iter(), item)?)))
}

/// Returns which run of its item a Task is, by its name.
fn run_of(name: &str, item: &str) -> u32 {
    let run = name.rsplit_once("-r").and_then(|(stem, run)| {
        let run: u32 = run.parse().ok()?;
        stem.ends_with(&format!("-{item}")).then_some(run)
    });
    run.unwrap_or(1)
}

/// Returns the ledger with as many of these claims, first ones first, as there is room for; `None` if there is nothing
/// to claim. `tasks` must have been read after `ledger`.
#[must_use]
pub fn claim(ledger: &Ledger, tasks: &[ExistingTask], limits: Limits, wanted: &[Claim]) -> Option<Ledger> {
    let room = room(tasks, ledger, limits).free;
    let fresh = wanted.iter().filter(|claim| {
        let known = tasks.iter().any(|t| t.name == claim.name);
        let claimed = ledger
            .claims
            .iter()
            .any(|c| c.name == claim.name || c.item == claim.item);
        !known && !claimed
    });
    let taken: Vec<Claim> = fresh.take(room).cloned().collect();
    if taken.is_empty() {
        return None;
    }
    let mut next = ledger.clone();
    next.total += i64::try_from(taken.len()).unwrap_or_default();
    next.claims.extend(taken);
    Some(next)
}

#[cfg(test)]
mod tests;
