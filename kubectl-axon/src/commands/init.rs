//! `init`: writes a configuration file to fill in.

use std::io::Write as _;
use std::path::Path;

use clap::Parser;

use crate::config_file;
use crate::error::{CliError, Result};
use crate::globals::Globals;
use crate::term::output::Ui;

const DETAILS: &str = "\
The file is ~/.axon/config.yaml, or the one of --config. Flags win over it. Its keys: oauthToken,
apiKey, secret, credentialType, type, model, namespace, agentConfig, workspace.name,
workspace.repo, workspace.ref, workspace.token.";

const TEMPLATE: &str = r#"# Defaults of `kubectl axon`. Flags win over this file.

# Credential of the agent: one of oauthToken and apiKey. A Secret is made from it.
# The word none means that the agent needs no credential.
oauthToken: ""
# apiKey: ""

# Or a Secret that exists already, and what it holds: api-key or oauth.
# secret: my-secret
# credentialType: api-key

# Agent: claude-code, codex, gemini or opencode.
# type: claude-code
# model: ""

# Repository that agents work on. A Workspace (and a Secret for the token) is made from it.
# workspace:
#   repo: https://github.com/your-org/your-repo.git
#   ref: main
#   token: ""  # GitHub token, for private repositories, pushes and pull requests
# Or a Workspace that exists already:
# workspace:
#   name: my-workspace

# namespace: default
# agentConfig: my-config
"#;

/// Writes a configuration file to fill in
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// Replace a file that exists
    #[arg(short, long)]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// When the file exists, or can't be written.
pub fn execute(ui: &Ui, globals: &Globals, args: &Args) -> Result<()> {
    let path = config_file::path(globals.config.as_deref())
        .ok_or_else(|| CliError::usage("there is no home directory: name the file with --config"))?;
    let shown = path.display();
    if path.exists() && !args.force {
        return Err(CliError::new(format!("config file {shown} exists already"))
            .hint("edit it, or replace it with --force"));
    }
    write(&path).map_err(|e| CliError::new(format!("cannot write config file {shown}: {e}")))?;
    ui.line(&format!("{shown} written"))?;
    ui.say(&format!(
        "Next:\n  1. put your credential, and your repository if you like, into {shown}\n  \
         2. install the operator:  kubectl axon install\n  \
         3. run a task:            kubectl axon run -p \"Add a hello world program in Python\" -w"
    ));
    Ok(())
}

/// Writes the file so that nobody else can read it, whatever was there before.
fn write(path: &Path) -> std::io::Result<()> {
    if let Some(dir) = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty() && !dir.exists())
    {
        private_directory(dir)?;
    }
    let mut file = tight_file(path)?;
    file.write_all(TEMPLATE.as_bytes())
}

#[cfg(unix)]
fn private_directory(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(unix)]
fn tight_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(not(unix))]
fn private_directory(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)
}

#[cfg(not(unix))]
fn tight_file(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::create(path)
}
