//! Workspaces and AgentConfigs that no Task could use.

use serde_json::{Value, json};

use super::refuse;
use crate::manifest::Manifest;

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
