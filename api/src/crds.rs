//! The CustomResourceDefinitions, generated from the kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::v1alpha1::TaskBudget;
use crate::{AgentConfig, Task, TaskRecord, TaskSpawner, Workspace, limits, yaml};

/// Returns all definitions, each with the file name it has below `config/crd`.
#[must_use]
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    let mut all = vec![
        ("agentconfigs.yaml", AgentConfig::crd()),
        ("taskbudgets.yaml", TaskBudget::crd()),
        ("taskrecords.yaml", TaskRecord::crd()),
        ("tasks.yaml", Task::crd()),
        ("taskspawners.yaml", TaskSpawner::crd()),
        ("workspaces.yaml", Workspace::crd()),
    ];
    for (_, definition) in &mut all {
        limits::bound(definition);
    }
    all
}

/// Returns a definition as the YAML that is committed.
///
/// # Errors
/// Only if the definition can't be written as YAML.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, yaml::YamlError> {
    Ok(format!(
        "# Generated from api/src/v1alpha1 by `make generate`.\n{}",
        yaml::to_string(crd)?
    ))
}
