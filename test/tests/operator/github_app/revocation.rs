//! A token ends with its Task.

use axon_api::{Task, TaskPhase, TaskReason, labels};
use axon_fixtures::github::faults::Fault;
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{World, token};
use crate::harness::{PATIENCE, SILENCE, status};

const REPORT: &str = r#"{"axon":1,"final":true}"#;

#[tokio::test]
async fn a_token_is_revoked_and_its_secret_deleted_when_the_task_has_ended() {
    let w = World::new(20).await;
    w.create("t").await;
    let first = w.token_of("t").await;
    w.bench
        .kubelet
        .report_job("t", &PodState::AgentRunning)
        .await
        .unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    let second = wait::until("a fresh token", PATIENCE, async || {
        let now = token(&w.secret("t-github-token").await);
        Ok((now != first).then_some(now))
    });
    let second = second.await.unwrap();
    // The pod's variables still have the first one.
    assert!(w.of_token(&first).is_some() && w.of_token(&second).is_some());
    assert_eq!(w.revoked(), 0);
    w.bench.succeed("t", REPORT).await;
    let ended = w.until_nothing_is_left("t").await;
    assert_eq!(ended.phase, Some(TaskPhase::Succeeded));
    assert!(ended.completion_time.is_some() && !ended.attempts.is_empty());
    assert!(w.of_token(&first).is_none() && w.of_token(&second).is_none());
    assert_eq!(w.revoked(), 2);
    let minted = w.minted();
    tokio::time::sleep(SILENCE).await;
    assert!(
        !w.has_secret("t-github-token").await,
        "no renewal writes it again"
    );
    assert_eq!((w.minted(), w.revoked()), (minted, 2));
}

#[tokio::test]
async fn the_runs_of_a_task_share_its_token_until_the_last_one_has_ended() {
    let w = World::new(3600).await;
    w.bench
        .create(
            "t",
            "workspaceRef: {name: ws}\nretryPolicy: {limit: 1, backoff: 1s, on: [OOMKilled]}",
        )
        .await;
    let first = w.token_of("t").await;
    let fail = PodState::OomKilled {
        message: String::new(),
    };
    w.bench.kubelet.report_job("t", &fail).await.unwrap();
    let again =
        |task: &Task| status(task).retries == Some(1) && status(task).reason == Some(TaskReason::Starting);
    let namespace = &w.bench.namespace;
    namespace
        .wait_for("t", "runs again", PATIENCE, again)
        .await
        .unwrap();
    assert!(
        w.of_token(&first).is_some(),
        "the first run has ended, and not the Task"
    );
    assert_eq!(token(&w.secret("t-github-token").await), first);
    w.bench.kubelet.report_job("t", &fail).await.unwrap();
    w.bench.until_phase("t", TaskPhase::Failed).await;
    w.until_nothing_is_left("t").await;
    assert!(w.of_token(&first).is_none() && !w.has_secret("t-github-token").await);
}

#[tokio::test]
async fn a_revocation_that_fails_holds_up_no_end_and_is_tried_again() {
    let w = World::new(3600).await;
    w.github.world().faults.add(Fault {
        path: "/installation/token".into(),
        status: Some(503),
        times: Some(1),
        ..Fault::default()
    });
    w.create("t").await;
    let given = w.token_of("t").await;
    w.bench.succeed("t", REPORT).await;
    w.bench.until_phase("t", TaskPhase::Succeeded).await;
    wait::until("a try", PATIENCE, async || {
        let world = w.github.world();
        Ok((world.record.count("DELETE /installation/token 503") == 1).then_some(()))
    })
    .await
    .unwrap();
    assert!(w.of_token(&given).is_some());
    w.until_nothing_is_left("t").await;
    assert!(w.of_token(&given).is_none() && !w.has_secret("t-github-token").await);
    // What GitHub refuses for good is told, and the Secret goes all the same.
    w.github.world().faults.add(Fault {
        path: "/installation/token".into(),
        status: Some(404),
        ..Fault::default()
    });
    w.create("refused").await;
    let given = w.token_of("refused").await;
    w.bench.succeed("refused", REPORT).await;
    w.until_nothing_is_left("refused").await;
    assert!(w.of_token(&given).is_some() && !w.has_secret("refused-github-token").await);
    let told = w.until_told("TokenNotRemoved").await;
    assert!(told.contains("404") && told.contains("within an hour"), "{told}");
}

#[tokio::test]
async fn a_namespace_whose_role_lacks_delete_is_told_and_its_tokens_are_revoked() {
    let w = World::new(3600).await;
    let less = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: less}
rules: [{apiGroups: [''], resources: [secrets], verbs: [get, create, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: axon-spawner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: less}
subjects: [{kind: ServiceAccount, name: axon-spawner}]
";
    w.bench.namespace.apply(less).await.unwrap();
    w.create("t").await;
    let given = w.token_of("t").await;
    w.bench.succeed("t", REPORT).await;
    let ended = w.until_nothing_is_left("t").await;
    assert_eq!(ended.phase, Some(TaskPhase::Succeeded));
    assert!(w.of_token(&given).is_none() && w.has_secret("t-github-token").await);
    let told = w.until_told("TokenNotRemoved").await;
    assert!(
        told.contains("delete secrets \"t-github-token\"") && told.contains("RoleBinding"),
        "{told}"
    );
}

#[tokio::test]
async fn a_task_that_fails_before_it_has_a_job_leaves_no_token() {
    let w = World::new(3600).await;
    let foreign = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: t}\nspec: {suspend: true, template: {spec: \
                   {restartPolicy: Never, containers: [{name: c, image: i}]}}}";
    w.bench
        .create("t", "workspaceRef: {name: ws}\ndependsOn: [first]")
        .await;
    w.bench.namespace.apply(foreign).await.unwrap();
    w.create("first").await;
    w.bench.until_phase("first", TaskPhase::Pending).await;
    w.bench.succeed("first", REPORT).await;
    w.bench.until_phase("t", TaskPhase::Failed).await;
    w.until_nothing_is_left("t").await;
    w.until_nothing_is_left("first").await;
    assert!(!w.has_secret("t-github-token").await && !w.has_secret("first-github-token").await);
    assert_eq!((w.minted(), w.revoked()), (2, 2));
}

#[tokio::test]
async fn a_stop_ends_the_token_after_the_pod() {
    let w = World::new(3600).await;
    w.create("t").await;
    let given = w.token_of("t").await;
    let kubelet = &w.bench.kubelet;
    let pod = kubelet.pod_of("t").await.unwrap();
    kubelet.bind(&pod, "n1").await.unwrap();
    kubelet.report(&pod, &PodState::AgentRunning).await.unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = w.bench.namespace.api::<Task>();
    tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
    let pods = w.bench.namespace.api::<k8s_openapi::api::core::v1::Pod>();
    wait::until_object(&pods, &pod.name_any(), "is to end", PATIENCE, |pod| {
        pod.metadata.deletion_timestamp.is_some()
    })
    .await
    .unwrap();
    tokio::time::sleep(SILENCE).await;
    assert!(
        w.of_token(&given).is_some(),
        "its agent may be pushing what it has"
    );
    let ended = PodState::AgentEnded {
        exit_code: 143,
        message: REPORT.into(),
    };
    kubelet.report(&pod, &ended).await.unwrap();
    w.bench.until_reason("t", TaskReason::Stopped).await;
    w.until_nothing_is_left("t").await;
    assert!(w.of_token(&given).is_none() && !w.has_secret("t-github-token").await);
}

#[tokio::test]
async fn what_a_leader_has_left_undone_is_done_by_the_next() {
    let w = World::new(3600).await;
    w.create("t").await;
    let given = w.secret_and_status("t").await;
    w.bench.succeed("t", REPORT).await;
    w.until_nothing_is_left("t").await;
    // As it is after the Task's end is written, and nothing else.
    let (mut secret, token) = given;
    secret.metadata.resource_version = None;
    secret.metadata.uid = None;
    let secrets = w.bench.namespace.api::<Secret>();
    secrets
        .create(&kube::api::PostParams::default(), &secret)
        .await
        .unwrap();
    let tasks = w.bench.namespace.api::<Task>();
    let mut task = status(&tasks.get("t").await.unwrap());
    task.github_token = Some(token);
    let left = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "status": task});
    tasks
        .patch_status(
            "t",
            &PatchParams::apply(labels::MANAGER).force(),
            &Patch::Apply(&left),
        )
        .await
        .unwrap();
    wait::until_gone(&secrets, "t-github-token", PATIENCE)
        .await
        .unwrap();
    let ended = w.until_nothing_is_left("t").await;
    assert_eq!(ended.phase, Some(TaskPhase::Succeeded));
    // GitHub says that the token has ended already, and that is as good.
    assert_eq!(w.github.world().record.count("DELETE /installation/token 401"), 1);
}
