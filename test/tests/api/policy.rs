//! The optional admission policy, in a control plane of its own namespace labels: its binding here is narrowed to one
//! namespace, since the others' tests share the API server.

use std::time::Duration;

use axon_api::{Task, TaskSpawner};
use axon_test::namespace::Namespace;
use axon_test::{control_plane, paths, wait};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::manifest::Manifest;

const PATIENCE: Duration = Duration::from_secs(60);

fn file(name: &str) -> String {
    std::fs::read_to_string(paths::root().join("config/policy").join(name)).unwrap()
}

/// Applies the policy to the namespace, under its name, and waits until it is in force there.
async fn install(namespace: &Namespace, data: &Value) {
    let mut parameters: Value = axon_api::yaml::from_str(&file("parameters.yaml")).unwrap();
    parameters["metadata"]["namespace"] = json!(namespace.name());
    parameters["data"] = data.clone();
    namespace.apply(&parameters.to_string()).await.unwrap();
    let mut documents = axon_api::yaml::documents(&file("task_policy.yaml")).unwrap();
    let name = format!("axon-policy-{}", namespace.name());
    documents[1]["spec"]["policyName"] = json!(name);
    documents[1]["spec"]["paramRef"]["namespace"] = json!(namespace.name());
    documents[1]["spec"]["matchResources"] =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}}});
    for document in &mut documents {
        document["metadata"]["name"] = json!(name);
        namespace.apply(&document.to_string()).await.unwrap();
    }
    // A policy takes a moment to be in force.
    wait::until("the policy to be in force", PATIENCE, async || {
        Ok(Manifest::task().create(namespace).await.is_err().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_policy_narrows_what_tasks_ask_for() {
    let namespace = control_plane::namespace().await.unwrap();
    let parameters = json!({
        "images": "registry.example.com/ ghcr.io/ours/", "serviceAccounts": "bedrock",
        "maxDeadlineSeconds": "3600", "maxConcurrency": "3",
    });
    install(&namespace, &parameters).await;

    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    let task = || Manifest::task().with(deadline, 60);
    let account = "/spec/podOverrides/serviceAccountName";
    let spawner = || Manifest::cron().with("/spec/taskTemplate/podOverrides/activeDeadlineSeconds", 60);
    let refused: [(Manifest, &[&str]); 8] = [
        (
            Manifest::task(),
            &["activeDeadlineSeconds must be set here, to 3600"],
        ),
        (Manifest::task().with(deadline, 3601), &["to 3600 at most"]),
        (
            task().with("/spec/image", "evil.example/x"),
            &["image evil.example/x", "registry.example.com/, ghcr.io/ours/"],
        ),
        (
            task().with(account, "cluster-admin"),
            &["serviceAccountName cluster-admin", "one of bedrock, default"],
        ),
        (spawner(), &["maxConcurrency must be set here, to 3"]),
        (spawner().with("/spec/maxConcurrency", 0), &["maxConcurrency"]),
        (spawner().with("/spec/maxConcurrency", 4), &["maxConcurrency"]),
        (
            spawner()
                .with("/spec/maxConcurrency", 3)
                .with("/spec/taskTemplate/image", "evil.example/x"),
            &["image evil.example/x"],
        ),
    ];
    for (manifest, parts) in refused {
        let message = manifest.refusal(&namespace).await;
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
    for manifest in [
        task(),
        task()
            .with("/spec/image", "ghcr.io/ours/agent:1")
            .with(account, "bedrock"),
        spawner().with("/spec/maxConcurrency", 3),
    ] {
        manifest.create(&namespace).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_forbidden_by_now_can_still_be_stopped() {
    let namespace = control_plane::namespace().await.unwrap();
    install(&namespace, &json!({ "images": "", "maxDeadlineSeconds": "3600" })).await;
    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    Manifest::task()
        .named("long")
        .with(deadline, 3600)
        .create(&namespace)
        .await
        .unwrap();
    Manifest::cron()
        .named("nightly")
        .with("/spec/taskTemplate/podOverrides/activeDeadlineSeconds", 3600)
        .create(&namespace)
        .await
        .unwrap();
    let tightened = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "axon-policy"},
        "data": {"images": "", "maxDeadlineSeconds": "60"}});
    namespace.apply(&tightened.to_string()).await.unwrap();
    wait::until("the tighter policy to be in force", PATIENCE, async || {
        let late = Manifest::task().with(deadline, 3600).create(&namespace).await;
        Ok(late.is_err().then_some(()))
    })
    .await
    .unwrap();

    let change = async |path: Value| -> kube::Result<()> {
        let (params, change) = (PatchParams::default(), Patch::Merge(&path));
        if path["spec"].get("stop").is_some() {
            let tasks = namespace.api::<Task>();
            tasks.patch("long", &params, &change).await.map(drop)
        } else {
            let spawners = namespace.api::<TaskSpawner>();
            spawners.patch("nightly", &params, &change).await.map(drop)
        }
    };
    change(json!({"spec": {"stop": true}})).await.unwrap();
    change(json!({"spec": {"suspend": true}})).await.unwrap();
    let refused = change(json!({"spec": {"suspend": false}})).await.unwrap_err();
    assert!(refused.to_string().contains("to 60 at most"), "{refused}");
}
