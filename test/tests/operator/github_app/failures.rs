//! Tokens that GitHub refuses, for good or for a while.

use axon_api::{Task, TaskPhase, TaskReason, Workspace};
use axon_fixtures::github::APP_KEY_PKCS8;
use axon_fixtures::github::faults::Fault;
use axon_test::kubelet::PodState;
use axon_test::wait;
use kube::api::DeleteParams;
use serde_json::json;

use super::World;
use crate::harness::{PATIENCE, status};

#[tokio::test]
async fn what_github_refuses_for_good_fails_the_task_and_names_the_secret_and_its_key() {
    let w = World::new(3600).await;
    w.put_secret(&[
        ("appID", "78"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    w.create("unknown-app").await;
    let failed = w.bench.until_phase("unknown-app", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    let message = failed.message.unwrap();
    for words in ["404", "installation 88 of App 78", "Secret app", "installationID"] {
        assert!(message.contains(words), "{message}");
    }
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", "no key"),
    ])
    .await;
    w.create("bad-key").await;
    let failed = w.bench.until_phase("bad-key", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("Secret app, key privateKey"));
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    w.github.world().faults.add(Fault {
        status: Some(401),
        body: Some(json!({"message": "A JSON web token could not be decoded"})),
        ..Fault::default()
    });
    w.create("refused").await;
    let failed = w.bench.until_phase("refused", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    assert!(failed.message.unwrap().contains("could not be decoded"));
}

#[tokio::test]
async fn what_heals_is_waited_for_with_a_reason() {
    let w = World::new(3600).await;
    w.github.world().faults.add(Fault {
        status: Some(500),
        times: Some(2),
        ..Fault::default()
    });
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::WaitingForToken).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    let message = waiting.message.unwrap();
    assert!(message.contains("500") && message.contains("App 77"), "{message}");
    w.bench.until_phase("t", TaskPhase::Pending).await;
    assert_eq!((w.minted(), w.github.world().record.count(" 500")), (1, 2));
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_the_run_goes_on() {
    let w = World::new(8).await;
    w.create("t").await;
    w.bench
        .kubelet
        .report_job("t", &PodState::AgentRunning)
        .await
        .unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    w.github.world().faults.add(Fault {
        status: Some(503),
        times: Some(1),
        ..Fault::default()
    });
    wait::until("a second token", PATIENCE, async || {
        Ok((w.minted() >= 2).then_some(()))
    })
    .await
    .unwrap();
    let events = w.bench.namespace.api::<k8s_openapi::api::events::v1::Event>();
    let told = wait::until("an event", PATIENCE, async || {
        let all = events.list(&kube::api::ListParams::default()).await?;
        Ok(all
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("TokenNotRenewed")))
    });
    assert!(told.await.unwrap().note.unwrap().contains("503"));
    let task: Task = w.bench.namespace.api().get("t").await.unwrap();
    assert_eq!(status(&task).phase, Some(TaskPhase::Running));
}

#[tokio::test]
async fn a_workspace_that_is_away_for_a_while_does_not_end_the_renewal() {
    let w = World::new(8).await;
    w.create("t").await;
    let kubelet = &w.bench.kubelet;
    kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    let workspaces = w.bench.namespace.api::<Workspace>();
    workspaces.delete("ws", &DeleteParams::default()).await.unwrap();
    let events = w.bench.namespace.api::<k8s_openapi::api::events::v1::Event>();
    wait::until("an event", PATIENCE, async || {
        let all = events.list(&kube::api::ListParams::default()).await?;
        let is_told = |note: &String| note.contains("Workspace does not exist");
        Ok(all.into_iter().filter_map(|event| event.note).find(is_told))
    })
    .await
    .unwrap();
    let minted = w.minted();
    w.put_workspace().await;
    wait::until("another token", PATIENCE, async || {
        Ok((w.minted() > minted).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_workspace_that_names_no_repository_of_a_github_says_so() {
    let w = World::new(3600).await;
    w.point_at(&w.url.replace("/acme/widgets", "/only-one")).await;
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("OWNER/NAME"));
}

#[tokio::test]
async fn a_host_whose_certificate_nobody_knows_is_told_as_such() {
    use axon_github::{
        Credential, Github, GithubError, GithubMetrics, Hosts, ListQuery, Options, Repository,
    };

    // An HTTPS server that is at hand, with a certificate of its own making.
    let control_plane = axon_test::control_plane::ControlPlane::shared().await.unwrap();
    let server = crate::harness::config(control_plane).await.cluster_url;
    let repository = Repository::of(&format!("https://{}/o/r", server.authority().unwrap())).unwrap();
    let github = Github::new(
        axon_github::clock::Clock::system(),
        GithubMetrics::default(),
        &Options {
            hosts: Hosts::parse("127.0.0.1:*,localhost:*").unwrap(),
            private_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..Options::default()
        },
    );
    let query = ListQuery::default();
    let error = github
        .items(&repository, &Credential::anonymous(), &query)
        .await
        .unwrap_err();
    assert!(matches!(&error, GithubError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}
