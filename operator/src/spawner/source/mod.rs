//! Where the items of a TaskSpawner come from.
//!
//! - [`Source`] is one kind of source, as a TaskSpawner's `when` describes it; [`PolledItems`] is what one poll of it gives.
//! - [`github`]: issues and pull requests of a repository; [`schedule`]: runs of a cron schedule.
//! - [`item`]: an item of any source.
//!
//! A new source implements both traits, and gets a line in [`of`]. Nothing outside this folder knows the kinds.

pub mod github;
pub mod item;
pub mod schedule;

use std::fmt::Debug;
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{Claim, PreviewItem, SpawnerReason, TaskSpawnerStatus, When};
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::cluster::SpawnerError;
use super::pass::Pass;
use super::plan::match_state::{Filter, Mark};
use super::preview::Scene;
use super::render::Templates;
use super::state::{Context, SpawnerState};
use super::status::{Blocked, Fault, PollOutcome};
use crate::slots::Turn;
use github::GithubSource;
use github::approval::Gate;
use github::reader::GithubReader;
use item::Item;
use schedule::ScheduleSource;
use schedule::prefetch::PreparedRun;

/// A kind of source. The implementation holds the part of the TaskSpawner's `when` that is about it.
pub trait Source: Debug + Send + Sync {
    /// Returns the type of the condition that says whether the source can be read.
    fn readable_condition(&self) -> &'static str;

    /// Returns the conditions that only this kind of source has.
    fn conditions(&self, outcome: &PollOutcome) -> Vec<SourceCondition>;

    /// Returns whether the status keeps how far runs are dealt with. Without it, a schedule that comes back later makes up for
    /// no run.
    fn keeps_handled_runs(&self) -> bool;

    /// Returns whether the first polls of a replica that takes TaskSpawners over are spread over a few seconds.
    fn spreads_first_polls(&self) -> bool;

    /// Takes one of the slots for polls if the source is to be polled now and the poll needs a slot.
    ///
    /// # Errors
    /// If none is free: nothing was done, and the poll stays due.
    fn take_slot(
        &self,
        spawner: &TaskSpawner,
        context: &Context,
        state: &SpawnerState,
    ) -> Result<Option<Turn>, NoSlot>;

    /// Polls the source if that is due, creates the Tasks that follow, publishes the status, and returns how long to wait until
    /// the next reconcile.
    fn reconcile<'a>(&'a self, pass: Pass<'a>) -> BoxFuture<'a, Result<Duration, SpawnerError>>;

    /// Lists what becomes of the items, and how many more there are than a preview shows. Creates nothing.
    fn preview<'a>(
        &'a self,
        context: &'a Context,
        scene: Scene<'a>,
        gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<(Vec<PreviewItem>, usize), Fault>>;

    /// Reads one item by the name that a user gives, for a rendering.
    fn item<'a>(
        &'a self,
        context: &'a Context,
        spawner: &'a TaskSpawner,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Item, Fault>>;
}

/// All slots for polls are taken.
#[derive(Debug)]
pub struct NoSlot;

/// A condition of one kind of source.
#[derive(Debug)]
pub struct SourceCondition {
    /// One of [`axon_api::v1alpha1::spawner_condition`].
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: bool,
    /// Reason for programs.
    pub reason: SpawnerReason,
    /// Sentence for people; may be empty.
    pub message: String,
}

/// The items that one poll gave, with all that the creation of their Tasks needs of the source.
pub trait PolledItems: Send + Sync {
    /// Returns whether the items are a list of things that live elsewhere and may have changed since. Its blocked items wait for
    /// a newer list.
    fn is_listing(&self) -> bool;

    /// Brings the items up to date with the TaskSpawner as it was read now.
    fn refresh(&mut self, _live: &TaskSpawner, _now: Timestamp) {}

    /// Returns the identifiers of the items, the oldest first. They go into labels and names of Tasks.
    fn ids(&self) -> Vec<&str>;

    /// Returns an item by its identifier, also one that is no longer in the list if the identifier alone is enough to make it.
    fn item(&self, id: &str) -> Option<Item>;

    /// Returns the title of an item of the list.
    fn title(&self, id: &str) -> Option<String>;

    /// Returns whether an item is in the list.
    fn has(&self, id: &str) -> bool;

    /// Returns the filter that the items have passed.
    fn filter(&self) -> Option<&Filter> {
        None
    }

    /// Returns whether an item that is not in the list is surely not in the match.
    fn is_complete(&self) -> bool {
        true
    }

    /// Begins to choose among the items of this poll.
    fn begin_round(&self, _gate: &mut Gate) {}

    /// Returns whether less time is left to read details of items than one more of them may take.
    fn is_late(&self) -> bool {
        false
    }

    /// Returns why an item can't become a Task, from cached answers alone. `with_message` is false for items that no message names.
    fn held_back(
        &self,
        _github: &GithubReader,
        _claim: &Claim,
        _gate: &Gate,
        _with_message: bool,
    ) -> Option<Blocked> {
        None
    }

    /// Takes what was prepared before these items were due, if it is still of use.
    fn take_prepared(
        &self,
        state: &mut SpawnerState,
        _spawner: &TaskSpawner,
        _now: Timestamp,
    ) -> Option<PreparedRun> {
        state.ahead = None;
        None
    }

    /// Reads what the list lacks of an item, and checks that the item may become a Task.
    fn admit<'a>(
        &'a self,
        admission: Admission<'a>,
        item: &'a mut Item,
        gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<Result<(), Blocked>, SpawnerError>>;

    /// Writes to the status how far the source is dealt with before Tasks are claimed.
    fn note_begin(&self, _status: &mut TaskSpawnerStatus) {}

    /// Writes to the status that these items are dealt with.
    fn note_end(&self, _status: &mut TaskSpawnerStatus, _generation: Option<i64>, _now: Timestamp) {}

    /// Writes to the status that the claim of an item was given back.
    fn note_given_back(&self, _status: &mut TaskSpawnerStatus, _id: &str) {}

    /// Returns when the items were due, if they have a time.
    fn due_at(&self) -> Option<Timestamp> {
        None
    }

    /// Returns when the next items are due, if that is known.
    fn next_run(&self) -> Option<Timestamp> {
        None
    }
}

/// The claim of an item that is about to become a Task.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// Everything that a replica has.
    pub context: &'a Context,
    /// The TaskSpawner as it was read last.
    pub live: &'a TaskSpawner,
    /// Its templates.
    pub templates: &'a Templates,
    /// The claim.
    pub claim: &'a Claim,
    /// The match state that the new Task gets.
    pub mark: &'a Mark,
}

/// Returns the source of a TaskSpawner; `None` for one without any, which the CRD's rules do not allow.
#[must_use]
pub fn of(when: &When) -> Option<Box<dyn Source>> {
    if let Some(spec) = &when.github_issues {
        return Some(Box::new(GithubSource::new(spec.clone())));
    }
    let cron = when.cron.as_ref()?;
    Some(Box::new(ScheduleSource::new(cron.clone())))
}
