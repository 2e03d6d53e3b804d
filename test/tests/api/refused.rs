use axon_api::limits::{MAX_CONTENT, MAX_PROMPT, MAX_PROMPT_TEMPLATE, MAX_VALUE};
use axon_test::control_plane;
use serde_json::{Value, json};

use super::manifest::{Manifest, send};

/// Creates each manifest and looks for the parts of the answer that tell a person what to mend.
async fn refuse(cases: Vec<(&str, Manifest, &[&str])>) {
    let namespace = control_plane::namespace().await.unwrap();
    for (case, manifest, parts) in cases {
        let message = manifest.refusal(&namespace).await;
        for part in parts {
            assert!(message.contains(part), "{case}: {part:?} is not in {message:?}");
        }
    }
}

#[tokio::test]
async fn tasks_that_can_never_run() {
    let task = Manifest::task;
    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    let secret = "secretRef is required unless type is none";
    refuse(vec![
        (
            "R1",
            task().with("/spec/type", "foo"),
            &["spec.type: Unsupported value: \"foo\"", "\"opencode\""],
        ),
        (
            "R2 prompt",
            task().without("/spec/prompt"),
            &["spec.prompt: Required value"],
        ),
        (
            "R2 credentials",
            task().without("/spec/credentials"),
            &["spec.credentials: Required value"],
        ),
        (
            "R2 type",
            task().without("/spec/type"),
            &["spec.type: Required value"],
        ),
        ("R2 spec", task().without("/spec"), &["spec: Required value"]),
        (
            "a volume of no kind",
            task().with("/spec/podOverrides/volumes", json!([{"name": "v"}])),
            &["exactly one of configMap, secret"],
        ),
        (
            "a volume of two kinds",
            task().with(
                "/spec/podOverrides/volumes",
                json!([{"name": "v", "emptyDir": {}, "secret": {"secretName": "x"}}]),
            ),
            &["exactly one of configMap, secret"],
        ),
        (
            "a volume of the pod's own name",
            task().with(
                "/spec/podOverrides/volumes",
                json!([{"name": "axon-input", "emptyDir": {}}]),
            ),
            &["spec.podOverrides.volumes[0].name", "can't be used"],
        ),
        (
            "R3",
            task().with("/spec/credentials/type", "token"),
            &["spec.credentials.type: Unsupported value", "\"oauth\""],
        ),
        (
            "R4 api-key",
            task().without("/spec/credentials/secretRef"),
            &["spec.credentials", secret],
        ),
        (
            "R4 oauth",
            task().with("/spec/credentials", json!({"type": "oauth"})),
            &[secret],
        ),
        (
            "R4 null",
            task().with("/spec/credentials/secretRef", Value::Null),
            &[secret],
        ),
        (
            "R4 empty",
            task().with("/spec/credentials/secretRef", json!({})),
            &["secretRef.name: Required value"],
        ),
        (
            "empty secret name",
            task().with("/spec/credentials/secretRef/name", ""),
            &["spec.credentials.secretRef.name", "at least 1 char"],
        ),
        (
            "R5",
            task().with("/spec/ttlSecondsAfterFinished", -1),
            &["spec.ttlSecondsAfterFinished", "greater than or equal to 0"],
        ),
        (
            "R6",
            task().with(deadline, 0),
            &["activeDeadlineSeconds", "greater than or equal to 1"],
        ),
        (
            "empty prompt",
            task().with("/spec/prompt", ""),
            &["spec.prompt", "at least 1 char"],
        ),
        (
            "long name",
            task().named(&"n".repeat(64)),
            &["metadata.name is longer than 63 characters", "name of a Job"],
        ),
        (
            "quantity",
            task().with("/spec/podOverrides/resources/limits/memory", "2 GB"),
            &["spec.podOverrides.resources.limits.memory", "should match"],
        ),
        (
            "dependencies",
            task().with("/spec/dependsOn", vec!["a"; 101]),
            &["spec.dependsOn", "at most 100 items"],
        ),
        (
            "empty reference",
            task().with("/spec/workspaceRef/name", ""),
            &["spec.workspaceRef.name"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn workspaces_that_git_could_not_clone() {
    let plain = || Manifest::workspace("https://h/r");
    let file = |path: Value, content: Value| {
        plain().with("/spec/files", json!([{"path": path, "content": content}]))
    };
    let reference = "ref must not start with '-' or contain spaces";
    refuse(vec![
        (
            "R2 repo",
            plain().without("/spec/repo"),
            &["spec.repo: Required value"],
        ),
        (
            "R9",
            file("".into(), "x".into()),
            &["spec.files[0].path", "at least 1 char"],
        ),
        (
            "no content",
            plain().with("/spec/files", json!([{"path": "x"}])),
            &["spec.files[0].content: Required"],
        ),
        (
            "option as ref",
            plain().with("/spec/ref", "--upload-pack=x"),
            &["spec.ref", reference],
        ),
        ("ref of two words", plain().with("/spec/ref", "a b"), &[reference]),
        (
            "ref of two lines",
            plain().with("/spec/ref", "a\nb"),
            &[reference],
        ),
        (
            "empty secret name",
            plain().with("/spec/secretRef/name", ""),
            &["spec.secretRef.name"],
        ),
        (
            "a repository with its owner",
            plain().with("/spec/githubApp", json!({"repositories": ["o/lib"]})),
            &["spec.githubApp.repositories", "without their owner"],
        ),
        (
            "a permission with spaces",
            plain().with(
                "/spec/githubApp",
                json!({"permissions": {"Pull requests": "read"}}),
            ),
            &["spec.githubApp.permissions", "such as pull_requests"],
        ),
        (
            "an access that GitHub has not",
            plain().with("/spec/githubApp", json!({"permissions": {"contents": "admin"}})),
            &["spec.githubApp.permissions.contents", "\"write\""],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_is_longer_than_its_field_may_be() {
    let text = |length: usize| "x".repeat(length);
    let many = |number: usize, value: Value| Value::from(vec![value; number]);
    let map = |number: usize| {
        Value::from(
            (0..number)
                .map(|n| (format!("k{n}"), "v".into()))
                .collect::<serde_json::Map<_, _>>(),
        )
    };
    let overrides =
        |field: &str, value: Value| Manifest::task().with(&format!("/spec/podOverrides/{field}"), value);
    let github = |field: &str, value: Value| {
        Manifest::github().with(&format!("/spec/when/githubIssues/{field}"), value)
    };
    let plugin = |content: usize| json!({"name": "p", "skills": [{"name": "s", "content": text(content)}]});
    let server = |more: Value| {
        let mut server = json!({"name": "m", "type": "stdio", "command": "x"});
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Manifest::agent_config(json!({ "mcpServers": [server] }))
    };
    let terms = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": many(101, "v".into())}]}]}}});
    refuse(vec![
        (
            "prompt",
            Manifest::task().with("/spec/prompt", text(MAX_PROMPT + 1)),
            &["spec.prompt: Too long", "524288"],
        ),
        (
            "template",
            Manifest::cron().with("/spec/taskTemplate/promptTemplate", text(MAX_PROMPT_TEMPLATE + 1)),
            &["spec.taskTemplate.promptTemplate: Too long", "262144"],
        ),
        (
            "instructions",
            Manifest::agent_config(json!({"agentsMD": text(MAX_CONTENT + 1)})),
            &["spec.agentsMD: Too long"],
        ),
        (
            "skill",
            Manifest::agent_config(json!({"plugins": [plugin(MAX_CONTENT + 1)]})),
            &["spec.plugins[0].skills[0].content: Too long"],
        ),
        (
            "argument",
            server(json!({"args": [text(MAX_VALUE + 1)]})),
            &["spec.mcpServers[0].args[0]: Too long"],
        ),
        (
            "headers",
            server(json!({"headers": map(101)})),
            &["spec.mcpServers[0].headers: Too many"],
        ),
        (
            "file",
            Manifest::workspace("https://h/r").with(
                "/spec/files",
                json!([{"path": "x", "content": text(MAX_CONTENT + 1)}]),
            ),
            &["spec.files[0].content: Too long"],
        ),
        (
            "variables",
            overrides("env", many(101, json!({"name": "A"}))),
            &["spec.podOverrides.env: Too many", "100"],
        ),
        (
            "value",
            overrides("env", json!([{"name": "A", "value": text(MAX_VALUE + 1)}])),
            &["spec.podOverrides.env[0].value: Too long"],
        ),
        (
            "label",
            overrides("labels", json!({"a": text(64)})),
            &["spec.podOverrides.labels.a: Too long"],
        ),
        (
            "annotations",
            overrides("annotations", map(101)),
            &["spec.podOverrides.annotations: Too many"],
        ),
        (
            "affinity",
            overrides("affinity", terms),
            &["matchExpressions[0].values: Too many"],
        ),
        (
            "quantity",
            overrides("resources/limits/cpu", "1".repeat(65).into()),
            &["spec.podOverrides.resources.limits.cpu: Too long"],
        ),
        (
            "GitHub's label",
            github("labels", json!([text(51)])),
            &["spec.when.githubIssues.labels[0]: Too long", "50"],
        ),
        (
            "GitHub's labels",
            github("excludeLabels", many(101, "a".into())),
            &["spec.when.githubIssues.excludeLabels: Too many"],
        ),
        (
            "types",
            github("types", json!(["issues", "pulls", "issues"])),
            &["spec.when.githubIssues.types: Too many"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn tasks_that_would_run_as_the_operators_account() {
    let words = "serviceAccountName can't be axon-spawner";
    let task = "/spec/podOverrides/serviceAccountName";
    let template = "/spec/taskTemplate/podOverrides/serviceAccountName";
    refuse(vec![
        (
            "task",
            Manifest::task().with(task, "axon-spawner"),
            &["spec.podOverrides.serviceAccountName", words],
        ),
        (
            "task that brings a status along",
            Manifest::task()
                .with(task, "axon-spawner")
                .with("/status/phase", "Running"),
            &[words],
        ),
        (
            "template",
            Manifest::cron().with(template, "axon-spawner"),
            &["spec.taskTemplate.podOverrides.serviceAccountName", words],
        ),
    ])
    .await;
    // Nor by a change, whether the operator has written a status or not.
    let namespace = control_plane::namespace().await.unwrap();
    for has_status in [false, true] {
        let spawner = Manifest::cron().named(&format!("s-{has_status}"));
        spawner.create(&namespace).await.unwrap();
        let path = format!("{}/s-{has_status}", spawner.path(&namespace));
        let merge = "application/merge-patch+json";
        if has_status {
            let status = json!({"status": {"phase": "Running"}});
            send(&namespace, "PATCH", &format!("{path}/status"), merge, &status)
                .await
                .unwrap();
        }
        let change =
            json!({"spec": {"taskTemplate": {"podOverrides": {"serviceAccountName": "axon-spawner"}}}});
        let refused = send(&namespace, "PATCH", &path, merge, &change)
            .await
            .unwrap_err();
        assert!(
            refused.code == 422 && refused.message.contains(words),
            "{refused:?}"
        );
        let other =
            json!({"spec": {"taskTemplate": {"podOverrides": {"serviceAccountName": "axon-spawner-2"}}}});
        send(&namespace, "PATCH", &path, merge, &other).await.unwrap();
    }
}

#[tokio::test]
async fn agent_configs_with_nameless_parts() {
    let server = |server: Value| Manifest::agent_config(json!({ "mcpServers": [server] }));
    let plugin = |plugin: Value| Manifest::agent_config(json!({ "plugins": [plugin] }));
    refuse(vec![
        (
            "R10 type",
            server(json!({"name": "x", "type": "websocket"})),
            &[
                "spec.mcpServers[0].type: Unsupported value: \"websocket\"",
                "\"sse\"",
            ],
        ),
        (
            "R10 name",
            server(json!({"name": "", "type": "http"})),
            &["spec.mcpServers[0].name", "at least 1 char"],
        ),
        (
            "R10 no type",
            server(json!({"name": "x"})),
            &["spec.mcpServers[0].type: Required value"],
        ),
        (
            "R11 plugin",
            plugin(json!({"name": ""})),
            &["spec.plugins[0].name", "at least 1 char"],
        ),
        (
            "R11 skill",
            plugin(json!({"name": "p", "skills": [{"name": "", "content": "x"}]})),
            &["spec.plugins[0].skills[0].name", "at least 1 char"],
        ),
        (
            "R11 agent",
            plugin(json!({"name": "p", "agents": [{"name": "", "content": "x"}]})),
            &["spec.plugins[0].agents[0].name", "at least 1 char"],
        ),
        (
            "R11 content",
            plugin(json!({"name": "p", "skills": [{"name": "s"}]})),
            &["spec.plugins[0].skills[0].content: Required value"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn spawners_that_can_never_spawn() {
    let (github, cron) = (Manifest::github, Manifest::cron);
    let source = "exactly one source is needed: set either githubIssues or cron";
    let template = "/spec/taskTemplate";
    let filter =
        |field: &str, value: Value| github().with(&format!("/spec/when/githubIssues/{field}"), value);
    refuse(vec![
        (
            "R12",
            github().without("/spec/taskTemplate/workspaceRef"),
            &["taskTemplate.workspaceRef is required with when.githubIssues"],
        ),
        (
            "R13",
            filter("state", "merged".into()),
            &[
                "spec.when.githubIssues.state: Unsupported value: \"merged\"",
                "\"all\"",
            ],
        ),
        (
            "R14 concurrency",
            cron().with("/spec/maxConcurrency", -1),
            &["spec.maxConcurrency", "or equal to 0"],
        ),
        (
            "R14 total",
            cron().with("/spec/maxTotalTasks", -1),
            &["spec.maxTotalTasks", "or equal to 0"],
        ),
        (
            "R15",
            cron().without("/spec/when/cron/schedule"),
            &["spec.when.cron.schedule: Required value"],
        ),
        (
            "empty schedule",
            cron().with("/spec/when/cron/schedule", ""),
            &["spec.when.cron.schedule"],
        ),
        ("no source", Manifest::spawner(json!({})), &["spec.when", source]),
        (
            "two sources",
            github().with("/spec/when/cron/schedule", "* * * * *"),
            &["spec.when", source],
        ),
        (
            "unknown association",
            filter("commentsFrom", json!({"associations": ["OWNER", "FRIEND"]})),
            &[
                "spec.when.githubIssues.commentsFrom.associations[1]: Unsupported value: \"FRIEND\"",
                "\"COLLABORATOR\"",
            ],
        ),
        (
            "comments by permission",
            filter("commentsFrom", json!({"associations": ["WRITER"]})),
            &["spec.when.githubIssues", "commentsFrom can't name WRITER"],
        ),
        (
            "nobody",
            filter("authors", json!({})),
            &[
                "spec.when.githubIssues.authors",
                "name associations, users or both; associations: [ALL] means everybody",
            ],
        ),
        (
            "unknown item",
            filter("types", json!(["issues", "commits"])),
            &[
                "spec.when.githubIssues.types[1]: Unsupported value: \"commits\"",
                "\"pulls\"",
            ],
        ),
        (
            "no template",
            cron().without(template),
            &["spec.taskTemplate: Required value"],
        ),
        (
            "no when",
            cron().without("/spec/when"),
            &["spec.when: Required value"],
        ),
        (
            "template without a secret",
            cron().with("/spec/taskTemplate/credentials", json!({"type": "api-key"})),
            &[
                "spec.taskTemplate.credentials",
                "secretRef is required unless type is none",
            ],
        ),
        (
            "template's type",
            cron().with("/spec/taskTemplate/type", "x"),
            &["spec.taskTemplate.type"],
        ),
        (
            "template's time to live",
            cron().with("/spec/taskTemplate/ttlSecondsAfterFinished", -1),
            &["spec.taskTemplate.ttlSecondsAfterFinished"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn poll_intervals_that_are_no_positive_durations() {
    let namespace = control_plane::namespace().await.unwrap();
    for interval in [
        "",
        "5",
        "abc",
        "0s",
        "0h0m",
        "-5m",
        "5 m",
        "1d",
        "5m ",
        "m",
        "5mm",
        "1h30",
        "8785h",
        "2000000000000000h",
    ] {
        let message = Manifest::cron()
            .with("/spec/pollInterval", interval)
            .refusal(&namespace)
            .await;
        assert!(
            message.contains("spec.pollInterval") && message.contains("such as 30s, 5m or 1h"),
            "{interval:?}: {message}"
        );
    }
}

#[tokio::test]
async fn retries_timeouts_and_trust_that_mean_nothing() {
    let policy = |policy: Value| Manifest::task().with("/spec/retryPolicy", policy);
    let spawned = Manifest::cron().with("/spec/taskTemplate/stallTimeout", "soon");
    refuse(vec![
        (
            "no limit",
            policy(json!({"on": ["AgentError"]})),
            &["spec.retryPolicy.limit: Required value"],
        ),
        (
            "limit 0",
            policy(json!({"limit": 0, "on": ["AgentError"]})),
            &["spec.retryPolicy.limit", "greater than or equal to 1"],
        ),
        (
            "limit 11",
            policy(json!({"limit": 11, "on": ["AgentError"]})),
            &["spec.retryPolicy.limit", "less than or equal to 10"],
        ),
        (
            "no reason",
            policy(json!({"limit": 1, "on": []})),
            &["spec.retryPolicy.on", "at least 1 item"],
        ),
        (
            "a reason that would come again",
            policy(json!({"limit": 1, "on": ["DependencyFailed"]})),
            &["spec.retryPolicy.on[0]: Unsupported value"],
        ),
        (
            "a reason twice",
            policy(json!({"limit": 1, "on": ["Stalled", "Stalled"]})),
            &["spec.retryPolicy.on[1]: Duplicate value"],
        ),
        (
            "no pause",
            policy(json!({"limit": 1, "on": ["Stalled"], "backoff": "0s"})),
            &["spec.retryPolicy.backoff", "such as 30s, 5m or 1h"],
        ),
        (
            "no duration",
            Manifest::task().with("/spec/stallTimeout", "5"),
            &["spec.stallTimeout", "such as 30s, 5m or 1h"],
        ),
        (
            "no duration in a template",
            spawned,
            &["spec.taskTemplate.stallTimeout", "such as 30s, 5m or 1h"],
        ),
        (
            "trust in nobody",
            Manifest::task().with("/spec/trust", "None"),
            &["spec.trust: Unsupported value: \"None\""],
        ),
        (
            "trust of a template in small letters",
            Manifest::cron().with("/spec/taskTemplate/trust", "base"),
            &["spec.taskTemplate.trust: Unsupported value"],
        ),
        (
            "no name",
            Manifest::task().with("/spec/retryOf", "A_b"),
            &["spec.retryOf"],
        ),
    ])
    .await;
}
