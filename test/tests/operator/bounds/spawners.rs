//! Objects that the accounts `axon-spawner` can write, and the pods that can run as them.

use axon_api::Task;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{World, refused, tried, with};

#[tokio::test]
async fn a_spawners_account_writes_only_its_own_secrets_and_tasks() {
    let w = World::new().await;
    let name = w.name();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "t-github-token", "labels": {"app.kubernetes.io/managed-by": "axon-operator"},
        "ownerReferences": [{"apiVersion": "axon.io/v1alpha1", "kind": "Task", "name": "t", "uid": "u"}]}});
    tried::<Secret>(&w.acting, name, &secret).await.unwrap();
    for (what, hostile, words) in [
        (
            "a ServiceAccount's token",
            {
                let token = with(&secret, "/type", json!("kubernetes.io/service-account-token"));
                with(
                    &token,
                    "/metadata/annotations",
                    json!({"kubernetes.io/service-account.name": "default"}),
                )
            },
            "of type Opaque",
        ),
        (
            "another name",
            with(&secret, "/metadata/name", json!("db")),
            "TASK-github-token",
        ),
        (
            "no owner",
            with(&secret, "/metadata/ownerReferences", json!([])),
            "that a Task owns",
        ),
        (
            "no label",
            with(&secret, "/metadata/labels", json!({})),
            "that a Task owns",
        ),
    ] {
        refused(
            what,
            tried::<Secret>(&w.acting, name, &hostile).await,
            "spawner-secrets",
            words,
        );
    }
    // Somebody's Secret does not become a Task's.
    let secrets = w.bench.namespace.api::<Secret>();
    for taken in ["db", "my-github-token"] {
        let own: Secret = serde_json::from_value(json!({"metadata": {"name": taken}})).unwrap();
        secrets.create(&PostParams::default(), &own).await.unwrap();
        let stolen = with(&secret, "/metadata/name", json!(taken));
        let api = Api::<Secret>::namespaced(w.acting.clone(), name);
        let patched = api
            .patch(taken, &PatchParams::default(), &Patch::Merge(&stolen))
            .await;
        let answer = patched.map(drop).map_err(|error| error.to_string());
        refused(
            taken,
            answer,
            "spawner-secrets",
            "ServiceAccount axon-spawner writes only Secrets",
        );
        let answer = api.delete(taken, &DeleteParams::default()).await;
        let answer = answer.map(drop).map_err(|error| error.to_string());
        refused(
            taken,
            answer,
            "spawner-secrets",
            "ServiceAccount axon-spawner writes only Secrets",
        );
    }
    let api = Api::<Secret>::namespaced(w.acting.clone(), name);
    let made: Secret = serde_json::from_value(secret.clone()).unwrap();
    api.create(&PostParams::default(), &made).await.unwrap();
    api.delete("t-github-token", &DeleteParams::default())
        .await
        .unwrap();
    let task = json!({"metadata": {"name": "x", "labels": {"axon.io/taskspawner": "s"}},
        "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}}});
    tried::<Task>(&w.acting, name, &task).await.unwrap();
    let answer = tried::<Task>(&w.acting, name, &with(&task, "/metadata/labels", json!({}))).await;
    refused("a person's Task", answer, "spawner-tasks", "axon.io/taskspawner");
}

#[tokio::test]
async fn nothing_runs_as_a_spawners_account_and_nobody_gets_its_token() {
    let w = World::new().await;
    let admin = w.bench.namespace.client();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "axon-spawner", "containers": [
        {"name": "c", "image": "i", "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]}});
    let answer = tried::<Pod>(admin, w.name(), &pod).await;
    refused(
        "a pod",
        answer,
        "spawner-pods",
        "choose another serviceAccountName",
    );
    let other = with(&pod, "/spec/serviceAccountName", json!("default"));
    tried::<Pod>(admin, w.name(), &other).await.unwrap();
    let accounts = w.bench.namespace.api::<ServiceAccount>();
    let request = TokenRequest::default();
    let params = PostParams::default();
    let made = accounts.create_token_request("axon-spawner", &params, &request);
    let answer = made.await.map(drop).map_err(|error| error.to_string());
    refused("a token", answer, "spawner-tokens", "nothing runs as it");
    let made = accounts.create_token_request("default", &params, &request);
    made.await.unwrap();
    let alias = json!({"metadata": {"name": "p"}, "spec": {"serviceAccount": "axon-spawner", "containers": pod["spec"]["containers"]}});
    let answer = tried::<Pod>(admin, w.name(), &alias).await;
    refused("by the old name of the field", answer, "spawner-pods", "another");
}

/// A Secret that Kubernetes writes a token of this account into.
fn token_secret(account: &str) -> serde_json::Value {
    json!({"metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token"})
}

#[tokio::test]
async fn no_secret_gets_a_token_of_a_spawners_account_and_all_others_pass() {
    let w = World::new().await;
    let admin = w.bench.namespace.client();
    let answer = tried::<Secret>(admin, w.name(), &token_secret("axon-spawner")).await;
    let (policy, words) = ("spawner-token-secrets", "name another account");
    refused("a Secret for its token", answer, policy, words);
    for (what, passes) in [
        ("another account's", token_secret("default")),
        ("a name that ends so", token_secret("my-axon-spawner")),
        ("without anything", json!({"metadata": {"name": "plain"}})),
        (
            "of another type",
            with(&token_secret("axon-spawner"), "/type", json!("example.com/x")),
        ),
        (
            "with other annotations",
            json!({"metadata": {"name": "plain", "annotations": {"a": "b"}}, "stringData": {"k": "v"}}),
        ),
        (
            "a registry's",
            json!({"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{}"}}),
        ),
    ] {
        let passed = tried::<Secret>(admin, w.name(), &passes).await;
        passed.unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    // Kubernetes refuses such a Secret without the annotation itself; the policy is no reason for it.
    let bare = json!({"metadata": {"name": "token"}, "type": "kubernetes.io/service-account-token"});
    let said = tried::<Secret>(admin, w.name(), &bare).await.unwrap_err();
    assert!(!said.contains("Policy"), "{said}");

    let secrets = w.bench.namespace.api::<Secret>();
    let other: Secret = serde_json::from_value(token_secret("default")).unwrap();
    secrets.create(&PostParams::default(), &other).await.unwrap();
    let change = async |account: &str| {
        let change = json!({"metadata": {"annotations": {"kubernetes.io/service-account.name": account}}});
        let patched = secrets
            .patch("token", &PatchParams::default(), &Patch::Merge(&change))
            .await;
        patched.map(drop).map_err(|error| error.to_string())
    };
    refused(
        "another account's Secret",
        change("axon-spawner").await,
        policy,
        words,
    );
    change("default").await.unwrap();
}
