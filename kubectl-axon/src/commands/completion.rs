//! `completion`: scripts that let shells complete command lines, and what kubectl needs to do so.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::error::{CliError, Result};
use crate::term::output::Ui;
use crate::term::shown::Shown;

/// Program that kubectl (1.26 and later) asks for completions of `kubectl axon`.
const HELPER: &str = "kubectl_complete-axon";

const DETAILS: &str = "\
kubectl completes `kubectl axon ...` by itself once it finds kubectl_complete-axon on the PATH,
which `completion install` puts beside the plugin; kubectl's own completion must be set up in the
shell. The scripts are for those who call kubectl-axon, or axon, directly.

Examples:
  kubectl axon completion install
  source <(kubectl axon completion bash)";

/// Sets up completion of command lines, with the names of what is in the cluster
#[derive(Parser, Debug)]
#[command(after_help = DETAILS, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// For whom.
    #[command(subcommand)]
    pub command: CompletionCommand,
}

/// The commands below `completion`.
#[derive(Subcommand, Debug, Clone)]
pub enum CompletionCommand {
    /// Let kubectl complete `kubectl axon`: writes kubectl_complete-axon into a folder of the PATH
    Install {
        /// Folder to write to [default: where kubectl-axon is found on the PATH]
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Print kubectl_complete-axon
    Kubectl,
    /// Print a script for bash
    Bash,
    /// Print a script for zsh
    Zsh,
    /// Print a script for fish
    Fish,
    /// Print a script for PowerShell
    Powershell,
}

/// Runs the command.
///
/// # Errors
/// When a file can't be written.
pub fn execute(ui: &Ui, args: &Args) -> Result<()> {
    let script = match &args.command {
        CompletionCommand::Install { dir } => return install(ui, dir.as_deref()),
        CompletionCommand::Kubectl => HELPER_SCRIPT,
        CompletionCommand::Bash => include_str!("completion/bash.sh"),
        CompletionCommand::Zsh => include_str!("completion/zsh.sh"),
        CompletionCommand::Fish => include_str!("completion/fish.fish"),
        CompletionCommand::Powershell => include_str!("completion/powershell.ps1"),
    };
    ui.block(&Shown::block(script))
}

#[cfg(not(windows))]
const HELPER_SCRIPT: &str = "#!/bin/sh\n# kubectl asks this program how `kubectl axon ...` may go on.\nexec kubectl-axon __complete \"$@\"\n";
#[cfg(windows)]
const HELPER_SCRIPT: &str = "@kubectl-axon __complete %*\r\n";

#[cfg(not(windows))]
const HELPER_FILE: &str = HELPER;
#[cfg(windows)]
const HELPER_FILE: &str = "kubectl_complete-axon.cmd";

fn install(ui: &Ui, dir: Option<&Path>) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => beside(&folders).ok_or_else(|| {
            CliError::new("kubectl-axon is not on the PATH, so kubectl does not find it either")
                .hint("name a folder of the PATH: kubectl axon completion install --dir FOLDER")
        })?,
    };
    let file = dir.join(HELPER_FILE);
    write(&file).map_err(|e| {
        CliError::new(format!("cannot write {}: {e}", file.display())).hint(
            "name a folder of the PATH that you may write to: kubectl axon completion install --dir FOLDER",
        )
    })?;
    ui.line(&format!("{} written", file.display()))?;
    if !folders.contains(&dir) {
        ui.warn(&format!(
            "{} is not on the PATH: kubectl does not look there",
            dir.display()
        ));
    }
    ui.say("kubectl uses it where its own completion is set up: kubectl completion --help");
    Ok(())
}

/// Returns the folder of the PATH in which the plugin is found.
fn beside(folders: &[PathBuf]) -> Option<PathBuf> {
    let names = ["kubectl-axon", "kubectl-axon.exe"];
    let holds = |folder: &&PathBuf| names.iter().any(|name| folder.join(name).is_file());
    folders.iter().find(holds).cloned()
}

fn write(file: &Path) -> std::io::Result<()> {
    std::fs::write(file, HELPER_SCRIPT)?;
    executable(file)
}

#[cfg(unix)]
fn executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
