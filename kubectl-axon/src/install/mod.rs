//! What `install` applies: the manifests below `config/`, built in, and the rights of a narrower scope.

pub mod manifests;
pub mod rights;
