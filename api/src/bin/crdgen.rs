//! Writes the CustomResourceDefinitions into a folder, and the reference of their fields into a file.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: crdgen FOLDER FILE";
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().ok_or(usage)?);
    let reference = words.next().ok_or(usage)?;
    for (file, crd) in axon_api::crds::all() {
        std::fs::write(folder.join(file), axon_api::crds::to_yaml(&crd)?)?;
    }
    std::fs::write(reference, axon_api::crd_docs::markdown()?)?;
    Ok(())
}
