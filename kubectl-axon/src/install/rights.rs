//! The Roles and RoleBindings with which the operator works in some namespaces instead of all of the cluster.

use std::fmt::Debug;

use axon_api::labels;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::error::{Action, Kind, Result};
use crate::install::manifests::OPERATOR;
use crate::term::output::Ui;

/// Returns the namespaces in which the operator has a Role or a RoleBinding, each once for either.
///
/// # Errors
/// If they may not be listed.
pub(crate) async fn namespaces(cluster: &Cluster) -> Result<Vec<String>> {
    let (bindings, roles) = futures::try_join!(of::<RoleBinding>(cluster), of::<Role>(cluster))?;
    Ok([bindings, roles].concat())
}

/// Deletes them in all namespaces but these.
///
/// # Errors
/// The first that can't be deleted.
pub(crate) async fn revoke_in_namespaces(ui: &Ui, cluster: &Cluster, but: &[String]) -> Result<()> {
    // The binding first: it is what gives the rights.
    revoke_all::<RoleBinding>(ui, cluster, but).await?;
    revoke_all::<Role>(ui, cluster, but).await
}

async fn revoke_all<K>(ui: &Ui, cluster: &Cluster, but: &[String]) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    for namespace in of::<K>(cluster).await? {
        if !but.contains(&namespace) {
            revoke::<K>(ui, cluster, cluster.api_in(&namespace), Some(&namespace)).await?;
        }
    }
    Ok(())
}

async fn of<K>(cluster: &Cluster) -> Result<Vec<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let ours = ListParams::default()
        .labels(&format!("{}={}", labels::NAME, labels::APP_NAME))
        .fields(&format!("metadata.name={OPERATOR}"));
    let api = Api::<K>::all(cluster.client.clone());
    let action = Action::new("list", K::plural(&()));
    let found = cluster.call(&action, api.list_metadata(&ours)).await?;
    Ok(found
        .items
        .iter()
        .filter_map(kube::ResourceExt::namespace)
        .collect())
}

/// Deletes the operator's object of a kind, if it is there, and says so.
///
/// # Errors
/// If it can't be deleted.
pub(crate) async fn revoke<K>(ui: &Ui, cluster: &Cluster, api: Api<K>, namespace: Option<&str>) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut action = Action::new("delete", K::plural(&())).named(OPERATOR);
    action.namespace = namespace.map(str::to_owned);
    let place = namespace.map_or_else(String::new, |namespace| format!(" of namespace {namespace}"));
    let (kind, group) = (K::kind(&()).to_ascii_lowercase(), K::group(&()));
    match cluster
        .call(&action, api.delete(OPERATOR, &DeleteParams::default()))
        .await
    {
        Ok(_) => ui.line(&format!("{kind}.{group}/{OPERATOR}{place} deleted")),
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
