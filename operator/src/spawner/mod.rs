//! TaskSpawners: pure rules, and the thin shell that applies them.

#[cfg(test)]
pub(crate) mod fixtures;
pub mod item;
pub mod mark;
pub mod plan;
#[cfg(test)]
mod plan_properties;
pub mod render;
pub mod ticks;
