//! Fields above their limits.

use axon_api::limits::{MAX_CONTENT, MAX_PROMPT, MAX_PROMPT_TEMPLATE, MAX_VALUE};
use serde_json::{Value, json};

use super::refuse;
use crate::manifest::Manifest;

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
