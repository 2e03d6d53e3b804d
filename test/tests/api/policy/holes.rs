//! Objects that the policies refuse without any parameter.

use axon_test::control_plane;
use serde_json::{Value, json};

use super::super::manifest::Manifest;
use super::{all_pass, all_refused, install, volume, with_secret};

#[tokio::test]
async fn holes_are_closed_without_any_parameter() {
    let namespace = control_plane::namespace().await.unwrap();
    install(&namespace, &json!({})).await;
    let (volumes, mounts, env) = (
        "podOverrides/volumes",
        "podOverrides/volumeMounts",
        "podOverrides/env",
    );
    let token = |audience: Value| {
        let mut token = json!({"path": "token"});
        if !audience.is_null() {
            token["audience"] = audience;
        }
        volume(
            json!({"projected": {"sources": [{"configMap": {"name": "c"}}, {"serviceAccountToken": token}]}}),
        )
    };
    let mount = |path: &str| json!([{"name": "v", "mountPath": path, "subPath": "run"}]);
    let secret_in_env =
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "prod-db", "key": "k"}}}]);
    let mut rows = vec![
        (
            "podOverrides/serviceAccountName",
            json!("deployer"),
            "key serviceAccounts",
        ),
        (volumes, token(Value::Null), "key tokenAudiences"),
        (volumes, token(json!("vault")), "key tokenAudiences"),
        (
            volumes,
            volume(json!({"secret": {"secretName": "prod-db"}})),
            "not allowed here: prod-db (key secrets",
        ),
        (
            volumes,
            volume(json!({"projected": {"sources": [{"secret": {"name": "prod-db"}}]}})),
            "key secrets",
        ),
        (
            volumes,
            volume(json!({"csi": {"driver": "nfs.csi.k8s.io"}})),
            "key volumeKinds",
        ),
        (env, secret_in_env, "not allowed here: prod-db"),
        (
            env,
            json!([{"name": "LD_PRELOAD", "value": "/mnt/x.so"}]),
            "dynamic linker",
        ),
        (
            "podOverrides/priorityClassName",
            json!("system-node-critical"),
            "key priorityClasses",
        ),
        (
            "podOverrides/tolerations",
            json!([{"operator": "Exists"}]),
            "each needs a key",
        ),
        (
            "podOverrides/tolerations",
            json!([{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]),
            "key tolerations",
        ),
        (
            "podOverrides/labels",
            json!({"app": "payments"}),
            "not allowed here are app",
        ),
        (
            "podOverrides/annotations",
            json!({"container.apparmor.security.beta.kubernetes.io/agent": "unconfined"}),
            "key annotations",
        ),
    ];
    for path in [
        "/axon_entrypoint.sh",
        "/axon/bin",
        "/usr/local/bin/claude",
        "/bin",
        "/sbin/x",
        "/lib64",
        "/lib/x",
        "/opt/codex",
        "/etc/ld.so.preload",
        "/etc",
        "/",
        "//usr/bin",
        "/mnt/../usr/bin",
        "/./usr",
    ] {
        rows.push((mounts, mount(path), "has its programs"));
    }
    all_refused(&namespace, &rows).await;
    let config = Manifest::agent_config(with_secret("prod-db"))
        .refusal(&namespace)
        .await;
    assert!(
        config.contains("not allowed here: prod-db (key secrets"),
        "{config}"
    );
    all_pass(&namespace, &[
        ("image", json!("anywhere.example/agent:v1")),
        ("credentials", json!({"type": "oauth", "secretRef": {"name": "any"}})),
        ("podOverrides", json!({"priorityClassName": "batch", "runtimeClassName": "gvisor", "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}], "env": [{"name": "A", "value": "b"}],
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "c"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "p"}},
                {"name": "d", "projected": {"sources": [{"configMap": {"name": "c"}}]}}],
            "volumeMounts": [{"name": "a", "mountPath": "/mnt/a"}, {"name": "b", "mountPath": "/etc/ssl/team"},
                {"name": "c", "mountPath": "/home/agent/.cache"}]})),
    ]).await;
    Manifest::workspace("git@git.example.com:o/r.git")
        .create(&namespace)
        .await
        .unwrap();
}
