//! The operator: pure rules about Tasks, and the thin shell that applies them to a cluster.

pub mod admin;
pub mod args;
pub mod clock;
pub mod events;
pub mod github;
pub mod identity;
pub mod images;
pub mod leadership;
pub mod metrics;
pub mod run;
pub mod task;
pub mod telemetry;
