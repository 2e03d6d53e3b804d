//! The optional admission policy, in a control plane of its own namespace labels: its binding here is narrowed to one
//! namespace, since the others' tests share the API server.

use std::time::Duration;

use axon_api::{Task, TaskSpawner, Workspace};
use axon_test::namespace::Namespace;
use axon_test::{control_plane, paths, wait};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::manifest::Manifest;

const PATIENCE: Duration = Duration::from_secs(60);

fn file(name: &str) -> String {
    std::fs::read_to_string(paths::root().join("config/policy/base").join(name)).unwrap()
}

/// Applies the policies to the namespace, under its name, and waits until they are in force there.
async fn install(namespace: &Namespace, data: &Value) {
    let mut parameters: Value = axon_api::yaml::from_str(&file("parameters.yaml")).unwrap();
    parameters["metadata"]["namespace"] = json!(namespace.name());
    parameters["data"] = data.clone();
    // At first nothing passes, so that it can be seen when each policy is in force.
    let mut probing = parameters.clone();
    for key in ["images", "repositoryHosts", "secrets"] {
        probing["data"][key] = json!("none.invalid");
    }
    namespace.apply(&probing.to_string()).await.unwrap();
    let named = |value: &Value| json!(format!("{}-{}", value.as_str().unwrap(), namespace.name()));
    for name in ["workspace_policy.yaml", "task_policy.yaml"] {
        for mut document in axon_api::yaml::documents(&file(name)).unwrap() {
            document["metadata"]["name"] = named(&document["metadata"]["name"]);
            if document["kind"] == "ValidatingAdmissionPolicyBinding" {
                let spec = &mut document["spec"];
                spec["policyName"] = named(&spec["policyName"]);
                spec["paramRef"]["namespace"] = json!(namespace.name());
                spec["matchResources"] = json!({"namespaceSelector":
                    {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}}});
            }
            namespace.apply(&document.to_string()).await.unwrap();
        }
    }
    let probe = || Manifest::task().with("/spec/image", "probe.invalid/x");
    let probes = [
        probe(),
        Manifest::workspace("https://github.com/o/r"),
        Manifest::agent_config(with_secret("key")),
    ];
    wait::until("the policies to be in force", PATIENCE, async || {
        for probe in &probes {
            if probe.create(namespace).await.is_ok() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
    .unwrap();
    namespace.apply(&parameters.to_string()).await.unwrap();
    wait::until("the parameters to be in force", PATIENCE, async || {
        let answer = probe().create(namespace).await;
        let is_old = answer.is_err_and(|status| status.message.contains("none.invalid"));
        Ok((!is_old).then_some(()))
    })
    .await
    .unwrap();
}

/// An AgentConfig whose MCP server takes its headers from a Secret.
fn with_secret(name: &str) -> Value {
    json!({"mcpServers": [{"name": "m", "type": "http", "url": "https://m.example.com",
        "headersFrom": {"secretRef": {"name": name}}}]})
}

/// Asserts that each is refused, and in words that help; in a Task and in the template of a TaskSpawner alike.
async fn all_refused(namespace: &Namespace, rows: &[(&str, Value, &str)]) {
    for (field, value, words) in rows {
        let task = Manifest::task().with(&format!("/spec/{field}"), value.clone());
        let spawner = Manifest::cron().with(&format!("/spec/taskTemplate/{field}"), value.clone());
        for manifest in [task, spawner] {
            let message = manifest.refusal(namespace).await;
            assert!(message.contains(words), "{field} = {value}: {message}");
        }
    }
}

async fn all_pass(namespace: &Namespace, rows: &[(&str, Value)]) {
    for (field, value) in rows {
        let task = Manifest::task().with(&format!("/spec/{field}"), value.clone());
        let spawner = Manifest::cron().with(&format!("/spec/taskTemplate/{field}"), value.clone());
        for manifest in [task, spawner] {
            let passed = manifest.create(namespace).await;
            passed.unwrap_or_else(|status| panic!("{field} = {value}: {}", status.message));
        }
    }
}

fn volume(source: Value) -> Value {
    let mut volume = source;
    volume["name"] = json!("v");
    json!([volume])
}

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

#[tokio::test]
async fn each_key_allows_what_it_lists() {
    let namespace = control_plane::namespace().await.unwrap();
    install(&namespace, &json!({
        "images": "ghcr.io/acme registry.example/one/ quay.io/b/agent:", "tokenAudiences": "vault", "volumeKinds": "csi projected secret",
        "secrets": "npm", "credentialSecrets": "key", "priorityClasses": "low", "runtimeClasses": "gvisor kata", "tolerations": "gpu",
        "nodeLabels": "pool", "labels": "team kueue.x-k8s.io/", "annotations": "note", "repositoryHosts": "github.com *.ghe.com git.lab:8443",
    })).await;
    let sandbox = |more: Value| {
        let mut overrides = json!({"runtimeClassName": "gvisor"});
        overrides
            .as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        overrides
    };
    let row = |more: Value, words: &'static str| ("podOverrides", sandbox(more), words);
    all_refused(&namespace, &[
        ("podOverrides", json!({}), "runtimeClassName must be set here, to one of gvisor, kata"),
        ("podOverrides", json!({"runtimeClassName": "runc"}), "runtimeClassName must be set here"),
        row(json!({"volumes": volume(json!({"emptyDir": {}}))}), "kinds [csi, projected, secret] only"),
        row(json!({"volumes": volume(json!({"secret": {"secretName": "db"}}))}), "not allowed here: db"),
        row(json!({"volumes": volume(json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "db"}}}))}), "not allowed here: db"),
        row(json!({"volumes": volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}))}), "audiences [vault]"),
        row(json!({"priorityClassName": "high"}), "priorityClassName high is not allowed"),
        row(json!({"tolerations": [{"key": "other", "operator": "Exists"}]}), "one of gpu"),
        row(json!({"nodeSelector": {"kubernetes.io/hostname": "n1"}}), "labels [pool]"),
        row(json!({"affinity": {"nodeAffinity": {}}}), "affinity can not be set"),
        row(json!({"labels": {"kueue.x-k8s.io": "q"}}), "not allowed here are kueue.x-k8s.io"),
    ]).await;
    let sandboxed = |manifest: Manifest| manifest.with("/spec/podOverrides/runtimeClassName", "kata");
    for image in [
        "ghcr.io/acme-evil/miner:v1",
        "ghcr.io/acme:8443/agent",
        "ghcr.io/acme@x/y",
        "ghcr.io/acm",
        "registry.example/one",
        "registry.example/other/x",
        "quay.io/b/agent:8443/x",
        "quay.io/b/agent",
        "evil.example/ghcr.io/acme/x",
    ] {
        let message = sandboxed(Manifest::task())
            .with("/spec/image", image)
            .refusal(&namespace)
            .await;
        assert!(
            message.contains(&format!("image {image} is not allowed")),
            "{message}"
        );
    }
    for image in [
        "ghcr.io/acme/agent:v1",
        "ghcr.io/acme",
        "ghcr.io/acme:v1",
        "ghcr.io/acme@sha256:00",
        "registry.example/one/x",
        "quay.io/b/agent:v2",
    ] {
        sandboxed(Manifest::task())
            .with("/spec/image", image)
            .create(&namespace)
            .await
            .unwrap();
    }
    all_pass(&namespace, &[
        ("podOverrides", sandbox(json!({"priorityClassName": "low", "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "nodeSelector": {"pool": "a"}, "labels": {"team": "a", "kueue.x-k8s.io/queue-name": "q"}, "annotations": {"note": "x"},
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "npm", "key": "k"}}}],
            "volumes": [{"name": "a", "secret": {"secretName": "npm"}}, {"name": "b", "csi": {"driver": "d"}},
                {"name": "c", "projected": {"sources": [{"secret": {"name": "npm"}},
                    {"serviceAccountToken": {"path": "t", "audience": "vault"}}]}}]}))),
    ]).await;
    let message = sandboxed(Manifest::task())
        .with("/spec/credentials/secretRef/name", "db")
        .refusal(&namespace)
        .await;
    assert!(
        message.contains("credentials.secretRef db is not allowed here: it must be one of [key]"),
        "{message}"
    );
    Manifest::agent_config(with_secret("npm"))
        .create(&namespace)
        .await
        .unwrap();
    for repo in [
        "https://gitlab.com/o/r",
        "https://github.com.evil.example/o/r",
        "https://evil.example/github.com/r",
        "git@evil.example:github.com/r",
        "https://github.com@evil.example/o/r",
        "https://github.com:8443/o/r",
        "https://git.lab/o/r",
        "https://ghe.com/o/r",
    ] {
        let message = Manifest::workspace(repo).refusal(&namespace).await;
        assert!(message.contains("repositoryHosts"), "{repo}: {message}");
    }
    for repo in [
        "https://github.com/o/r",
        "https://GitHub.com/o/r",
        "git@github.com:o/r.git",
        "ssh://git@git.lab:8443/o/r",
        "https://a.ghe.com/o/r",
    ] {
        Manifest::workspace(repo).create(&namespace).await.unwrap();
    }
    let secret = Manifest::workspace("https://github.com/o/r").with("/spec/secretRef/name", "db");
    let message = secret.refusal(&namespace).await;
    assert!(message.contains("secretRef db is not allowed here"), "{message}");
}

#[tokio::test]
async fn a_star_opens_each_key_again() {
    let namespace = control_plane::namespace().await.unwrap();
    let keys = [
        "images",
        "serviceAccounts",
        "tokenAudiences",
        "volumeKinds",
        "secrets",
        "credentialSecrets",
        "priorityClasses",
        "runtimeClasses",
        "tolerations",
        "nodeLabels",
        "labels",
        "annotations",
        "repositoryHosts",
    ];
    let mut data = json!({"strict": "true"});
    for key in keys {
        data[key] = json!("*");
    }
    install(&namespace, &data).await;
    all_pass(&namespace, &[
        ("image", json!("any.example/x")),
        ("podOverrides", json!({"serviceAccountName": "deployer", "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}], "labels": {"app": "a"}, "annotations": {"a": "b"}, "nodeSelector": {"a": "b"},
            "affinity": {}, "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "volumes": [{"name": "a", "csi": {"driver": "d"}}, {"name": "b", "secret": {"secretName": "s"}},
                {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]})),
    ]).await;
    Manifest::workspace("https://any.example/o/r")
        .create(&namespace)
        .await
        .unwrap();
    Manifest::agent_config(with_secret("s"))
        .create(&namespace)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_strict_variant_allows_only_what_is_listed() {
    let namespace = control_plane::namespace().await.unwrap();
    let built = super::add_ons::build(&paths::root().join("config/policy/strict"));
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
        if path["spec"]["stop"] == true {
            let tasks = namespace.api::<Task>();
            tasks.patch("long", &params, &change).await.map(drop)
        } else {
            let spawners = namespace.api::<TaskSpawner>();
            spawners.patch("nightly", &params, &change).await.map(drop)
        }
    };
    change(json!({"metadata": {"annotations": {"note": "x"}}}))
        .await
        .unwrap();
    let edited = change(json!({"spec": {"pollInterval": "1m"}})).await.unwrap_err();
    assert!(edited.to_string().contains("to 60 at most"), "{edited}");
    change(json!({"spec": {"stop": true}})).await.unwrap();
    change(json!({"spec": {"suspend": true}})).await.unwrap();
    let refused = change(json!({"spec": {"suspend": false}})).await.unwrap_err();
    assert!(refused.to_string().contains("to 60 at most"), "{refused}");
    let background = DeleteParams::background();
    namespace.api::<Task>().delete("long", &background).await.unwrap();
    namespace
        .api::<TaskSpawner>()
        .delete("nightly", &background)
        .await
        .unwrap();
}
