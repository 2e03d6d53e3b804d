//! Tasks that are stopped, lost or repeated, and prompts that take up results.

use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, SILENCE, bench, status};

const REPORT: &str =
    r#"{"axon":1,"final":true,"usage":{"inputTokens":7},"outputs":["branch: feature/x","pr: https://h/1"]}"#;

async fn stop(b: &Bench, name: &str) {
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = b.namespace.api::<Task>();
    tasks.patch(name, &PatchParams::default(), &stop).await.unwrap();
}

/// Returns the prompt that the Job hands to its agent.
async fn prompt(b: &Bench, job: &str) -> String {
    let job = b.namespace.api::<Job>().get(job).await.unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    pod.containers[0].args.clone().unwrap().pop().unwrap()
}

async fn until(b: &Bench, name: &str, what: &str, wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
    let wanted = |t: &Task| wanted(&status(t));
    status(&b.namespace.wait_for(name, what, PATIENCE, wanted).await.unwrap())
}

#[tokio::test]
async fn results_reach_the_prompt_also_of_a_dependency_that_is_gone() {
    let b = bench().await;
    let yaml = r#"
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: last}
spec:
  type: claude-code
  credentials: {type: api-key, secretRef: {name: key}}
  dependsOn: [gone, there]
  prompt: |-
    {{index .Deps "gone" "Results" "branch"}} {{.Deps.there.Name}}:{{range .Deps.there.Outputs}} {{.}}{{end}} $(X)
"#;
    b.namespace.apply(yaml).await.unwrap();
    for name in ["gone", "there"] {
        b.create(name, "").await;
        b.until_phase(name, TaskPhase::Pending).await;
    }
    b.succeed("gone", REPORT).await;
    let kept = until(&b, "last", "has recorded it", |s| {
        s.satisfied_dependencies == ["gone"]
    })
    .await;
    assert_eq!(
        kept.dependency_outputs["gone"],
        ["branch: feature/x", "pr: https://h/1"]
    );
    let tasks = b.namespace.api::<Task>();
    tasks.delete("gone", &DeleteParams::background()).await.unwrap();
    wait::until_gone(&tasks, "gone", PATIENCE).await.unwrap();
    b.succeed("there", REPORT).await;
    b.until_phase("last", TaskPhase::Pending).await;
    let expected = "feature/x there: branch: feature/x pr: https://h/1 $$(X)";
    assert_eq!(prompt(&b, "last").await, expected);
    b.succeed("last", REPORT).await;
    let done = b.until_phase("last", TaskPhase::Succeeded).await;
    assert!(done.dependency_outputs.is_empty(), "nobody needs them any more");
}

#[tokio::test]
async fn a_prompt_that_can_not_be_rendered_fails_its_task_and_says_where() {
    let b = bench().await;
    b.create("first", "").await;
    let yaml = crate::harness::task("second", "dependsOn: [first]");
    let yaml = yaml.replace("do it", "'{{.Deps.first.Results.nothing}}'");
    b.namespace.apply(&yaml).await.unwrap();
    let no_template = crate::harness::task("third", "dependsOn: [first]").replace("do it", "'{{.Deps'");
    b.namespace.apply(&no_template).await.unwrap();
    let failed = b.until_phase("third", TaskPhase::Failed).await;
    assert_eq!(
        failed.reason,
        Some(TaskReason::InvalidConfig),
        "before its dependency has ended"
    );

    b.until_phase("first", TaskPhase::Pending).await;
    b.succeed("first", REPORT).await;
    let failed = b.until_phase("second", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    let message = failed.message.unwrap();
    assert!(message.contains("template: prompt:1:"), "{message}");
    assert!(
        message.contains(r#"map has no entry for key "nothing""#),
        "{message}"
    );
    assert!(
        b.namespace
            .api::<Job>()
            .get_opt("second")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_prompt_without_dependencies_is_not_rendered() {
    let b = bench().await;
    let text = "{{.Deps.x}} {{";
    let yaml = crate::harness::task("t", "").replace("do it", &format!("'{text}'"));
    b.namespace.apply(&yaml).await.unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
    assert_eq!(prompt(&b, "t").await, text);
}

#[tokio::test]
async fn a_task_that_waits_is_stopped_at_once() {
    let b = bench().await;
    b.create("t", "dependsOn: [never]").await;
    b.create("after", "dependsOn: [t]").await;
    b.until_reason("t", TaskReason::WaitingForDependencies).await;
    stop(&b, "t").await;
    let stopped = b.until_reason("t", TaskReason::Stopped).await;
    assert_eq!((stopped.phase, stopped.job_name), (Some(TaskPhase::Failed), None));
    assert_eq!(stopped.observed_generation, Some(2));
    b.until_reason("after", TaskReason::DependencyFailed).await;
}

#[tokio::test]
async fn a_task_that_runs_is_stopped_with_its_last_words_and_keeps_its_record() {
    let b = bench().await;
    b.create("t", "branch: x").await;
    b.create("next", "branch: x").await;
    let pod = b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    stop(&b, "t").await;
    let pods = b.namespace.api::<Pod>();
    wait::until("the end of the pod's Job to begin", PATIENCE, async || {
        let job = b.namespace.api::<Job>().get_opt("t").await?;
        Ok(job
            .is_none_or(|job| job.metadata.deletion_timestamp.is_some())
            .then_some(()))
    })
    .await
    .unwrap();
    // There is no node and so no grace period: the pod goes at once, before anyone could read that it is being stopped.
    wait::until_gone(&pods, &pod.name_any(), PATIENCE).await.unwrap();
    let stopped = b.until_reason("t", TaskReason::Stopped).await;
    assert_eq!(stopped.phase, Some(TaskPhase::Failed));
    b.until_phase("next", TaskPhase::Pending).await;
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
    tokio::time::sleep(SILENCE).await;
    let task = b.namespace.api::<Task>().get("t").await.unwrap();
    assert_eq!(status(&task), stopped, "the record stays");
}

#[tokio::test]
async fn a_stop_waits_for_the_last_words_whatever_the_operators_machine_takes_the_time_for() {
    let b = bench().await;
    b.create("t", "").await;
    let pod = b.kubelet.pod_of("t").await.unwrap();
    b.kubelet.bind(&pod, "n1").await.unwrap();
    b.kubelet.report(&pod, &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    stop(&b, "t").await;
    let pods = b.namespace.api::<Pod>();
    wait::until_object(&pods, &pod.name_any(), "is to end", PATIENCE, |pod| {
        pod.metadata.deletion_timestamp.is_some()
    })
    .await
    .unwrap();
    tokio::time::sleep(SILENCE).await;
    let stopping = status(&b.namespace.api::<Task>().get("t").await.unwrap());
    assert_eq!(stopping.reason, Some(TaskReason::Stopping), "its pod has 45 s");
    let ended = PodState::AgentEnded {
        exit_code: 143,
        message: REPORT.into(),
    };
    b.kubelet.report(&pod, &ended).await.unwrap();
    let stopped = b.until_reason("t", TaskReason::Stopped).await;
    assert_eq!(stopped.usage.unwrap().input_tokens, Some(7));
}

#[tokio::test]
async fn a_stop_after_the_end_changes_nothing_but_is_seen() {
    let b = bench().await;
    b.create("t", "").await;
    b.until_phase("t", TaskPhase::Pending).await;
    b.succeed("t", REPORT).await;
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    stop(&b, "t").await;
    let seen = until(&b, "t", "has seen the stop", |s| s.observed_generation == Some(2)).await;
    assert_eq!(
        (seen.phase, seen.reason, &seen.usage),
        (done.phase, done.reason, &done.usage)
    );
    assert!(seen.conditions.iter().all(|c| c.observed_generation == Some(2)));
}

#[tokio::test]
async fn a_pod_that_someone_deletes_is_replaced_by_a_new_job() {
    let b = bench().await;
    b.create("t", "").await;
    b.create("after", "dependsOn: [t]").await;
    let pods = b.namespace.api::<Pod>();
    let mut uids = Vec::new();
    for run in 0..3 {
        let pod = b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
        let name = pod.name_any();
        until(&b, "t", "runs", |s| {
            s.phase == Some(TaskPhase::Running) && s.pod_name.as_ref() == Some(&name)
        })
        .await;
        uids.push(b.namespace.api::<Job>().get("t").await.unwrap().uid());
        let params = DeleteParams::default().grace_period(0);
        pods.delete(&name, &params).await.unwrap();
        // The Job's own finalizer holds the pod until its kubelet has ended it.
        let killed = PodState::AgentEnded {
            exit_code: 143,
            message: String::new(),
        };
        b.kubelet.report(&pod, &killed).await.unwrap();
        until(&b, "t", "has noted the loss", |s| s.attempts.len() == run + 1).await;
    }
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::PodLost));
    let reasons: Vec<_> = failed.attempts.iter().map(|a| a.reason).collect();
    assert_eq!(reasons, [Some(TaskReason::PodLost); 3]);
    uids.dedup();
    assert_eq!(uids.len(), 3, "each run has a Job of its own");
    b.until_reason("after", TaskReason::DependencyFailed).await;
}

#[tokio::test]
async fn a_policy_repeats_what_failed_while_dependents_wait() {
    let b = bench().await;
    b.create("t", "retryPolicy: {limit: 2, backoff: 1s, on: [OOMKilled]}")
        .await;
    b.create("after", "dependsOn: [t]").await;
    let oom = PodState::OomKilled {
        message: String::new(),
    };
    b.kubelet.report_job("t", &oom).await.unwrap();
    let again = until(&b, "t", "is to run again", |s| s.retries == Some(1)).await;
    assert_eq!(
        (again.phase, again.reason),
        (Some(TaskPhase::Pending), Some(TaskReason::Retrying))
    );
    until(&b, "t", "has its second Job", |s| s.next_run.is_none()).await;
    assert_eq!(
        status(&b.namespace.api::<Task>().get("after").await.unwrap()).reason,
        Some(TaskReason::WaitingForDependencies)
    );
    b.succeed("t", REPORT).await;
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    assert_eq!((done.attempts.len(), done.retries), (2, Some(1)));
    assert_eq!(done.attempts[0].reason, Some(TaskReason::OOMKilled));
    b.until_phase("after", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_task_and_those_that_wait_for_it_are_woken_by_each_other() {
    let b = bench().await;
    b.create("after", "dependsOn: [t]").await;
    b.until_reason("after", TaskReason::WaitingForDependencies).await;
    b.create("t", "").await;
    let told = |s: &TaskStatus| s.message.as_deref() == Some("waits for t");
    until(&b, "after", "knows that t is there", told).await;
    // A cycle that is closed later is found by all of its members.
    b.create("one", "dependsOn: [two]").await;
    b.create("two", "dependsOn: [three]").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    b.create("three", "dependsOn: [one]").await;
    for (name, cycle) in [
        ("one", "one -> two -> three -> one"),
        ("two", "two -> three -> one -> two"),
        ("three", "three -> one -> two -> three"),
    ] {
        let failed = b.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(failed.reason, Some(TaskReason::DependencyCycle), "{name}");
        assert_eq!(failed.message, Some(format!("circular dependency: {cycle}")));
    }
}

#[tokio::test]
async fn kubectl_waits_for_the_condition_ready() {
    let b = bench().await;
    b.create("t", "").await;
    b.until_phase("t", TaskPhase::Pending).await;
    let kubectl = axon_test::paths::cluster_program()
        .unwrap()
        .with_file_name("kubectl");
    let wait = |timeout: &str| {
        tokio::process::Command::new(&kubectl)
            .arg("wait")
            .arg("--kubeconfig")
            .arg(axon_test::control_plane::ControlPlane::kubeconfig(
                b.control_plane,
            ))
            .arg(format!("--namespace={}", b.namespace.name()))
            .args(["--for=condition=Ready", "task/t"])
            .arg(format!("--timeout={timeout}"))
            .output()
    };
    assert!(
        !wait("1s").await.unwrap().status.success(),
        "it has not succeeded yet"
    );
    b.succeed("t", REPORT).await;
    let waited = wait("60s").await.unwrap();
    let said = String::from_utf8_lossy(&waited.stdout).into_owned();
    assert!(
        waited.status.success() && said.contains("condition met"),
        "{waited:?}"
    );
}
