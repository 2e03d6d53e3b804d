//! What the operator, the CLI and the pod agree on: the five kinds, the names of child objects, the pod
//! contract, and how an agent's outcome travels. No network, no clock, no environment.

pub mod agents;
pub mod branch_lock;
pub mod contract;
pub mod crd_docs;
pub mod crds;
pub mod file_path;
pub mod fit;
pub mod git;
pub mod go_duration;
pub mod gzip;
pub mod images;
pub mod labels;
pub mod limits;
pub mod managed;
pub mod money;
pub mod naming;
pub mod network;
pub mod outputs;
pub mod price;
pub mod shown;
pub mod trust;
pub mod usage;
pub mod v1alpha1;
pub mod yaml;

pub use v1alpha1::{
    AgentConfig, AgentConfigSpec, Task, TaskPhase, TaskReason, TaskRecord, TaskSpawner, TaskSpawnerSpec,
    TaskSpec, TaskStatus, Workspace, WorkspaceSpec,
};

/// API group of all kinds.
pub const GROUP: &str = "axon.io";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Group and version as manifests write them.
pub const API_VERSION: &str = "axon.io/v1alpha1";
/// Name of the ServiceAccount, in each namespace, that the operator acts as there. No Task may run as it: it may write every
/// Secret of the namespace.
pub const SPAWNER_ACCOUNT: &str = "axon-spawner";
/// Name of the Lease that the leading operator holds. It is never part of a manifest: the election can't take over a
/// Lease that it did not make.
pub const LEADER_LEASE: &str = "axon-operator-leader";
