//! Harnesses for tests of the whole product: around a bare control plane, and around a full cluster.

pub mod agents;
pub mod audit;
pub mod cgroup;
pub mod cluster;
pub mod control_plane;
pub mod figures;
pub mod fixtures_client;
pub mod hostile_tree;
pub mod kubelet;
pub mod manifests;
pub mod namespace;
pub mod operator_process;
pub mod paths;
pub mod plain_http;
pub mod plugin;
pub mod report;
pub mod stranger;
pub mod wait;
