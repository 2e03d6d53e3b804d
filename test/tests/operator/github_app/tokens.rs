//! A Task gets its token, and a fresh one before it ends.

use axon_api::{Task, TaskPhase, TaskReason};
use axon_fixtures::github::faults::Fault;
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

use super::{World, token};
use crate::harness::{PATIENCE, SILENCE};

#[tokio::test]
async fn a_token_is_made_kept_in_a_secret_of_the_task_and_given_to_the_pod() {
    let w = World::new(3600).await;
    w.create("t").await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    let minted = pending.github_token.unwrap();
    assert_eq!(minted.secret_name, "t-github-token");
    let secret = w.secret("t-github-token").await;
    assert!(token(&secret).starts_with("ghs_"));
    let task: Task = w.bench.namespace.api().get("t").await.unwrap();
    assert_eq!(secret.owner_references()[0].uid, task.uid().unwrap());
    assert_eq!(w.token_secrets("t").await, ["t-github-token", "t-github-token"]);
    let job: Job = w.bench.namespace.api().get("t").await.unwrap();
    let text = serde_json::to_string(&job).unwrap();
    assert!(
        text.contains("/axon/github/GITHUB_TOKEN") && !text.contains("ghs_"),
        "{text}"
    );
    assert_eq!(w.minted(), 1);
    // It goes with the Task.
    w.bench
        .namespace
        .api::<Task>()
        .delete("t", &DeleteParams::default())
        .await
        .unwrap();
    wait::until_gone(&w.bench.namespace.api::<Secret>(), "t-github-token", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_long_run_gets_a_fresh_token_before_the_old_one_ends() {
    let w = World::new(8).await;
    w.create("t").await;
    w.bench
        .kubelet
        .report_job("t", &PodState::AgentRunning)
        .await
        .unwrap();
    let first = token(&w.secret("t-github-token").await);
    let mut seen = vec![first];
    while seen.len() < 3 {
        let last = seen.last().unwrap().clone();
        let renewed = wait::until("a fresh token", PATIENCE, async || {
            let now = token(&w.secret("t-github-token").await);
            Ok((now != last).then_some(now))
        });
        seen.push(renewed.await.unwrap());
        // Had it been too late, this GitHub would say no.
        let world = w.github.world();
        assert_eq!(world.record.count(" 401"), 0);
    }
    let running = w.bench.until_phase("t", TaskPhase::Running).await;
    assert!(running.github_token.is_some());
    w.bench.succeed("t", r#"{"axon":1,"final":true}"#).await;
    w.bench.until_phase("t", TaskPhase::Succeeded).await;
    tokio::time::sleep(SILENCE).await;
    let minted = w.minted();
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(w.minted(), minted, "no tokens for what has ended");
}

#[tokio::test]
async fn a_plain_token_is_given_as_it_is_also_where_the_operator_may_not_look() {
    let w = World::without_secret(3600).await;
    // Nothing may be read here.
    let narrow = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: axon-spawner, annotations: {axon.io/managed: 'false'}}\n\
                  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: axon-spawner}\n";
    w.bench.namespace.apply(narrow).await.unwrap();
    w.put_secret(&[("GITHUB_TOKEN", "ghp_plain")]).await;
    w.create("unencrypted").await;
    let failed = w.bench.until_phase("unencrypted", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("may not read Secret app"));
    w.point_at("https://github.com/acme/widgets").await;
    w.create("narrow").await;
    let pending = w.bench.until_phase("narrow", TaskPhase::Pending).await;
    assert_eq!(pending.github_token, None);
    assert_eq!(w.token_secrets("narrow").await, ["app", "app"]);

    let open = World::without_secret(3600).await;
    open.put_secret(&[("GITHUB_TOKEN", "ghp_plain")]).await;
    open.create("open").await;
    open.bench.until_phase("open", TaskPhase::Pending).await;
    assert_eq!(open.token_secrets("open").await, ["app", "app"]);
    assert_eq!(open.minted() + w.minted(), 0);
}

/// A large Task leaves memory while GitHub is slow, and what GitHub says counts nonetheless: a token, and a refusal.
#[tokio::test]
async fn a_large_task_takes_a_token_that_comes_late_and_asks_once() {
    let w = World::new(3600).await;
    let slow = Fault {
        path: "/access_tokens".into(),
        delay_ms: 7000,
        ..Fault::default()
    };
    w.github.world().faults.add(slow.clone());
    let create = async |name: &str| {
        let task = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
            "spec": {"type": "claude-code", "prompt": "x".repeat(20_000), "credentials": {"type": "none"},
                "workspaceRef": {"name": "ws"}}});
        w.bench.namespace.apply(&task.to_string()).await.unwrap();
    };
    create("late").await;
    let jobs = w.bench.namespace.api::<Job>();
    wait::until_object(&jobs, "late", "to be made", PATIENCE, |_| true)
        .await
        .unwrap();
    assert_eq!(w.minted(), 1);
    assert_eq!(w.token_secrets("late").await, ["late-github-token"; 2]);
    w.github.world().faults.add(Fault {
        status: Some(404),
        times: Some(1000),
        ..slow
    });
    create("refused").await;
    let told = |task: &Task| {
        let message = task.status.as_ref().and_then(|s| s.message.as_deref());
        message.is_some_and(|message| message.contains("404"))
    };
    let tasks = w.bench.namespace.api::<Task>();
    wait::until_object(&tasks, "refused", "tells the refusal", PATIENCE, told)
        .await
        .unwrap();
}
