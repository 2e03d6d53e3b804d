//! Environment of a Task's containers. Secrets go by reference; their values are never seen here.

use axon_api::contract::{self, env, input};
use axon_api::git::{Repository, gh_token_variable};
use axon_api::v1alpha1::Trust;
use axon_api::{Task, Workspace, trust};
use k8s_openapi::api::core::v1::{ConfigMapKeySelector, EnvVar, EnvVarSource, SecretKeySelector};

use super::job::{input_variables, literal};
use crate::task::build::config_map::Inputs;
use crate::task::build::volumes::ssh;

/// What git and curl read, in capitals and without.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Returns the environment of the agent container: the contract's variables in the contract's order, then where long
/// inputs are, then the user's own as far as they do not collide.
pub(crate) fn agent(task: &Task, workspace: Option<&Workspace>, inputs: &Inputs) -> Vec<EnvVar> {
    let spec = &task.spec;
    let mut all = Vec::new();
    if let Some(model) = spec.model.as_deref().filter(|m| !m.is_empty()) {
        all.push(literal(env::MODEL, model));
    }
    if let Some(branch) = spec.branch() {
        all.push(literal(env::BRANCH, branch));
    }
    all.push(literal(env::AGENT_TYPE, &spec.agent.to_string()));
    all.extend(trusted(task, workspace));
    if let Some(limit) = &spec.stall_timeout {
        all.push(literal(env::STALL_TIMEOUT, limit));
    }
    if let (Some(variable), Some(secret)) = (
        spec.agent.credential_variable(spec.credentials.kind),
        &spec.credentials.secret_ref,
    ) {
        all.push(from_secret(variable, &secret.name, variable));
    }
    all.extend(git(workspace));
    all.extend(from_inputs(inputs));
    if inputs.has(input::PLUGINS) {
        all.push(literal(env::PLUGIN_DIR, contract::PLUGIN_DIR));
    }
    all.push(literal("HOME", contract::HOME_DIR));
    all.extend(input_variables(inputs));
    if !inputs.secrets.is_empty() {
        all.push(literal(env::MCP_SECRETS_DIR, contract::MCP_SECRETS_DIR));
    }
    let user: Vec<&EnvVar> = spec.pod_overrides.iter().flat_map(|o| &o.env).collect();
    add(&mut all, &user);
    all
}

/// Returns the variable that keeps configuration of the checked-out tree out, if it is to be kept out.
fn trusted(task: &Task, workspace: Option<&Workspace>) -> Option<EnvVar> {
    let trust = trust::of(&task.spec, workspace.map(|workspace| &workspace.spec));
    (trust == Trust::Base).then(|| literal(env::TRUST, &trust.to_string()))
}

/// Adds the user's variables as far as they do not collide.
fn add(all: &mut Vec<EnvVar>, user: &[&EnvVar]) {
    for user in user {
        if !all.iter().any(|built_in| built_in.name == user.name) {
            all.push((*user).clone());
        }
    }
}

/// Returns the environment of the container that prepares the workspace.
pub(crate) fn workspace(task: &Task, workspace: Option<&Workspace>, inputs: &Inputs) -> Vec<EnvVar> {
    let mut all = Vec::new();
    if workspace.is_some()
        && let Some(branch) = task.spec.branch()
    {
        all.push(literal(env::BRANCH, branch));
    }
    all.extend(trusted(task, workspace));
    all.extend(git(workspace));
    all.push(literal("HOME", contract::HOME_DIR));
    if inputs.has(input::PLUGINS) {
        all.push(literal(env::PLUGIN_DIR, contract::PLUGIN_DIR));
    }
    if !inputs.is_empty() {
        all.push(literal(env::INPUT_DIR, contract::INPUT_DIR));
    }
    let user = task.spec.pod_overrides.as_ref().map(|o| o.env.as_slice());
    add(&mut all, &for_the_clone(user.unwrap_or_default()));
    all
}

/// Returns the variables that say which way leads out of the cluster, and those that their values refer to: the clone
/// has to find it as the agent does. [`env::PUSH_CHECK`] is for the clone alone.
fn for_the_clone(user: &[EnvVar]) -> Vec<&EnvVar> {
    let mut wanted: Vec<&str> = Vec::new();
    let mut found: Vec<&EnvVar> = Vec::new();
    // From the end: a value refers to what stands before it.
    for variable in user.iter().rev() {
        let name = variable.name.as_str();
        let is_proxy = PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
        if is_proxy || name == env::PUSH_CHECK || wanted.contains(&name) {
            let value = variable.value.as_deref().unwrap_or_default();
            let parts = value.split("$(").skip(1);
            wanted.extend(parts.filter_map(|part| Some(part.split_once(')')?.0)));
            found.push(variable);
        }
    }
    found.reverse();
    found
}

/// Returns what git and `gh` need.
fn git(workspace: Option<&Workspace>) -> Vec<EnvVar> {
    let Some(workspace) = workspace else {
        return Vec::new();
    };
    let other_host = Repository::parse(&workspace.spec.repo)
        .ok()
        .filter(|r| !r.is_github_com())
        .map(|r| r.site().to_owned());
    let mut all = vec![literal(env::REPO, &workspace.spec.repo)];
    if let Some(host) = &other_host {
        all.push(literal(env::GH_HOST, host));
    }
    if let Some(reference) = workspace.spec.reference() {
        all.push(literal(env::BASE_BRANCH, reference));
    }
    if let Some(secret) = &workspace.spec.secret_ref {
        let gh = other_host.as_deref().map_or(env::GH_TOKEN, gh_token_variable);
        all.extend([env::GITHUB_TOKEN, gh].map(|name| {
            let mut variable = from_secret(name, &secret.name, env::GITHUB_TOKEN);
            let source = variable.value_from.as_mut();
            if let Some(key) = source.and_then(|source| source.secret_key_ref.as_mut()) {
                // A key opens the repository; the token is for `gh` then.
                key.optional = ssh::is_ssh(workspace).then_some(true);
            }
            variable
        }));
    }
    all.extend(ssh::variables(workspace));
    all
}

fn from_inputs(inputs: &Inputs) -> Vec<EnvVar> {
    [
        (env::AGENTS_MD, input::AGENTS_MD),
        (env::MCP_SERVERS, input::MCP_SERVERS),
    ]
    .into_iter()
    .filter(|(_, key)| inputs.fits_env(key))
    .map(|(name, key)| EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: Some(ConfigMapKeySelector {
                name: inputs.name.clone(),
                key: key.into(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    })
    .collect()
}

fn from_secret(variable: &str, secret: &str, key: &str) -> EnvVar {
    EnvVar {
        name: variable.into(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.into(),
                key: key.into(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    }
}
