//! Writes the CustomResourceDefinitions into the folder that is its one argument.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?);
    for (file, crd) in axon_api::crds::all() {
        std::fs::write(folder.join(file), axon_api::crds::to_yaml(&crd)?)?;
    }
    Ok(())
}
