//! State that the Task controller and the spawners of a replica share.

use crate::definitions::Definitions;
use crate::kube::impersonation::Identity;
use crate::kube::watch::{Large, Scope};
use axon_github::Github;

/// State that all parts of a replica share.
#[derive(Clone)]
pub struct Shared {
    /// Comparison of the served definitions with this operator's.
    pub definitions: Definitions,
    /// This replica's name.
    pub me: String,
    /// Acts in namespaces.
    pub identity: Identity,
    /// Talks to GitHub.
    pub github: Github,
    /// Places for large objects of Tasks. TaskSpawners have their own.
    pub large: Large,
    /// Namespaces that the operator reconciles.
    pub scope: Scope,
    /// Most Tasks at the same time of a TaskSpawner that names no `maxConcurrency`.
    pub default_concurrency: Option<usize>,
}
