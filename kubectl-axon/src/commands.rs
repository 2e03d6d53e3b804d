//! The commands, one file each: `Args` is what can be typed, `execute` does it.

pub mod completion;
pub mod config;
pub mod cost;
pub mod create;
pub mod delete;
pub mod describe;
pub mod doctor;
pub mod get;
pub mod init;
pub mod install;
pub mod logs;
pub mod options;
pub mod preview;
pub mod retry;
pub mod run;
pub mod stop;
pub mod suspend;
pub mod tree;
pub mod uninstall;
pub mod verify_image;
pub mod version;
pub mod wait;
pub mod why;

use std::path::PathBuf;

use crate::cli::{Cli, Command};
use crate::cluster::Cluster;
use crate::config_file::{self, Config};
use crate::connection::ConnectionArgs;
use crate::error::Result;
use crate::output::Ui;

/// What every command is given.
pub struct Globals {
    /// kubectl's flags.
    pub connection: ConnectionArgs,
    /// Path of the configuration file, if one was named.
    pub config: Option<PathBuf>,
}

impl Globals {
    /// Reads the configuration file and shows its warnings.
    ///
    /// # Errors
    /// When the file can't be used.
    pub fn configuration(&self, ui: &Ui) -> Result<Config> {
        let loaded = config_file::load(self.config.as_deref())?;
        for warning in &loaded.warnings {
            ui.warn(warning);
        }
        Ok(loaded.config)
    }

    /// Connects, in the namespace that flags, configuration file and context agree on.
    ///
    /// # Errors
    /// When files or flags can't be used. The server is not contacted yet.
    pub async fn cluster(&self, ui: &Ui) -> Result<Cluster> {
        let config = self.configuration(ui)?;
        self.connection.connect(config.namespace.as_deref()).await
    }
}

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
        Command::Options => options::execute(ui),
        Command::VerifyImage(args) => Box::pin(verify_image::execute(ui, &globals, args)).await,
        Command::Version(args) => Box::pin(version::execute(ui, &globals, args)).await,
    }
}
