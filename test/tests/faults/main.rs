//! The operator's own process between a client that does not wait for it and an API server that does not answer it.

#![cfg(test)]
#![allow(
    clippy::large_futures,
    reason = "a life of a Task is one future, and there is one at a time"
)]

mod crashes;
mod hand_over;
mod harness;
mod options;
mod refused;
mod spawner_crashes;
mod spawners;
mod writes;
