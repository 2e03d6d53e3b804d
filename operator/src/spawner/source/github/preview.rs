//! What a poll of GitHub would do, and one item for a rendering.

use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{GithubIssues, PreviewItem, PreviewOutcome, SpawnerReason};
use kube::ResourceExt as _;

use super::approval::{Gate, NOT_NOW, Standing};
use super::reader::{Freshness, Survey};
use crate::spawner::plan::wanted;
use crate::spawner::preview::request::refused;
use crate::spawner::preview::{LeftOut, MAX_ITEMS, Scene, preview};
use crate::spawner::render::shows_comments;
use crate::spawner::source::item::Item;
use crate::spawner::state::Context;
use crate::spawner::status::Fault;

/// How old a listing may be that a preview is made of: people ask after they have changed something.
const FRESHNESS: Freshness = Freshness {
    max_age: Duration::ZERO,
    not_before: None,
};

/// Lists what becomes of the items of a fresh listing.
pub(super) async fn preview_items(
    spec: &GithubIssues,
    context: &Context,
    scene: Scene<'_>,
    gate: &mut Gate,
) -> Result<(Vec<PreviewItem>, usize), Fault> {
    let surveyed = context
        .github
        .survey(scene.spawner, spec, &context.stores, FRESHNESS)
        .await;
    let survey = surveyed.map_err(|unreadable| unreadable.fault)?;
    let scene = Scene {
        filter: Some(&survey.found.filter),
        ..scene
    };
    let left_out = left_out(context, scene, &survey, gate).await?;
    Ok(preview(scene, &survey.items, &survey.excluded, &left_out))
}

/// Returns which of the items that call for a Task may not become one. The user may just have changed an item, so
/// that no cached verdict counts.
async fn left_out(
    context: &Context,
    scene: Scene<'_>,
    survey: &Survey,
    gate: &mut Gate,
) -> Result<LeftOut, Fault> {
    gate.forget();
    let calls_for_one = |item: &&Item| {
        let ids = [item.id.as_str()];
        let wanted = wanted(
            &scene.spawner.name_any(),
            &ids,
            scene.tasks,
            scene.ledger,
            scene.filter,
        );
        !wanted.is_empty()
    };
    let (found, items) = (&survey.found, &survey.items);
    let asked = items.iter().filter(calls_for_one).take(MAX_ITEMS);
    let standings = context.github.sift(found, asked, gate).await;
    let standings =
        standings.map_err(|error| refused(SpawnerReason::ApprovalUnreadable, error.to_string()))?;
    let of = |item: &Item| match standings.get(&item.id)? {
        Standing::LeftOut(why) => {
            let message = found.told(&item.id, *why);
            Some((PreviewOutcome::Excluded, why.reason(), message))
        }
        Standing::NotNow => Some((
            PreviewOutcome::Wait,
            SpawnerReason::AuthorNotChecked,
            NOT_NOW.to_owned(),
        )),
        Standing::Counts | Standing::Ask => None,
    };
    Ok(items
        .iter()
        .filter_map(|item| Some((item.id.clone(), of(item)?)))
        .collect())
}

/// Reads the issue or pull request of a number, in the match or not.
pub(super) async fn item(
    spec: &GithubIssues,
    context: &Context,
    spawner: &TaskSpawner,
    name: Option<&str>,
) -> Result<Item, Fault> {
    let text = name.ok_or_else(|| {
        refused(
            SpawnerReason::ItemMissing,
            "name an issue or pull request by its number, with --item".to_owned(),
        )
    })?;
    let number: u64 = text.parse().map_err(|_| {
        let message = format!("{text:?} is not the number of an issue or pull request");
        refused(SpawnerReason::InvalidItem, message)
    })?;
    let comments = shows_comments(&spawner.spec.task_template).then(|| spec.trusted_with_comments());
    let read = context
        .github
        .item(spawner, &context.stores, number, comments.as_ref());
    read.await.map_err(|unreadable| unreadable.fault)
}
