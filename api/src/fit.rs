//! Compares the definitions that an API server serves with the fields and values of this version.
//!
//! With fields that its definitions lack the API server refuses a server-side apply, and drops them from other writes without a
//! word. It refuses reasons that they lack. An operator that is newer than the definitions has to know.

use std::collections::BTreeMap;

use kube::CustomResourceExt as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{AgentConfig, GROUP, Task, TaskRecord, TaskSpawner, VERSION, Workspace};

/// The OpenAPI v3 document that the API server serves at [`path`], reduced to the members that are compared.
#[derive(Debug, Deserialize)]
pub struct Served {
    #[serde(default)]
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<String, Schema>,
}

#[derive(Debug, Default, Deserialize)]
struct Schema {
    #[serde(default)]
    properties: BTreeMap<String, Self>,
    #[serde(default)]
    items: Option<Box<Self>>,
    #[serde(default, rename = "enum")]
    values: Vec<Value>,
    #[serde(default, rename = "x-kubernetes-preserve-unknown-fields")]
    keeps_unknown: bool,
    #[serde(default, rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
}

/// Returns the path of the document, which every account may read unless its cluster's administrator has taken that away.
#[must_use]
pub fn path() -> String {
    format!("/openapi/v3/apis/{GROUP}/{VERSION}")
}

impl Served {
    /// Returns what the served definitions lack of this version's: fields such as `Task.status.nextRun`, values such as
    /// `Task.status.reason: Queued`, and kinds. Sorted.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let own = [
            Task::crd(),
            TaskSpawner::crd(),
            TaskRecord::crd(),
            Workspace::crd(),
            AgentConfig::crd(),
        ];
        let mut missing = Vec::new();
        for definition in own {
            let kind = &definition.spec.names.kind;
            let Some(served) = self.of(kind) else {
                missing.push(kind.clone());
                continue;
            };
            let schema = definition
                .spec
                .versions
                .into_iter()
                .find_map(|version| version.schema);
            let schema = schema.and_then(|schema| schema.open_api_v3_schema);
            let schema = schema.and_then(|schema| serde_json::to_value(schema).ok());
            let schema: Option<Schema> = schema.and_then(|schema| serde_json::from_value(schema).ok());
            for part in ["spec", "status"] {
                let own = schema.as_ref().and_then(|schema| schema.properties.get(part));
                if let (Some(own), Some(served)) = (own, served.properties.get(part)) {
                    compare(own, served, &format!("{kind}.{part}"), &mut missing);
                }
            }
        }
        missing.sort();
        missing
    }

    fn of(&self, kind: &str) -> Option<&Schema> {
        let is = |known: &Kind| known.group == GROUP && known.version == VERSION && known.kind == kind;
        self.components
            .schemas
            .values()
            .find(|schema| schema.kinds.iter().any(is))
    }
}

fn compare(own: &Schema, served: &Schema, path: &str, missing: &mut Vec<String>) {
    if served.keeps_unknown {
        return;
    }
    for (name, own) in &own.properties {
        let path = format!("{path}.{name}");
        match served.properties.get(name) {
            Some(served) => compare(own, served, &path, missing),
            None => missing.push(path),
        }
    }
    if let (Some(own), Some(served)) = (&own.items, &served.items) {
        compare(own, served, &format!("{path}[]"), missing);
    }
    // Without a list, every value is taken.
    if !served.values.is_empty() {
        let lacks = own.values.iter().filter(|value| !served.values.contains(value));
        missing.extend(
            lacks
                .filter_map(Value::as_str)
                .map(|value| format!("{path}: {value}")),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns the document of an API server with these definitions, changed by `change`.
    fn served(change: impl Fn(&mut Value)) -> Served {
        let mut schemas = json!({});
        for (_, definition) in crate::crds::all() {
            let kind = definition.spec.names.kind.clone();
            let definition = serde_json::to_value(definition).unwrap();
            let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            schema["x-kubernetes-group-version-kind"] =
                json!([{"group": GROUP, "version": VERSION, "kind": kind}]);
            schemas[format!("io.axon.v1alpha1.{kind}")] = schema;
        }
        change(&mut schemas);
        serde_json::from_value(json!({"openapi": "3.0.0", "components": {"schemas": schemas}})).unwrap()
    }

    #[test]
    fn definitions_of_this_version_and_of_a_newer_one_lack_nothing() {
        assert_eq!(served(|_| ()).missing(), [""; 0]);
        let newer = served(|schemas| {
            let task = &mut schemas["io.axon.v1alpha1.Task"]["properties"];
            task["spec"]["properties"]["new"] = json!({"type": "string"});
            task["status"]["properties"]["reason"]["enum"]
                .as_array_mut()
                .unwrap()
                .push(json!("New"));
        });
        assert_eq!(newer.missing(), [""; 0]);
    }

    #[test]
    fn fields_reasons_and_kinds_that_are_missing_are_named() {
        let older = served(|schemas| {
            let all = schemas.as_object_mut().unwrap();
            all.remove("io.axon.v1alpha1.TaskRecord");
            let status = &mut all["io.axon.v1alpha1.Task"]["properties"]["status"]["properties"];
            status.as_object_mut().unwrap().remove("nextRun");
            for place in ["/reason", "/attempts/items/properties/reason"] {
                let reasons = status.pointer_mut(place).unwrap()["enum"].as_array_mut().unwrap();
                reasons.retain(|reason| reason != "Queued");
            }
        });
        assert_eq!(
            older.missing(),
            [
                "Task.status.attempts[].reason: Queued",
                "Task.status.nextRun",
                "Task.status.reason: Queued",
                "TaskRecord",
            ]
        );
    }

    #[test]
    fn a_document_of_something_else_is_read_too() {
        let odd = r#"{"components": {"schemas": {"a": {"enum": [null, 1, "x"], "properties": {"b": {"items": {}}}}}}}"#;
        assert_eq!(serde_json::from_str::<Served>(odd).unwrap().missing().len(), 5);
        assert_eq!(serde_json::from_str::<Served>("{}").unwrap().missing().len(), 5);
    }
}
