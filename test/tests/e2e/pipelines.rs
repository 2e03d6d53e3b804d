//! Chains, fans, and pods that are taken away, on a real cluster.

use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::wait;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::bench::{Bench, PATIENCE, assert_told, assert_told_at, bench};

/// A Task that needs little: two cores run everything.
fn small() -> serde_json::Value {
    json!({"podOverrides": {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}}})
}

async fn with(b: &Bench, name: &str, prompt: &str, more: serde_json::Value) {
    let mut spec = small();
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    b.task(name, prompt, spec).await;
}

#[tokio::test]
async fn a_chain_of_ten_hands_its_results_on() {
    let b = bench().await;
    // The last first, so that each of them has to wait for one that does not exist yet.
    for n in (0..10).rev() {
        let name = format!("chain-{n}");
        if n == 0 {
            with(&b, &name, "@say first", json!({})).await;
            continue;
        }
        let before = format!("chain-{}", n - 1);
        let prompt = format!(
            "@say {n} follows {{{{index .Deps \"{before}\" \"Results\" \"branch\"}}}} at {{{{index .Deps \"{before}\" \"Results\" \"commit\"}}}}"
        );
        with(&b, &name, &prompt, json!({"dependsOn": [before]})).await;
    }
    let last = b.until_succeeded("chain-9").await;
    let commit = &last.results["commit"];
    let job = b.namespace.api::<Job>().get("chain-9").await.unwrap();
    let args = job.spec.unwrap().template.spec.unwrap().containers[0]
        .args
        .clone();
    assert_eq!(args.unwrap(), [format!("@say 9 follows main at {commit}")]);
}

#[tokio::test]
async fn a_fan_of_twenty_joins_again() {
    let b = bench().await;
    let names: Vec<String> = (0..20).map(|n| format!("fan-{n}")).collect();
    let prompt = "@say {{range $name, $dep := .Deps}}{{$name}}={{$dep.Results.branch}} {{end}}";
    with(&b, "join", prompt, json!({"dependsOn": names})).await;
    for name in &names {
        with(&b, name, "@say done", json!({})).await;
    }
    let join = b.until_succeeded("join").await;
    assert_eq!(join.satisfied_dependencies.len(), 20);
    let job = b.namespace.api::<Job>().get("join").await.unwrap();
    let args = job.spec.unwrap().template.spec.unwrap().containers[0]
        .args
        .clone()
        .unwrap();
    for name in &names {
        assert!(args[0].contains(&format!("{name}=main ")), "{args:?}");
    }
}

#[tokio::test]
async fn a_stopped_task_saves_its_commits_and_keeps_its_figures() {
    let b = bench().await;
    let script =
        "@bash printf x > x.txt && git add x.txt && git commit -q -m saved\n@sleep 120000\n@say never";
    with(&b, "t", script, json!({"branch": "work"})).await;
    b.until_model_is_asked("t", 2).await;
    let asked = Timestamp::now();
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = b.namespace.api::<Task>();
    tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
    b.until("t", "is being stopped", |s| {
        s.reason == Some(TaskReason::Stopping) || s.phase == Some(TaskPhase::Failed)
    })
    .await;
    assert_told("the request to stop", asked);
    let status = b.until_failed("t", TaskReason::Stopped).await;
    assert_told("the end", asked);
    assert!(
        status
            .message
            .as_ref()
            .unwrap()
            .contains("new commits pushed to work: 1"),
        "{status:?}"
    );
    assert!(status.usage.clone().unwrap().input_tokens > Some(0));
    assert_eq!(status.results["branch"], "work");
    let log = b.fixtures.log(&b.repository, "work").await.unwrap();
    assert!(log[0].to_string().contains("saved"), "{log:?}");
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_stalled() {
    let b = bench().await;
    with(
        &b,
        "t",
        "@sleep 120000\n@say never",
        json!({"stallTimeout": "8s"}),
    )
    .await;
    let status = b.until_failed("t", TaskReason::Stalled).await;
    assert!(status.message.unwrap().contains("printed nothing for 8s"));
}

/// Returns the name of the Task's pod once its agent waits for the model.
async fn busy_pod(b: &Bench, task: &str, requests: usize) -> String {
    b.until_model_is_asked(task, requests).await;
    b.until(task, "has a pod", |s| s.pod_name.is_some())
        .await
        .pod_name
        .unwrap()
}

#[tokio::test]
async fn a_drained_node_is_no_failure_and_the_pod_runs_again_when_there_is_a_node() {
    let b = bench().await;
    with(&b, "t", "@bash echo one\n@sleep 8000\n@say done", json!({})).await;
    let pod = busy_pod(&b, "t", 2).await;
    let nodes: Api<Node> = Api::all(b.cluster.client().clone());
    let pods = b.namespace.api::<Pod>();
    let node = pods.get(&pod).await.unwrap().spec.unwrap().node_name.unwrap();
    let cordon = async |cordoned: bool| {
        let patch = Patch::Merge(json!({"spec": {"unschedulable": cordoned}}));
        nodes.patch(&node, &PatchParams::default(), &patch).await.unwrap();
    };
    cordon(true).await;
    let drained = Timestamp::now();
    let evicted = pods.evict(&pod, &EvictParams::default()).await;
    b.until("t", "has noted the eviction", |s| s.attempts.len() == 1)
        .await;
    let told = Timestamp::now();
    // The Job controller takes some seconds before it makes another pod.
    let waits = b
        .until("t", "waits for a node", |s| {
            s.reason == Some(TaskReason::Unschedulable)
        })
        .await;
    cordon(false).await;
    evicted.unwrap();
    assert_told_at("the drain", drained, told);
    assert_eq!(waits.attempts.len(), 1);
    assert_eq!(waits.attempts[0].reason, Some(TaskReason::Evicted));
    let done = b.until_succeeded("t").await;
    assert_eq!(done.attempts.len(), 2);
    b.assert_usage_is_the_models("t", &done).await;
}

#[tokio::test]
async fn a_pod_deleted_by_hand_runs_again_and_nothing_is_left_running() {
    let b = bench().await;
    with(&b, "t", "@bash echo one\n@sleep 8000\n@say done", json!({})).await;
    let pod = busy_pod(&b, "t", 2).await;
    let pods = b.namespace.api::<Pod>();
    let deleted = Timestamp::now();
    pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    let again = b
        .until("t", "has noted the loss", |s| s.attempts.len() == 1)
        .await;
    assert_told("the loss", deleted);
    assert_eq!(again.attempts[0].reason, Some(TaskReason::PodLost));
    let done = b.until_succeeded("t").await;
    assert_eq!(done.attempts.len(), 2);
    b.assert_usage_is_the_models("t", &done).await;
    wait::until("one pod that has ended", PATIENCE, async || {
        let all = pods.list(&Default::default()).await?.items;
        let live = all
            .iter()
            .filter(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"));
        Ok((live.count() == 0 && all.len() == 1 && all[0].name_any() != pod).then_some(()))
    })
    .await
    .unwrap();
}
