//! What `install` applies: the files below `config/`, built in. A test keeps the list equal to the kustomizations'.

mod scope;

use axon_api::images::Digests;
use axon_api::network::{ALLOW_VARIABLE, MODE_VARIABLE};
use kube::api::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

pub use self::scope::WATCH_NAMESPACES;
use crate::error::{CliError, Result};

/// Namespace of the operator.
pub const NAMESPACE: &str = "axon-system";
/// Variable of the operator with the Secrets that Tasks' pods pull images with.
pub const PULL_SECRETS: &str = "AXON_IMAGE_PULL_SECRETS";
/// Name of the operator's Deployment.
pub const OPERATOR: &str = "axon-operator";
/// The operator's variable for the digests of Tasks' images.
const IMAGE_DIGESTS: &str = "AXON_IMAGE_DIGESTS";
/// Name of the admission policy, of its binding, and of the ConfigMap with its parameters.
pub const POLICY: &str = "axon-policy";

/// Returns the digests of this release's images. A build that is none of a release's knows no digest, and names images by tag.
///
/// # Errors
/// When the build was given a list that can't be used.
pub fn digests() -> Result<Digests> {
    let list = option_env!("AXON_IMAGE_DIGESTS").unwrap_or_default();
    Digests::parse(list).map_err(|e| CliError::new(format!("the built-in digests of images are broken: {e}")))
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Path below `config/` and content of each file, in the order of the kustomizations.
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../../config/", $path)))),*];
    };
}

files![
    "crd/agentconfigs.yaml",
    "crd/taskbudgets.yaml",
    "crd/taskrecords.yaml",
    "crd/tasks.yaml",
    "crd/taskspawners.yaml",
    "crd/workspaces.yaml",
    "admission/operator_jobs.yaml",
    "admission/operator_network.yaml",
    "admission/operator_objects.yaml",
    "admission/spawner.yaml",
    "rbac/service_account.yaml",
    "rbac/operator_role.yaml",
    "rbac/operator_binding.yaml",
    "rbac/spawner_role.yaml",
    "rbac/leases.yaml",
    "rbac/user_roles.yaml",
    "operator/namespace.yaml",
    "operator/deployment.yaml",
    "operator/pdb.yaml",
    "operator/network_policy.yaml",
];

/// An object to apply.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object.
    pub object: Value,
}

/// What of the manifests can be chosen.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Registry (and path) of all images.
    pub registry: Option<String>,
    /// Tag of all images.
    pub tag: Option<String>,
    /// Digests of the images with this registry and tag.
    pub digests: Digests,
    /// When the node pulls the operator's image.
    pub pull_policy: Option<String>,
    /// Number of operators.
    pub replicas: Option<i32>,
    /// Secrets with which the operator's pods and those of Tasks pull their images.
    pub pull_secrets: Vec<String>,
    /// What the operator requests and is limited to, as in a container.
    pub resources: Option<Value>,
    /// Namespaces that the operator works in; an empty list are all of the cluster.
    pub watch: Option<Vec<String>>,
    /// `managed`, or `off` for an operator that writes no NetworkPolicies of Tasks' pods.
    pub agent_network_policy: Option<String>,
    /// Further networks for Tasks' pods, in the format of [`axon_api::network::Allow`].
    pub agent_network_allow: Option<String>,
}

/// Returns the manifests in the order in which they can be applied: definitions, namespace, the rest.
///
/// # Errors
/// When a built-in file is broken.
pub fn manifests(choices: &Choices) -> Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for (path, text) in FILES {
        let documents = axon_api::yaml::documents(text)
            .map_err(|e| CliError::new(format!("built-in manifest {path} is broken: {e}")))?;
        all.extend(documents.into_iter().map(|object| Manifest { object }));
    }
    if let Some(namespaces) = choices.watch.as_ref().filter(|names| !names.is_empty()) {
        all = scope::narrow(all, namespaces);
    }
    all.sort_by_key(|manifest| match manifest.kind() {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        // What runs comes last, when all that it needs is there.
        "Deployment" => 3,
        _ => 2,
    });
    for manifest in &mut all {
        if manifest.kind() == "Deployment" {
            choose(&mut manifest.object, choices);
        }
    }
    Ok(all)
}

/// Returns all images that an installation runs.
///
/// # Errors
/// When a built-in file is broken.
pub fn images(choices: &Choices) -> Result<Vec<String>> {
    let all = manifests(choices)?;
    let deployment = all.iter().find(|manifest| manifest.kind() == "Deployment");
    let container = "/spec/template/spec/containers/0";
    let variable = |name: &str| -> Option<&str> {
        let variables = deployment?
            .object
            .pointer(&format!("{container}/env"))?
            .as_array()?;
        let variable = variables
            .iter()
            .find(|v| v.get("name").is_some_and(|n| n == name));
        variable?.get("value")?.as_str()
    };
    let (Some(registry), Some(tag)) = (variable("AXON_IMAGE_REGISTRY"), variable("AXON_IMAGE_TAG")) else {
        return Err(CliError::new(
            "the built-in Deployment does not say where images are",
        ));
    };
    Ok(axon_api::images::all()
        .map(|name| choices.digests.reference(registry, name, tag))
        .collect())
}

/// Returns what `kubectl apply -k config/policy` adds in no namespace: the admission policies of Tasks, of what they refer to and of
/// their Jobs, each with its binding behind it.
///
/// # Errors
/// When a built-in file is broken.
pub fn policy() -> Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for text in [
        include_str!("../../../config/policy/base/task_policy.yaml"),
        include_str!("../../../config/policy/base/workspace_policy.yaml"),
        include_str!("../../../config/policy/base/job_policy.yaml"),
    ] {
        let documents = axon_api::yaml::documents(text)
            .map_err(|e| CliError::new(format!("the built-in policy is broken: {e}")))?;
        all.extend(documents.into_iter().map(|object| Manifest { object }));
    }
    Ok(all)
}

/// Puts the choices into the operator's Deployment.
fn choose(deployment: &mut Value, choices: &Choices) {
    if let (Some(replicas), Some(spec)) = (choices.replicas, deployment.pointer_mut("/spec/replicas")) {
        *spec = replicas.into();
    }
    if !choices.pull_secrets.is_empty()
        && let Some(pod) = deployment
            .pointer_mut("/spec/template/spec")
            .and_then(Value::as_object_mut)
    {
        let secrets = choices.pull_secrets.iter().map(|name| json!({ "name": name }));
        pod.insert("imagePullSecrets".into(), secrets.collect());
    }
    let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") else {
        return;
    };
    if let Some(variables) = container.get_mut("env").and_then(Value::as_array_mut) {
        let watch = choices.watch.as_deref().unwrap_or_default();
        let policy = choices
            .agent_network_policy
            .as_deref()
            .filter(|mode| *mode != "managed");
        for (name, value) in [
            (IMAGE_DIGESTS, choices.digests.of_tasks().to_string()),
            (PULL_SECRETS, choices.pull_secrets.join(",")),
            (WATCH_NAMESPACES, watch.join(",")),
            (MODE_VARIABLE, policy.unwrap_or_default().to_owned()),
            (
                ALLOW_VARIABLE,
                choices.agent_network_allow.clone().unwrap_or_default(),
            ),
        ] {
            if !value.is_empty() {
                variables.push(json!({"name": name, "value": value}));
            }
        }
    }
    if let (Some(policy), Some(field)) = (&choices.pull_policy, container.get_mut("imagePullPolicy")) {
        *field = policy.clone().into();
    }
    if let (Some(resources), Some(field)) = (&choices.resources, container.get_mut("resources")) {
        *field = resources.clone();
    }
    let mut parts = Vec::new();
    for (name, chosen) in [
        ("AXON_IMAGE_REGISTRY", &choices.registry),
        ("AXON_IMAGE_TAG", &choices.tag),
    ] {
        let variables = container.get_mut("env").and_then(Value::as_array_mut);
        let variable = variables
            .into_iter()
            .flatten()
            .find(|v| v.get("name").is_some_and(|n| n == name));
        let Some(value) = variable.and_then(|v| v.get_mut("value")) else {
            return;
        };
        if let Some(chosen) = chosen {
            *value = chosen.clone().into();
        }
        parts.push(value.as_str().unwrap_or_default().to_owned());
    }
    if let ([registry, tag], Some(image)) = (parts.as_slice(), container.get_mut("image")) {
        *image = choices
            .digests
            .reference(registry, axon_api::images::OPERATOR, tag)
            .into();
    }
}

impl Manifest {
    /// Returns the object's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Returns the object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Returns the object's namespace, if it is in one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty())
    }

    /// Returns what a dynamic API needs to know about the object's kind.
    #[must_use]
    pub fn resource(&self) -> ApiResource {
        let version = self.text("/apiVersion");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, self.kind()))
    }

    /// Returns the object as kubectl names it: `deployment.apps/axon-operator`.
    #[must_use]
    pub fn title(&self) -> String {
        let kind = self.kind().to_ascii_lowercase();
        let group = self.resource().group;
        if group.is_empty() {
            format!("{kind}/{}", self.name())
        } else {
            format!("{kind}.{group}/{}", self.name())
        }
    }

    /// Returns true for an admission policy or its binding, which Kubernetes before 1.30 does not serve.
    #[must_use]
    pub fn is_admission(&self) -> bool {
        self.kind().starts_with("ValidatingAdmissionPolicy")
    }

    fn text(&self, pointer: &str) -> &str {
        self.object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
