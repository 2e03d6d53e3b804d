//! Objects that each key of the parameters allows.

use axon_test::control_plane;
use serde_json::{Value, json};

use super::super::manifest::Manifest;
use super::{all_pass, all_refused, install, volume, with_secret};

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
        "org-123@evil.example:github.com/r",
        "git@[2001:db8::1]:github.com/r",
    ] {
        let message = Manifest::workspace(repo).refusal(&namespace).await;
        assert!(message.contains("repositoryHosts"), "{repo}: {message}");
    }
    for repo in [
        "https://github.com/o/r",
        "https://GitHub.com/o/r",
        "git@github.com:o/r.git",
        "ssh://git@git.lab:8443/o/r",
        "org-123@github.com:o/r.git",
        "ssh://git@github.com:22/o/r",
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
        "repositories",
        "githubAppPermissions",
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
        .with("/spec/githubApp/repositories", json!(["other"]))
        .with("/spec/githubApp/permissions", json!({"administration": "write"}))
        .create(&namespace)
        .await
        .unwrap();
    Manifest::agent_config(with_secret("s"))
        .create(&namespace)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_workspace_names_listed_repositories_and_permissions_alone() {
    let namespace = control_plane::namespace().await.unwrap();
    let parameters = json!({"repositories": "Acme/web acme/lib-* infra/* group/sub/*", "githubAppPermissions": "workflows:write checks:read"});
    install(&namespace, &parameters).await;
    for repo in [
        "https://github.com/acme/web",
        "https://github.com/ACME/Web.git",
        "https://u@github.com:443/acme/web/",
        "git@github.com:acme/web.git",
        "ssh://git@github.com/infra/anything",
        "https://gitlab.example/group/sub/deep/er",
        "org-123@github.com:/acme/web.git/",
    ] {
        Manifest::workspace(repo).create(&namespace).await.unwrap();
    }
    for repo in [
        "https://github.com/acme/secret",
        "https://github.com/acme/web-evil",
        // A star is for whole names.
        "https://github.com/acme/lib-a",
        "https://github.com/acme/web.git.git",
        "git@github.com:acme/secret",
        "https://git.example/evil/acme/web",
        "https://git.example/infra/%78",
    ] {
        let message = Manifest::workspace(repo).refusal(&namespace).await;
        assert!(message.contains("key repositories of"), "{repo}: {message}");
    }
    let workspace = || Manifest::workspace("https://github.com/acme/web");
    let repositories = |names: Value| workspace().with("/spec/githubApp/repositories", names);
    let message = repositories(json!(["web", "secret"])).refusal(&namespace).await;
    assert!(
        message.contains("not allowed here: acme/secret (key"),
        "{message}"
    );
    repositories(json!(["WEB"])).create(&namespace).await.unwrap();
    Manifest::workspace("https://github.com/infra/a")
        .with("/spec/githubApp/repositories", json!(["b"]))
        .create(&namespace)
        .await
        .unwrap();

    let permissions = |all: Value| workspace().with("/spec/githubApp/permissions", all);
    for (all, part) in [
        (json!({"administration": "read"}), "of: administration (key"),
        (
            json!({"checks": "write", "workflows": "write"}),
            "of: checks (key",
        ),
        (json!({"metadata": "write"}), "of: metadata (key"),
    ] {
        let message = permissions(all).refusal(&namespace).await;
        assert!(
            message.contains(part) && message.contains("githubAppPermissions"),
            "{message}"
        );
    }
    for all in [
        json!({"workflows": "write", "checks": "read", "contents": "read", "issues": "none"}),
        json!({"workflows": "read", "administration": "none"}),
    ] {
        permissions(all).create(&namespace).await.unwrap();
    }
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
