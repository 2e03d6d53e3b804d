//! Hosts that a spawner's Workspace may name, and those that receive a Secret's token.

use axon_api::Workspace;
use axon_api::labels::HOSTS;
use axon_api::v1alpha1::TaskSpawnerPhase;
use axon_test::operator_process::SECRET_HOSTS;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{REPO, World, bug, world};

const WHEN: &str = "when: {githubIssues: {labels: [bug]}}";
const WAITS: &str = "dependsOn: [never]";
const REACHABLE: &str = "SourceReachable";

async fn annotate(w: &World, hosts: Option<&str>) {
    let patch = json!({"metadata": {"annotations": {HOSTS: hosts}}});
    let secrets = w.bench.namespace.api::<Secret>();
    secrets
        .patch("gh", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

async fn point_at(w: &World, repo: &str, with_secret: bool) {
    let secret = with_secret.then(|| json!({"name": "gh"}));
    let patch = json!({"spec": {"repo": repo, "secretRef": secret}});
    let workspaces = w.bench.namespace.api::<Workspace>();
    workspaces
        .patch("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Somebody who may write Workspaces and TaskSpawners names a host of theirs and a Secret of
/// the namespace.
#[tokio::test]
async fn a_token_is_not_sent_to_a_host_that_its_secret_does_not_name() {
    let w = world().await;
    annotate(&w, None).await;
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    let said = w
        .until_condition("fix", REACHABLE, "False", "SecretNotForHost")
        .await;
    let url = w.server.url();
    let command = format!(
        "kubectl -n {} annotate --overwrite secret gh axon.io/hosts={url}",
        w.bench.namespace.name()
    );
    assert!(said.contains(&command), "{said}");
    w.until_condition("fix", "Stalled", "True", "SecretNotForHost")
        .await;
    assert_eq!(w.github.world().record.count(""), 0, "nothing was sent there");
    annotate(&w, Some(SECRET_HOSTS)).await;
    // The Secret is read again at a poll after half a minute; an edit of the Workspace makes it a new one at once.
    w.until_condition("fix", REACHABLE, "True", "Read").await;
    w.until_tasks(&["fix-1"]).await;
}

#[tokio::test]
async fn the_operator_connects_to_no_host_that_the_administrator_has_not_named() {
    let w = world().await;
    let port = w.server.url().rsplit_once(':').unwrap().1.to_owned();
    w.put(1, bug());
    w.spawner("fix", WHEN, WAITS).await;
    w.until_condition("fix", REACHABLE, "True", "Read").await;
    let (mut messages, mut before) = (Vec::new(), None);
    for repo in [
        // Served, on the allowed address by another name; shut; the API server; the cloud's metadata; a path of their own.
        format!("http://localhost:{port}/{REPO}"),
        "http://10.250.0.1:9/o/r".into(),
        "https://kubernetes.default.svc/o/r".into(),
        "http://169.254.169.254/latest/meta-data".into(),
        "https://evil.example/o/r".into(),
    ] {
        point_at(&w, &repo, true).await;
        let host = repo.split('/').nth(2).unwrap().to_owned();
        let is_told = |s: &axon_api::v1alpha1::TaskSpawnerStatus| {
            let message = s.message.as_deref().unwrap_or_default();
            s.phase == Some(TaskSpawnerPhase::Failed) && message.contains(&host)
        };
        let status = w.until("fix", "is told", is_told).await;
        // The polls of the allowed host have ended by now.
        before.get_or_insert_with(|| w.github.world().record.count(""));
        messages.push(
            status
                .message
                .unwrap()
                .replace(&host, "HOST")
                .replace("http://HOST", "HOST"),
        );
    }
    for message in &messages {
        assert_eq!(message, &messages[0], "what is there can't be told from it");
        assert!(
            message.starts_with("HostNotAllowed: ") && message.contains("--github-hosts"),
            "{message}"
        );
    }
    assert_eq!(Some(w.github.world().record.count("")), before);
}
