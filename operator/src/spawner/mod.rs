//! TaskSpawners. Every replica runs those that it owns.
//!
//! A poll goes through the rooms in this order:
//! 1. [`source`] decides whether a poll is due, and lists the items; [`pass`] has the steps that all sources share.
//! 2. [`plan`] decides which become Tasks, under which names, within which limits. Pure.
//! 3. [`render`] makes the Task of an item.
//! 4. [`spawn`] claims and creates; [`cluster`] has the reads and writes.
//! 5. [`status`] builds the TaskSpawner's status. Pure. [`publish`] writes it.
//!
//! [`controller`] reconciles the TaskSpawners that the replica owns, [`state`] is what a replica remembers of it, [`stores`] what it watches.
//! [`preview`] answers what a poll would do.

pub mod cluster;
pub mod controller;
pub mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod pass;
pub mod plan;
pub mod preview;
pub mod publish;
pub mod render;
pub mod round_items;
pub mod source;
pub mod spawn;
pub mod state;
pub mod status;
pub mod stores;
