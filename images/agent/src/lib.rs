//! The program that lives in a Task's pod.
//!
//! `axon-agent workspace` prepares the clone, `axon-agent run` runs the agent and reports its outcome, and
//! `axon-agent git-credential` answers git. Rules are pure functions; [`subprocess`], [`termination`],
//! [`workspace::clone`] and [`run`] touch the world.

pub mod agent;
pub mod ca;
pub mod children;
pub mod cli;
pub mod credential;
pub mod env;
pub mod failure;
pub mod key_form;
pub mod mcp_secrets;
pub mod reexec;
pub mod run;
pub mod say;
pub mod secrets;
pub mod signals;
pub mod subprocess;
pub mod termination;
pub mod token_file;
pub mod workspace;
