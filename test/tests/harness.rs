//! The harness itself: without these, a test that passes might show nothing.
#![cfg(test)]

use std::time::Duration;

use axon_api::{Task, TaskPhase};
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::{control_plane, paths, wait};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

const LIMIT: Duration = Duration::from_secs(30);

const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata:
  name: NAME
spec:
  backoffLimit: 0
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
  template:
    metadata:
      labels:
        axon.io/task: NAME
    spec:
      restartPolicy: Never
      securityContext:
        runAsNonRoot: true
        runAsUser: 61100
        seccompProfile:
          type: RuntimeDefault
      initContainers:
        - name: workspace
          image: localhost/none
          securityContext: &restricted
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
      containers:
        - name: agent
          image: localhost/none
          securityContext: *restricted
";

async fn job(namespace: &Namespace, name: &str) {
    namespace.apply(&JOB.replace("NAME", name)).await.unwrap();
}

fn condition(job: &Job, kind: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == kind && c.status == "True"))
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().unwrap().phase.as_deref().unwrap()
}

fn ended(exit_code: i32) -> PodState {
    let message = format!("ended with {exit_code}");
    PodState::AgentEnded { exit_code, message }
}

#[tokio::test]
async fn the_job_controller_believes_the_kubelet() {
    let namespace = control_plane::namespace().await.unwrap();
    let kubelet = Kubelet::new(&namespace);
    let failed = |message: &str| PodState::InitFailed {
        exit_code: 128,
        message: message.into(),
    };
    let killed = PodState::OomKilled {
        message: String::new(),
    };
    for (name, states, outcome) in [
        (
            "good",
            vec![PodState::InitRunning, PodState::AgentRunning, ended(0)],
            "Complete",
        ),
        (
            "bad",
            vec![PodState::ContainerCreating, PodState::AgentRunning, ended(3)],
            "Failed",
        ),
        (
            "unclonable",
            vec![PodState::InitRunning, failed("fatal: no such repository")],
            "Failed",
        ),
        ("hungry", vec![PodState::AgentRunning, killed], "Failed"),
    ] {
        job(&namespace, name).await;
        let pod = kubelet.pod_of(name).await.unwrap();
        for state in &states {
            kubelet.report(&pod, state).await.unwrap();
        }
        let found = namespace
            .wait_for_object(name, outcome, LIMIT, |job: &Job| condition(job, outcome))
            .await;
        found.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

#[tokio::test]
async fn a_disruption_brings_a_new_pod() {
    let namespace = control_plane::namespace().await.unwrap();
    let kubelet = Kubelet::new(&namespace);
    job(&namespace, "moved").await;
    let first = kubelet
        .report_job("moved", &PodState::AgentRunning)
        .await
        .unwrap();
    let evicted = PodState::Evicted {
        message: "node is drained".into(),
    };
    let first = kubelet.report(&first, &evicted).await.unwrap();
    assert_eq!(phase(&first), "Failed");
    let second = kubelet.pod_of("moved").await.unwrap();
    assert_ne!(first.name_any(), second.name_any());
    kubelet.report(&second, &ended(0)).await.unwrap();
    let complete = |job: &Job| condition(job, "Complete");
    namespace
        .wait_for_object("moved", "to complete", LIMIT, complete)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stuck_pod_is_pending_and_can_recover() {
    let namespace = control_plane::namespace().await.unwrap();
    let kubelet = Kubelet::new(&namespace);
    job(&namespace, "stuck").await;
    let text = || "because of the test".to_owned();
    for (state, reason) in [
        (PodState::Unschedulable { message: text() }, "Unschedulable"),
        (PodState::ContainerCreating, "PodInitializing"),
        (
            PodState::ImagePullBackOff {
                container: "workspace".into(),
                message: text(),
            },
            "ImagePullBackOff",
        ),
        (PodState::InitRunning, "startedAt"),
        (
            PodState::ImagePullBackOff {
                container: "agent".into(),
                message: text(),
            },
            "ImagePullBackOff",
        ),
        (
            PodState::CreateContainerConfigError { message: text() },
            "CreateContainerConfigError",
        ),
    ] {
        let pod = kubelet.report_job("stuck", &state).await.unwrap();
        assert_eq!(phase(&pod), "Pending", "{state:?}");
        let status = serde_json::to_string(&pod.status).unwrap();
        assert!(status.contains(reason), "{state:?}: {status}");
    }
    kubelet
        .report_job("stuck", &PodState::AgentRunning)
        .await
        .unwrap();
    let pod = kubelet.report_job("stuck", &ended(0)).await.unwrap();
    assert_eq!(phase(&pod), "Succeeded");
    let again = kubelet.report(&pod, &PodState::AgentRunning).await;
    assert!(again.is_err(), "what has ended can't run again");
}

#[tokio::test]
async fn a_vain_wait_tells_what_there_is() {
    let namespace = control_plane::namespace().await.unwrap();
    job(&namespace, "slow").await;
    let message = "no node has room".to_owned();
    Kubelet::new(&namespace)
        .report_job("slow", &PodState::Unschedulable { message })
        .await
        .unwrap();
    let task = "
apiVersion: axon.io/v1alpha1
kind: Task
metadata:
  name: slow
spec:
  type: codex
  prompt: The prompt of the test.
  credentials:
    type: none
";
    namespace.apply(task).await.unwrap();
    let succeeded = |task: &Task| task.status.as_ref().and_then(|s| s.phase) == Some(TaskPhase::Succeeded);
    let vain = namespace
        .wait_for("slow", "to succeed", Duration::from_millis(200), succeeded)
        .await;
    let report = format!("{:#}", vain.unwrap_err());
    for part in [
        "in vain for task slow to succeed",
        "The prompt of the test.",
        "no node has room",
        "log of slow-",
        "Job/slow SuccessfulCreate",
    ] {
        assert!(report.contains(part), "{part:?} is not in {report}");
    }
}

#[tokio::test]
async fn namespaces_are_restricted_and_apart() {
    let one = control_plane::namespace().await.unwrap();
    let two = control_plane::namespace().await.unwrap();
    assert_ne!(one.name(), two.name());
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}";
    let refused = format!("{:#}", one.apply(pod).await.unwrap_err());
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
    let typo = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, dta: {}}";
    let refused = format!("{:#}", one.apply(typo).await.unwrap_err());
    assert!(refused.contains("dta"), "{refused}");
}

#[tokio::test]
async fn the_fixtures_fit_a_restricted_namespace() {
    let namespace = control_plane::namespace().await.unwrap();
    let file = paths::root().join("test/manifests/fixtures.yaml");
    let manifests = std::fs::read_to_string(file)
        .unwrap()
        .replace("FIXTURES_IMAGE", "localhost/axon-fixtures:test");
    namespace.apply(&manifests).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(namespace.client().clone(), "axon-fixtures");
    let made = wait::until("the pod of the fixtures", LIMIT, async || {
        Ok(pods.list(&ListParams::default()).await?.items.pop())
    });
    let pod = made.await.unwrap();
    assert_eq!(
        pod.spec.unwrap().containers[0].image.as_deref(),
        Some("localhost/axon-fixtures:test")
    );
}
