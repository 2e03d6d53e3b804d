//! All objects of one run, and those that the configuration file describes. Pure.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use axon_api::agents::AgentType;
use axon_api::git::{self, Repository};
use axon_api::v1alpha1::NameRef;
use axon_api::{Task, Workspace, WorkspaceSpec, labels};
use serde_json::{Value, json};

use super::inputs;
use crate::config_file::{Config, WorkspaceConfig};
use crate::error::{CliError, Result};

/// Value of the label on what we make.
pub const MANAGER: &str = "kubectl-axon";
/// Name of the Workspace that is made from the configuration file.
const WORKSPACE: &str = "axon-workspace";
/// Name of the Secret with that Workspace's token.
const WORKSPACE_SECRET: &str = "axon-workspace-credentials";

/// A Secret that must hold a value under a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WantedSecret {
    pub(crate) name: String,
    pub(crate) key: &'static str,
    pub(crate) value: String,
    /// Hosts that the value is for, if it is for others than github.com.
    pub(crate) hosts: Option<String>,
}

impl WantedSecret {
    /// Returns a git token for the host of a repository.
    pub(crate) fn git_token(name: String, value: String, repository: &Repository) -> Self {
        let host = git::host_entry(repository.is_plain_http, repository.site());
        Self {
            name,
            key: axon_api::contract::env::GITHUB_TOKEN,
            value,
            hosts: (!repository.is_github_com() || repository.is_plain_http).then_some(host),
        }
    }

    /// Returns the annotations of the object.
    pub(crate) fn annotations(&self) -> Option<BTreeMap<String, String>> {
        let hosts = self.hosts.clone()?;
        Some(BTreeMap::from([(labels::HOSTS.to_owned(), hosts)]))
    }

    /// Returns the object without its value.
    pub(crate) fn redacted(&self, namespace: Option<&str>) -> Value {
        let mut metadata = json!({"name": self.name, "namespace": namespace, "labels": own_labels()});
        if let (Some(annotations), Some(members)) = (self.annotations(), metadata.as_object_mut()) {
            members.insert("annotations".to_owned(), json!(annotations));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {self.key: "<redacted>"},
        })
    }
}

/// All objects of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) secrets: Vec<WantedSecret>,
    pub(crate) workspace: Option<Workspace>,
    pub(crate) task: Task,
}

impl Plan {
    /// Sets the namespace of all objects.
    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        self.task.metadata.namespace = Some(namespace.to_owned());
        if let Some(workspace) = &mut self.workspace {
            workspace.metadata.namespace = Some(namespace.to_owned());
        }
    }

    /// Returns the objects in the order of their creation, without any credential.
    pub(crate) fn redacted_objects(&self) -> Result<Vec<Value>> {
        let unwritable = |e: serde_json::Error| CliError::new(format!("cannot write the object: {e}"));
        let mut objects: Vec<Value> = Vec::new();
        let namespace = self.task.metadata.namespace.as_deref();
        objects.extend(self.secrets.iter().map(|secret| secret.redacted(namespace)));
        if let Some(workspace) = &self.workspace {
            objects.push(serde_json::to_value(workspace).map_err(unwritable)?);
        }
        objects.push(serde_json::to_value(&self.task).map_err(unwritable)?);
        Ok(objects)
    }
}

/// Returns the labels of what we make, by which we know it again.
pub(crate) fn own_labels() -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), MANAGER.to_owned())])
}

pub(crate) fn agent(flag: Option<AgentType>, config: &Config) -> Result<AgentType> {
    match (flag, &config.agent) {
        (Some(agent), _) => Ok(agent),
        (None, Some(text)) => AgentType::from_str(text).map_err(|_| {
            CliError::usage(format!(
                "type {text:?} of the config file is not one of claude-code, codex, gemini and opencode"
            ))
        }),
        (None, None) => Ok(AgentType::ClaudeCode),
    }
}

pub(crate) type WorkspaceParts = (Option<NameRef>, Option<Workspace>, Option<WantedSecret>);

pub(crate) fn workspace(flag: Option<&str>, config: &Config) -> Result<WorkspaceParts> {
    if let Some(flag) = flag {
        let name = inputs::reference("--workspace", flag)?;
        return Ok((Some(NameRef::new(&name)), None, None));
    }
    let Some(wanted) = &config.workspace else {
        return Ok((None, None, None));
    };
    if let Some(key) = &wanted.name {
        let name = inputs::reference("workspace.name of the config file", key)?;
        return Ok((Some(NameRef::new(&name)), None, None));
    }
    let Some(repo) = &wanted.repo else {
        return Err(CliError::usage(
            "workspace of the config file has neither name nor repo",
        ));
    };
    let parsed = inputs::repository("workspace.repo of the config file", repo)
        .map_err(|e| e.hint("a token goes into workspace.token of the config file, and not into the URL"))?;
    check_reference(wanted)?;
    if wanted.token.is_some() && !parsed.is_http {
        return Err(CliError::usage(
            "workspace.token of the config file is used with https:// repositories only",
        ));
    }
    let secret = wanted
        .token
        .as_ref()
        .map(|token| WantedSecret::git_token(WORKSPACE_SECRET.to_owned(), token.clone(), &parsed));
    let mut workspace = Workspace::new(
        WORKSPACE,
        WorkspaceSpec {
            repo: repo.clone(),
            reference: wanted.reference.clone(),
            secret_ref: secret.as_ref().map(|s| NameRef::new(&s.name)),
            github_app: None,
            trust: None,
            files: Vec::new(),
        },
    );
    workspace.metadata.labels = Some(own_labels());
    Ok((Some(NameRef::new(WORKSPACE)), Some(workspace), secret))
}

fn check_reference(wanted: &WorkspaceConfig) -> Result<()> {
    match &wanted.reference {
        Some(name) if name.len() > 255 => Err(CliError::usage(format!(
            "workspace.ref {name:?} of the config file is not a branch, tag or commit"
        ))),
        Some(name) if !name.is_empty() => inputs::git_ref("workspace.ref of the config file", name),
        _ => Ok(()),
    }
}
