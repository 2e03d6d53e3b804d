//! The four kinds as a real API server takes and refuses them.
#![cfg(test)]

mod accepted;
mod add_ons;
mod branches;
mod changes;
mod characters;
mod definitions;
mod examples;
mod guards;
mod manifest;
mod policy;
mod refused;
mod repositories;
mod round_trip;
