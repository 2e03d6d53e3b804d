//! TaskSpawners. Every replica runs those that it owns.
//!
//! A poll goes through the rooms in this order:
//! 1. [`source`] lists the items; [`round_items`] has the items of one round.
//! 2. [`plan`] decides which become Tasks, under which names, within which limits. Pure.
//! 3. [`render`] makes the Task of an item.
//! 4. [`spawn`] claims and creates; [`cluster`] has the reads and writes.
//! 5. [`status`] builds the TaskSpawner's status. Pure.
//!
//! [`controller`] decides when a TaskSpawner is polled, [`state`] is what a replica remembers of it, [`stores`] what it watches.
//! [`preview`] answers what a poll would do.

pub mod cluster;
pub mod controller;
pub mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod plan;
pub mod preview;
pub mod render;
pub mod round_items;
pub mod source;
pub mod spawn;
pub mod state;
pub mod status;
pub mod stores;
