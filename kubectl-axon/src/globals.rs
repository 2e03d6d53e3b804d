//! Global flags, and flags that several commands have.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cluster::Cluster;
use crate::cluster::connection::ConnectionArgs;
use crate::config_file::{self, Config};
use crate::error::Result;
use crate::install::manifests::NAMESPACE;
use crate::term::output::Ui;

/// Global flags, for every command.
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

    /// Returns the namespace of the flag, if it is not the operator's: install and uninstall are about the whole cluster.
    #[must_use]
    pub fn one_namespace(&self) -> Option<&str> {
        let given = self.connection.namespace.as_deref();
        given.filter(|namespace| *namespace != NAMESPACE)
    }
}

/// Extent of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// No dry run
    None,
    /// Print the objects; no cluster is needed
    Client,
    /// Send the objects; the server checks and forgets them
    Server,
}
