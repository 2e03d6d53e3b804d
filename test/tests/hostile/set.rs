//! Objects that a user of one namespace can store and that cost the operator as much memory as they can.

use std::collections::BTreeMap;

use anyhow::Result;
use axon_test::namespace::Namespace;
use axon_test::{control_plane::ControlPlane, wait};
use futures::{TryStreamExt as _, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use super::answers::{Answers, FORMS};

/// Nearly what etcd takes, and less than a ConfigMap holds.
const MEGABYTE: usize = 1_000_000;
/// Objects that are created at the same time.
const PARALLEL: usize = 4;

/// The number of objects of each kind.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// Waiting Tasks of a megabyte.
    pub tasks: usize,
    /// Objects of a megabyte of each other kind.
    pub others: usize,
    /// Thousands of small parts in one object.
    pub parts: usize,
    /// Of the large Tasks, those that are stopped after their end.
    pub stops: usize,
}

pub struct Set {
    namespace: Namespace,
}

impl Set {
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    /// Stores all of it. Waiting Tasks depend on `gate`, which is not there.
    pub async fn store(&self, numbers: Numbers) -> Result<()> {
        let text = "x".repeat(MEGABYTE);
        let waiting = json!({"prompt": text, "dependsOn": ["gate"]});
        self.many(
            "Task",
            numbers.tasks,
            &waiting,
            &json!({"axon.io/taskspawner": "nobody"}),
        )
        .await?;
        let template = json!({
            "when": {"cron": {"schedule": "* * * * *"}}, "suspend": true,
            "taskTemplate": {"type": "claude-code", "credentials": {"type": "none"}, "promptTemplate": text},
        });
        self.many("TaskSpawner", numbers.others, &template, &json!({}))
            .await?;
        let files: Vec<Value> = (0..200)
            .map(|n| json!({"path": format!("f{n}"), "content": "x".repeat(5000)}))
            .collect();
        let workspace = json!({"repo": "https://git.test/o/r", "files": files});
        self.many("Workspace", numbers.others, &workspace, &json!({}))
            .await?;
        self.many(
            "AgentConfig",
            numbers.others,
            &json!({"agentsMD": text}),
            &json!({}),
        )
        .await?;
        self.odd(numbers.parts * 1000).await
    }

    /// Stores TaskSpawners that poll a host of the attacker's choice, a few for each form of its answers.
    pub async fn poll(&self, answers: &Answers) -> Result<()> {
        for form in FORMS {
            for n in 0..4 {
                let name = format!("{form}-{n}");
                let repo = format!("http://{}/{form}/r{n}.git", answers.host);
                self.create("Workspace", &name, &json!({ "repo": repo }), &json!({}))
                    .await?;
                let spawner = json!({
                    "when": {"githubIssues": {"authors": {"associations": ["ALL"]}}},
                    "pollInterval": "1s", "maxConcurrency": 2,
                    "taskTemplate": {"type": "claude-code", "credentials": {"type": "none"},
                        "workspaceRef": {"name": name}, "dependsOn": ["gate"]},
                });
                self.create("TaskSpawner", &name, &spawner, &json!({})).await?;
            }
        }
        Ok(())
    }

    /// Stores Tasks of many small parts, which are far larger parsed than as text.
    async fn odd(&self, parts: usize) -> Result<()> {
        let labels: Map<String, Value> = (0..parts * 2).map(|n| (format!("l{n:05}"), json!(""))).collect();
        self.create("Task", "labels", &waiting(json!({})), &json!({"labels": labels}))
            .await?;
        let note = "x".repeat(250_000);
        self.create(
            "Task",
            "annotations",
            &waiting(json!({})),
            &json!({"annotations": {"note": note}}),
        )
        .await?;
        let finalizers: Vec<String> = (0..parts / 2).map(|n| format!("x.test/f{n:05}")).collect();
        self.create(
            "Task",
            "finalizers",
            &waiting(json!({})),
            &json!({"finalizers": finalizers}),
        )
        .await?;
        let env: Vec<Value> = (0..parts).map(|n| json!({"name": format!("E{n:05}")})).collect();
        let overrides = |overrides: Value| json!({"podOverrides": overrides});
        self.create(
            "Task",
            "env",
            &waiting(overrides(json!({"env": env}))),
            &json!({}),
        )
        .await?;
        let model = waiting(json!({"model": "m".repeat(MEGABYTE)}));
        self.create("Task", "model", &model, &json!({})).await?;
        let volumes: Vec<Value> = (0..parts)
            .map(|n| json!({"name": format!("v{n:05}"), "emptyDir": {}}))
            .collect();
        let ready = task(overrides(json!({"volumes": volumes})));
        self.create("Task", "volumes", &ready, &json!({})).await?;
        // Small in themselves, and a Job of two megabytes each.
        for n in 0..8 {
            let refers = json!({"workspaceRef": {"name": "big-0"}, "agentConfigRef": {"name": "big-0"}});
            self.create("Task", &format!("refers-{n}"), &task(refers), &json!({}))
                .await?;
        }
        self.create("Task", "status", &waiting(json!({})), &json!({}))
            .await?;
        let message = json!({"status": {"phase": "Waiting", "reason": "WaitingForDependencies", "message": "m".repeat(MEGABYTE)}});
        let tasks = self.api("Task");
        tasks
            .patch_status("status", &PatchParams::default(), &Patch::Merge(message))
            .await?;
        Ok(())
    }

    async fn many(&self, kind: &str, count: usize, spec: &Value, labels: &Value) -> Result<()> {
        let metadata = json!({"labels": labels});
        let all = stream::iter((0..count).map(Ok::<_, anyhow::Error>));
        let spec = if kind == "Task" { &task(spec.clone()) } else { spec };
        all.try_for_each_concurrent(PARALLEL, async |n| {
            self.create(kind, &format!("big-{n}"), spec, &metadata).await
        })
        .await
    }

    async fn create(&self, kind: &str, name: &str, spec: &Value, metadata: &Value) -> Result<()> {
        let mut object =
            json!({"apiVersion": "axon.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        object["metadata"]["name"] = json!(name);
        let object: DynamicObject = serde_json::from_value(object)?;
        self.api(kind).create(&PostParams::default(), &object).await?;
        Ok(())
    }

    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("axon.io", "v1alpha1", kind));
        Api::namespaced_with(self.namespace.client().clone(), self.namespace.name(), &resource)
    }
}

/// Returns the spec of a Task; `more` are further members.
pub fn task(more: Value) -> Value {
    let mut spec = json!({"type": "claude-code", "prompt": "do it", "credentials": {"type": "none"}});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

fn waiting(mut more: Value) -> Value {
    more["dependsOn"] = json!(["gate"]);
    task(more)
}

/// Takes all limits out of the definitions: objects may have been stored before there were any.
pub async fn lift_limits(control_plane: &ControlPlane) -> Result<()> {
    let client: Client = control_plane.client().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, definition) in axon_api::crds::all() {
        let name = definition.metadata.name.unwrap_or_default();
        let mut stored = serde_json::to_value(definitions.get(&name).await?)?;
        without_limits(&mut stored["spec"]["versions"]);
        let stored: CustomResourceDefinition = serde_json::from_value(stored)?;
        definitions
            .replace(&name, &PostParams::default(), &stored)
            .await?;
    }
    // The API server takes a moment to go by the new definitions.
    let probe = Set::new(control_plane.namespace().await?);
    wait::until(
        "the limits to be gone",
        std::time::Duration::from_secs(30),
        async || {
            let name = format!("probe-{}", rand::random::<u32>());
            let long = task(json!({"model": "", "prompt": "", "branch": "b".repeat(300)}));
            Ok(probe.create("Task", &name, &long, &json!({})).await.ok())
        },
    )
    .await
}

fn without_limits(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let of_properties = members.get("properties").is_some_and(Value::is_object);
            let is_schema = of_properties || members.contains_key("type") || members.contains_key("items");
            if is_schema {
                for limit in [
                    "maxLength",
                    "maxItems",
                    "maxProperties",
                    "minLength",
                    "x-kubernetes-validations",
                ] {
                    members.remove(limit);
                }
            }
            members.values_mut().for_each(without_limits);
        }
        Value::Array(all) => all.iter_mut().for_each(without_limits),
        _ => {}
    }
}

/// Ends the Task that the others wait for, as the operator would.
pub async fn open_gate(set: &Set) -> Result<()> {
    set.create(
        "Task",
        "gate",
        &waiting(json!({"dependsOn": ["never"]})),
        &json!({}),
    )
    .await?;
    let status = json!({"status": {"phase": "Succeeded", "reason": "Completed", "observedGeneration": 1,
        "completionTime": "2026-01-01T00:00:00Z"}});
    set.api("Task")
        .patch_status("gate", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Ends some of the large Tasks, as the operator would, and then stops each of them, which is too late.
pub async fn stop_late(set: &Set, tasks: usize) -> Result<()> {
    let ended = json!({"status": {"phase": "Failed", "reason": "InvalidConfig", "observedGeneration": 1,
        "completionTime": "2026-01-01T00:00:00Z"}});
    let stop = json!({"spec": {"stop": true}});
    let (api, params) = (set.api("Task"), PatchParams::default());
    let each = async |n: usize| {
        let name = format!("big-{n}");
        api.patch_status(&name, &params, &Patch::Merge(&ended)).await?;
        api.patch(&name, &params, &Patch::Merge(&stop)).await?;
        Ok(())
    };
    stream::iter((0..tasks).map(Ok))
        .try_for_each_concurrent(PARALLEL, each)
        .await
}

/// Returns the phases of the set's Tasks and how many are in each.
pub async fn phases(set: &Set) -> Result<BTreeMap<String, usize>> {
    count(set, |task| {
        task.data["status"]["phase"].as_str().unwrap_or("New").to_owned()
    })
    .await
}

/// Returns how many of the set's Tasks have a status about each generation of them.
pub async fn generations(set: &Set) -> Result<BTreeMap<i64, usize>> {
    count(set, |task| {
        task.data["status"]["observedGeneration"]
            .as_i64()
            .unwrap_or_default()
    })
    .await
}

async fn count<K: Ord>(set: &Set, key: impl Fn(&DynamicObject) -> K) -> Result<BTreeMap<K, usize>> {
    let mut all = BTreeMap::new();
    let mut params = kube::api::ListParams::default().limit(20);
    loop {
        let page = set.api("Task").list(&params).await?;
        for task in &page.items {
            *all.entry(key(task)).or_insert(0) += 1;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
