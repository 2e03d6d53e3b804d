//! The plugin, run as a person runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::paths;

/// Longest time that one call may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The result of one call of the plugin.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its arguments, for messages.
    pub args: Vec<String>,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Invocation {
    /// Returns the standard output of a call that succeeded.
    ///
    /// # Errors
    /// If it did not; the error has all that it wrote.
    pub fn succeeded(&self) -> Result<&str> {
        ensure!(self.code == Some(0), "{self:#?}");
        Ok(&self.stdout)
    }
}

/// Runs the plugin with a kubeconfig and no other configuration.
///
/// # Errors
/// If it has not been built or does not end in time.
pub async fn run(kubeconfig: &Path, args: &[&str]) -> Result<Invocation> {
    run_with(kubeconfig, args, &[]).await
}

/// Runs the plugin with more environment variables.
///
/// # Errors
/// As [`run`].
pub async fn run_with(kubeconfig: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Invocation> {
    let program = paths::plugin_program()?;
    let home = tempfile::tempdir()?;
    let child = Command::new(&program)
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home.path())
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, child)
        .await
        .with_context(|| format!("kubectl axon {} takes too long", args.join(" ")))?
        .with_context(|| format!("failed to start {}", program.display()))?;
    Ok(Invocation {
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
