//! A namespace of one test's own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result};
use axon_api::Task;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{self, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, ObjectMeta, PostParams};
use kube::{Api, Client, Resource};

use crate::{diagnostics, manifests, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace of one test's own. It enforces the Pod Security level `restricted`, so a pod that asks for more is
/// refused.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// Makes a namespace with a name that no other test has.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn create(client: Client) -> Result<Self> {
        let name = format!("t-{:010x}", rand::random::<u64>() & 0xff_ffff_ffff);
        let labels = BTreeMap::from([
            (
                "pod-security.kubernetes.io/enforce".to_owned(),
                "restricted".to_owned(),
            ),
            ("axon.io/test".to_owned(), "true".to_owned()),
        ]);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let object = v1::Namespace {
            metadata,
            ..v1::Namespace::default()
        };
        let namespaces: Api<v1::Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &object)
            .await
            .context("failed to make a namespace")?;
        let namespace = Self { client, name };
        // Without it the API refuses pods.
        let accounts: Api<ServiceAccount> = namespace.api();
        wait::until_object(&accounts, "default", "to be made", PATIENCE, |_| true).await?;
        Ok(namespace)
    }

    /// Returns the namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the client that made it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the API of a kind in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Applies manifests, separated by `---`, in this namespace.
    ///
    /// # Errors
    /// If one is not accepted.
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        manifests::apply(&self.client, &self.name, yaml).await
    }

    /// Waits until a Task is as wanted.
    ///
    /// # Errors
    /// If that takes longer than `limit`. The error shows the Task, its Job and pods, events and the ends of logs.
    pub async fn wait_for(
        &self,
        task: &str,
        what: &str,
        limit: Duration,
        is_wanted: impl Fn(&Task) -> bool,
    ) -> Result<Task> {
        let tasks: Api<Task> = self.api();
        match wait::until_object(&tasks, task, what, limit, is_wanted).await {
            Ok(task) => Ok(task),
            Err(_) => {
                let report = diagnostics::of_task(self, task).await;
                anyhow::bail!(
                    "waited {} s in vain for task {task} {what}\n{report}",
                    limit.as_secs_f32()
                )
            }
        }
    }

    /// Waits until an object of any kind is as wanted.
    ///
    /// # Errors
    /// If that takes longer than `limit`; the error shows the object.
    pub async fn wait_for_object<K>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        is_wanted: impl Fn(&K) -> bool,
    ) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + serde::de::DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        wait::until_object(&self.api(), name, what, limit, is_wanted).await
    }

    /// Begins to delete the namespace with all that is in it.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn delete(self) -> Result<()> {
        let namespaces: Api<v1::Namespace> = Api::all(self.client);
        namespaces.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}
