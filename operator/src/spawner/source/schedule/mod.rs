//! Runs of a cron schedule as a source.
//!
//! - [`handled`]: which runs are dealt with; [`due_run`]: which run is due. Pure.
//! - [`prefetch`] and [`run_burst`] keep runs on time when many are due at once.

pub mod due_run;
pub mod handled;
pub mod prefetch;
pub mod run_burst;
