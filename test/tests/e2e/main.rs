//! The product on a real cluster: real pods, the real agent CLI, a real git host, a scripted model.

#![cfg(test)]

mod bench;
mod cut;
mod failures;
mod install;
mod overrides;
mod plugin;
mod prompts;
mod success;
