//! Writes the reference of the command line into the file that is its one argument.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: cli_reference FILE")?;
    std::fs::write(file, kubectl_axon::cli_reference::markdown())?;
    Ok(())
}
