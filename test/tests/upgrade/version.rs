//! A version of the product: its definitions, its rights and its operator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axon_api::{crds, yaml};
use axon_test::operator_process::{self, Operator};
use axon_test::{manifests, paths};
use kube::Client;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

/// A field that a test of rollbacks gives to each object.
pub const NOVEL_FIELD: &str = "fieldOfTheNextVersion";
/// A reason that only a next version knows.
pub const NOVEL_REASON: &str = "ReasonOfTheNextVersion";

pub struct Version {
    pub definitions: Vec<Value>,
    operator: PathBuf,
    /// The folder `config` of another checkout, if the rights are that one's.
    config: Option<PathBuf>,
    /// What a Task's and a TaskSpawner's spec can have that the version before does not know, as JSON members.
    pub novel: BTreeMap<String, Value>,
}

impl Version {
    /// The version of this checkout.
    pub fn this() -> Self {
        let definitions = crds::all().into_iter();
        Self {
            definitions: definitions
                .map(|(_, crd)| serde_json::to_value(crd).unwrap())
                .collect(),
            operator: paths::operator_program().unwrap(),
            config: None,
            novel: BTreeMap::new(),
        }
    }

    /// This operator under definitions that have an optional field in each spec and one more reason.
    pub fn next() -> Self {
        let mut version = Self::this();
        for definition in &mut version.definitions {
            add_novelties(definition);
        }
        version.novel = [(NOVEL_FIELD.to_owned(), json!("kept"))].into();
        version
    }

    /// Definitions that lack reasons and fields that this operator writes.
    pub fn older() -> Self {
        let mut version = Self::this();
        version.definitions.iter_mut().for_each(take_away);
        version
    }

    /// The version of another checkout with a built operator.
    pub fn at(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder.join("config/crd")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| !file.ends_with("kustomization.yaml"));
        let read = |file: &PathBuf| yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let definitions: Vec<Value> = files.iter().map(read).collect();
        assert!(definitions.len() >= 5, "{files:?}");
        Self {
            definitions,
            operator: folder.join("target/debug/axon-operator"),
            config: Some(folder.join("config")),
            novel: BTreeMap::new(),
        }
    }

    /// Returns the value that objects keep in [`NOVEL_FIELD`] under these definitions.
    pub fn kept(&self) -> Option<&str> {
        self.novel.get(NOVEL_FIELD).and_then(Value::as_str)
    }

    /// Applies the definitions.
    pub async fn define(&self, client: &Client) {
        for definition in &self.definitions {
            let text = definition.to_string();
            manifests::apply(client, "default", &text).await.unwrap();
        }
    }

    /// Applies the operator's rights.
    pub async fn allow(&self, client: &Client) {
        let Some(config) = &self.config else {
            return operator_process::install_rights(client).await.unwrap();
        };
        let mut files = vec![config.join("operator/namespace.yaml")];
        let rights = std::fs::read_dir(config.join("rbac")).unwrap();
        files.extend(rights.map(|file| file.unwrap().path()));
        for file in files.iter().filter(|file| !file.ends_with("kustomization.yaml")) {
            let text = std::fs::read_to_string(file).unwrap();
            manifests::apply(client, "axon-system", &text).await.unwrap();
        }
    }

    /// Starts the operator.
    pub fn start(&self, kubeconfig: &Path, token: &str) -> Operator {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        Operator::start_program(&self.operator, &kubeconfig, token).unwrap()
    }
}

fn take_away(definition: &mut Value) {
    let lacks = [
        "AgentRunning",
        "Completed",
        "StorageExceeded",
        "Stopping",
        "WaitingForBranch",
    ];
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        let schema = &mut version["schema"]["openAPIV3Schema"]["properties"];
        for place in [
            "/status/properties/reason/enum",
            "/status/properties/attempts/items/properties/reason/enum",
            "/spec/properties/reason/enum",
        ] {
            if let Some(reasons) = schema.pointer_mut(place).and_then(Value::as_array_mut) {
                reasons.retain(|reason| !lacks.iter().any(|lack| reason == lack));
            }
        }
        let attempt = schema.pointer_mut("/status/properties/attempts/items/properties");
        if let Some(attempt) = attempt.and_then(Value::as_object_mut) {
            attempt.remove("jobUID");
        }
        let status = schema
            .pointer_mut("/status/properties")
            .and_then(Value::as_object_mut);
        if let Some(status) = status {
            status.retain(|field, _| !matches!(field.as_str(), "nextRun" | "retries" | "startTime"));
        }
    }
}

fn add_novelties(definition: &mut Value) {
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        let schema = &mut version["schema"]["openAPIV3Schema"]["properties"];
        schema["spec"]["properties"][NOVEL_FIELD] = json!({"type": "string", "maxLength": 64});
        let reasons = schema.pointer_mut("/status/properties/reason/enum");
        if let Some(reasons) = reasons.and_then(Value::as_array_mut) {
            reasons.push(json!(NOVEL_REASON));
        }
    }
}
