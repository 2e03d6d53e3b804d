//! Hosts that a token may reach.

use axon_api::{TaskPhase, TaskReason, labels};
use axon_fixtures::github::APP_KEY_PKCS8;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::World;

#[tokio::test]
async fn a_token_reaches_the_pod_of_no_host_that_its_secret_does_not_name() {
    let w = World::without_secret(3600).await;
    for (name, data) in [
        ("plain", vec![("GITHUB_TOKEN", "ghp_plain")]),
        (
            "app",
            vec![
                ("appID", "77"),
                ("installationID", "88"),
                ("privateKey", APP_KEY_PKCS8),
            ],
        ),
    ] {
        w.put_secret(&data).await;
        let unnamed = json!({"metadata": {"annotations": {labels::HOSTS: null}}});
        let secrets = w.bench.namespace.api::<Secret>();
        secrets
            .patch("app", &PatchParams::default(), &Patch::Merge(&unnamed))
            .await
            .unwrap();
        w.create(name).await;
        let failed = w.bench.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
        let message = failed.message.unwrap();
        let host = w.url.trim_end_matches("/acme/widgets");
        let command = format!(
            "kubectl -n {} annotate --overwrite secret app axon.io/hosts={host}",
            w.bench.namespace.name()
        );
        assert!(
            message.contains(&command) && message.contains("without encryption"),
            "{message}"
        );
        secrets.delete("app", &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(w.github.world().record.count(""), 0, "nothing was sent there");
    assert!(
        w.bench
            .namespace
            .api::<Job>()
            .get_opt("plain")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn no_token_of_an_app_is_asked_for_at_a_host_that_the_administrator_does_not_allow() {
    let w = World::new(3600).await;
    let localhost = w.url.replace("127.0.0.1", "localhost");
    w.point_at(&localhost).await;
    let both = json!({"metadata": {"annotations": {labels::HOSTS: "http://localhost:*"}}});
    let secrets = w.bench.namespace.api::<Secret>();
    secrets
        .patch("app", &PatchParams::default(), &Patch::Merge(&both))
        .await
        .unwrap();
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    let message = failed.message.unwrap();
    assert!(
        message.contains("--github-hosts") && message.contains("http://localhost:"),
        "{message}"
    );
    assert_eq!((w.minted(), w.github.world().record.count("")), (0, 0));
}
