//! Picks the subcommand and hands its exit code to the kernel.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use axon_agent::cli::Command;
use axon_agent::env::Env;
use axon_agent::{ca, credential, reexec, run, say, token_file, workspace};

fn main() -> anyhow::Result<ExitCode> {
    let env = Env::of_process();
    let command = Command::from_args(std::env::args_os());
    if matches!(command, Command::Workspace | Command::Run { .. }) {
        adopt(&env);
        hide();
    }
    match command {
        Command::Workspace => Ok(workspace::main(&env)),
        Command::Run { args } => Ok(run::main(&env, &args)),
        Command::GitCredential { scope, action } => {
            let mut request = String::new();
            io::stdin()
                .read_to_string(&mut request)
                .context("can't read git's request")?;
            let token = token_file::token(&env);
            if action == "get"
                && let Some(fault) = token.as_deref().and_then(credential::fault)
            {
                say!("{fault}");
            }
            let answer = credential::answer(&action, &scope, &request, token.as_deref());
            io::stdout()
                .write_all(answer.as_bytes())
                .context("can't answer git")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Closes this process to others of the same user, which all tools of the agent are: its memory and its environment, and its
/// pipes below `/proc/1/fd`. Started programs are open again. After the start of the program itself: that undoes it.
fn hide() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        say!("warning: the agent's tools can read this program's memory: {error}");
    }
}

/// Starts this program again if the environment is not yet as it has to be; once it is, nothing is to be changed.
fn adopt(env: &Env) {
    let mut changes = ca::variables(env).unwrap_or_else(|error| {
        say!("can't use the CA of the Workspace's Secret: {error}");
        Vec::new()
    });
    changes.extend(reexec::trimmed(env));
    if !changes.is_empty()
        && let Err(error) = reexec::start(changes, std::env::args_os())
    {
        say!("can't start again with the variables changed: {error}");
    }
}
