//! Writes a manual page for each command into the folder that is its one argument.

use kubectl_axon::cli;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: man_pages FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    // A page names its program by the name of the command.
    clap_mangen::generate_to(cli::command(cli::PLUGIN).bin_name("kubectl-axon"), folder)?;
    Ok(())
}
