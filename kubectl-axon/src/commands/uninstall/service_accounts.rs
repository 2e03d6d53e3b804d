//! The ServiceAccounts and RoleBindings `axon-spawner`, and the NetworkPolicies `axon-agents`, that the operator made in
//! namespaces.

use axon_api::managed::is_taken_over;
use axon_api::{labels, network};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};

use crate::cluster::Cluster;
use crate::error::{Action, Kind as Failure, Result};
use crate::term::output::Ui;

/// Name of the first two, and of the ClusterRole.
const NAME: &str = axon_api::SPAWNER_ACCOUNT;

/// Those of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Identities {
    bindings: Vec<RoleBinding>,
    accounts: Vec<ServiceAccount>,
    policies: Vec<NetworkPolicy>,
}

impl Identities {
    /// Finds them; not the NetworkPolicies if Tasks stay: agents that run go on, and their network stays closed.
    pub(super) async fn find(cluster: &Cluster, tasks_stay: bool) -> Result<Self> {
        let made = |name: &str| {
            ListParams::default()
                .labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER))
                .fields(&format!("metadata.name={name}"))
        };
        let policies = Api::<NetworkPolicy>::all(cluster.client.clone());
        let action = Action::new("list", "networkpolicies");
        let of_name = made(network::NAME);
        let policies = cluster.call(&action, policies.list(&of_name)).await?.items;
        let made = made(NAME);
        let bindings = Api::<RoleBinding>::all(cluster.client.clone());
        let action = Action::new("list", "rolebindings");
        let bindings = cluster.call(&action, bindings.list(&made)).await?.items;
        let accounts = Api::<ServiceAccount>::all(cluster.client.clone());
        let action = Action::new("list", "serviceaccounts");
        let accounts = cluster.call(&action, accounts.list(&made)).await?.items;
        Ok(Self {
            bindings: bindings.into_iter().filter(is_the_operators).collect(),
            accounts,
            policies: policies
                .into_iter()
                .filter(|policy| !tasks_stay && !is_taken_over(&policy.metadata))
                .collect(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.accounts.is_empty() && self.policies.is_empty()
    }

    pub(super) async fn remove(&self, ui: &Ui, cluster: &Cluster) -> Result<()> {
        for binding in &self.bindings {
            let namespace = binding.namespace().unwrap_or_default();
            let api = cluster.api_in::<RoleBinding>(&namespace);
            let action = Action::new("delete", "rolebindings")
                .named(NAME)
                .within(&namespace);
            let answer = cluster
                .call(&action, api.delete(NAME, &DeleteParams::default()))
                .await;
            told(ui, "rolebinding", NAME, &namespace, answer.map(drop))?;
        }
        for account in &self.accounts {
            let namespace = account.namespace().unwrap_or_default();
            let api = cluster.api_in::<ServiceAccount>(&namespace);
            let action = Action::new("delete", "serviceaccounts")
                .named(NAME)
                .within(&namespace);
            let answer = cluster
                .call(&action, api.delete(NAME, &DeleteParams::default()))
                .await;
            told(ui, "serviceaccount", NAME, &namespace, answer.map(drop))?;
        }
        for policy in &self.policies {
            let namespace = policy.namespace().unwrap_or_default();
            let api = cluster.api_in::<NetworkPolicy>(&namespace);
            let action = Action::new("delete", "networkpolicies")
                .named(network::NAME)
                .within(&namespace);
            let answer = cluster
                .call(&action, api.delete(network::NAME, &DeleteParams::default()))
                .await;
            told(ui, "networkpolicy", network::NAME, &namespace, answer.map(drop))?;
        }
        Ok(())
    }
}

fn told(ui: &Ui, word: &str, name: &str, namespace: &str, answer: Result<()>) -> Result<()> {
    match answer {
        Ok(()) => ui.line(&format!("{word}/{name} of namespace {namespace} deleted")),
        Err(error) if error.kind == Failure::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What an administrator has put in the place of the operator's stays.
fn is_the_operators(binding: &RoleBinding) -> bool {
    binding.role_ref.kind == "ClusterRole"
        && binding.role_ref.name == NAME
        && !is_taken_over(&binding.metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_administrator_has_taken_over_is_not_the_operators() {
        let binding = |kind: &str, role: &str, managed: &str| -> RoleBinding {
            serde_json::from_value(json!({
                "metadata": {"name": NAME, "annotations": {labels::MANAGED: managed}},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            }))
            .unwrap()
        };
        assert!(is_the_operators(&binding("ClusterRole", NAME, "true")));
        for (kind, role, managed) in [
            ("ClusterRole", NAME, "false"),
            ("ClusterRole", "narrow", "true"),
            ("Role", NAME, "true"),
        ] {
            assert!(
                !is_the_operators(&binding(kind, role, managed)),
                "{kind} {role} {managed}"
            );
        }
    }
}
