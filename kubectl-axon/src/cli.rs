//! What can be typed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{delete, get, init, install, logs, run, uninstall, version};
use crate::connection::ConnectionArgs;

/// How usage lines name the program when kubectl starts it.
pub const PLUGIN: &str = "kubectl axon";
/// How usage lines name the program when it is started as `axon`.
pub const STANDALONE: &str = "axon";

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 error, 2 wrong usage, 3 the watched task failed, 4 timed out, 5 not found,
130 interrupted";

/// Runs AI coding agents as Kubernetes Jobs
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-axon",
    version,
    disable_help_subcommand = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// Path of the configuration file [default: ~/.axon/config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// kubectl's flags.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a task: one run of an agent
    ///
    /// Credentials and a workspace come from the configuration file (kubectl axon init writes one to fill in),
    /// unless flags name others. Nothing is created before all input is known to be valid.
    Run(Box<run::Args>),
    /// Print what the agent of a task says and does
    Logs(logs::Args),
    /// Show tasks, taskspawners, workspaces or agentconfigs
    Get(get::Args),
    /// Delete tasks, taskspawners, workspaces or agentconfigs
    Delete(delete::Args),
    /// Install the operator and its resources into the cluster, or update them
    Install(install::Args),
    /// Remove everything that install made, and all tasks
    Uninstall(uninstall::Args),
    /// Write a configuration file to fill in
    Init(init::Args),
    /// Print the versions of this program and of the operator
    Version(version::Args),
}

/// Returns how the program was called, from the first word of its command line.
#[must_use]
pub fn program_name(argv0: Option<&OsStr>) -> &'static str {
    let stem = argv0.and_then(|name| Path::new(name).file_stem());
    if stem.is_some_and(|stem| stem == STANDALONE) {
        STANDALONE
    } else {
        PLUGIN
    }
}

/// Returns the commands as clap knows them.
#[must_use]
pub fn command(program: &'static str) -> clap::Command {
    let command = Cli::command().bin_name(program);
    if program == STANDALONE {
        addressed(command)
    } else {
        command
    }
}

/// Texts of help name commands as the program was called.
fn addressed(command: clap::Command) -> clap::Command {
    let own = |text: Option<&clap::builder::StyledStr>| {
        text.map(|text| text.to_string().replace("kubectl axon ", "axon "))
    };
    let (after, about) = (own(command.get_after_help()), own(command.get_long_about()));
    let mut command = command.mut_subcommands(addressed);
    if let Some(text) = after {
        command = command.after_help(text);
    }
    if let Some(text) = about {
        command = command.long_about(text);
    }
    command
}

/// Reads the command line.
///
/// # Errors
/// Usage errors, and requests for help, which clap prints itself.
pub fn parse(program: &'static str, args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = command(program);
    let mut matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command(PLUGIN).debug_assert();
    }

    #[test]
    fn help_names_commands_as_the_program_was_called() {
        for (program, foreign) in [(STANDALONE, "kubectl axon "), (PLUGIN, " axon logs")] {
            let mut command = command(program);
            command.build();
            for subcommand in command.get_subcommands_mut() {
                let help = subcommand.render_long_help().to_string();
                let help = if program == PLUGIN {
                    help.replace("kubectl axon", "")
                } else {
                    help
                };
                assert!(!help.contains(foreign), "{help}");
            }
        }
    }

    #[test]
    fn the_program_is_named_as_it_was_called() {
        for (argv0, name) in [
            ("/usr/bin/kubectl-axon", PLUGIN),
            ("axon", STANDALONE),
            ("C:/tools/axon.exe", STANDALONE),
            ("other", PLUGIN),
        ] {
            assert_eq!(program_name(Some(OsStr::new(argv0))), name, "{argv0}");
        }
        assert_eq!(program_name(None), PLUGIN);
    }

    #[test]
    fn every_command_takes_every_connection_flag_in_any_position() {
        let flags = [
            "--kubeconfig=k",
            "--context=c",
            "--cluster=c",
            "--user=u",
            "--namespace=n",
            "--server=s",
            "--token=t",
            "--as=u",
            "--as-group=g",
            "--as-uid=i",
            "--certificate-authority=f",
            "--client-certificate=f",
            "--client-key=f",
            "--insecure-skip-tls-verify",
            "--tls-server-name=t",
            "--request-timeout=1s",
            "--cache-dir=d",
            "--disable-compression=true",
        ];
        for words in [
            &["run", "-p", "x"][..],
            &["logs", "x"],
            &["get", "tasks"],
            &["delete", "task", "x"],
            &["install"],
            &["uninstall"],
            &["init"],
            &["version"],
        ] {
            let words: Vec<&str> = words.to_vec();
            for before in [true, false] {
                let line = if before {
                    [&["axon"][..], &flags, &words].concat()
                } else {
                    [&["axon"][..], &words, &flags].concat()
                };
                let cli = parse(PLUGIN, line.iter().map(OsString::from).collect()).unwrap();
                assert_eq!(cli.connection.impersonate_group, ["g"]);
                assert_eq!(cli.connection.insecure_skip_tls_verify, Some(true));
            }
        }
    }
}
