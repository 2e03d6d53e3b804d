//! Harnesses for tests of the whole product: around a bare control plane, and around a full cluster.

pub mod agents;
pub mod audit;
pub mod bench_table;
pub mod cgroup;
pub mod clean_machine;
pub mod cluster;
pub mod control_plane;
pub mod diagnostics;
pub mod fixtures_client;
pub mod hostile_tree;
pub mod kubelet;
pub mod manifests;
pub mod namespace;
pub mod operator_process;
pub mod paths;
pub mod plain_http;
pub mod plugin;
pub mod wait;
