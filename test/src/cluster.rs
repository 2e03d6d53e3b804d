//! A full cluster with the operator, the agent images and the fixture servers in it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::Client;
use kube::api::DynamicObject;

use crate::fixtures_client::Fixtures;
use crate::namespace::Namespace;
use crate::plugin::{self, Invocation};
use crate::{control_plane, manifests, paths};

const AGENTS_NETWORK: &str = include_str!("../manifests/agents_network.yaml");

/// A full cluster.
#[derive(Clone)]
pub struct Cluster {
    kubeconfig: PathBuf,
    client: Client,
}

impl Cluster {
    /// Connects to the cluster of `KUBECONFIG`, or to the one that `make cluster-up` makes.
    ///
    /// # Errors
    /// If there is no kubeconfig.
    pub async fn connect() -> Result<Self> {
        let kubeconfig = paths::cluster_kubeconfig()?;
        let client = control_plane::client(&kubeconfig).await?;
        Ok(Self { kubeconfig, client })
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns a fresh namespace, whose agents may reach the fixture servers also where the network enforces policies.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn namespace(&self) -> Result<Namespace> {
        let namespace = Namespace::create(self.client.clone()).await?;
        namespace.apply(AGENTS_NETWORK).await?;
        Ok(namespace)
    }

    /// Returns the fixture servers.
    #[must_use]
    pub fn fixtures(&self) -> Fixtures {
        Fixtures::new(self.client.clone())
    }

    /// Applies manifests; those without a namespace go to `default`.
    ///
    /// # Errors
    /// If one is not accepted.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        manifests::apply(&self.client, "default", yaml).await
    }

    /// Runs `kubectl axon` with `args`.
    ///
    /// # Errors
    /// If the plugin has not been built or does not end.
    pub async fn kubectl_axon(&self, args: &[&str]) -> Result<Invocation> {
        plugin::run(&self.kubeconfig, args).await
    }
}
