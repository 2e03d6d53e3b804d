//! Spawners whose Workspace has a GitHub App's Secret.

use axon_api::labels::HOSTS;
use axon_api::v1alpha1::TaskSpawnerPhase;
use axon_fixtures::github::APP_KEY_PKCS8;
use axon_fixtures::github::accounts::AppSpec;
use axon_fixtures::github::faults::Fault;
use axon_test::operator_process::SECRET_HOSTS;
use axon_test::wait;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;

use super::{World, bug, world};
use crate::harness::{PATIENCE, SILENCE};

const WHEN: &str = "when: {githubIssues: {labels: [bug]}}";
/// Keeps the Task from being run: for that it would get a token of its own.
const WAITS: &str = "dependsOn: [never]";
const REACHABLE: &str = "SourceReachable";

fn install(w: &World) {
    let app = AppSpec {
        installation: 88,
        account: Some("org".into()),
        ..AppSpec::default()
    };
    w.github.world().accounts.put_app("77", app);
}

/// A world whose Secret is that of the App 77 in its installation 88, and has no other credential.
async fn world_of_app() -> World {
    let w = world().await;
    install(&w);
    let secrets = w.bench.namespace.api::<Secret>();
    secrets.delete("gh", &DeleteParams::default()).await.unwrap();
    let data = json!({"appID": "77", "installationID": "88", "privateKey": APP_KEY_PKCS8});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gh", "annotations": {HOSTS: SECRET_HOSTS}}, "stringData": data});
    w.apply(&secret.to_string()).await;
    w
}

fn asked_for_tokens(w: &World) -> u64 {
    w.github.world().record.count("/access_tokens")
}

/// Waits for a spawner that can't read its source, and returns why.
async fn until_failed(w: &World, reason: &str) -> String {
    let said = w.until_condition("fix", REACHABLE, "False", reason).await;
    let status = w.status("fix").await;
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Failed));
    let message = status.message.unwrap_or_default();
    assert!(message.starts_with(&format!("{reason}: ")), "{message}");
    w.until_condition("fix", "Stalled", "True", reason).await;
    said
}

async fn until_healed(w: &World, tasks: &[&str]) {
    w.until_condition("fix", REACHABLE, "True", "Read").await;
    w.until("fix", "runs", |s| s.phase == Some(TaskSpawnerPhase::Running))
        .await;
    w.until_tasks(tasks).await;
}

#[tokio::test]
async fn one_token_of_the_app_is_enough_for_many_looks() {
    let w = world_of_app().await;
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    w.until_tasks(&["fix-1"]).await;
    let looks = || w.github.world().record.count("/issues");
    let first = looks();
    wait::until("more looks", PATIENCE, async || {
        Ok((looks() >= first + 3).then_some(()))
    })
    .await
    .unwrap();
    w.put(2, bug());
    w.until_tasks(&["fix-1", "fix-2"]).await;
    assert_eq!(asked_for_tokens(&w), 1);
    assert_eq!(w.github.world().accounts.minted(), 1);
    let world = w.github.world();
    let anonymous = world.record.latest.iter().filter(|asked| asked.token.is_none());
    assert_eq!(anonymous.count(), 0, "each request names the App");
}

#[tokio::test]
async fn the_operators_own_token_reads_issues_of_the_spawners_repository_alone() {
    let w = world_of_app().await;
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    w.until_tasks(&["fix-1"]).await;
    let world = w.github.world();
    let token = format!("ghs_fixture{:029}", 1);
    let spec = world.accounts.of_app(&token, world.now()).unwrap().clone();
    assert!(spec.reaches("org/repo") && !spec.reaches("org/other"));
    assert!(spec.may("issues", "read") && spec.may("pull_requests", "read"));
    for permission in ["issues", "pull_requests", "contents", "metadata"] {
        assert!(!spec.may(permission, "write"), "{permission}");
    }
    assert!(!spec.may("contents", "read"));
}

#[tokio::test]
async fn an_app_that_is_not_installed_on_the_repository_is_told_and_heals() {
    let w = world_of_app().await;
    let on = |repository: &str| {
        let app = AppSpec {
            installation: 88,
            account: Some("org".into()),
            repositories: Some(vec![repository.into()]),
            ..AppSpec::default()
        };
        w.github.world().accounts.put_app("77", app);
    };
    on("other");
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    let said = until_failed(&w, "RepositoryNotInstalled").await;
    for words in ["Workspace \"w\"", "org/repo", "spec.repo", "not accessible"] {
        assert!(said.contains(words), "{said}");
    }
    on("repo");
    until_healed(&w, &["fix-1"]).await;
}

#[tokio::test]
async fn an_app_that_is_uninstalled_is_told_and_the_spawner_heals_when_it_is_back() {
    let w = world_of_app().await;
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    w.until_tasks(&["fix-1"]).await;
    {
        // GitHub ends the tokens of what is uninstalled.
        let mut world = w.github.world();
        world.accounts.remove_app("77");
        world.accounts.remove_token(&format!("ghs_fixture{:029}", 1));
    }
    w.put(2, bug());
    let said = until_failed(&w, "InstallationNotFound").await;
    for words in ["404", "installation 88 of App 77", "Secret gh", "installationID"] {
        assert!(said.contains(words), "{said}");
    }
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-1"]);
    install(&w);
    until_healed(&w, &["fix-1", "fix-2"]).await;
    assert_eq!(w.github.world().accounts.minted(), 2);
}

#[tokio::test]
async fn an_app_that_github_refuses_is_told_and_heals() {
    let w = world_of_app().await;
    w.put(1, bug());
    let refuse = |status: u16, said: &str| {
        let mut world = w.github.world();
        world.faults.clear();
        world.faults.add(Fault {
            path: "/access_tokens".into(),
            times: Some(1_000_000),
            status: Some(status),
            body: Some(json!({ "message": said })),
            ..Fault::default()
        });
    };
    refuse(403, "This installation has been suspended");
    w.spawner("fix", WHEN, WAITS).await;
    let said = until_failed(&w, "Forbidden").await;
    assert!(
        said.contains("has been suspended") && said.contains("installation 88"),
        "{said}"
    );
    refuse(401, "A JSON web token could not be decoded");
    let said = until_failed(&w, "Unauthorized").await;
    assert!(
        said.contains("could not be decoded") && said.contains("App 77"),
        "{said}"
    );
    // Nothing was asked without the token.
    assert_eq!(w.github.world().record.count("/issues"), 0);
    w.github.world().faults.clear();
    until_healed(&w, &["fix-1"]).await;
    assert_eq!(w.github.world().accounts.minted(), 1);
}
