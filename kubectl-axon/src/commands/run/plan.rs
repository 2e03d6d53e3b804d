//! From flags and configuration to the objects to create: a pure function, so that nothing is created before all
//! of it is known to be valid.

use axon_api::v1alpha1::{NameRef, PodOverrides};
use axon_api::{Task, TaskSpec, labels};
use go_template::Template;

use super::Args;
use crate::config_file::Config;
use crate::error::{CliError, Result};
use crate::objects::plan::{MANAGER, Plan, agent, workspace};
use crate::objects::{credentials, inputs};

/// Returns the objects to create.
pub(crate) fn plan(args: &Args, config: &Config, prompt: String, name: &str) -> Result<Plan> {
    if let Some(fault) = axon_api::naming::label_fault(name) {
        return Err(CliError::usage(format!("--name {name:?} {fault}")));
    }
    let agent = agent(args.agent, config)?;
    let (credentials, credential_secret) = credentials::choose(&args.credential, config, agent)?;
    let (workspace_ref, workspace, workspace_secret) = workspace(args.workspace.as_deref(), config)?;
    let agent_config = match (&args.agent_config, &config.agent_config) {
        (Some(flag), _) => Some(inputs::reference("--agent-config", flag)?),
        (None, Some(key)) => Some(inputs::reference("agentConfig of the config file", key)?),
        (None, None) => None,
    };
    check_branch(args)?;
    let depends_on = depends_on(args, name)?;
    check_prompt(&prompt, &depends_on)?;
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
        pod_overrides: (overrides != PodOverrides::default()).then(|| Box::new(overrides)),
        stop: None,
        retry_of: None,
        retry_policy: None,
        stall_timeout: None,
        trust: None,
        budget: args.budget.or_of(config).over(None)?,
    };
    let mut task = Task::new(name, spec);
    task.metadata.labels = Some(labels);
    Ok(Plan {
        secrets: credential_secret.into_iter().chain(workspace_secret).collect(),
        workspace,
        task,
    })
}

/// With dependencies the prompt is a template. What it will see is not known yet; that it is one at all is.
pub(crate) fn check_prompt(prompt: &str, depends_on: &[String]) -> Result<()> {
    if depends_on.is_empty() {
        return Ok(());
    }
    Template::parse("prompt", prompt).map(drop).map_err(|error| {
        CliError::usage(format!(
            "the prompt can't be rendered: {error}; with dependencies it is a Go template, see docs/pipelines.md"
        ))
    })
}

pub(crate) fn check_branch(args: &Args) -> Result<()> {
    match args
        .branch
        .as_deref()
        .map(|b| (b, axon_api::git::branch_fault(b)))
    {
        Some((branch, Some(fault))) => Err(CliError::usage(format!("--branch {branch:?} {fault}"))),
        _ => Ok(()),
    }
}

/// Returns the dependencies that flags name, each once.
pub(crate) fn depends_on(args: &Args, name: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for dependency in &args.depends_on {
        let dependency = inputs::reference("--depends-on", dependency.trim())?;
        if dependency == name {
            return Err(CliError::usage(format!(
                "--depends-on {name:?} is the task itself"
            )));
        }
        if !all.contains(&dependency) {
            all.push(dependency);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
