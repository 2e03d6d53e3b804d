//! The command line.

use std::ffi::OsString;
use std::path::Path;

use clap::{Parser, Subcommand};

/// What lives in a Task's pod: prepares the workspace, runs the agent, reports its outcome.
#[derive(Debug, Parser)]
#[command(name = "axon-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Clone the repository, set up the branch, write files and plugins.
    Workspace,
    /// Run the agent with a prompt and report its outcome.
    #[command(disable_help_flag = true)]
    Run {
        /// The prompt, unless AXON_PROMPT_FILE names a file that holds it.
        #[arg(value_name = "PROMPT", allow_hyphen_values = true, trailing_var_arg = true)]
        args: Vec<OsString>,
    },
    /// Answer git's credential protocol.
    #[command(hide = true)]
    GitCredential {
        /// Scheme and host that may have the token, such as `https://github.com`.
        scope: String,
        /// What git wants: `get`, `store` or `erase`.
        action: String,
    },
}

impl Command {
    /// Reads the arguments. Under the name of the contract's entry point every argument is the prompt's, so that
    /// a prompt such as `--help` is one too.
    #[must_use]
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Self {
        let mut args = args.into_iter().peekable();
        if args.peek().is_some_and(|name| is_entrypoint(Path::new(name))) {
            return Self::Run {
                args: args.skip(1).collect(),
            };
        }
        let args: Vec<OsString> = args.collect();
        // Clap takes "--" and "-h" for itself even here, and neither means anything to `run`.
        if args.get(1).is_some_and(|name| name == "run") {
            return Self::Run {
                args: args.into_iter().skip(2).collect(),
            };
        }
        Cli::parse_from(args).command
    }
}

fn is_entrypoint(name: &Path) -> bool {
    let entrypoint = Path::new(axon_api::contract::ENTRYPOINT).file_name();
    name.file_name() == entrypoint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(args: &[&str]) -> Command {
        Command::from_args(args.iter().map(OsString::from))
    }

    fn run(args: &[&str]) -> Command {
        Command::Run {
            args: args.iter().map(OsString::from).collect(),
        }
    }

    #[test]
    fn the_entry_point_takes_any_prompt() {
        for prompt in ["fix it", "--help", "-p", "--", "workspace", "run", ""] {
            assert_eq!(command(&["/axon_entrypoint.sh", prompt]), run(&[prompt]));
            assert_eq!(command(&["axon-agent", "run", prompt]), run(&[prompt]));
        }
        assert_eq!(command(&["/axon_entrypoint.sh"]), run(&[]));
    }

    #[test]
    fn the_other_commands_are_clap_s() {
        assert_eq!(command(&["axon-agent", "workspace"]), Command::Workspace);
        assert_eq!(
            command(&["axon-agent", "git-credential", "https://h", "get"]),
            Command::GitCredential {
                scope: "https://h".into(),
                action: "get".into()
            }
        );
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
