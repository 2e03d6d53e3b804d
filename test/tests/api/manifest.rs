//! Manifests as tables of tests need them: a good one, with something changed.

use axon_test::namespace::Namespace;
use kube::core::Status;
use serde_json::{Map, Value, json};

/// A manifest of one of the kinds that people write.
#[derive(Clone, Debug)]
pub struct Manifest(Value);

impl Manifest {
    pub fn task() -> Self {
        Self::of(
            "Task",
            json!({
                "type": "claude-code",
                "prompt": "Say hello.",
                "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
            }),
        )
    }

    pub fn workspace(repo: &str) -> Self {
        Self::of("Workspace", json!({ "repo": repo }))
    }

    pub fn agent_config(spec: Value) -> Self {
        Self::of("AgentConfig", spec)
    }

    pub fn spawner(when: Value) -> Self {
        let mut spec = json!({"taskTemplate": {
            "type": "claude-code",
            "credentials": {"type": "oauth", "secretRef": {"name": "key"}},
        }});
        spec["when"] = when;
        Self::of("TaskSpawner", spec)
    }

    pub fn github() -> Self {
        Self::spawner(json!({"githubIssues": {}}))
            .with("/spec/taskTemplate/workspaceRef", json!({"name": "w"}))
    }

    pub fn cron() -> Self {
        Self::spawner(json!({"cron": {"schedule": "0 9 * * 1"}}))
    }

    pub fn budget(spec: Value) -> Self {
        Self::of("TaskBudget", spec)
    }

    fn of(kind: &str, spec: Value) -> Self {
        let mut manifest = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": kind, "metadata": {"generateName": "x-"},
        });
        manifest["spec"] = spec;
        Self(manifest)
    }

    /// Sets the field at a JSON pointer, and makes the objects on the way to it.
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.0;
        for key in pointer.split('/').skip(1) {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[key];
        }
        *at = value.into();
        self
    }

    pub fn without(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.0
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(key)
            .unwrap();
        self
    }

    pub fn named(self, name: &str) -> Self {
        self.without("/metadata/generateName")
            .with("/metadata/name", name)
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Returns the path that its kind is served at.
    pub fn path(&self, namespace: &Namespace) -> String {
        let plural = format!("{}s", self.0["kind"].as_str().unwrap().to_lowercase());
        format!("/apis/axon.io/v1alpha1/namespaces/{}/{plural}", namespace.name())
    }

    /// Creates the object. Unknown fields are an error, so that a table has no misspelt ones.
    pub async fn create(&self, namespace: &Namespace) -> Result<Value, Box<Status>> {
        let path = format!("{}?fieldValidation=Strict", self.path(namespace));
        send(namespace, "POST", &path, "application/json", &self.0).await
    }

    /// Creates the object and returns why the API server refused it.
    pub async fn refusal(&self, namespace: &Namespace) -> String {
        match self.create(namespace).await {
            Ok(_) => panic!("this was accepted: {:#}", self.0),
            Err(status) => {
                assert_eq!(status.code, 422, "{status:?}");
                status.message
            }
        }
    }
}

/// Sends a request to the API server, as it is.
pub async fn send(
    namespace: &Namespace,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<Value, Box<Status>> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(body.to_string().into_bytes())
        .unwrap();
    match namespace.client().request(request).await {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
