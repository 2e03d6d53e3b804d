use axon_api::limits::{MAX_CONTENT, MAX_PROMPT};
use axon_api::{AgentConfig, Task, TaskSpawner, Workspace};
use axon_test::control_plane;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::manifest::Manifest;

/// Creates each manifest, and reads what the API server stored as the kind's own type.
async fn accept<K: DeserializeOwned>(cases: &[(&str, Manifest)]) {
    let namespace = control_plane::namespace().await.unwrap();
    for (case, manifest) in cases {
        match manifest.create(&namespace).await {
            Ok(stored) => {
                serde_json::from_value::<K>(stored).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
            Err(status) => panic!("{case}: {}", status.message),
        }
    }
}

#[tokio::test]
async fn tasks_of_all_shapes() {
    let everything = json!({
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
        "activeDeadlineSeconds": 1,
        "env": [
            {"name": "PLAIN", "value": "x"},
            {"name": "EMPTY"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
            {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["agents"]}]}}]},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"axon.io/task": "x"}}}]},
        },
        "serviceAccountName": "bedrock",
        "automountServiceAccountToken": false,
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "core"},
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        "runtimeClassName": "gvisor",
        "priorityClassName": "batch",
        "volumes": [
            {"name": "cache", "persistentVolumeClaim": {"claimName": "cargo"}},
            {"name": "ca", "configMap": {"name": "corporate-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "key", "secret": {"secretName": "vertex", "defaultMode": 256}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "vertex", "path": "token"}}]}},
            {"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true}},
        ],
        "volumeMounts": [{"name": "cache", "mountPath": "/home/agent/.cargo", "subPath": "home"}],
    });
    let task = Manifest::task;
    accept::<Task>(&[
        ("A1 simple", task()),
        ("A1 oauth", task().with("/spec/credentials/type", "oauth")),
        (
            "A2 workspace that is not there",
            task().with("/spec/workspaceRef/name", "nothing"),
        ),
        (
            "A3 dependencies that are not there",
            task().with("/spec/dependsOn", json!(["a", "b", "a"])),
        ),
        (
            "A4 branch without a workspace",
            task().with("/spec/branch", "feature/x"),
        ),
        (
            "A5 deleted at once",
            task().with("/spec/ttlSecondsAfterFinished", 0),
        ),
        ("A6 pod overrides", task().with("/spec/podOverrides", everything)),
        ("codex", task().with("/spec/type", "codex")),
        ("gemini", task().with("/spec/type", "gemini")),
        ("opencode", task().with("/spec/type", "opencode")),
        (
            "model and image",
            task()
                .with("/spec/model", "opus")
                .with("/spec/image", "r.example/i:1"),
        ),
        ("agent config", task().with("/spec/agentConfigRef/name", "c")),
        (
            "no credentials needed",
            task().with("/spec/credentials", json!({"type": "none"})),
        ),
        ("long name", task().named(&"n".repeat(63))),
        ("name with dots", task().named("a.b-c")),
        (
            "longest prompt",
            task().with("/spec/prompt", "é".repeat(MAX_PROMPT)),
        ),
        (
            "odd prompt",
            task().with("/spec/prompt", "-x $(A) `b` \u{1F600} \u{7} \n\t"),
        ),
        ("empty branch", task().with("/spec/branch", "")),
        ("stopped from the start", task().with("/spec/stop", true)),
        ("run again", task().with("/spec/retryOf", "a.b-1")),
        (
            "retry policy",
            task().with(
                "/spec/retryPolicy",
                json!({"limit": 10, "backoff": "1m30s", "on": ["AgentError", "OOMKilled", "Stalled"]}),
            ),
        ),
        (
            "retry policy, short",
            task().with("/spec/retryPolicy", json!({"limit": 1, "on": ["RateLimited"]})),
        ),
        ("stall timeout", task().with("/spec/stallTimeout", "1.5h")),
        ("trust of a task", task().with("/spec/trust", "Ref")),
    ])
    .await;
}

#[tokio::test]
async fn workspaces_of_all_shapes() {
    let plain = Manifest::workspace;
    let files = json!([{"path": "CLAUDE.md", "content": "# x\n"}, {"path": "a/b/.keep", "content": ""}]);
    accept::<Workspace>(&[
        ("A7 https", plain("https://github.com/org/repo.git")),
        ("A7 http", plain("http://git.example:8080/org/repo")),
        ("A7 git", plain("git://git.example/repo")),
        ("A7 scp form", plain("git@host:o/r.git")),
        ("A7 ssh", plain("ssh://git@host:2222/o/r.git")),
        ("A7 user in the URL", plain("https://user@host/o/r")),
        ("A7 IPv6", plain("git@[2001:db8::1]:o/r")),
        ("A7 IPv6 with a port", plain("https://[::1]:8443/o/r")),
        (
            "A7 escaped path",
            plain("https://dev.azure.com/o/My%20Project/_git/r"),
        ),
        ("A7 underscore", plain("ssh://git@build_host:22/o/r")),
        ("A8 files", plain("https://h/r").with("/spec/files", files)),
        (
            "ref and secret",
            plain("https://h/r")
                .with("/spec/ref", "v1.2")
                .with("/spec/secretRef/name", "s"),
        ),
        ("commit", plain("https://h/r").with("/spec/ref", "a".repeat(40))),
        ("trust", plain("https://h/r").with("/spec/trust", "Base")),
        (
            "access of a GitHub App",
            plain("https://h/o/r").with(
                "/spec/githubApp",
                json!({"repositories": ["my.lib", "A_b-c"], "permissions": {"workflows": "write", "issues": "none", "checks": "read"}}),
            ),
        ),
    ])
    .await;
}

#[tokio::test]
async fn agent_configs_of_all_shapes() {
    let file = json!({"name": "review", "content": "---\nname: review\n---\n"});
    let plugins = json!([{"name": "p", "skills": [file], "agents": [file]}, {"name": "empty"}]);
    let servers = json!([
        {"name": "local", "type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"A": "b"}},
        {"name": "web", "type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer x"}},
        {"name": "old", "type": "sse", "url": "https://h/sse"},
        {"name": "held", "type": "http", "url": "https://h/mcp", "headersFrom": {"secretRef": {"name": "token"}}},
        {"name": "kept", "type": "stdio", "command": "x", "envFrom": {"secretRef": {"name": "token"}}},
    ]);
    let config = Manifest::agent_config;
    accept::<AgentConfig>(&[
        ("A9 only instructions", config(json!({"agentsMD": "Be brief."}))),
        ("A9 only plugins", config(json!({ "plugins": plugins }))),
        ("A9, A10 only servers", config(json!({ "mcpServers": servers }))),
        ("A9 empty", config(json!({}))),
        (
            "a megabyte of plugins",
            config(json!({"plugins": [{"name": "p", "skills": vec![json!({"name": "s", "content": "s".repeat(MAX_CONTENT)}); 4]}]})),
        ),
        (
            "all",
            config(json!({"agentsMD": "", "plugins": plugins, "mcpServers": servers})),
        ),
    ])
    .await;
}

#[tokio::test]
async fn spawners_of_all_shapes() {
    let (github, cron) = (Manifest::github, Manifest::cron);
    let both = json!({"types": ["issues", "pulls"], "labels": ["a"], "excludeLabels": ["b c/d"], "state": "all",
            "authors": {"associations": ["OWNER", "WRITER", "FIRST_TIME_CONTRIBUTOR"]}, "commentsFrom": {"users": ["a[bot]"]}});
    let mut cases = vec![
        ("A11 GitHub", github()),
        ("A12 cron without a workspace", cron()),
        ("A13 all filters", github().with("/spec/when/githubIssues", both)),
        (
            "A13 no limits",
            github()
                .with("/spec/maxConcurrency", 0)
                .with("/spec/maxTotalTasks", 0),
        ),
        (
            "limits",
            cron()
                .with("/spec/maxConcurrency", 3)
                .with("/spec/maxTotalTasks", 10),
        ),
        ("suspended", cron().with("/spec/suspend", true)),
        (
            "time zone",
            cron().with("/spec/when/cron/timeZone", "Europe/Berlin"),
        ),
        (
            "templates",
            github()
                .with("/spec/taskTemplate/branch", "axon-task-{{.Number}}")
                .with("/spec/taskTemplate/promptTemplate", "{{range .Comments}}x{{end}}")
                .with("/spec/taskTemplate/dependsOn", json!(["a"]))
                .with("/spec/taskTemplate/ttlSecondsAfterFinished", 3600),
        ),
    ];
    for interval in ["30s", "5m", "1h", "1h30m", "1.5h", "500ms"] {
        cases.push((interval, cron().with("/spec/pollInterval", interval)));
    }
    accept::<TaskSpawner>(&cases).await;
}

#[tokio::test]
async fn a_spawner_gets_its_defaults() {
    let namespace = control_plane::namespace().await.unwrap();
    let stored = Manifest::github().create(&namespace).await.unwrap();
    let spec = &stored["spec"];
    assert_eq!(
        spec["when"]["githubIssues"],
        json!({"types": ["issues"], "state": "open"})
    );
    assert_eq!(spec["pollInterval"], "5m");
    assert_eq!(spec["suspend"], false);
    let named = ["maxConcurrency", "maxTotalTasks"].map(|field| &spec[field]);
    assert_eq!(named, [&Value::Null, &Value::Null]);
}

#[tokio::test]
async fn quantities_may_be_bare_numbers() {
    let namespace = control_plane::namespace().await.unwrap();
    let resources = json!({"requests": {"cpu": 2, "memory": 1_073_741_824}, "limits": {"cpu": "2"}});
    let manifest = Manifest::task().with("/spec/podOverrides/resources", resources);
    let stored = manifest.create(&namespace).await.unwrap();
    let task: Task = serde_json::from_value(stored).unwrap();
    let requests = task.spec.pod_overrides.unwrap().resources.unwrap().requests;
    assert_eq!(
        (requests["cpu"].0.as_str(), requests["memory"].0.as_str()),
        ("2", "1073741824")
    );
}

#[tokio::test]
async fn unknown_fields_are_dropped_unless_the_client_is_strict() {
    let namespace = control_plane::namespace().await.unwrap();
    let manifest = Manifest::task().with("/spec/promt", "typo");
    let strict = manifest.create(&namespace).await.unwrap_err();
    assert!(
        strict.message.contains("unknown field \"spec.promt\""),
        "{}",
        strict.message
    );
    let path = manifest.path(&namespace);
    let stored = super::manifest::send(&namespace, "POST", &path, "application/json", manifest.value()).await;
    assert_eq!(stored.unwrap()["spec"].get("promt"), None);
}
