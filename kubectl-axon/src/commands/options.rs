//! `options`: the options that all commands take, which their own help leaves out.

use crate::cli;
use crate::error::Result;
use crate::term::output::Ui;
use crate::term::shown::Shown;

/// Runs the command.
///
/// # Errors
/// When stdout can't be written.
pub fn execute(ui: &Ui) -> Result<()> {
    let mut options = cli::options();
    ui.block(&Shown::block(&format!(
        "The following options can be passed to any command, before or after its name:\n\n{}",
        options.render_help()
    )))
}
