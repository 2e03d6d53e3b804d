//! Secrets that MCP servers refer to. They are mounted into the agent container, which fills them in; nobody else reads
//! them.

use axon_api::AgentConfig;
use axon_api::contract::MCP_SECRETS_DIR;
use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume, VolumeMount};

/// A Secret that a server refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpSecret {
    /// Name of the Secret.
    secret: String,
    /// Name of the volume.
    volume: String,
    /// Where it is mounted.
    path: String,
}

/// Returns where the headers of the `n`th server are in the pod.
pub(crate) fn headers_dir(n: usize) -> String {
    format!("{MCP_SECRETS_DIR}/{n}/headers")
}

/// Returns where the environment of the `n`th server is in the pod.
pub(crate) fn env_dir(n: usize) -> String {
    format!("{MCP_SECRETS_DIR}/{n}/env")
}

/// Returns the Secrets of all servers.
pub(crate) fn of(config: Option<&AgentConfig>) -> Vec<McpSecret> {
    let servers = config
        .map(|config| config.spec.mcp_servers.as_slice())
        .unwrap_or_default();
    let mounted = |n: usize, part: &str, path, values: &axon_api::v1alpha1::ValuesFrom| McpSecret {
        secret: values.secret_ref.name.clone(),
        volume: format!("axon-mcp-{n}-{part}"),
        path,
    };
    servers
        .iter()
        .enumerate()
        .flat_map(|(n, server)| {
            let headers = server
                .headers_from
                .as_ref()
                .map(|v| mounted(n, "headers", headers_dir(n), v));
            let env = server.env_from.as_ref().map(|v| mounted(n, "env", env_dir(n), v));
            headers.into_iter().chain(env)
        })
        .collect()
}

impl McpSecret {
    /// Returns the volume.
    pub(crate) fn volume(&self) -> Volume {
        Volume {
            name: self.volume.clone(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(self.secret.clone()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        }
    }

    /// Returns the agent container's mount.
    pub(crate) fn mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.volume.clone(),
            mount_path: self.path.clone(),
            read_only: Some(true),
            ..VolumeMount::default()
        }
    }
}
