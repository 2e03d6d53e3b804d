//! Shared parts of every access to the API server.
//!
//! - [`watch`]: lists and watches that keep of each object only what decisions need.
//! - [`call`]: one call, within a time limit.
//! - [`retry`]: reads that the API server answered with an error of its own are repeated at once.
//! - [`backoff`]: pauses after errors of watches.
//! - [`impersonation`]: acts in a namespace as its ServiceAccount `axon-spawner`.
//! - [`incomplete`]: a write that is refused for its content is repeated with less in it.
//! - [`refusal`]: whether a refused create can ever succeed. Pure.
//! - [`conditions`]: conditions and times of a status. Pure.
//! - [`events`]: Kubernetes events for people.

pub mod backoff;
pub mod call;
pub mod conditions;
pub mod events;
pub mod impersonation;
pub mod incomplete;
pub mod refusal;
pub mod retry;
pub mod watch;
