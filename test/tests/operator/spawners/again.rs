//! Items that run again, and Tasks that are gone.

use axon_api::Task;
use axon_test::wait;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::preview::axon;
use super::{REPO, bug, world};
use crate::harness::{PATIENCE, SILENCE};

#[tokio::test]
async fn an_item_runs_again_when_a_label_is_put_on_and_taken_off() {
    let w = world().await;
    w.put(1, bug());
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug], excludeLabels: [axon/needs-input]}}",
        "",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    let left = |t: &Task| {
        t.annotations()
            .get("axon.io/match")
            .is_some_and(|m| m.starts_with("left:"))
    };
    tokio::time::sleep(SILENCE * 2).await;
    w.label(1, "axon/needs-input", true);
    w.bench
        .namespace
        .wait_for("fix-1", "is marked", PATIENCE, left)
        .await
        .unwrap();
    w.label(1, "axon/needs-input", false);
    // Not while the first one runs.
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-1"]);
    w.bench.succeed("fix-1", "{}").await;
    w.until_tasks(&["fix-1", "fix-1-r2"]).await;
    w.bench.succeed("fix-1-r2", "{}").await;
    // Once is enough, and an edit of the filter and back moves nothing.
    for labels in [json!(["typo"]), json!(["bug"])] {
        w.edit(
            "fix",
            json!({"spec": {"when": {"githubIssues": {"labels": labels}}}}),
        )
        .await;
        tokio::time::sleep(SILENCE * 2).await;
    }
    assert_eq!(w.tasks().await, ["fix-1", "fix-1-r2"]);
    w.label(1, "axon/needs-input", true);
    w.bench
        .namespace
        .wait_for("fix-1-r2", "is marked", PATIENCE, left)
        .await
        .unwrap();
    w.label(1, "axon/needs-input", false);
    w.until_tasks(&["fix-1", "fix-1-r2", "fix-1-r3"]).await;
    w.until("fix", "counts all", |s| s.total_tasks_created == Some(3))
        .await;
    // A run that a person repeats is the item's newest one.
    w.bench.succeed("fix-1-r3", "{}").await;
    w.bench
        .until_phase("fix-1-r3", axon_api::TaskPhase::Succeeded)
        .await;
    for args in [
        &["retry", "fix-1-r3"][..],
        &["retry", "fix-1", "--name", "by-hand"],
    ] {
        axon(&w, args).await.succeeded().unwrap();
    }
    let all = ["by-hand", "fix-1", "fix-1-r1", "fix-1-r2", "fix-1-r3"];
    w.until_tasks(&all).await;
    for name in ["fix-1-r1", "by-hand"] {
        w.bench.succeed(name, "{}").await;
        w.bench.until_phase(name, axon_api::TaskPhase::Succeeded).await;
    }
    tokio::time::sleep(SILENCE * 2).await;
    assert_eq!(w.tasks().await, all);
    w.label(1, "axon/needs-input", true);
    let marked = wait::until("the mark of the newest", PATIENCE, async || {
        let tasks = w
            .bench
            .namespace
            .api::<Task>()
            .list(&ListParams::default())
            .await?;
        let by_hand = |t: &&Task| ["by-hand", "fix-1-r1"].contains(&t.name_any().as_str());
        Ok(tasks.iter().filter(by_hand).any(left).then_some(()))
    });
    marked.await.unwrap();
    w.label(1, "axon/needs-input", false);
    w.until_tasks(&["by-hand", "fix-1", "fix-1-r1", "fix-1-r2", "fix-1-r3", "fix-1-r4"])
        .await;
}

#[tokio::test]
async fn a_task_that_is_gone_is_made_again_while_its_item_matches() {
    let w = world().await;
    w.put(1, bug());
    w.spawner("fix", "when: {githubIssues: {labels: [bug]}}", "")
        .await;
    let first = w.task("fix-1").await;
    let tasks = w.bench.namespace.api::<Task>();
    tasks.delete("fix-1", &DeleteParams::background()).await.unwrap();
    let again = |t: &Task| t.uid() != first.uid();
    w.bench
        .namespace
        .wait_for("fix-1", "is made again", PATIENCE, again)
        .await
        .unwrap();
    w.until("fix", "counts both", |s| s.total_tasks_created == Some(2))
        .await;
}

#[tokio::test]
async fn a_task_that_is_gone_is_not_made_again_by_what_another_spawner_saw_before() {
    let w = world().await;
    w.put(1, bug());
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 25s",
        "",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    // Its labels take a listing of their own, which is the newest at the next look of the first one.
    w.spawner(
        "other",
        "when: {githubIssues: {labels: [docs]}}\npollInterval: 1h",
        "",
    )
    .await;
    w.until("other", "has looked", |s| s.last_discovery_time.is_some())
        .await;
    w.github.world().store.remove_item(REPO, 1);
    w.put(2, bug());
    let tasks = w.bench.namespace.api::<Task>();
    tasks.delete("fix-1", &DeleteParams::background()).await.unwrap();
    w.until_tasks_within(&["fix-2"], PATIENCE * 2).await;
}
