//! The admission policy on Secrets with tokens of `axon-spawner`, where such a Secret is older than the policy. The operator's own
//! tests run with all policies from the start.

use std::time::Duration;

use axon_test::{control_plane, paths, wait};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

fn token_secret(name: &str) -> Secret {
    serde_json::from_value(json!({"metadata": {"name": name, "finalizers": ["example.com/held"],
        "annotations": {"kubernetes.io/service-account.name": "axon-spawner"}}, "type": "kubernetes.io/service-account-token"}))
    .unwrap()
}

#[tokio::test]
async fn a_token_secret_that_is_older_than_the_policy_can_change_and_go() {
    let namespace = control_plane::namespace().await.unwrap();
    let (accounts, secrets) = (namespace.api::<ServiceAccount>(), namespace.api::<Secret>());
    let account = serde_json::from_value(json!({"metadata": {"name": "axon-spawner"}})).unwrap();
    let params = PostParams::default();
    accounts.create(&params, &account).await.unwrap();
    secrets.create(&params, &token_secret("old")).await.unwrap();

    let text = std::fs::read_to_string(paths::root().join("config/admission/spawner.yaml")).unwrap();
    let own_name = json!(format!("spawner-token-secrets-{}", namespace.name()));
    for mut document in axon_api::yaml::documents(&text).unwrap() {
        if document["metadata"]["name"] != "spawner-token-secrets.axon.io" {
            continue;
        }
        document["metadata"]["name"] = own_name.clone();
        if document["kind"] == "ValidatingAdmissionPolicyBinding" {
            document["spec"]["policyName"] = own_name.clone();
            document["spec"]["matchResources"] = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}}});
        }
        namespace.apply(&document.to_string()).await.unwrap();
    }
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the policy to be in force", PATIENCE, async || {
        let answer = secrets.create(&dry_run, &token_secret("new")).await;
        Ok(answer.is_err().then_some(()))
    })
    .await
    .unwrap();

    let change = async |change| {
        let change = Patch::Merge(change);
        secrets.patch("old", &PatchParams::default(), &change).await
    };
    // As Kubernetes marks a token that nobody uses.
    let unused = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}});
    change(unused).await.unwrap();
    secrets.delete("old", &DeleteParams::default()).await.unwrap();
    change(json!({"metadata": {"finalizers": []}})).await.unwrap();
    wait::until("the Secret to be gone", PATIENCE, async || {
        Ok(secrets.get_opt("old").await?.is_none().then_some(()))
    })
    .await
    .unwrap();
}
