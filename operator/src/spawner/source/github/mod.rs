//! Issues and pull requests of a repository as a source.
//!
//! - [`reader`]: lists items and reads their texts; [`poll`]: one poll for one TaskSpawner; [`matched`]: what it found.
//! - [`reconcile`]: when to poll, and what follows; [`items`]: what Tasks need of an item; [`preview`]: what a poll would do.
//! - [`gate`]: which items may start an agent. Pure; [`approval`] asks GitHub for what it needs.

pub mod approval;
pub mod gate;
pub mod items;
pub mod matched;
pub mod poll;
pub mod preview;
pub mod reader;
pub mod reconcile;

use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::spawner_condition as kind;
use axon_api::v1alpha1::{GithubIssues, PreviewItem, SpawnerReason};
use futures::future::BoxFuture;

use super::item::Item;
use super::{NoSlot, Source, SourceCondition};
use crate::slots::Turn;
use crate::spawner::cluster::SpawnerError;
use crate::spawner::pass::Pass;
use crate::spawner::preview::Scene;
use crate::spawner::state::{Context, SpawnerState};
use crate::spawner::status::{Fault, PollOutcome};
use approval::Gate;

/// Message of the condition `OpenToStrangers`.
const OPEN: &str = "everybody who can open an issue or pull request in the repository can start an agent and tell it what to do: \
    leave authors out, or name associations of people whom somebody let in";

/// The source `when.githubIssues`.
#[derive(Debug)]
pub struct GithubSource {
    spec: GithubIssues,
}

impl GithubSource {
    /// Returns the source of this spec.
    #[must_use]
    pub fn new(spec: GithubIssues) -> Self {
        Self { spec }
    }
}

impl Source for GithubSource {
    fn readable_condition(&self) -> &'static str {
        kind::SOURCE_REACHABLE
    }

    fn conditions(&self, outcome: &PollOutcome) -> Vec<SourceCondition> {
        let condition = |kind, status, reason, message: &str| SourceCondition {
            kind,
            status,
            reason,
            message: message.to_owned(),
        };
        let open = match self.spec.is_open_to_strangers() {
            true => condition(kind::OPEN_TO_STRANGERS, true, SpawnerReason::AuthorsOpen, OPEN),
            false => condition(kind::OPEN_TO_STRANGERS, false, SpawnerReason::AuthorsChecked, ""),
        };
        let unknown = kind::PERMISSION_UNKNOWN;
        let permission = match &outcome.permission_unknown {
            Some(why) => condition(unknown, true, SpawnerReason::PushAccessNeeded, why),
            None => condition(unknown, false, SpawnerReason::NothingUnknown, ""),
        };
        vec![open, permission]
    }

    fn keeps_handled_runs(&self) -> bool {
        false
    }

    fn spreads_first_polls(&self) -> bool {
        true
    }

    fn take_slot(
        &self,
        spawner: &TaskSpawner,
        context: &Context,
        state: &SpawnerState,
    ) -> Result<Option<Turn>, NoSlot> {
        reconcile::take_slot(spawner, context, state)
    }

    fn reconcile<'a>(&'a self, pass: Pass<'a>) -> BoxFuture<'a, Result<Duration, SpawnerError>> {
        Box::pin(reconcile::reconcile(&self.spec, pass))
    }

    fn preview<'a>(
        &'a self,
        context: &'a Context,
        scene: Scene<'a>,
        gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<(Vec<PreviewItem>, usize), Fault>> {
        Box::pin(preview::preview_items(&self.spec, context, scene, gate))
    }

    fn item<'a>(
        &'a self,
        context: &'a Context,
        spawner: &'a TaskSpawner,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Item, Fault>> {
        Box::pin(preview::item(&self.spec, context, spawner, name))
    }
}
