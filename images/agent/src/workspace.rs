//! `axon-agent workspace`: the clone, the branch, the files and the plugins, before the agent starts.

pub mod base;
pub mod clone;
pub mod files;
pub mod git_error;
mod missing;
pub mod paths;
pub mod plan;
pub mod plugins;
pub mod preflight;
pub mod remote;
mod rules;
pub mod ssh;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axon_api::contract::{self, env as names, input};
use axon_api::v1alpha1::{Plugin, WorkspaceFile};
use axon_api::{file_path, gzip};
use serde::de::DeserializeOwned;

use crate::env::{self, Env};
use crate::failure::Failure;
use crate::say;
use crate::secrets::Secrets;
use crate::termination::TerminationLog;

/// The ref of the clone that says what the agent began with.
pub const START: &str = "refs/axon/start";

/// Prepares the workspace; on failure says why on stderr and in the termination message.
#[must_use]
pub fn main(env: &Env) -> ExitCode {
    let secrets = Secrets::of(env);
    let mut log = TerminationLog::open(env);
    match prepare(env, &secrets) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let failure = Failure {
                message: secrets.scrub(&failure.message),
                ..failure
            };
            say!("error: {failure}");
            if let Err(error) = log.write(&failure.report()) {
                say!("can't write the termination message: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn prepare(env: &Env, secrets: &Secrets) -> Result<(), Failure> {
    let repo = repo_dir(env);
    // Read first: a fault in what the user wrote shows before minutes of cloning.
    let files: Vec<WorkspaceFile> = read_input(env, input::FILES)?;
    let plugins: Vec<Plugin> = read_input(env, input::PLUGINS)?;
    for file in &files {
        file_path::components(&file.path).map_err(|fault| files::invalid(&file.path, fault))?;
    }
    plugins::check(&plugins)?;

    if let Some(url) = env.text(names::REPO) {
        clone::Clone::new(env, secrets, url, &repo)?.run()?;
    }
    if !files.is_empty() {
        files::write(&repo, &files)?;
        say!("wrote {} into the clone", counted(files.len(), "file"));
    }
    if !plugins.is_empty() {
        let dir = env
            .path(names::PLUGIN_DIR)
            .unwrap_or_else(|| Path::new(contract::PLUGIN_DIR));
        plugins::write(dir, &plugins)?;
        say!("wrote {}", counted(plugins.len(), "plugin"));
    }
    Ok(())
}

fn repo_dir(env: &Env) -> PathBuf {
    env.path(env::REPO_DIR)
        .map_or_else(|| contract::REPO_DIR.into(), Path::to_owned)
}

/// Reads one key of the Task's ConfigMap; absent means nothing to do.
fn read_input<T: DeserializeOwned>(env: &Env, key: &str) -> Result<Vec<T>, Failure> {
    let Some(dir) = env.path(names::INPUT_DIR) else {
        return Ok(Vec::new());
    };
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let packed = || fs::read(dir.join(format!("{key}{}", input::PACKED))).and_then(|b| gzip::unpack(&b));
    let text = match fs::read_to_string(dir.join(key)) {
        Err(error) if missing(&error) => packed(),
        text => text,
    };
    let text = match text {
        Ok(text) => text,
        Err(error) if missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Failure::clone_failed(format!("can't read {key}: {error}"))),
    };
    serde_json::from_str(&text).map_err(|error| Failure::invalid(format!("{key} is malformed: {error}")))
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
