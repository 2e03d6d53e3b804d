//! `options`: the options that all commands take, which their own help leaves out.

use crate::error::Result;
use crate::term::output::Ui;
use crate::term::shown::Shown;

/// Runs the command; `help` describes the options.
///
/// # Errors
/// When stdout can't be written.
pub fn execute(ui: &Ui, help: &str) -> Result<()> {
    ui.block(&Shown::block(&format!(
        "The following options can be passed to any command, before or after its name:\n\n{help}"
    )))
}
