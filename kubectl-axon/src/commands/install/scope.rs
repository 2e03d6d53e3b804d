//! The namespaces that an installation works in, and the rights of an earlier one that worked in others.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind, Result};
use crate::install::manifests::Choices;
use crate::install::rights::{revoke, revoke_in_namespaces};
use crate::term::output::Ui;

/// All namespaces of the cluster, as `--watch-namespace` names them.
const ALL: &str = "*";

/// Reads `--watch-namespace`: none if it was not given, and no name for all namespaces.
pub(super) fn chosen(names: &[String]) -> Result<Option<Vec<String>>> {
    if let [all] = names
        && all == ALL
    {
        return Ok(Some(Vec::new()));
    }
    let mut chosen: Vec<String> = Vec::new();
    for name in names {
        if let Some(fault) = axon_api::naming::label_fault(name) {
            return Err(CliError::usage(format!("--watch-namespace {name:?} {fault}")));
        }
        if !chosen.contains(name) {
            chosen.push(name.clone());
        }
    }
    Ok((!chosen.is_empty()).then_some(chosen))
}

/// Fails before anything is applied if a namespace is not there: its Role would be refused half-way.
pub(super) async fn check(cluster: &Cluster, choices: &Choices) -> Result<()> {
    let api = cluster.cluster_api::<Namespace>();
    for name in choices.watch.iter().flatten() {
        let action = Action::new("get", "namespaces").named(name);
        match cluster.call(&action, api.get_metadata_opt(name)).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(
                    CliError::of(Kind::NotFound, format!("namespace {name:?} does not exist"))
                        .hint(format!("kubectl create namespace {name}{}", cluster.target.flags)),
                );
            }
            // Who may not look is not kept from installing.
            Err(error) if error.kind == Kind::Denied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Deletes the rights that an earlier installation gave the operator and this one does not.
pub(super) async fn take_back(ui: &Ui, cluster: &Cluster, choices: &Choices) -> Result<()> {
    let watched = choices.watch.as_deref().unwrap_or_default();
    if !watched.is_empty() {
        // The binding first: it is what gives them.
        revoke::<ClusterRoleBinding>(ui, cluster, cluster.cluster_api(), None).await?;
        revoke::<ClusterRole>(ui, cluster, cluster.cluster_api(), None).await?;
    }
    revoke_in_namespaces(ui, cluster, watched).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_alone_is_the_whole_cluster() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).ok()
        };
        assert_eq!(chosen(&[]), Some(None));
        assert_eq!(chosen(&["*"]), Some(Some(Vec::new())));
        assert_eq!(chosen(&["b", "a", "b"]), Some(Some(vec!["b".into(), "a".into()])));
        assert_eq!((chosen(&["a", "*"]), chosen(&[""])), (None, None));
    }
}
