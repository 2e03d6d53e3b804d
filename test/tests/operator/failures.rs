//! Every way to fail has its reason and its evidence.

use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};

use crate::harness::{PATIENCE, bench};

#[tokio::test]
async fn an_agent_that_fails_gives_its_reason_its_words_and_what_it_spent() {
    let b = bench().await;
    b.create("t", "").await;
    let message = r#"{"axon":1,"final":true,"reason":"RateLimited","message":"429 too many requests","usage":{"inputTokens":5,"outputTokens":6}}"#;
    b.kubelet
        .report_job(
            "t",
            &PodState::AgentEnded {
                exit_code: 1,
                message: message.into(),
            },
        )
        .await
        .unwrap();
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(
        (failed.reason, failed.message.as_deref()),
        (Some(TaskReason::RateLimited), Some("429 too many requests"))
    );
    assert_eq!(failed.usage.unwrap().input_tokens, Some(5));
    assert_eq!(failed.attempts[0].exit_code, Some(1));
    let stalled = failed.conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!(stalled.status, "True");
}

#[tokio::test]
async fn an_image_without_reports_leaves_the_end_of_its_log() {
    let b = bench().await;
    b.create("t", "").await;
    b.kubelet
        .report_job(
            "t",
            &PodState::AgentEnded {
                exit_code: 3,
                message: "line 1\nsegfault".into(),
            },
        )
        .await
        .unwrap();
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AgentError));
    assert!(failed.message.unwrap().ends_with("segfault"));
}

#[tokio::test]
async fn memory_and_clone_failures_are_told_apart() {
    let b = bench().await;
    b.create("oom", "").await;
    let checkpoint = r#"{"axon":1,"usage":{"inputTokens":77}}"#;
    b.kubelet
        .report_job(
            "oom",
            &PodState::OomKilled {
                message: checkpoint.into(),
            },
        )
        .await
        .unwrap();
    let failed = b.until_phase("oom", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::OOMKilled));
    assert!(failed.message.unwrap().contains("limits.memory"));
    assert_eq!(
        failed.usage.unwrap().input_tokens,
        Some(77),
        "what was spent until then"
    );

    b.namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}")
        .await
        .unwrap();
    b.create("clone", "workspaceRef: {name: ws}").await;
    b.kubelet
        .report_job("clone", &PodState::InitRunning)
        .await
        .unwrap();
    let cloning = b.until_reason("clone", TaskReason::Cloning).await;
    assert_eq!(cloning.phase, Some(TaskPhase::Pending));
    let message = r#"{"axon":1,"final":true,"reason":"AuthFailed","message":"fatal: Authentication failed"}"#;
    b.kubelet
        .report_job(
            "clone",
            &PodState::InitFailed {
                exit_code: 1,
                message: message.into(),
            },
        )
        .await
        .unwrap();
    let failed = b.until_phase("clone", TaskPhase::Failed).await;
    assert_eq!(
        (failed.reason, failed.message.as_deref()),
        (Some(TaskReason::AuthFailed), Some("fatal: Authentication failed"))
    );
}

#[tokio::test]
async fn what_keeps_a_pod_from_starting_is_told_and_passes() {
    let b = bench().await;
    b.create("t", "").await;
    let pod = b.kubelet.pod_of("t").await.unwrap();
    let secret = PodState::CreateContainerConfigError {
        message: "secret \"key\" not found".into(),
    };
    for (state, reason, words) in [
        (
            PodState::Unschedulable {
                message: "0/3 nodes are available".into(),
            },
            TaskReason::Unschedulable,
            "0/3 nodes",
        ),
        (secret, TaskReason::SecretNotFound, "secret \"key\" not found"),
    ] {
        b.kubelet.report(&pod, &state).await.unwrap();
        let pending = b.until_reason("t", reason).await;
        assert_eq!(pending.phase, Some(TaskPhase::Pending));
        assert!(pending.message.unwrap().contains(words));
    }
    b.kubelet.report(&pod, &PodState::AgentRunning).await.unwrap();
    let running = b.until_phase("t", TaskPhase::Running).await;
    assert_eq!(
        (running.reason, running.message),
        (Some(TaskReason::AgentRunning), None)
    );
}

#[tokio::test]
async fn a_pod_that_waits_for_its_volumes_says_for_which_secret() {
    let b = bench().await;
    b.namespace
        .apply("apiVersion: v1\nkind: Secret\nmetadata: {name: there}\nstringData: {a: b}")
        .await
        .unwrap();
    let overrides = "podOverrides: {volumes: [{name: a, secret: {secretName: there}}, {name: b, secret: {secretName: late}},\n  \
                     {name: c, configMap: {name: maybe, optional: true}}]}";
    b.create("t", overrides).await;
    let pod = b.kubelet.pod_of("t").await.unwrap();
    b.kubelet
        .report(&pod, &PodState::ContainerCreating)
        .await
        .unwrap();
    let pending = b.until_reason("t", TaskReason::SecretNotFound).await;
    assert_eq!(pending.phase, Some(TaskPhase::Pending));
    assert_eq!(
        pending.message.as_deref(),
        Some("the pod can't start: its volumes need Secret late, which does not exist")
    );
    b.kubelet.report(&pod, &PodState::AgentRunning).await.unwrap();
    let running = b.until_phase("t", TaskPhase::Running).await;
    assert_eq!(running.message, None);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_fails_the_task_after_a_while_and_stops_its_job() {
    let b = bench().await;
    b.create("t", "image: registry.test/typo:v1").await;
    let state = PodState::ImagePullBackOff {
        container: "agent".into(),
        message: "registry.test/typo:v1: not found".into(),
    };
    b.kubelet.report_job("t", &state).await.unwrap();
    let pending = b.until_reason("t", TaskReason::ImagePull).await;
    assert_eq!(
        pending.phase,
        Some(TaskPhase::Pending),
        "a registry may come back"
    );
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::ImagePull));
    assert!(failed.message.unwrap().contains("typo:v1: not found"));
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deadline_is_called_one() {
    let b = bench().await;
    b.create("t", "podOverrides: {activeDeadlineSeconds: 1}").await;
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::DeadlineExceeded));
    assert!(failed.message.unwrap().contains("activeDeadlineSeconds"));
}

#[tokio::test]
async fn an_evicted_pod_is_replaced_and_both_attempts_count() {
    let b = bench().await;
    b.create("t", "").await;
    let first = b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    b.kubelet
        .report(
            &first,
            &PodState::Evicted {
                message: "node drained".into(),
            },
        )
        .await
        .unwrap();
    let second = wait::until("a second pod", PATIENCE, async || {
        let pod = b.kubelet.pod_of("t").await?;
        Ok((pod.name_any() != first.name_any()).then_some(pod))
    });
    let second: Pod = second.await.unwrap();
    b.kubelet.report(&second, &PodState::AgentRunning).await.unwrap();
    let report = r#"{"axon":1,"final":true,"usage":{"inputTokens":3}}"#;
    b.kubelet
        .report(
            &second,
            &PodState::AgentEnded {
                exit_code: 0,
                message: report.into(),
            },
        )
        .await
        .unwrap();
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    assert_eq!(done.pod_name, Some(second.name_any()));
    let reasons: Vec<_> = done.attempts.iter().map(|a| a.reason).collect();
    assert_eq!(reasons, [Some(TaskReason::Evicted), None]);
}

#[tokio::test]
async fn runs_that_are_lost_with_their_nodes_are_counted_and_not_replaced_for_ever() {
    let b = bench().await;
    b.create("t", "").await;
    let pods = b.namespace.api::<Pod>();
    for run in 1..=3 {
        let pod = b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
        let name = pod.name_any();
        let runs = |t: &Task| t.status.as_ref().and_then(|s| s.pod_name.as_ref()) == Some(&name);
        b.namespace.wait_for("t", "runs", PATIENCE, runs).await.unwrap();
        b.kubelet.report(&pod, &PodState::NodeLost).await.unwrap();
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .unwrap();
        let counted = |t: &Task| t.status.as_ref().is_some_and(|s| s.attempts.len() == run);
        b.namespace
            .wait_for("t", "has counted the loss", PATIENCE, counted)
            .await
            .unwrap();
    }
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::Evicted));
    let reasons: Vec<_> = failed.attempts.iter().map(|a| a.reason).collect();
    assert_eq!(reasons, [Some(TaskReason::Evicted); 3]);
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pod_that_its_node_rejects_is_replaced() {
    let b = bench().await;
    b.create("t", "").await;
    let pod = b.kubelet.pod_of("t").await.unwrap();
    b.kubelet.bind(&pod, "n1").await.unwrap();
    let reason = "OutOfcpu".to_owned();
    b.kubelet
        .report(&pod, &PodState::Rejected { reason })
        .await
        .unwrap();
    let second = wait::until("a second pod", PATIENCE, async || {
        let pods = b.namespace.api::<Pod>().list(&ListParams::default()).await?;
        Ok(pods.into_iter().find(|other| other.name_any() != pod.name_any()))
    });
    let second: Pod = second.await.unwrap();
    b.kubelet.report(&second, &PodState::AgentRunning).await.unwrap();
    let running = b.until_phase("t", TaskPhase::Running).await;
    let reasons: Vec<_> = running.attempts.iter().map(|a| a.reason).collect();
    assert_eq!(reasons, [Some(TaskReason::PodLost)]);
}

#[tokio::test]
async fn an_agent_config_that_can_never_work_fails_with_the_field() {
    let b = bench().await;
    b.namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {name: ac}\nspec: {plugins: [{name: ../evil}]}")
        .await
        .unwrap();
    b.create("t", "agentConfigRef: {name: ac}").await;
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    let message = failed.message.unwrap();
    assert!(
        message.contains("ac") && message.contains("plugins[].name") && message.contains("../evil"),
        "{message}"
    );
}
