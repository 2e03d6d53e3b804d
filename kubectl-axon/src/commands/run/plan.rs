//! From flags and configuration to the objects to create: a pure function, so that nothing is created before all
//! of it is known to be valid.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use axon_api::agents::AgentType;
use axon_api::v1alpha1::{NameRef, PodOverrides};
use axon_api::{Task, TaskSpec, Workspace, WorkspaceSpec, labels};
use serde_json::{Value, json};

use super::{Args, MANAGER, credentials, inputs};
use crate::config_file::{Config, WorkspaceConfig};
use crate::error::{CliError, Result};

/// Name of the Workspace that is made from the configuration file.
const WORKSPACE: &str = "axon-workspace";
/// Name of the Secret with that Workspace's token.
const WORKSPACE_SECRET: &str = "axon-workspace-credentials";

/// A Secret that must hold a value under a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WantedSecret {
    pub(super) name: String,
    pub(super) key: &'static str,
    pub(super) value: String,
}

/// All objects of one run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) secrets: Vec<WantedSecret>,
    pub(super) workspace: Option<Workspace>,
    pub(super) task: Task,
}

/// Returns the objects to create.
pub(super) fn plan(args: &Args, config: &Config, prompt: String, name: &str) -> Result<Plan> {
    if let Some(fault) = inputs::label_fault(name) {
        return Err(CliError::usage(format!("--name {name:?} {fault}")));
    }
    let agent = agent(args, config)?;
    let (credentials, credential_secret) = credentials::choose(args, config, agent)?;
    let (workspace_ref, workspace, workspace_secret) = workspace(args, config)?;
    let agent_config = match (&args.agent_config, &config.agent_config) {
        (Some(flag), _) => Some(inputs::reference("--agent-config", flag)?),
        (None, Some(key)) => Some(inputs::reference("agentConfig of the config file", key)?),
        (None, None) => None,
    };
    if let Some(branch) = &args.branch
        && let Some(fault) = axon_api::git::branch_fault(branch)
    {
        return Err(CliError::usage(format!("--branch {branch:?} {fault}")));
    }
    let mut depends_on = Vec::new();
    for dependency in &args.depends_on {
        let dependency = inputs::reference("--depends-on", dependency.trim())?;
        if dependency == name {
            return Err(CliError::usage(format!(
                "--depends-on {name:?} is the task itself"
            )));
        }
        if !depends_on.contains(&dependency) {
            depends_on.push(dependency);
        }
    }
    let overrides = PodOverrides {
        active_deadline_seconds: args.timeout.as_deref().map(inputs::timeout).transpose()?,
        env: inputs::env(&args.env)?,
        ..PodOverrides::default()
    };
    let mut labels = inputs::labels(&args.label)?;
    labels.insert(labels::MANAGED_BY.to_owned(), MANAGER.to_owned());
    let spec = TaskSpec {
        agent,
        prompt,
        credentials,
        model: args
            .model
            .clone()
            .or_else(|| config.model.clone())
            .filter(|m| !m.is_empty()),
        image: args.image.clone().filter(|image| !image.is_empty()),
        workspace_ref,
        agent_config_ref: agent_config.as_deref().map(NameRef::new),
        depends_on,
        branch: args.branch.clone(),
        ttl_seconds_after_finished: args.ttl.as_deref().map(inputs::ttl).transpose()?,
        pod_overrides: (overrides != PodOverrides::default()).then_some(overrides),
        stop: None,
        retry_of: None,
        retry_policy: None,
        stall_timeout: None,
    };
    let mut task = Task::new(name, spec);
    task.metadata.labels = Some(labels);
    Ok(Plan {
        secrets: credential_secret.into_iter().chain(workspace_secret).collect(),
        workspace,
        task,
    })
}

fn agent(args: &Args, config: &Config) -> Result<AgentType> {
    match (args.agent, &config.agent) {
        (Some(agent), _) => Ok(agent),
        (None, Some(text)) => AgentType::from_str(text).map_err(|_| {
            CliError::usage(format!(
                "type {text:?} of the config file is not one of claude-code, codex, gemini and opencode"
            ))
        }),
        (None, None) => Ok(AgentType::ClaudeCode),
    }
}

type WorkspaceParts = (Option<NameRef>, Option<Workspace>, Option<WantedSecret>);

fn workspace(args: &Args, config: &Config) -> Result<WorkspaceParts> {
    if let Some(flag) = &args.workspace {
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
    let parsed = axon_api::git::Repository::parse(repo)
        .map_err(|e| CliError::usage(format!("workspace.repo of the config file: {e}")))?;
    check_reference(wanted)?;
    if wanted.token.is_some() && !parsed.is_http {
        return Err(CliError::usage(
            "workspace.token of the config file is used with https:// repositories only",
        ));
    }
    let secret = wanted.token.as_ref().map(|token| WantedSecret {
        name: WORKSPACE_SECRET.to_owned(),
        key: axon_api::contract::env::GITHUB_TOKEN,
        value: token.clone(),
    });
    let mut workspace = Workspace::new(
        WORKSPACE,
        WorkspaceSpec {
            repo: repo.clone(),
            reference: wanted.reference.clone(),
            secret_ref: secret.as_ref().map(|s| NameRef::new(&s.name)),
            files: Vec::new(),
        },
    );
    workspace.metadata.labels = Some(own_labels());
    Ok((Some(NameRef::new(WORKSPACE)), Some(workspace), secret))
}

fn check_reference(wanted: &WorkspaceConfig) -> Result<()> {
    match &wanted.reference {
        Some(name) if name.starts_with('-') || name.contains(char::is_whitespace) || name.len() > 255 => {
            Err(CliError::usage(format!(
                "workspace.ref {name:?} of the config file is not a branch, tag or commit"
            )))
        }
        _ => Ok(()),
    }
}

/// Returns the labels of what we make, by which we know it again.
pub(super) fn own_labels() -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), MANAGER.to_owned())])
}

impl Plan {
    /// Sets the namespace of all objects.
    pub(super) fn set_namespace(&mut self, namespace: &str) {
        self.task.metadata.namespace = Some(namespace.to_owned());
        if let Some(workspace) = &mut self.workspace {
            workspace.metadata.namespace = Some(namespace.to_owned());
        }
    }

    /// Returns the objects in the order of their creation, without any credential.
    pub(super) fn redacted_objects(&self) -> Result<Vec<Value>> {
        let unwritable = |e: serde_json::Error| CliError::new(format!("cannot write the object: {e}"));
        let mut objects: Vec<Value> = Vec::new();
        for secret in &self.secrets {
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": secret.name,
                    "namespace": self.task.metadata.namespace,
                    "labels": own_labels(),
                },
                "type": "Opaque",
                "data": {secret.key: "<redacted>"},
            }));
        }
        if let Some(workspace) = &self.workspace {
            objects.push(serde_json::to_value(workspace).map_err(unwritable)?);
        }
        objects.push(serde_json::to_value(&self.task).map_err(unwritable)?);
        Ok(objects)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
