//! Writes a manual page for each command into the folder that is its one argument.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use kubectl_axon::cli;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: man_pages FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    // A page names its program by the name of the command.
    let command = cli::command(kubectl_axon::term::output::PLUGIN).bin_name("kubectl-axon");
    let mut command = command.disable_help_subcommand(true);
    command.build();
    write(&command, folder)?;
    Ok(())
}

fn write(command: &Command, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        write(below, folder)?;
    }
    let source = concat!("kubectl-axon ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone()).source(source).manual("kubectl axon");
    page.generate_to(folder)?;
    Ok(())
}
