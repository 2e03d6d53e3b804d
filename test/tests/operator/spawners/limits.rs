//! Limits and pauses.

use axon_api::v1alpha1::TaskSpawnerPhase;
use serde_json::json;

use super::preview::axon;
use super::{REPO, bug, world};
use crate::harness::SILENCE;

const WHEN: &str = "when: {githubIssues: {labels: [bug]}}\n";

#[tokio::test]
async fn the_oldest_come_first_and_limits_hold() {
    let w = world().await;
    for number in [9, 3, 7, 1, 5] {
        w.put(number, bug());
    }
    w.spawner("fix", &format!("{WHEN}maxConcurrency: 2\nmaxTotalTasks: 4"), "")
        .await;
    w.until_tasks(&["fix-1", "fix-3"]).await;
    let message = w
        .until_condition("fix", "ConcurrencyLimited", "True", "LimitReached")
        .await;
    assert_eq!(message, "3 items waiting for one of 2 running Tasks to end");
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-1", "fix-3"]);
    w.bench.succeed("fix-3", "{}").await;
    w.until_tasks(&["fix-1", "fix-3", "fix-5"]).await;
    w.bench.succeed("fix-1", "{}").await;
    w.bench.succeed("fix-5", "{}").await;
    w.until_tasks(&["fix-1", "fix-3", "fix-5", "fix-7"]).await;
    let message = w
        .until_condition("fix", "TaskBudgetExhausted", "True", "BudgetReached")
        .await;
    assert!(
        message.starts_with("4 of 4 Tasks created, 1 item waiting"),
        "{message}"
    );
    w.bench.succeed("fix-7", "{}").await;
    let status = w.until("fix", "is idle", |s| s.active_tasks == Some(0)).await;
    assert_eq!(status.waiting[0].task, "fix-9");
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await.len(), 4);
    // More budget, and it goes on.
    w.edit("fix", json!({"spec": {"maxTotalTasks": 5}})).await;
    w.until_tasks(&["fix-1", "fix-3", "fix-5", "fix-7", "fix-9"])
        .await;
    w.until("fix", "counts all", |s| s.total_tasks_created == Some(5))
        .await;
}

#[tokio::test]
async fn a_spawner_that_names_no_limit_has_the_operators_and_zero_is_none() {
    let w = world().await;
    for number in 1..=12 {
        w.put(number, bug());
    }
    w.spawner("fix", WHEN, "").await;
    let message = w
        .until_condition("fix", "ConcurrencyLimited", "True", "LimitReached")
        .await;
    assert_eq!(
        message,
        "2 items waiting for one of 10 running Tasks to end: without spec.maxConcurrency, the operator's default of 10 is the limit"
    );
    let status = w
        .until("fix", "counts them", |s| s.active_tasks == Some(10))
        .await;
    assert_eq!(status.max_concurrency, Some(10));
    let described = axon(&w, &["describe", "taskspawner", "fix"]).await;
    let shown = described.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        shown.contains("Max Concurrency: 10 (the operator's default)"),
        "{shown}"
    );
    let why = axon(&w, &["why", "taskspawner/fix"]).await;
    assert!(
        why.stdout
            .contains("maxConcurrency is 10, the operator's default."),
        "{}",
        why.stdout
    );
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await.len(), 10);

    w.edit("fix", json!({"spec": {"maxConcurrency": 0}})).await;
    let status = w
        .until("fix", "has no limit", |s| s.active_tasks == Some(12))
        .await;
    assert_eq!(status.max_concurrency, None);
}

#[tokio::test]
async fn a_paused_spawner_that_is_resumed_goes_by_what_is_the_case_then() {
    let w = world().await;
    w.put(1, bug());
    let paused = format!("{WHEN}suspend: true\npollInterval: 1h");
    w.spawner("fix", &paused, "").await;
    w.until("fix", "shows what waits", |s| s.waiting.len() == 1).await;
    w.github.world().store.remove_item(REPO, 1);
    w.put(2, bug());
    w.edit("fix", json!({"spec": {"suspend": false}})).await;
    w.until_tasks(&["fix-2"]).await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-2"]);
}

#[tokio::test]
async fn a_paused_spawner_shows_what_it_would_do_and_does_it_when_resumed() {
    let w = world().await;
    w.put(1, bug());
    w.put(2, bug());
    w.spawner("fix", &format!("{WHEN}suspend: true"), "").await;
    let status = w.until("fix", "shows what waits", |s| s.waiting.len() == 2).await;
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Suspended));
    assert_eq!(
        (
            status.waiting[0].task.as_str(),
            status.waiting[0].title.as_deref()
        ),
        ("fix-1", Some("Item 1"))
    );
    w.until_condition("fix", "Suspended", "True", "UserSuspended")
        .await;
    // It looked once.
    let asked = w.github.world().record.count("/issues");
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.github.world().record.count("/issues"), asked);
    assert!(w.tasks().await.is_empty());
    w.edit("fix", json!({"spec": {"suspend": false}})).await;
    w.until_tasks(&["fix-1", "fix-2"]).await;
    let status = w
        .until("fix", "runs", |s| {
            s.phase == Some(TaskSpawnerPhase::Running) && s.waiting.is_empty()
        })
        .await;
    assert_eq!(status.total_tasks_created, Some(2));
    w.edit("fix", json!({"spec": {"suspend": true}})).await;
    w.until("fix", "is paused", |s| {
        s.phase == Some(TaskSpawnerPhase::Suspended)
    })
    .await;
    w.put(3, bug());
    tokio::time::sleep(SILENCE * 2).await;
    assert_eq!(w.tasks().await.len(), 2);
}
