//! The parts of its pod that a Task may change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, ResourceRequirements, SecretVolumeSource,
    Toleration, VolumeMount,
};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::MAX_ELEMENTS;

/// Changes to the pod that runs a Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOverrides {
    /// CPU, memory and ephemeral-storage requests and limits of the agent container, and likewise of the one that
    /// prepares the workspace before it: the pod as a whole asks for no more than one of them. A resource that is named
    /// neither as a request nor as a limit has the operator's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Seconds after which the agent's pod is terminated and the Task fails with reason `DeadlineExceeded`. The
    /// operator's default if absent, which is four hours unless it was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Additional environment variables of the agent container. Built-in variables win over equal names.
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, `ALL_PROXY` and `AXON_PUSH_CHECK` also reach the container that clones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS))]
    pub env: Vec<EnvVar>,
    /// Labels that a node must have to run the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of the pod: taints of nodes that it can run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Nodes that the pod prefers or needs, by their labels or by the pods that they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "affinity_schema")]
    pub affinity: Option<Affinity>,
    /// ServiceAccount that the pod runs as, for workload identity; the namespace's `default` if absent. Not
    /// `axon-spawner`, which is the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Mounts the ServiceAccount's token, so that the agent can call the Kubernetes API. Not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Secrets with the log-in of the registries that the pod's images come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Additional labels of the Job and the pod. Built-in labels win over equal names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Additional annotations of the Job and the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// RuntimeClass of the pod, for sandboxes such as gVisor or Kata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// PriorityClass of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Additional volumes, of the kinds that Pod Security `restricted` allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub volumes: Vec<SafeVolume>,
    /// Mount paths of these volumes in the agent container. A mount must not cover the pod's own directories (`/axon`,
    /// `/workspace/repo`, and exactly `/workspace`, `/home/agent` and `/tmp`), nor programs of the image: nothing at, in or
    /// above `/axon_entrypoint.sh`, `/usr`, `/bin`, `/sbin`, `/lib*`, `/opt/codex`, `/opt/gemini`, and of `/etc` the files
    /// that decide on users, libraries and alternatives. `/etc/ssl/private-ca` or `/etc/gitconfig` are possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub volume_mounts: Vec<VolumeMount>,
}

/// The schema of an affinity without its descriptions, which alone would be two thirds of the CRD.
fn affinity_schema(generator: &mut SchemaGenerator) -> Schema {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                // A property may be called so, too; a description is a text.
                if members
                    .get("description")
                    .is_some_and(serde_json::Value::is_string)
                {
                    members.remove("description");
                }
                members.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut schema = Affinity::json_schema(generator);
    if let Some(members) = schema.as_object_mut() {
        members.values_mut().for_each(strip);
        members.insert(
            "description".to_owned(),
            "Which nodes the pod prefers or needs; see `kubectl explain pod.spec.affinity`.".into(),
        );
    }
    schema
}

/// A volume that can't reach the node's own files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.projected), has(self.csi)].filter(x, x).size() == 1")
    .message("a volume has exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected and csi"))]
pub struct SafeVolume {
    /// Name by which `volumeMounts` refers to the volume; `axon-…`, `workspace`, `home` and `tmp` are taken.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("!self.startsWith('axon-') && !(self in ['workspace', 'home', 'tmp'])")
        .message("names of the pod's own volumes (axon-..., workspace, home, tmp) can't be used"))]
    pub name: String,
    /// Files from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Files from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// An empty directory that ends with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claimed volume, such as a cache that several Tasks share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// Several sources in one directory, such as a ServiceAccount token for another audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A volume of a CSI driver, such as one that brings secrets from a vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
}

impl From<SafeVolume> for k8s_openapi::api::core::v1::Volume {
    fn from(volume: SafeVolume) -> Self {
        Self {
            name: volume.name,
            config_map: volume.config_map,
            secret: volume.secret,
            empty_dir: volume.empty_dir,
            persistent_volume_claim: volume.persistent_volume_claim,
            projected: volume.projected,
            csi: volume.csi,
            ..Self::default()
        }
    }
}

/// Resource requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Amounts that the scheduler reserves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// Amounts that the container may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<Resources> for ResourceRequirements {
    fn from(resources: Resources) -> Self {
        let convert = |map: BTreeMap<String, Quantity>| {
            let converted: BTreeMap<_, _> = map.into_iter().map(|(k, v)| (k, v.into())).collect();
            (!converted.is_empty()).then_some(converted)
        };
        Self {
            requests: convert(resources.requests),
            limits: convert(resources.limits),
            ..Self::default()
        }
    }
}

/// A Kubernetes quantity. Manifests may write it as a string or as a bare number, as core resources allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl From<Quantity> for k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(serde::de::Error::custom(format!(
                "{other} is not a quantity such as 500m or 2Gi"
            ))),
        }
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 64,
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_may_be_bare_numbers() {
        let read: Resources =
            serde_json::from_value(serde_json::json!({"requests": {"cpu": 2, "memory": "1Gi"}})).unwrap();
        let core: ResourceRequirements = read.into();
        let requests = core.requests.unwrap();
        assert_eq!(requests["cpu"].0, "2");
        assert_eq!(requests["memory"].0, "1Gi");
        assert_eq!(core.limits, None);
    }
}
