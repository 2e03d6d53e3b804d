//! What the next look at a source would do, item by item. Pure.
//!
//! [`request`] reads the question from the TaskSpawner and writes the answer.

pub mod request;

use axon_api::v1alpha1::SpawnerReason;
use std::collections::BTreeMap;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{PreviewItem, PreviewOutcome};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::plan::{self, ExistingTask, Ledger, Limits};
use super::render::Templates;
use super::status::{MAX_TITLE, cut};
use crate::spawner::plan::match_state::Filter;
use crate::spawner::render::prepare::render_reason;
use crate::spawner::source::item::{Item, tick_of};
use axon_github::Exclusion;

/// Most items that a preview lists.
pub(super) const MAX_ITEMS: usize = 100;
/// Most characters of a message.
const MAX_MESSAGE: usize = 200;

/// What a preview is made of.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The spawner.
    pub spawner: &'a TaskSpawner,
    /// Its templates.
    pub templates: &'a Templates,
    /// Its Tasks.
    pub tasks: &'a [ExistingTask],
    /// What is claimed.
    pub ledger: &'a Ledger,
    /// The limits that hold for the spawner, and whether it is suspended.
    pub limits: Limits,
    /// The filter that the items have passed; schedules have none.
    pub filter: Option<&'a Filter>,
}

/// Items that may not become Tasks for now, with outcome, reason and message.
pub type LeftOut = BTreeMap<String, (PreviewOutcome, SpawnerReason, String)>;

/// Returns what becomes of `items`, which are in order, and of those that are kept out; those that call for a Task
/// first. The number is of the items that there is no room to list.
#[must_use]
pub fn preview(
    scene: Scene<'_>,
    items: &[Item],
    excluded: &[(Item, Exclusion)],
    left_out: &LeftOut,
) -> (Vec<PreviewItem>, usize) {
    let mut room = Room::of(&scene);
    let all = items.iter().map(|item| match left_out.get(&item.id) {
        Some((outcome, reason, message)) => PreviewItem {
            reason: Some((*reason).into()),
            message: Some(cut(message, MAX_MESSAGE)),
            ..shown(item, *outcome)
        },
        None => look(scene, item, &mut room),
    });
    let out = excluded.iter().map(|(item, why)| {
        let (reason, message) = told(why);
        PreviewItem {
            reason: Some(reason.into()),
            message: Some(cut(&message, MAX_MESSAGE)),
            ..shown(item, PreviewOutcome::Excluded)
        }
    });
    let mut all: Vec<PreviewItem> = all.chain(out).collect();
    all.sort_by_key(|item| matches!(item.outcome, PreviewOutcome::Done | PreviewOutcome::Excluded));
    let more = all.len().saturating_sub(MAX_ITEMS);
    all.truncate(MAX_ITEMS);
    (all, more)
}

fn told(why: &Exclusion) -> (SpawnerReason, String) {
    match why {
        Exclusion::Label(label) => (
            SpawnerReason::ExcludedLabel,
            format!("it has the label {label:?}"),
        ),
        Exclusion::Author(author) => {
            let or = |text: &str, other: &str| {
                if text.is_empty() {
                    other.to_owned()
                } else {
                    text.to_owned()
                }
            };
            let (login, association) = (or(&author.login, "nobody"), or(&author.association, "NONE"));
            let message =
                format!("githubIssues.authors does not name {login}, who opened it and is {association}");
            (SpawnerReason::UntrustedAuthor, message)
        }
    }
}

/// What limits leave while the items are gone through.
struct Room {
    free: usize,
    suspended: bool,
    /// What to say when nothing is free.
    limit: SpawnerReason,
}

impl Room {
    fn of(scene: &Scene<'_>) -> Self {
        let limits = scene.limits;
        // What a paused spawner would do is what people want to know of it.
        let awake = Limits {
            suspended: false,
            ..limits
        };
        let budget = Limits {
            concurrency: None,
            ..awake
        };
        let free = |limits| plan::room(scene.tasks, scene.ledger, limits).free;
        Self {
            free: free(awake),
            suspended: limits.suspended,
            limit: if free(budget) == free(awake) && limits.total.is_some() {
                SpawnerReason::TaskBudgetExhausted
            } else {
                SpawnerReason::ConcurrencyLimited
            },
        }
    }

    /// Takes a place. Returns what an item has to wait for, if it has to.
    fn take(&mut self) -> Option<SpawnerReason> {
        let left = self.free.checked_sub(1);
        self.free = left.unwrap_or_default();
        match left {
            None => Some(self.limit),
            Some(_) => self.suspended.then_some(SpawnerReason::Suspended),
        }
    }
}

fn look(scene: Scene<'_>, item: &Item, room: &mut Room) -> PreviewItem {
    let name = scene.spawner.name_any();
    // A claim stands a moment longer than it takes to create its Task.
    let is_there = |name: &str| scene.tasks.iter().any(|task| task.name == name);
    let claims = scene.ledger.claims.iter();
    if let Some(claim) = claims
        .filter(|claim| claim.item == item.id)
        .find(|claim| !is_there(&claim.name))
    {
        return PreviewItem {
            task: Some(claim.name.clone()),
            ..shown(item, PreviewOutcome::Create)
        };
    }
    let wanted = plan::wanted(&name, &[&item.id], scene.tasks, scene.ledger, scene.filter);
    let Some(claim) = wanted.into_iter().next() else {
        return with_task(scene, item, &name);
    };
    let (branch, fault) = match scene.templates.render(item) {
        Ok((_, branch)) => (branch, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(error) = fault {
        return PreviewItem {
            task: Some(claim.name),
            reason: Some(render_reason(&error).into()),
            message: Some(cut(&error.to_string(), MAX_MESSAGE)),
            ..shown(item, PreviewOutcome::Blocked)
        };
    }
    let waits = room.take();
    PreviewItem {
        task: Some(claim.name),
        branch,
        reason: waits.map(String::from),
        ..shown(
            item,
            waits.map_or(PreviewOutcome::Create, |_| PreviewOutcome::Wait),
        )
    }
}

/// An item that calls for no Task because of the one that it has.
fn with_task(scene: Scene<'_>, item: &Item, spawner: &str) -> PreviewItem {
    let own = scene
        .tasks
        .iter()
        .filter(|task| plan::belongs(task, spawner, &item.id));
    let newest = plan::newest(own, &item.id);
    let came_back = newest
        .zip(scene.filter)
        .is_some_and(|(task, filter)| task.mark.came_back(filter));
    let (outcome, reason) = if came_back {
        (PreviewOutcome::Wait, SpawnerReason::FormerTaskRuns)
    } else {
        (PreviewOutcome::Done, SpawnerReason::HasTask)
    };
    PreviewItem {
        task: newest.map(|task| task.name.clone()),
        reason: Some(reason.into()),
        ..shown(item, outcome)
    }
}

fn shown(item: &Item, outcome: PreviewOutcome) -> PreviewItem {
    PreviewItem {
        item: item.id.clone(),
        title: Some(cut(&item.title, MAX_TITLE)).filter(|title| !title.is_empty()),
        url: Some(item.url.clone()).filter(|url| !url.is_empty()),
        time: tick_of(&item.id).map(Time),
        task: None,
        branch: None,
        outcome,
        reason: None,
        message: None,
    }
}

#[cfg(test)]
mod tests;
