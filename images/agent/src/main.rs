//! Picks the subcommand and hands its exit code to the kernel.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use axon_agent::cli::Command;
use axon_agent::env::Env;
use axon_agent::{ca, credential, renewed, run, workspace};

fn main() -> anyhow::Result<ExitCode> {
    let env = Env::of_process();
    let command = Command::from_args(std::env::args_os());
    if matches!(command, Command::Workspace | Command::Run { .. })
        && let Err(error) = ca::adopt(&env, std::env::args_os())
    {
        eprintln!("can't use the CA of the Workspace's Secret: {error}");
    }
    match command {
        Command::Workspace => Ok(workspace::main(&env)),
        Command::Run { args } => Ok(run::main(&env, &args)),
        Command::GitCredential { scope, action } => {
            let mut request = String::new();
            io::stdin()
                .read_to_string(&mut request)
                .context("can't read git's request")?;
            let token = renewed::token(&env);
            let answer = credential::answer(&action, &scope, &request, token.as_deref());
            io::stdout()
                .write_all(answer.as_bytes())
                .context("can't answer git")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
