//! The Task controller: pure rules in one file each, and the thin shell around them.

pub mod apply;
mod ca;
#[cfg(test)]
mod claims_tests;
pub mod controller;
pub mod dependencies;
mod env;
pub mod fault;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gather;
mod github_end;
pub mod github_secret;
pub mod github_token;
pub mod index;
pub mod input;
pub mod inputs;
pub mod job;
pub mod kept;
pub mod lifecycle;
pub mod mcp_secrets;
pub mod network;
pub mod outcome;
mod overrides;
pub mod pod_defaults;
pub mod pod_limits;
pub mod prices;
pub mod prompt;
pub mod recall;
pub mod record;
pub mod refusal;
pub mod retention;
pub mod rush;
mod secret_file;
mod ssh;
pub mod status;
pub mod stores;
mod token_host;
pub mod view;
mod view_job;
mod write;
pub mod written;

pub use axon_api::branch_lock;
