//! The product on a real cluster: real pods, the real agent CLI, a real git host, a scripted model.

#![cfg(test)]

mod agents;
mod bench;
mod cut_proxy;
mod failures;
mod github_app;
mod hostile;
mod images;
mod install;
mod overrides;
mod pipelines;
mod plugin;
mod private_ca;
mod prompts;
mod spawners;
mod ssh;
mod success;
