//! The operator: pure rules about Tasks, and the thin shell that applies them to a cluster.

pub mod admin;
pub mod args;
pub mod backlog;
pub mod backoff;
pub mod clock;
pub mod cluster_clock;
pub mod definitions;
pub mod events;
pub mod github;
pub mod identity;
pub mod images;
pub mod incomplete;
pub mod leadership;
pub mod listen;
pub mod members;
pub mod mention;
pub mod metrics;
pub mod reread;
pub mod run;
pub mod serve;
pub mod shards;
pub mod spawner;
pub mod task;
pub mod telemetry;
pub mod turns;
pub mod watch;
