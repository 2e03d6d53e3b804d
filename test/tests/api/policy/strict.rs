//! The strict variant.

use axon_api::Workspace;
use axon_test::{control_plane, paths};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::super::add_ons;
use super::super::manifest::Manifest;
use super::{all_refused, install, volume, with_secret};

#[tokio::test]
async fn the_strict_variant_allows_only_what_is_listed() {
    let namespace = control_plane::namespace().await.unwrap();
    let built = add_ons::build(&paths::root().join("config/policy/strict"));
    let parameters = built.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let mut data = parameters["data"].clone();
    assert_eq!(data["strict"], "true");
    // A team's own additions.
    data["credentialSecrets"] = json!("key");
    install(&namespace, &data).await;
    let row = |more: Value, words: &'static str| {
        let mut overrides = json!({"activeDeadlineSeconds": 60});
        overrides
            .as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        ("podOverrides", overrides, words)
    };
    let rows = [
        ("podOverrides", json!({}), "to 14400 at most"),
        row(
            json!({"runtimeClassName": "gvisor"}),
            "runtimeClassName is not allowed here",
        ),
        row(
            json!({"volumes": volume(json!({"emptyDir": {}}))}),
            "kinds [] only",
        ),
        row(json!({"priorityClassName": "low"}), "priorityClassName low"),
        row(
            json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}),
            "tolerations",
        ),
        row(json!({"nodeSelector": {"disk": "ssd"}}), "labels []"),
        row(
            json!({"automountServiceAccountToken": true}),
            "token of the Kubernetes API",
        ),
        row(json!({"labels": {"team": "a"}}), "not allowed here are team"),
        row(json!({"annotations": {"note": "x"}}), "not allowed here are note"),
        row(
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            "not allowed here: s",
        ),
    ];
    all_refused(&namespace, &rows).await;
    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    let task = || Manifest::task().with(deadline, 60);
    for (manifest, words) in [
        (task().with("/spec/image", "ghcr.io/acme/x"), "key images"),
        (
            task().with("/spec/credentials/secretRef/name", "other"),
            "one of [key]",
        ),
        (
            Manifest::workspace("https://gitlab.com/o/r"),
            "one of [github.com]",
        ),
        (
            Manifest::workspace("https://github.com/o/r").with("/spec/secretRef/name", "git"),
            "key credentialSecrets",
        ),
        (
            Manifest::workspace("https://github.com/o/r")
                .with("/spec/githubApp/repositories", json!(["other"])),
            "key repositories",
        ),
        (
            Manifest::workspace("https://github.com/o/r")
                .with("/spec/githubApp/permissions", json!({"workflows": "write"})),
            "key githubAppPermissions",
        ),
        (Manifest::agent_config(with_secret("s")), "key secrets"),
        (
            Manifest::cron()
                .with("/spec/taskTemplate/podOverrides/activeDeadlineSeconds", 60)
                .with("/spec/taskTemplate/credentials/secretRef/name", "key"),
            "maxConcurrency must be set here, to 3",
        ),
    ] {
        let message = manifest.refusal(&namespace).await;
        assert!(message.contains(words), "{message}");
    }
    task().create(&namespace).await.unwrap();
    Manifest::workspace("https://github.com/o/r")
        .named("ws")
        .with("/metadata/finalizers", json!(["example.com/held"]))
        .create(&namespace)
        .await
        .unwrap();
    // The operator goes on to use a Workspace that is held on its way out.
    let workspaces = namespace.api::<Workspace>();
    workspaces
        .delete("ws", &DeleteParams::background())
        .await
        .unwrap();
    let change = async |change: Value| {
        let change = Patch::Merge(change);
        workspaces.patch("ws", &PatchParams::default(), &change).await
    };
    for spec in [
        json!({"repo": "https://evil.example/o/r"}),
        json!({"secretRef": {"name": "other"}}),
    ] {
        let refused = change(json!({ "spec": spec })).await.unwrap_err().to_string();
        assert!(refused.contains("not allowed here"), "{refused}");
    }
    change(json!({"metadata": {"finalizers": []}})).await.unwrap();
}
