//! TaskSpawners: pure rules, and the thin shell that applies them.

pub mod ahead;
pub mod approve;
pub mod context;
pub mod controller;
pub mod cron;
pub mod crowd;
pub mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod gate;
pub mod inert;
pub mod item;
pub mod look;
pub mod mark;
pub mod metrics;
pub mod plan;
#[cfg(test)]
mod plan_model;
#[cfg(test)]
mod plan_properties;
mod prepare;
pub mod preview;
#[cfg(test)]
mod reasons_documented_tests;
pub mod render;
pub mod request;
pub mod seen;
pub mod shell;
pub mod source;
pub mod status;
pub mod stores;
pub mod ticks;
