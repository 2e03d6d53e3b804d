//! Builds the Job of a Task. Every file here is pure.
//!
//! - [`job`]: the Job and its pod; [`env`] its environment; [`volumes`] what is mounted.
//! - [`config_map`]: what is too long for an argument or a variable.
//! - [`prompt`]: the prompt of a Task with dependencies, a template over their results.
//! - [`cap`]: what the pod may spend.
//! - [`overrides`]: `spec.podOverrides`; [`pod_defaults`] and [`pod_limits`]: what the operator adds to every pod.

pub(crate) mod cap;
pub mod config_map;
pub mod env;
pub mod job;
pub mod overrides;
pub mod pod_defaults;
pub mod pod_limits;
pub mod prompt;
pub mod volumes;
