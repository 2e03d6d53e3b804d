//! The Task controller. The leader runs it.
//!
//! A reconcile goes through these folders in order:
//! 1. [`observe`] reads what a decision needs, from the stores and from the API server.
//! 2. [`decide`] returns one decision. Pure.
//! 3. [`github_token`] gets a token for a GitHub App, where one is needed.
//! 4. [`build`] makes the Job, its pod and its ConfigMap. Pure.
//! 5. [`apply`] writes Job, status and record. Besides it, only [`github_token`] writes: a token's Secret, and the end of a token in the status.
//!
//! [`controller`] drives these steps, [`context`] has what they share.

pub mod apply;
mod budget;
pub mod build;
pub mod context;
pub mod controller;
pub mod decide;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod github_token;
pub mod observe;

pub use axon_api::branch_lock;

#[cfg(test)]
mod tests;
