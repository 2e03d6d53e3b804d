//! The token of a Workspace's GitHub App, for one Task.
//!
//! - [`rules`]: when one is needed, and what becomes of a Task that gets none. Pure.
//! - [`host`]: whether a Secret is for the Workspace's host. Pure.
//! - [`fetch`]: reads the Secret and asks GitHub, as the namespace's ServiceAccount.
//! - [`revoke`]: gives the token back when the Task has ended.

pub mod fetch;
pub mod host;
pub mod revoke;
pub mod rules;
