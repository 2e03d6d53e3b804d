//! Repositories and permissions of a Task's token of a GitHub App.

use std::collections::BTreeMap;

use axon_api::{TaskPhase, TaskReason};
use axon_fixtures::github::accounts::AppSpec;
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;

use super::{World, token};
use crate::harness::PATIENCE;

#[tokio::test]
async fn a_tasks_token_reaches_the_repository_of_its_workspace_alone() {
    let w = World::new(3600).await;
    let more = [
        ("contents", "write"),
        ("issues", "read"),
        ("workflows", "write"),
        ("administration", "write"),
        ("metadata", "read"),
    ];
    w.install(AppSpec {
        permissions: Some(permissions(&more)),
        ..AppSpec::default()
    });
    w.create("usual").await;
    let usual = w.of_token(&w.token_of("usual").await).unwrap();
    assert!(usual.reaches("acme/widgets") && !usual.reaches("acme/secrets"));
    let expected = permissions(&[("contents", "write"), ("issues", "read"), ("metadata", "read")]);
    assert_eq!(
        usual.permissions,
        Some(expected),
        "within what the installation has"
    );
    w.widen(json!({"repositories": ["lib"], "permissions": {"workflows": "write", "issues": "none"}}))
        .await;
    w.create("wider").await;
    let wider = w.of_token(&w.token_of("wider").await).unwrap();
    assert_eq!(
        wider.repositories.unwrap(),
        ["acme/lib", "acme/widgets"].map(str::to_owned)
    );
    let expected = permissions(&[
        ("contents", "write"),
        ("workflows", "write"),
        ("metadata", "read"),
    ]);
    assert_eq!(wider.permissions, Some(expected));
}

#[tokio::test]
async fn a_token_for_more_than_the_installation_has_fails_its_task_with_the_field() {
    let w = World::new(3600).await;
    w.widen(json!({"permissions": {"workflows": "write"}})).await;
    w.create("permission").await;
    let failed = w.bench.until_phase("permission", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    let message = failed.message.unwrap();
    for words in ["Workspace ws", "workflows: write", "spec.githubApp.permissions"] {
        assert!(message.contains(words), "{message}");
    }
    // What an administrator adds on GitHub counts at once.
    let with_workflows = [
        ("contents", "write"),
        ("workflows", "write"),
        ("metadata", "read"),
    ];
    w.install(AppSpec {
        permissions: Some(permissions(&with_workflows)),
        repositories: Some(vec!["widgets".into()]),
        ..AppSpec::default()
    });
    w.create("granted").await;
    w.bench.until_phase("granted", TaskPhase::Pending).await;
    w.widen(json!({"repositories": ["lib"]})).await;
    w.create("repository").await;
    let failed = w.bench.until_phase("repository", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    let message = failed.message.unwrap();
    for words in [
        "Workspace ws",
        "acme/lib",
        "spec.githubApp.repositories",
        "not accessible to the parent installation",
    ] {
        assert!(message.contains(words), "{message}");
    }
    // A repository of the same name, of somebody else.
    w.point_at(&w.url.replace("/acme/", "/evil/")).await;
    w.create("owner").await;
    let failed = w.bench.until_phase("owner", TaskPhase::Failed).await;
    let message = failed.message.unwrap();
    assert!(
        message.contains("evil/widgets") && message.contains("acme"),
        "{message}"
    );
    assert_eq!(w.minted(), 1);
}

#[tokio::test]
async fn a_secret_that_somebody_deletes_is_made_again_while_the_task_runs() {
    let w = World::new(8).await;
    w.create("t").await;
    let first = w.token_of("t").await;
    let running = &PodState::AgentRunning;
    w.bench.kubelet.report_job("t", running).await.unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    let secrets = w.bench.namespace.api::<Secret>();
    secrets
        .delete("t-github-token", &DeleteParams::default())
        .await
        .unwrap();
    let made = wait::until("another Secret", PATIENCE, async || {
        secrets.get_opt("t-github-token").await.map_err(Into::into)
    });
    assert_ne!(token(&made.await.unwrap()), first);
}

fn permissions(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter()
        .map(|(name, level)| ((*name).to_owned(), (*level).to_owned()))
        .collect()
}
