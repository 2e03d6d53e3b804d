//! The operator: pure rules about Tasks and TaskSpawners, and the thin shell that applies them to a cluster.
//!
//! - [`run`] wires everything together; [`args`] is the command line, [`shared`] what all parts of a replica share.
//! - [`task`] runs in the leader: one Job per Task.
//! - [`spawner`] runs in every replica: Tasks from issues, pull requests and schedules.
//! - [`kube`] has what every access to the API server shares: watches, retries, impersonation, events.
//! - [`definitions`] compares the served definitions with the operator's.
//! - [`ha`] decides which replica leads and which one owns a TaskSpawner.
//! - [`metrics`] and [`http`] are what operators of the operator see.
//! - [`untrusted`] handles strangers' texts on their way to an agent; [`slots`] shares few slots among namespaces.

pub mod args;
pub mod budget;
pub mod definitions;
pub mod ha;
pub mod http;
pub mod images;
pub mod kube;
pub mod metrics;
pub mod run;
pub mod shared;
pub mod slots;
pub mod spawner;
pub mod task;
pub mod telemetry;
pub mod untrusted;
