//! Runs of a cron schedule as a source.
//!
//! - [`handled`]: which runs are dealt with; [`due_run`]: which run is due. Pure.
//! - [`reconcile`]: when to reconcile, and what a due run causes.
//! - [`prefetch`] and [`run_burst`] keep runs on time when many are due at once.

pub mod due_run;
pub mod handled;
pub mod prefetch;
pub mod reconcile;
pub mod run_burst;

use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::spawner_condition as kind;
use axon_api::v1alpha1::{Cron, PreviewItem, SpawnerReason, TaskSpawnerStatus};
use futures::future::{BoxFuture, FutureExt as _, ready};
use jiff::Timestamp;

use super::github::approval::Gate;
use super::item::{Item, tick_of};
use super::{Admission, NoSlot, PolledItems, Source, SourceCondition};
use crate::slots::Turn;
use crate::spawner::cluster::SpawnerError;
use crate::spawner::pass::Pass;
use crate::spawner::preview::request::refused;
use crate::spawner::preview::{LeftOut, Scene, preview};
use crate::spawner::state::{Context, SpawnerState};
use crate::spawner::status::{Blocked, Fault, PollOutcome};
use handled::HandledRuns;
use prefetch::PreparedRun;

/// The source `when.cron`.
#[derive(Debug)]
pub struct ScheduleSource {
    cron: Cron,
}

impl ScheduleSource {
    /// Returns the source of this spec.
    #[must_use]
    pub fn new(cron: Cron) -> Self {
        Self { cron }
    }
}

impl Source for ScheduleSource {
    fn readable_condition(&self) -> &'static str {
        kind::SCHEDULE_VALID
    }

    fn conditions(&self, _outcome: &PollOutcome) -> Vec<SourceCondition> {
        Vec::new()
    }

    fn keeps_handled_runs(&self) -> bool {
        true
    }

    fn spreads_first_polls(&self) -> bool {
        false
    }

    fn take_slot(
        &self,
        _spawner: &TaskSpawner,
        _context: &Context,
        _state: &SpawnerState,
    ) -> Result<Option<Turn>, NoSlot> {
        Ok(None)
    }

    fn reconcile<'a>(&'a self, pass: Pass<'a>) -> BoxFuture<'a, Result<Duration, SpawnerError>> {
        Box::pin(reconcile::reconcile(&self.cron, pass))
    }

    fn preview<'a>(
        &'a self,
        context: &'a Context,
        scene: Scene<'a>,
        _gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<(Vec<PreviewItem>, usize), Fault>> {
        let status = scene.spawner.status.clone().unwrap_or_default();
        let read = handled::read(scene.spawner, &self.cron, &status, context.clock.now());
        let shown = read.map(|runs| {
            let times = runs.due.run.into_iter().chain(runs.due.next);
            let items: Vec<Item> = times.map(|run| Item::of_tick(run, &self.cron.schedule)).collect();
            preview(scene, &items, &[], &LeftOut::new())
        });
        ready(shown).boxed()
    }

    fn item<'a>(
        &'a self,
        context: &'a Context,
        _spawner: &'a TaskSpawner,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Item, Fault>> {
        let item = match name {
            None => Ok(Item::of_tick(context.clock.now(), &self.cron.schedule)),
            Some(_) => Err(refused(
                SpawnerReason::NoItems,
                "a schedule has no items: the template is rendered for the present moment".to_owned(),
            )),
        };
        ready(item).boxed()
    }
}

/// The run that is due, if one is.
pub struct ScheduleItems {
    cron: Cron,
    runs: Option<HandledRuns>,
    item: Option<Item>,
}

impl ScheduleItems {
    /// Returns the items before the TaskSpawner is read.
    #[must_use]
    pub fn new(cron: &Cron) -> Self {
        Self {
            cron: cron.clone(),
            runs: None,
            item: None,
        }
    }

    /// Returns a run as the only item, whether it is due or not.
    #[must_use]
    pub fn of_run(cron: &Cron, run: Timestamp) -> Self {
        Self {
            item: Some(Item::of_tick(run, &cron.schedule)),
            ..Self::new(cron)
        }
    }

    fn listed(&self, id: &str) -> Option<&Item> {
        self.item.as_ref().filter(|item| item.id == id)
    }
}

impl PolledItems for ScheduleItems {
    fn is_listing(&self) -> bool {
        false
    }

    fn refresh(&mut self, live: &TaskSpawner, now: Timestamp) {
        let status = live.status.clone().unwrap_or_default();
        self.runs = handled::read(live, &self.cron, &status, now).ok();
        self.item = self.runs.as_ref().and_then(|runs| runs.item(&self.cron));
    }

    fn ids(&self) -> Vec<&str> {
        self.item.iter().map(|item| item.id.as_str()).collect()
    }

    fn item(&self, id: &str) -> Option<Item> {
        // A claim of an earlier run is completed too: its time is all that its Task needs.
        let earlier = || Some(Item::of_tick(tick_of(id)?, &self.cron.schedule));
        self.listed(id).cloned().or_else(earlier)
    }

    fn title(&self, id: &str) -> Option<String> {
        self.listed(id).map(|item| item.title.clone())
    }

    fn has(&self, id: &str) -> bool {
        self.listed(id).is_some()
    }

    fn take_prepared(
        &self,
        state: &mut SpawnerState,
        spawner: &TaskSpawner,
        now: Timestamp,
    ) -> Option<PreparedRun> {
        state.ahead.take().filter(|ahead| ahead.is_of(spawner, now))
    }

    fn admit<'a>(
        &'a self,
        _admission: Admission<'a>,
        _item: &'a mut Item,
        _gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<Result<(), Blocked>, SpawnerError>> {
        ready(Ok(Ok(()))).boxed()
    }

    fn note_begin(&self, status: &mut TaskSpawnerStatus) {
        if let Some(runs) = &self.runs {
            runs.begin(status);
        }
    }

    fn note_end(&self, status: &mut TaskSpawnerStatus, generation: Option<i64>, now: Timestamp) {
        if let Some(runs) = &self.runs {
            runs.finish(status, generation, now);
        }
    }

    fn note_given_back(&self, status: &mut TaskSpawnerStatus, id: &str) {
        if let Some(run) = tick_of(id) {
            handled::take_back(status, run);
        }
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.runs.as_ref().and_then(|runs| runs.due.run)
    }

    fn next_run(&self) -> Option<Timestamp> {
        self.runs.as_ref().and_then(|runs| runs.due.next)
    }
}
