//! From the parsed command line to the command.

use crate::cli::{self, Cli, Command};
use crate::commands::{
    completion, config, cost, create, delete, describe, doctor, get, init, install, logs, options, preview,
    retry, run, stop, suspend, tree, uninstall, verify_image, version, wait, why,
};
use crate::error::Result;
use crate::globals::Globals;
use crate::term::output::Ui;

/// Runs a command.
///
/// # Errors
/// Whatever the command could not do.
pub async fn execute(ui: &Ui, cli: Cli) -> Result<()> {
    let globals = Globals {
        connection: cli.connection.without_blanks(),
        config: cli.config.filter(|path| !path.as_os_str().is_empty()),
    };
    match cli.command {
        Command::Run(args) => Box::pin(run::execute(ui, &globals, *args)).await,
        Command::Logs(args) => Box::pin(logs::execute(ui, &globals, args)).await,
        Command::Get(args) => Box::pin(get::execute(ui, &globals, args)).await,
        Command::Tree(args) => Box::pin(tree::execute(ui, &globals, args)).await,
        Command::Wait(args) => Box::pin(wait::execute(ui, &globals, args)).await,
        Command::Why(args) => Box::pin(why::execute(ui, &globals, args)).await,
        Command::Describe(args) => Box::pin(describe::execute(ui, &globals, args)).await,
        Command::Stop(args) => Box::pin(stop::execute(ui, &globals, args)).await,
        Command::Preview(args) => Box::pin(preview::execute(ui, &globals, args)).await,
        Command::Suspend(args) => Box::pin(suspend::execute(ui, &globals, args, true)).await,
        Command::Resume(args) => Box::pin(suspend::execute(ui, &globals, args, false)).await,
        Command::Retry(args) => Box::pin(retry::execute(ui, &globals, args)).await,
        Command::Create(args) => Box::pin(create::execute(ui, &globals, args)).await,
        Command::Doctor(args) => Box::pin(doctor::execute(ui, &globals, args)).await,
        Command::Completion(args) => completion::execute(ui, &args),
        Command::Config(args) => config::execute(ui, &globals, &args),
        Command::Cost(args) => Box::pin(cost::execute(ui, &globals, args)).await,
        Command::Delete(args) => Box::pin(delete::execute(ui, &globals, args)).await,
        Command::Install(args) => Box::pin(install::execute(ui, &globals, args)).await,
        Command::Uninstall(args) => Box::pin(uninstall::execute(ui, &globals, args)).await,
        Command::Init(args) => init::execute(ui, &globals, &args),
        Command::Options => options::execute(ui, &cli::options().render_help().to_string()),
        Command::VerifyImage(args) => Box::pin(verify_image::execute(ui, &globals, args)).await,
        Command::Version(args) => Box::pin(version::execute(ui, &globals, args)).await,
    }
}
