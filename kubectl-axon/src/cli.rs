//! What can be typed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cluster::connection;
use crate::cluster::connection::ConnectionArgs;
use crate::commands::{
    completion, config, cost, create, delete, describe, doctor, get, init, install, logs, preview, retry,
    run, stop, suspend, tree, uninstall, verify_image, version, wait, why,
};
use crate::error::EXIT_CODES;
use crate::term::output::{PLUGIN, STANDALONE};

/// Widest that help gets, however wide the terminal is.
pub const WIDTH: usize = 100;

/// Stands below the help of every command, which leaves out the options that all of them take.
const OPTIONS: &str =
    "Use \"kubectl axon options\" for the options of all commands, such as --namespace and --context.";

/// Runs AI coding agents as Kubernetes Jobs
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-axon",
    version,
    after_help = exit_codes(),
    args_override_self = true,
    max_term_width = WIDTH
)]
pub struct Cli {
    /// Path of the configuration file [default: ~/.axon/config.yaml]
    #[arg(long, global = true, value_name = "FILE", value_parser = connection::path)]
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
    Run(Box<run::Args>),
    /// Print what the agent of a task says and does
    Logs(logs::Args),
    /// Wait until tasks have ended
    Wait(wait::Args),
    /// Show tasks as trees: what waits for what
    Tree(tree::Args),
    /// Explain why a task waits, failed or goes on, and what to do
    Why(why::Args),
    /// Show what tasks have cost: money and tokens
    Cost(cost::Args),
    /// Show tasks, taskspawners, workspaces, agentconfigs, taskbudgets or taskrecords
    Get(get::Args),
    /// Show everything about objects: fields, attempts, containers, conditions, events
    Describe(describe::Args),
    /// End tasks, and keep what they did
    Stop(stop::Args),
    /// Run a task that has ended once more, as a new task
    Retry(retry::Args),
    /// Show what a taskspawner would create next, without creating it
    Preview(preview::Args),
    /// Pause taskspawners: they create no tasks, and tasks that run go on
    Suspend(suspend::Args),
    /// Let paused taskspawners go on
    Resume(suspend::Args),
    /// Delete tasks, taskspawners, workspaces, agentconfigs, taskbudgets or taskrecords
    Delete(delete::Args),
    /// Create workspaces, agentconfigs or taskspawners
    Create(create::Args),
    /// Install the operator and its resources into the cluster, or update them
    Install(install::Args),
    /// Remove everything that install made, and all tasks
    Uninstall(uninstall::Args),
    /// Check cluster, operator, rights, quota, images, secrets and GitHub token
    Doctor(doctor::Args),
    /// Write a configuration file to fill in
    Init(init::Args),
    /// Show the configuration file
    Config(config::Args),
    /// Set up completion of command lines, with the names of what is in the cluster
    Completion(completion::Args),
    /// List the options that all commands take
    Options,
    /// Try out whether an image can run tasks
    VerifyImage(verify_image::Args),
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
    // As in kubectl, the many options of all commands would bury a command's own.
    let command = Cli::command()
        .bin_name(program)
        .mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
        .mut_subcommands(|subcommand| match subcommand.get_name() {
            "options" => subcommand,
            _ => with_footer(subcommand, OPTIONS),
        });
    let command = with_footer(command, OPTIONS);
    if program == STANDALONE {
        addressed(command)
    } else {
        command
    }
}

fn exit_codes() -> String {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("{code} {meaning}"));
    format!("Exit codes: {}", codes.join(", "))
}

/// Returns the options that all commands take, as a command that has only these, and shows them.
#[must_use]
pub fn options() -> clap::Command {
    let command = Cli::command();
    let all = command.get_arguments().filter(|arg| arg.is_global_set()).cloned();
    clap::Command::new("options")
        .args(all.map(|arg| arg.global(false)))
        .disable_help_flag(true)
        .max_term_width(WIDTH)
        .help_template("{all-args}")
}

fn with_footer(command: clap::Command, footer: &str) -> clap::Command {
    let text = match command.get_after_help() {
        Some(text) => format!("{text}\n\n{footer}"),
        None => footer.to_owned(),
    };
    command.after_help(text)
}

/// Texts of help name commands as the program was called.
fn addressed(command: clap::Command) -> clap::Command {
    let after = command
        .get_after_help()
        .map(|text| text.to_string().replace("kubectl axon ", "axon "));
    let command = command.mut_subcommands(addressed);
    match after {
        Some(text) => command.after_help(text),
        None => command,
    }
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
    fn no_command_takes_an_option_of_all_commands_for_one_of_its_own() {
        // clap merges arguments of one id without a word, and each value would reach both.
        let root = Cli::command();
        let global: Vec<&clap::Arg> = root.get_arguments().filter(|a| a.is_global_set()).collect();
        assert!(global.len() > 15, "{}", global.len());
        let mut all: Vec<&clap::Command> = root.get_subcommands().collect();
        while let Some(command) = all.pop() {
            for own in command.get_arguments() {
                let clashes = |other: &&clap::Arg| {
                    own.get_id() == other.get_id()
                        || own.get_long().is_some_and(|long| other.get_long() == Some(long))
                        || own
                            .get_short()
                            .is_some_and(|short| other.get_short() == Some(short))
                };
                let clash = global.iter().find(|other| clashes(other));
                assert!(clash.is_none(), "{}: {own} and {clash:?}", command.get_name());
            }
            all.extend(command.get_subcommands());
        }
    }

    #[test]
    fn help_fits_its_width() {
        let mut command = command(PLUGIN);
        command.build();
        let mut all: Vec<&clap::Command> = vec![&command];
        while let Some(command) = all.pop() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            // These are one sentence, which can be wrapped anywhere.
            let sentences = ["Use \"", "Exit codes: "];
            for line in help
                .lines()
                .filter(|line| !sentences.iter().any(|s| line.starts_with(s)))
            {
                assert!(line.chars().count() <= WIDTH, "{}: {line}", command.get_name());
            }
            all.extend(command.get_subcommands());
        }
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
            &["tree"],
            &["describe", "task", "x"],
            &["stop", "x"],
            &["retry", "x"],
            &["preview", "x"],
            &["create", "workspace", "x", "--repo=r"],
            &["config", "view"],
            &["completion", "bash"],
            &["doctor"],
            &["why", "x"],
            &["wait", "x"],
            &["cost"],
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
