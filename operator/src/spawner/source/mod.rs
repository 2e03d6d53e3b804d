//! Where the items of a TaskSpawner come from.
//!
//! - [`github`]: issues and pull requests of a repository; [`schedule`]: runs of a cron schedule.
//! - [`item`]: what both return.
//! - [`gate`]: which items may start an agent. Pure; [`approval`] asks GitHub for what it needs.
//! - [`due_run`]: which run of a schedule is due. Pure.

pub mod approval;
pub mod due_run;
pub mod gate;
pub mod github;
pub mod item;
pub mod schedule;
