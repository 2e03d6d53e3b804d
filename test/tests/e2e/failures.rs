//! Each failure has its reason, its evidence and the figures of what was spent.

use std::time::Duration;

use axon_api::{TaskPhase, TaskReason, TaskStatus};
use axon_test::fixtures_client::repository_url;
use axon_test::wait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::bench::{Bench, PATIENCE, assert_told, bench};

/// Returns the only pod of the namespace.
async fn pod(b: &Bench) -> Pod {
    let pods = b.namespace.api::<Pod>().list(&Default::default()).await.unwrap();
    assert_eq!(pods.items.len(), 1);
    pods.items.into_iter().next().unwrap()
}

/// Returns when the agent's container ended.
fn agent_ended(pod: &Pod) -> Timestamp {
    let status = pod.status.as_ref().unwrap();
    let agent = &status.container_statuses.as_ref().unwrap()[0];
    let ended = agent.state.as_ref().unwrap().terminated.as_ref().unwrap();
    ended.finished_at.clone().unwrap().0
}

#[tokio::test]
async fn an_agent_that_fails_half_way_tells_why_and_what_it_spent() {
    let b = bench().await;
    let script = "@bash printf x > x.txt && git add x.txt && git commit -q -m half\n@fail 400 the model is out of order";
    b.task("t", script, json!({})).await;
    let status = b.until_failed("t", TaskReason::AgentError).await;
    assert!(
        status
            .message
            .as_ref()
            .unwrap()
            .contains("the model is out of order"),
        "{:?}",
        status.message
    );
    assert_eq!(status.results["branch"], "main");
    b.assert_usage_is_the_models("t", &status).await;
}

#[tokio::test]
async fn a_refused_key_and_a_rate_limit_are_told_apart() {
    let b = bench().await;
    b.task("key", "@fail 401 invalid x-api-key", json!({})).await;
    b.task("rate", "@fail 429 slow down", json!({})).await;
    b.until_failed("key", TaskReason::AuthFailed).await;
    b.until_failed("rate", TaskReason::RateLimited).await;
}

#[tokio::test]
async fn a_deadline_ends_the_run_and_loses_no_figure() {
    let b = bench().await;
    let overrides = json!({"podOverrides": {"activeDeadlineSeconds": 25}});
    b.task("t", "@bash echo one\n@sleep 120000\n@say never", overrides)
        .await;
    let status = b.until_failed("t", TaskReason::DeadlineExceeded).await;
    let job = b.namespace.api::<Job>().get("t").await.unwrap();
    let started = job.status.unwrap().start_time.unwrap().0;
    assert_told("the deadline", started + Duration::from_secs(25));
    assert!(status.message.as_ref().unwrap().contains("activeDeadlineSeconds"));
    b.assert_usage_is_the_models("t", &status).await;
}

#[tokio::test]
async fn memory_over_the_limit_is_called_that() {
    let b = bench().await;
    // The agent itself needs several times as much, so that it is what the kernel kills.
    let limits = json!({"podOverrides": {"resources": {"limits": {"memory": "100Mi"}}}});
    b.task("t", "@say never", limits).await;
    let status = b.until_failed("t", TaskReason::OOMKilled).await;
    assert_told("the lack of memory", agent_ended(&pod(&b).await));
    assert!(
        status.message.as_ref().unwrap().contains("limits.memory"),
        "{:?}",
        status.message
    );
}

#[tokio::test]
async fn a_pod_that_writes_too_much_is_ended_once_and_says_so() {
    let b = bench().await;
    // What the agent and its files take by themselves is far less.
    let limits = json!({"podOverrides": {"resources": {"limits": {"ephemeral-storage": "200Mi"}}}});
    let prompt = "@bash head -c 400000000 /dev/zero > /tmp/full\n@sleep 180000\n@say never";
    b.task("t", prompt, limits).await;
    let status = b.until_failed("t", TaskReason::StorageExceeded).await;
    let message = status.message.as_ref().unwrap();
    assert!(message.contains("limits.ephemeral-storage"), "{message}");
    assert_eq!(
        status.attempts.len(),
        1,
        "another run would write as much again: {status:?}"
    );
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named() {
    let b = bench().await;
    b.task("t", "hi", json!({"image": "localhost/axon/no-such-image:v0"}))
        .await;
    // How long the runtime tries is its own affair: what counts is the kubelet's word.
    wait::until("the kubelet to tell of the image", PATIENCE, async || {
        let pods = b.namespace.api::<Pod>().list(&Default::default()).await?;
        let statuses = pods.items.iter().flat_map(|pod| &pod.status);
        let agents = statuses.flat_map(|status| status.container_statuses.iter().flatten());
        let mut waiting =
            agents.filter_map(|agent| agent.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
        Ok(waiting.any(|reason| reason != "PodInitializing").then_some(()))
    })
    .await
    .unwrap();
    let failed = Timestamp::now();
    b.until("t", "tells of the image", |s| {
        s.reason == Some(TaskReason::ImagePull)
    })
    .await;
    assert_told("the missing image", failed);
    let status = b.until_failed("t", TaskReason::ImagePull).await;
    assert!(
        status.message.as_ref().unwrap().contains("no-such-image"),
        "{:?}",
        status.message
    );
    assert_eq!(status.usage, None);
    b.assert_usage_is_the_models("t", &status).await;
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_repository_that_cannot_be_cloned_has_gits_words() {
    let b = bench().await;
    b.workspace(
        "missing",
        &repository_url("no-such-repository"),
        "secretRef: {name: git}",
    )
    .await;
    b.task("missing", "hi", json!({"workspaceRef": {"name": "missing"}}))
        .await;
    b.secret("wrong", "GITHUB_TOKEN", "not-the-token").await;
    b.workspace(
        "wrong",
        &repository_url(&b.repository),
        "secretRef: {name: wrong}",
    )
    .await;
    b.task("wrong", "hi", json!({"workspaceRef": {"name": "wrong"}}))
        .await;
    b.workspace(
        "ref",
        &repository_url(&b.repository),
        "ref: no-such-ref\n  secretRef: {name: git}",
    )
    .await;
    b.task("ref", "hi", json!({"workspaceRef": {"name": "ref"}}))
        .await;

    let status = b.until_failed("missing", TaskReason::CloneFailed).await;
    assert!(
        status.message.as_ref().unwrap().contains("no-such-repository"),
        "{:?}",
        status.message
    );
    b.assert_usage_is_the_models("missing", &status).await;
    let status = b.until_failed("wrong", TaskReason::AuthFailed).await;
    assert!(!status.message.as_ref().unwrap().contains("not-the-token"));
    b.assert_usage_is_the_models("wrong", &status).await;
    let status = b.until_failed("ref", TaskReason::CloneFailed).await;
    assert!(
        status.message.as_ref().unwrap().contains("no-such-ref"),
        "{:?}",
        status.message
    );
}

#[tokio::test]
async fn a_missing_secret_is_named_and_its_appearance_starts_the_agent() {
    let b = bench().await;
    b.task(
        "t",
        "@say hello",
        json!({"credentials": {"type": "api-key", "secretRef": {"name": "late"}}}),
    )
    .await;
    let named = |s: &TaskStatus| {
        s.message
            .as_ref()
            .is_some_and(|m| m.contains("secret \"late\" not found"))
    };
    let status = b.until("t", "tells of the Secret", named).await;
    assert_eq!(status.reason, Some(TaskReason::SecretNotFound));
    b.secret("late", "ANTHROPIC_API_KEY", "sk-now").await;
    b.until_succeeded("t").await;
}

#[tokio::test]
async fn a_secret_that_a_volume_needs_is_named_and_its_appearance_starts_the_agent() {
    let b = bench().await;
    let overrides = json!({
        "volumes": [{"name": "late", "secret": {"secretName": "late"}}],
        "volumeMounts": [{"name": "late", "mountPath": "/etc/late", "readOnly": true}],
    });
    b.task(
        "t",
        "@bash cat /etc/late/word\n@say done",
        json!({"podOverrides": overrides}),
    )
    .await;
    let named = |s: &TaskStatus| s.message.as_ref().is_some_and(|m| m.contains("Secret late"));
    let status = b.until("t", "tells of the Secret", named).await;
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Pending), Some(TaskReason::SecretNotFound)),
        "{:?}",
        status.message
    );
    b.secret("late", "word", "here-i-am").await;
    b.until_succeeded("t").await;
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(seen.contains("here-i-am"));
}

#[tokio::test]
async fn disk_over_the_limit_is_called_that_and_runs_once() {
    let b = bench().await;
    // The kubelet measures every ten seconds, and evicts at the next look.
    let resources =
        json!({"limits": {"ephemeral-storage": "200Mi"}, "requests": {"ephemeral-storage": "10Mi"}});
    let script = "@bash head -c 300M /dev/zero > /tmp/full\n@sleep 240000\n@say never";
    b.task("t", script, json!({"podOverrides": {"resources": resources}}))
        .await;
    let status = b.until_failed("t", TaskReason::StorageExceeded).await;
    let message = status.message.as_ref().unwrap();
    assert!(
        message.contains("ephemeral-storage") || message.contains("sizeLimit"),
        "{message}"
    );
    assert_eq!(status.attempts.len(), 1, "{status:?}");
    println!("the kubelet's own words: {message}");
}
