//! Manifests that `install` applies, built in from `config/`, and the rights of a narrower scope. [`installed`] reads what
//! is there: the operator, the kinds, and whether the API server knows admission policies.

pub mod installed;
pub mod manifests;
pub mod rights;
