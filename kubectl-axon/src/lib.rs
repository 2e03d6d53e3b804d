//! kubectl-axon: runs AI coding agents as Kubernetes Jobs, from the command line.
//!
//! - [`cli`] is the command line, [`dispatch`] the way from it to a command; [`commands`] has one thin file for each command.
//! - [`objects`] turns flags and the configuration file into objects; [`install`] has the manifests of the operator.
//! - [`cluster`] is the connection and every request to the API server.
//! - [`analysis`] has the pure rules behind `why`, `doctor`, `cost` and `tree`.
//! - [`follow`] watches a Task; [`render`] makes an agent's log readable; [`complete`] completes command lines.
//! - [`mod@format`] writes numbers and times, [`text_width`] counts columns; [`term`] prints. Data goes to stdout and talk to stderr, both through [`term::output::Ui`]; every failure is a
//!   [`error::CliError`], whose kind is the exit code.

pub mod analysis;
pub mod cli;
pub mod cli_reference;
pub mod cluster;
pub mod commands;
pub mod complete;
pub mod config_file;
pub mod dispatch;
pub mod error;
pub mod follow;
pub mod format;
pub mod globals;
pub mod install;
pub mod kinds;
pub mod objects;
pub mod render;
pub mod term;
pub mod text_width;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::error::CliError;
use crate::term::output::Ui;

/// Runs the program with `args` (the first one is its own name) and returns its exit code.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let program = cli::program_name(args.first().map(OsString::as_os_str));
    if args.get(1).is_some_and(|word| word == "__complete") {
        let words = args
            .iter()
            .skip(2)
            .map(|word| word.to_string_lossy().into_owned());
        complete::answer(&Ui::new(program), &words.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let ui = Ui::new(program);
    let cli = match cli::parse(program, args) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail: the reader has seen enough.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::new(format!("cannot start: {e}")))
        .and_then(|runtime| runtime.block_on(Box::pin(dispatch::execute(&ui, cli))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}
