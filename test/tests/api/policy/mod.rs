//! The optional admission policy, in a control plane of its own namespace labels: its binding here is narrowed to one
//! namespace, since the others' tests share the API server.

use std::time::Duration;

use axon_test::namespace::Namespace;
use axon_test::{paths, wait};
use serde_json::{Value, json};

use super::manifest::Manifest;

mod changes;
mod holes;
mod keys;
mod strict;
mod urls;

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
