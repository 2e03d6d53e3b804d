//! The party at fault when a pod ends early: proxies, nodes, limits and queues.

use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, SILENCE, bench, status, task};

const SECOND: Duration = Duration::from_millis(1100);
const DONE: &str = r#"{"axon":1,"final":true,"usage":{"costUSD":"0.50"},"outputs":["branch: b"]}"#;
const STOPPED: &str =
    r#"{"axon":1,"final":true,"reason":"Stopped","message":"stopped by SIGTERM","usage":{"costUSD":"2.00"}}"#;

fn outlived(exit_code: i32, message: &str) -> PodState {
    PodState::AgentOutlived {
        exit_code,
        message: message.into(),
    }
}

async fn next_pod(b: &Bench, job: &str, former: &Pod) -> Pod {
    let next = wait::until("another pod", PATIENCE, async || {
        let pod = b.kubelet.pod_of(job).await?;
        Ok((pod.name_any() != former.name_any()).then_some(pod))
    });
    next.await.unwrap()
}

#[tokio::test]
async fn a_proxy_that_goes_on_does_not_hold_up_a_task_that_is_done() {
    let b = bench().await;
    b.create("t", "podOverrides: {activeDeadlineSeconds: 8}").await;
    b.create("next", "dependsOn: [t]").await;
    b.until_phase("next", TaskPhase::Waiting).await;
    b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    b.kubelet.report_job("t", &outlived(0, DONE)).await.unwrap();
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    assert_eq!(done.usage.unwrap().cost_usd.as_deref(), Some("0.50"));
    assert_eq!(done.results["branch"], "b");
    let job: Job = b.namespace.api().get("t").await.unwrap();
    assert!(job.metadata.deletion_timestamp.is_none(), "its log can be read");
    b.until_phase("next", TaskPhase::Pending).await;
    // The deadline of its Job passes, and someone stops it.
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = b.namespace.api::<Task>();
    tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
    // Its pod goes with that.
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
    tokio::time::sleep(SILENCE).await;
    let after = status(&tasks.get("t").await.unwrap());
    assert_eq!(
        (after.phase, after.reason),
        (Some(TaskPhase::Succeeded), Some(TaskReason::Completed))
    );
}

#[tokio::test]
async fn an_agent_that_failed_beside_a_proxy_has_failed() {
    let b = bench().await;
    b.create("t", "ttlSecondsAfterFinished: 4").await;
    let report = r#"{"axon":1,"final":true,"reason":"RateLimited","message":"429"}"#;
    b.kubelet.report_job("t", &outlived(1, report)).await.unwrap();
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::RateLimited));
    assert_eq!(failed.attempts.len(), 1);
    // Nothing of a pod that never ends is left.
    wait::until_gone(&b.namespace.api::<Task>(), "t", PATIENCE)
        .await
        .unwrap();
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_container_that_its_node_lost_runs_again() {
    let b = bench().await;
    for (name, exit_code, reason) in [
        ("reboot", 255, "Unknown"),
        ("gone", 137, "ContainerStatusUnknown"),
    ] {
        b.create(name, "").await;
        let first = b.kubelet.report_job(name, &PodState::AgentRunning).await.unwrap();
        b.until_phase(name, TaskPhase::Running).await;
        let lost = PodState::AgentLost {
            exit_code,
            reason: reason.into(),
        };
        b.kubelet.report(&first, &lost).await.unwrap();
        let second = next_pod(&b, name, &first).await;
        let done = PodState::AgentEnded {
            exit_code: 0,
            message: DONE.into(),
        };
        b.kubelet.report(&second, &done).await.unwrap();
        let done = b.until_phase(name, TaskPhase::Succeeded).await;
        let reasons: Vec<_> = done.attempts.iter().map(|a| a.reason).collect();
        assert_eq!(reasons, [Some(TaskReason::PodLost), None], "{reason}");
        assert_eq!(done.retries, None, "no retry was spent");
    }
}

#[tokio::test]
async fn a_pod_that_fills_its_own_disk_runs_once() {
    let b = bench().await;
    let report = r#"{"axon":1,"final":false,"usage":{"costUSD":"4.00","inputTokens":10}}"#;
    for (name, said, advice) in [
        (
            "disk",
            "Pod ephemeral local storage usage exceeds the total limit of containers 200Mi. ",
            "limits.ephemeral-storage",
        ),
        (
            "volume",
            "Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Gi\". ",
            "AXON_POD_SCRATCH_LIMIT",
        ),
    ] {
        b.create(name, "").await;
        let full = PodState::OverItsLimit {
            message: said.into(),
            report: report.into(),
        };
        b.kubelet.report_job(name, &full).await.unwrap();
        let failed = b.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(
            (failed.reason, failed.attempts.len()),
            (Some(TaskReason::StorageExceeded), 1)
        );
        assert!(failed.message.unwrap().contains(advice));
        assert_eq!(failed.usage.unwrap().cost_usd.as_deref(), Some("4.00"));
    }
}

/// Creates a Task with the label of a queue.
async fn queue_up(b: &Bench, name: &str) {
    let labels = "labels: {kueue.x-k8s.io/queue-name: agents, team: x}";
    let manifest = task(name, "").replace(
        &format!("{{name: {name}}}"),
        &format!("{{name: {name}, {labels}}}"),
    );
    b.namespace.apply(&manifest).await.unwrap();
    b.until_phase(name, TaskPhase::Pending).await;
}

/// Changes the Job's spec, as a queue or a person does.
async fn steer(b: &Bench, job: &str, spec: Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let jobs = b.namespace.api::<Job>();
    jobs.patch(job, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn a_queue_may_suspend_a_task_as_often_as_it_likes() {
    let b = bench().await;
    queue_up(&b, "t").await;
    let job: Job = b.namespace.api().get("t").await.unwrap();
    assert_eq!(job.labels()["kueue.x-k8s.io/queue-name"], "agents");
    assert!(!job.labels().contains_key("team"), "no other label");
    let pod_labels = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    assert!(!pod_labels.contains_key("kueue.x-k8s.io/queue-name"));
    steer(&b, "t", json!({"suspend": true})).await;
    for run in 1..=4 {
        let queued = b.until_reason("t", TaskReason::Queued).await;
        assert_eq!(queued.phase, Some(TaskPhase::Pending));
        assert!(queued.message.unwrap().contains("queue agents"));
        // Pods are told apart by the second of their creation.
        tokio::time::sleep(SECOND).await;
        steer(&b, "t", json!({"suspend": false})).await;
        let pod = b.kubelet.pod_of("t").await.unwrap();
        b.kubelet.bind(&pod, "n1").await.unwrap();
        b.kubelet.report(&pod, &PodState::AgentRunning).await.unwrap();
        b.until_phase("t", TaskPhase::Running).await;
        steer(&b, "t", json!({"suspend": true})).await;
        let queued = b.until_reason("t", TaskReason::Queued).await;
        assert!(!queued.message.unwrap().contains("Node"));
        let stopped = PodState::AgentEnded {
            exit_code: 143,
            message: STOPPED.into(),
        };
        b.kubelet.report(&pod, &stopped).await.unwrap();
        let cost = format!("{}.00", 2 * run);
        let counted = |t: &Task| {
            let usage = status(t).usage.and_then(|usage| usage.cost_usd);
            usage.as_ref() == Some(&cost)
        };
        b.namespace
            .wait_for("t", "has counted the run", PATIENCE, counted)
            .await
            .unwrap();
        let now = DeleteParams::default().grace_period(0);
        b.namespace
            .api::<Pod>()
            .delete(&pod.name_any(), &now)
            .await
            .unwrap();
    }
    steer(&b, "t", json!({"suspend": false})).await;
    b.succeed("t", DONE).await;
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    assert_eq!(done.usage.unwrap().cost_usd.as_deref(), Some("8.50"));
    let reasons: Vec<_> = done.attempts.iter().map(|a| a.reason).collect();
    assert_eq!(
        reasons,
        [Some(TaskReason::Queued), Some(TaskReason::Queued), None]
    );
    assert_eq!(done.retries, None);
}

#[tokio::test]
async fn a_queued_task_is_stopped_without_a_pod() {
    let b = bench().await;
    queue_up(&b, "t").await;
    steer(&b, "t", json!({"parallelism": 0})).await;
    let held = b.until_reason("t", TaskReason::Queued).await;
    assert!(held.message.unwrap().contains("parallelism"));
    steer(&b, "t", json!({"parallelism": 1, "suspend": true})).await;
    let suspended = |t: &Task| status(t).message.is_some_and(|m| m.contains("queue agents"));
    b.namespace
        .wait_for("t", "is suspended", PATIENCE, suspended)
        .await
        .unwrap();
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = b.namespace.api::<Task>();
    tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
    let stopped = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(stopped.reason, Some(TaskReason::Stopped));
    assert!(stopped.attempts.is_empty());
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
}
