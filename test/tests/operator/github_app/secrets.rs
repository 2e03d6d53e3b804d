//! Secrets that come late, or that belong to somebody else.

use axon_api::{TaskPhase, TaskReason};
use axon_fixtures::github::APP_KEY_PKCS8;

use super::{World, token};

#[tokio::test]
async fn a_secret_that_comes_late_is_waited_for() {
    let w = World::without_secret(3600).await;
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::SecretNotFound).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("Secret app of Workspace ws"));
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    assert!(pending.github_token.is_some());
}

#[tokio::test]
async fn a_secret_for_ssh_that_comes_late_is_waited_for_too() {
    let w = World::without_secret(3600).await;
    w.point_at("git@git.example.com:acme/widgets.git").await;
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::SecretNotFound).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("Secret app of Workspace ws"));
    // A Secret for SSH is never an App's, whatever else is in it.
    w.put_secret(&[
        ("ssh-privatekey", "k"),
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", "x"),
    ])
    .await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    assert_eq!((pending.github_token, w.minted()), (None, 0));
}

#[tokio::test]
async fn a_foreign_secret_of_that_name_is_not_touched() {
    let w = World::new(3600).await;
    let foreign =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: t-github-token}\nstringData: {GITHUB_TOKEN: mine}";
    w.bench.namespace.apply(foreign).await.unwrap();
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("t-github-token"));
    assert_eq!(token(&w.secret("t-github-token").await), "mine");
    assert_eq!(w.minted(), 0);
}
