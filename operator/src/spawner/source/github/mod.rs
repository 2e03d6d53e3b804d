//! Issues and pull requests of a repository as a source.
//!
//! - [`reader`]: lists items and reads their texts; [`poll`]: one poll for one TaskSpawner.
//! - [`gate`]: which items may start an agent. Pure; [`approval`] asks GitHub for what it needs.

pub mod approval;
pub mod gate;
pub mod poll;
pub mod reader;
