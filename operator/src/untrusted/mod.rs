//! Texts of strangers on their way to an agent. Pure.
//!
//! - [`visible`] keeps of a text only what GitHub's page shows of it.
//! - [`fence`] marks where a text begins and ends inside a prompt.
//! - [`mention`] breaks names of files that an agent's CLI would read.

pub mod fence;
pub mod mention;
pub mod visible;
