//! The cluster as commands see it: a client, a namespace, and requests that always come to an end.
//!
//! - [`connection`]: kubectl's flags and kubeconfig; [`reconnect`]: pauses after a broken connection.
//! - [`task_summary`]: Tasks as lists need them; [`operator_query`]: asks the operator what a TaskSpawner would do.

pub mod connection;
pub mod event_time;
pub mod operator_query;
pub mod reconnect;
pub mod task_summary;

use std::future::Future;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectList, PatchParams, PostParams};
use kube::core::{ClusterResourceScope, NamespaceResourceScope, Request};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::task_summary::listing;
use crate::error::{Action, CliError, Result, Target, explain, timed_out};
use crate::kinds::Kind;

/// Field manager of all that this program writes. Flux's kustomize-controller takes the fields of every manager whose
/// name begins with `kubectl` for its own, and undoes what was set in them.
pub const FIELD_MANAGER: &str = "axon-cli";

/// How many objects one list request asks for: what kubectl asks for.
const PAGE: u32 = 500;

/// Returns how objects are created and replaced; a trial leaves nothing behind.
#[must_use]
pub fn posting(trial: bool) -> PostParams {
    PostParams {
        dry_run: trial,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    }
}

/// Returns how objects are patched; a trial leaves nothing behind.
#[must_use]
pub fn patching(trial: bool) -> PatchParams {
    PatchParams {
        dry_run: trial,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// A connection to an API server.
#[derive(Clone)]
pub struct Cluster {
    /// Client of the API server.
    pub client: Client,
    /// Namespace that the command works in.
    pub namespace: String,
    /// True when a command to be typed next must name the namespace: it was given, or is not the context's.
    pub namespace_matters: bool,
    /// Where requests go, for words.
    pub target: Target,
    /// Longest time that a request other than a watch or a log stream may take; `None` for no limit.
    pub timeout: Option<Duration>,
}

impl Cluster {
    /// Returns the flags that a command to be typed next, of ours or of kubectl, needs to find the same cluster and
    /// namespace, each with a blank before it; often none.
    #[must_use]
    pub fn flags(&self) -> String {
        let namespace = match self.namespace_matters {
            true => format!(" -n {}", self.namespace),
            false => String::new(),
        };
        namespace + &self.target.flags
    }

    /// Returns the API of a namespaced kind in the command's namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the API of a namespaced kind in `namespace`.
    #[must_use]
    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Returns the API of a kind that is in no namespace.
    #[must_use]
    pub fn cluster_api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }

    /// Returns the API of any resource: in `namespace`, or in all namespaces.
    #[must_use]
    pub fn dynamic(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Awaits a request within the time limit and puts its failure in words.
    ///
    /// # Errors
    /// What the API server or the connection says, or that no answer came in time.
    pub async fn call<T>(
        &self,
        action: &Action,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T> {
        let answer = match self.timeout {
            Some(limit) => tokio::time::timeout(limit, request)
                .await
                .map_err(|_| timed_out(action, &self.target, limit.as_secs_f64()))?,
            None => request.await,
        };
        answer.map_err(|error| self.explain(&error, action))
    }

    /// Puts a failed request in words.
    #[must_use]
    pub fn explain(&self, error: &kube::Error, action: &Action) -> CliError {
        explain(error, action, &self.target)
    }

    /// Lists a kind in `namespace`, or in all, page by page, so that memory and each request stay small, and hands each page
    /// to `each`. `T` says what of each object is read, `chosen` which objects. Returns the version from which to watch on.
    ///
    /// # Errors
    /// The first failed request.
    pub async fn list<T>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        chosen: &ListParams,
        mut each: impl FnMut(Vec<T>),
    ) -> Result<String>
    where
        T: Clone + DeserializeOwned,
    {
        let action = listing(kind, namespace);
        let request = Request::new(DynamicObject::url_path(&kind.resource(), namespace));
        let mut params = chosen.clone().limit(PAGE);
        loop {
            let built = request
                .list(&params)
                .map_err(|e| CliError::new(format!("cannot {}: {e}", action.words())))?;
            let page: ObjectList<T> = self.call(&action, self.client.request(built)).await?;
            each(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(page.metadata.resource_version.unwrap_or_default()),
            }
        }
    }
}
