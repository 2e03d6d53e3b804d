//! The number of requests to the API server for one Task.

use axon_api::{TaskPhase, TaskReason};
use axon_fixtures::fault_proxy::Call;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{Stage, bench};

const REPORT: &str = r#"{"axon":1,"final":true,"usage":{"inputTokens":7},"outputs":["branch: b"]}"#;

/// As a kubelet does it, in more steps than any rule needs.
async fn slowly(stage: &Stage, name: &str) {
    let pod = stage.kubelet.pod_of(name).await.unwrap();
    let pods = stage.namespace.api::<Pod>();
    for conditions in [json!([]), json!([{"type": "PodScheduled", "status": "True"}])] {
        let status = json!({"status": {"phase": "Pending", "conditions": conditions}});
        let params = PatchParams::default();
        pods.patch_status(&pod.name_any(), &params, &Patch::Merge(status))
            .await
            .unwrap();
    }
    use axon_test::kubelet::PodState;
    for state in [PodState::ContainerCreating, PodState::InitRunning] {
        stage.kubelet.report(&pod, &state).await.unwrap();
    }
    stage.run(name).await;
    stage.end(name, 0, REPORT).await;
    let done = stage
        .until(name, "has succeeded", |s| s.phase == Some(TaskPhase::Succeeded))
        .await;
    assert_eq!(done.reason, Some(TaskReason::Completed));
}

#[tokio::test]
async fn a_simple_task_takes_few_writes_and_events() {
    let b = bench().await;
    let stage = b.stage().await;
    stage
        .namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}")
        .await
        .unwrap();
    stage.create("t", "workspaceRef: {name: ws}").await;
    slowly(&stage, "t").await;
    // Events are written after the status.
    axon_test::wait::until("three events", crate::harness::PATIENCE, async || {
        let all = stage.namespace.api::<k8s_openapi::api::events::v1::Event>();
        let of_task = |e: &k8s_openapi::api::events::v1::Event| {
            e.regarding.as_ref().and_then(|r| r.kind.as_deref()) == Some("Task")
        };
        let all = all.list(&ListParams::default()).await?;
        Ok((all.iter().filter(|e| of_task(e)).count() >= 3).then_some(()))
    })
    .await
    .unwrap();
    let calls = b.calls(&stage);
    let lines = |wanted: fn(&Call) -> bool| -> Vec<String> {
        let calls = calls.iter().filter(|call| wanted(call));
        calls
            .map(|call| format!("{} {}", call.method, call.path))
            .collect()
    };
    let (mut writes, events) = (lines(Call::is_work), lines(Call::is_event));
    println!("writes: {writes:#?}\nevents: {events:#?}");
    // That of the namespace, which its first Task brings.
    let before = writes.len();
    writes.retain(|line| !line.ends_with("/networkpolicies/axon-agents"));
    assert_eq!(before - writes.len(), 1, "one for all Tasks");
    assert!(
        writes.len() <= 5,
        "a Job, three words of status and a record: {writes:#?}"
    );
    assert!(events.len() <= 3, "{events:#?}");
    let reads = lines(|call| !call.is_write() && !call.is_watch());
    assert!(!reads.iter().any(|line| line.contains("/log")), "{reads:#?}");
}
