//! Updates and rollbacks, with the operator as a process: definitions first, then the operator; back in any order.
//!
//! One journey is made twice. `make test` plays it with this version and definitions that a next version could have.
//! `make upgrade` plays it with the previous version's program and definitions, which takes a build of that version.
#![cfg(test)]

mod journey;
mod older;
mod version;

use std::path::PathBuf;

use tokio::sync::Mutex;
use version::Version;

/// Definitions belong to the whole control plane: one journey at a time.
static ROAD: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn an_operator_works_under_the_definitions_of_a_next_version() {
    let _road = ROAD.lock().await;
    journey::travel(&Version::this(), &Version::next()).await;
}

/// Needs the folder of a built checkout of the previous version in `AXON_PREVIOUS`; `make upgrade` makes one.
#[tokio::test]
#[ignore = "builds the previous version: `make upgrade`"]
async fn the_previous_version_is_updated_and_rolled_back() {
    let folder = std::env::var_os("AXON_PREVIOUS").expect("AXON_PREVIOUS: run `make upgrade`");
    let _road = ROAD.lock().await;
    let previous = Version::at(&PathBuf::from(folder));
    journey::travel(&previous, &Version::this()).await;
}
