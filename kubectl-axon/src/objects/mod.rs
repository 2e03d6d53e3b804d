//! From flags and the configuration file to objects in the cluster.
//!
//! - [`inputs`]: reads and checks flags; [`credentials`]: which credential the agent gets.
//! - [`budget`]: what a Task may spend.
//! - [`plan`]: all objects of one run; [`new_task`] creates its Task.
//! - [`manifest`]: a Task's manifest, without losing what it says.
//! - [`ensure`]: creates or updates Secret and Workspace; [`references`]: who else uses them.
//! - [`existence`]: whether what a Task names exists.

pub mod budget;
pub mod credentials;
pub mod ensure;
pub mod existence;
pub mod inputs;
pub mod manifest;
pub mod new_task;
pub mod plan;
pub mod references;
