//! The rules behind the commands that explain. Pure: facts go in, findings come out.
//!
//! - [`why`]: why a Task or TaskSpawner is in its state; [`doctor`]: faults of an installation.
//! - [`cost`]: what runs consumed, added up; [`graph`]: which Task waits for which.

pub mod cost;
pub mod doctor;
pub mod graph;
pub mod why;
