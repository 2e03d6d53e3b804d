//! Where the items of a TaskSpawner come from.
//!
//! - [`github`]: issues and pull requests of a repository; [`schedule`]: runs of a cron schedule.
//! - [`item`]: what both return.

pub mod github;
pub mod item;
pub mod schedule;
