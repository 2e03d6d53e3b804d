//! Builds a spawner's status. The only place that sets phase, message and conditions. Pure.

use axon_api::v1alpha1::SpawnerReason;
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::spawner_condition as kind;
use axon_api::v1alpha1::{Claim, TaskSpawnerPhase, TaskSpawnerStatus, WaitingItem};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::plan::Room;
use super::source::Source;
use crate::kube::conditions::{ConditionState, whole_second};

/// Most items that `status.waiting` shows.
const MAX_WAITING: usize = 20;
/// Most items that the message about blocked ones names.
pub(super) const MAX_NAMED: usize = 5;
/// Most characters of a message.
const MAX_MESSAGE: usize = 1000;
/// Most characters of a waiting item's title.
pub(super) const MAX_TITLE: usize = 80;
/// How old `lastDiscoveryTime` may get while nothing else changes, in seconds: a write per poll and spawner would be the
/// greatest load that spawners put on the API server.
const DISCOVERY_PERIOD: i64 = 300;

/// Why the source or the templates can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// CamelCase.
    pub reason: SpawnerReason,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// True if it may heal without anybody's doing.
    pub transient: bool,
}

/// An item that can't become a Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The item.
    pub item: String,
    /// CamelCase.
    pub reason: SpawnerReason,
    /// What is wrong and what to do.
    pub message: String,
    /// True if it may heal without anybody's doing.
    pub transient: bool,
    /// True if no other item can become a Task either.
    pub all: bool,
    /// True if nobody who counts has opened or approved it, as far as that is known.
    pub left_out: bool,
    /// How long to wait before another try is of use, if that is known.
    pub pause: Option<Duration>,
}

/// The items that can't become Tasks. On a public repository nearly all may be left out, and a replica remembers this of each
/// spawner: only those that the status names are here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockedItems {
    first: Vec<Blocked>,
    count: usize,
}

impl BlockedItems {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Extend<Blocked> for BlockedItems {
    fn extend<I: IntoIterator<Item = Blocked>>(&mut self, items: I) {
        for item in items {
            if self.first.len() < MAX_NAMED {
                self.first.push(item);
            }
            self.count += 1;
        }
    }
}

impl FromIterator<Blocked> for BlockedItems {
    fn from_iter<I: IntoIterator<Item = Blocked>>(items: I) -> Self {
        let mut all = Self::default();
        all.extend(items);
        all
    }
}

/// The items that wait for room. A replica remembers this of each spawner, and thousands of items may wait: only those that
/// the status shows are here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    first: Vec<WaitingItem>,
    /// Number of all waiting items.
    pub count: usize,
}

impl Waiting {
    /// Returns those of `claims`; `title` finds the title of an item.
    pub fn of<'a>(
        claims: impl IntoIterator<Item = &'a Claim>,
        title: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut waiting = Self::default();
        for claim in claims {
            if waiting.count < MAX_WAITING {
                waiting.first.push(WaitingItem {
                    item: claim.item.clone(),
                    task: claim.name.clone(),
                    title: title(&claim.item).map(|title| cut(&axon_api::shown::storable(&title), MAX_TITLE)),
                });
            }
            waiting.count += 1;
        }
        waiting
    }
}

/// What the last look at a spawner's source gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollOutcome {
    /// Where the work comes from, for people.
    pub source: Option<String>,
    /// Why the source can't be read.
    pub source_fault: Option<Fault>,
    /// Why the templates can't be used.
    pub template_fault: Option<Fault>,
    /// Items in the match; `None` if that is not known.
    pub discovered: Option<usize>,
    /// Items that wait for room.
    pub waiting: Waiting,
    /// Items that can't become Tasks.
    pub blocked: BlockedItems,
    /// Why GitHub can't be asked who may write, if it can't.
    pub permission_unknown: Option<String>,
    /// When the source was read.
    pub polled: Option<Timestamp>,
    /// Cron: the next run.
    pub next_run: Option<Timestamp>,
}

/// What is true besides.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Tasks that have not ended.
    pub active: usize,
    /// What limits leave.
    pub room: Room,
    /// Most Tasks that may be active, if there is a limit.
    pub concurrency: Option<usize>,
    /// This replica.
    pub runner: &'a str,
    /// The Workspace that pauses the spawner, if it does.
    pub paused: Option<&'a str>,
    /// The operator's Deployment.
    pub deployment: &'a str,
    /// The kind of source.
    pub source: &'a dyn Source,
    /// Time of the API server.
    pub now: Timestamp,
}

/// Returns the status that follows from what is known. What counts Tasks and runs is kept as it is in `old`.
#[must_use]
pub fn build(
    old: &TaskSpawnerStatus,
    spawner: &TaskSpawner,
    outcome: &PollOutcome,
    situation: &Situation<'_>,
) -> TaskSpawnerStatus {
    let suspended = spawner.spec.suspend || situation.paused.is_some();
    let fault = outcome.source_fault.as_ref().or(outcome.template_fault.as_ref());
    let phase = match (suspended, fault) {
        (true, _) => TaskSpawnerPhase::Suspended,
        (false, Some(_)) => TaskSpawnerPhase::Failed,
        (false, None) => TaskSpawnerPhase::Running,
    };
    let mut status = old.clone();
    let total = old.total_tasks_created.unwrap_or_default();
    status.phase = Some(phase);
    status.deployment_name = Some(situation.deployment.to_owned());
    status.runner = Some(situation.runner.to_owned());
    status.source.clone_from(&outcome.source);
    status.total_tasks_created = Some(total);
    status.active_tasks = i64::try_from(situation.active).ok();
    status.max_concurrency = situation.concurrency.and_then(|max| i64::try_from(max).ok());
    status.observed_generation = spawner.metadata.generation;
    if !situation.source.keeps_handled_runs() {
        // A schedule of before: should it come back, it makes up for nothing.
        status.handled_until = None;
        status.handled_schedule = None;
    }
    status.next_run_time = outcome.next_run.filter(|_| !suspended).map(Time);
    status.waiting = outcome.waiting.first.clone();
    if let Some(discovered) = outcome.discovered {
        status.total_discovered = i64::try_from(discovered).ok();
    }
    if let Some(polled) = outcome.polled {
        status.last_discovery_time = Some(Time(whole_second(polled)));
    }
    let message = match (phase, fault) {
        (TaskSpawnerPhase::Suspended, _) => match situation.paused {
            Some(workspace) if !spawner.spec.suspend => told_of_pause(workspace),
            _ => "paused on request: resume it with spec.suspend: false".to_owned(),
        },
        (_, Some(fault)) => format!("{}: {}", fault.reason, fault.message),
        (_, None) => format!(
            "found {}, created {total} in all, {} active",
            count(status.total_discovered.unwrap_or_default(), "item"),
            situation.active
        ),
    };
    status.message = Some(cut(&message, MAX_MESSAGE));
    status.conditions = conditions(old, spawner, outcome, situation, &message);
    status
}

/// Returns whether writing `new` over `old` is worth it.
#[must_use]
pub fn is_news(old: Option<&TaskSpawnerStatus>, new: &TaskSpawnerStatus) -> bool {
    let Some(old) = old else { return true };
    let same_but_time = TaskSpawnerStatus {
        last_discovery_time: new.last_discovery_time.clone(),
        ..old.clone()
    } == *new;
    let age = match (&old.last_discovery_time, &new.last_discovery_time) {
        (Some(old), Some(new)) => new.0.as_second() - old.0.as_second(),
        (None, Some(_)) => i64::MAX,
        (_, None) => 0,
    };
    !same_but_time || age >= DISCOVERY_PERIOD
}

fn told_of_pause(workspace: &str) -> String {
    format!(
        "Workspace {workspace:?} pauses its spawners: kubectl annotate workspaces.axon.io {workspace} {}- lets them go on",
        axon_api::labels::PAUSED
    )
}

/// One condition to be.
struct Is {
    kind: &'static str,
    status: bool,
    reason: SpawnerReason,
    message: String,
}

fn conditions(
    old: &TaskSpawnerStatus,
    spawner: &TaskSpawner,
    outcome: &PollOutcome,
    situation: &Situation<'_>,
    message: &str,
) -> Vec<Condition> {
    let suspended = spawner.spec.suspend || situation.paused.is_some();
    let by_workspace = situation.paused.filter(|_| !spawner.spec.suspend);
    let fault = outcome.source_fault.as_ref().or(outcome.template_fault.as_ref());
    let reason = match (suspended, fault) {
        (true, _) if by_workspace.is_some() => SpawnerReason::WorkspacePaused,
        (true, _) => SpawnerReason::UserSuspended,
        (false, Some(fault)) => fault.reason,
        (false, None) => SpawnerReason::Running,
    };
    let stalled = !suspended && fault.is_some_and(|fault| !fault.transient);
    let waiting = outcome.waiting.count as i64;
    let total = old.total_tasks_created.unwrap_or_default();
    let limited = situation.room.concurrency_full && waiting > 0;
    let source_kind = situation.source.readable_condition();
    let mut all = vec![
        // A pause that was asked for is no state to wait for the end of.
        is(
            kind::READY,
            suspended || fault.is_none(),
            reason,
            message.to_owned(),
        ),
        is(
            kind::STALLED,
            stalled,
            if stalled { reason } else { SpawnerReason::Working },
            String::new(),
        ),
        match (suspended, by_workspace) {
            (true, Some(workspace)) => is(kind::SUSPENDED, true, reason, told_of_pause(workspace)),
            (true, None) => is(kind::SUSPENDED, true, reason, "spec.suspend is true".into()),
            (false, _) => is(kind::SUSPENDED, false, SpawnerReason::Running, String::new()),
        },
        match situation.room.budget_spent {
            true => is(
                kind::TASK_BUDGET_EXHAUSTED,
                true,
                SpawnerReason::BudgetReached,
                format!(
                    "{total} of {} Tasks created, {} waiting: raise maxTotalTasks to go on",
                    spawner.spec.max_total_tasks.unwrap_or_default(),
                    count(waiting, "item")
                ),
            ),
            false => is(
                kind::TASK_BUDGET_EXHAUSTED,
                false,
                SpawnerReason::BudgetAvailable,
                String::new(),
            ),
        },
        match limited {
            true => is(
                kind::CONCURRENCY_LIMITED,
                true,
                SpawnerReason::LimitReached,
                format!(
                    "{} waiting for one of {} running Tasks to end{}",
                    count(waiting, "item"),
                    situation.active,
                    match (spawner.spec.max_concurrency, situation.concurrency) {
                        (None, Some(max)) => format!(
                            ": without spec.maxConcurrency, the operator's default of {max} is the limit"
                        ),
                        _ => String::new(),
                    }
                ),
            ),
            false => is(
                kind::CONCURRENCY_LIMITED,
                false,
                SpawnerReason::RoomLeft,
                String::new(),
            ),
        },
        match &outcome.template_fault {
            Some(fault) => is(kind::TEMPLATE_VALID, false, fault.reason, fault.message.clone()),
            None => is(kind::TEMPLATE_VALID, true, SpawnerReason::Read, String::new()),
        },
        blocked(&outcome.blocked),
    ];
    let own = situation.source.conditions(outcome);
    all.extend(
        own.into_iter()
            .map(|own| is(own.kind, own.status, own.reason, own.message)),
    );
    // Of a source that was not asked, because of its template, nothing is known.
    match &outcome.source_fault {
        Some(fault) => all.push(is(source_kind, false, fault.reason, fault.message.clone())),
        None if outcome.discovered.is_some() => {
            all.push(is(source_kind, true, SpawnerReason::Read, String::new()));
        }
        None => {}
    }
    let renewed = all
        .drain(..)
        .map(|is| renew(old, &is, spawner.metadata.generation, situation.now));
    let mut conditions: Vec<Condition> = renewed.collect();
    // It is about the latest run, and written with that run's claim.
    conditions.extend(
        old.conditions
            .iter()
            .find(|c| c.type_ == kind::RUNS_SKIPPED)
            .cloned(),
    );
    conditions
}

fn is(kind: &'static str, status: bool, reason: SpawnerReason, message: String) -> Is {
    Is {
        kind,
        status,
        reason,
        message,
    }
}

fn blocked(items: &BlockedItems) -> Is {
    let Some(first) = items.first.first() else {
        return is(
            kind::ITEMS_BLOCKED,
            false,
            SpawnerReason::NoneBlocked,
            String::new(),
        );
    };
    let named = items.first.iter().map(|b| format!("{}: {}", b.item, b.message));
    let mut message = named.collect::<Vec<_>>().join("; ");
    if items.count > items.first.len() {
        message.push_str(&format!("; and {} more", items.count - items.first.len()));
    }
    is(kind::ITEMS_BLOCKED, true, first.reason, message)
}

/// Notes how many runs were left out before the one that is claimed now.
pub fn note_skipped(
    status: &mut TaskSpawnerStatus,
    skipped: usize,
    run: Timestamp,
    generation: Option<i64>,
    now: Timestamp,
) {
    let is = match skipped {
        0 => is(kind::RUNS_SKIPPED, false, SpawnerReason::OnTime, String::new()),
        n => is(
            kind::RUNS_SKIPPED,
            true,
            SpawnerReason::OneLateRunOnly,
            format!(
                "{} before {run} left out: the spawner was suspended, at a limit, or not running",
                count(i64::try_from(n).unwrap_or(i64::MAX), "run")
            ),
        ),
    };
    let new = renew(status, &is, generation, now);
    status.conditions.retain(|c| c.type_ != kind::RUNS_SKIPPED);
    status.conditions.push(new);
}

fn renew(old: &TaskSpawnerStatus, is: &Is, generation: Option<i64>, now: Timestamp) -> Condition {
    let state = ConditionState {
        kind: is.kind,
        status: is.status,
        reason: is.reason.into(),
        message: &cut(&is.message, MAX_MESSAGE),
    };
    state.after(&old.conditions, generation, now)
}

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn count(number: i64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
