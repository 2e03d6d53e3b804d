//! Learns what bounds the operator, the accounts `axon-spawner` and Tasks.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::analysis::doctor::Fact;
use crate::analysis::doctor::guards::{AdmissionFacts, BindingState, RoleFacts, TaskPolicy, widened};
use crate::cluster::Cluster;
use crate::error::Action;
use crate::install::installed::admission_is_served;
use crate::install::manifests::{Choices, POLICY, manifests};

/// Learns which admission policies are in force. `place` is the operator's namespace.
pub(super) async fn admission(cluster: &Cluster, place: &str) -> Fact<AdmissionFacts> {
    let words = |error: crate::error::CliError| error.to_string();
    if !admission_is_served(cluster).await.map_err(words)? {
        return Ok(AdmissionFacts::NotServed);
    }
    let ours = ListParams::default().labels("app.kubernetes.io/name=axon");
    let action = Action::new("list", "validatingadmissionpolicies");
    let policies = cluster.cluster_api::<ValidatingAdmissionPolicy>();
    let policies = cluster.call(&action, policies.list(&ours)).await.map_err(words)?;
    let action = Action::new("list", "validatingadmissionpolicybindings");
    let bindings = cluster.cluster_api::<ValidatingAdmissionPolicyBinding>();
    let bindings = cluster.call(&action, bindings.list(&ours)).await.map_err(words)?;
    let (mut missing, mut weakened) = (Vec::new(), Vec::new());
    for manifest in manifests(&Choices::default()).map_err(words)? {
        if manifest.kind() != "ValidatingAdmissionPolicy" {
            continue;
        }
        let name = manifest.name();
        let policy = policies.iter().find(|policy| policy.name_any() == name);
        let bound = bindings
            .iter()
            .filter_map(|binding| binding.spec.as_ref())
            .filter(|spec| spec.policy_name.as_deref() == Some(name));
        let bound: Vec<_> = bound.collect();
        let Some(spec) = policy
            .and_then(|policy| policy.spec.as_ref())
            .filter(|_| !bound.is_empty())
        else {
            missing.push(name.to_owned());
            continue;
        };
        let denies = bound.iter().any(|spec| {
            let actions = spec.validation_actions.iter().flatten();
            actions.into_iter().any(|action| action == "Deny") && spec.match_resources.is_none()
        });
        if !denies
            || spec
                .failure_policy
                .as_deref()
                .is_some_and(|policy| policy != "Fail")
        {
            weakened.push(name.to_owned());
        }
    }
    let tasks = match bindings.iter().any(|binding| binding.name_any() == POLICY) {
        false => TaskPolicy::Absent,
        true => {
            let action = Action::new("get", "configmaps").named(POLICY).within(place);
            let api = cluster.api_in::<ConfigMap>(place);
            match cluster.call(&action, api.get_opt(POLICY)).await.map_err(words)? {
                None => TaskPolicy::WithoutParameters,
                Some(map) if is_strict(&map) => TaskPolicy::Strict,
                Some(_) => TaskPolicy::Installed,
            }
        }
    };
    Ok(AdmissionFacts::Served {
        missing,
        weakened,
        tasks,
    })
}

fn is_strict(parameters: &ConfigMap) -> bool {
    let strict = parameters.data.as_ref().and_then(|data| data.get("strict"));
    strict.is_some_and(|value| value == "true")
}

/// Learns whether somebody has more of axon's rights than the release gives.
pub(super) async fn roles(cluster: &Cluster) -> Fact<RoleFacts> {
    let words = |error: crate::error::CliError| error.to_string();
    let mut facts = RoleFacts::default();
    let api = cluster.cluster_api::<ClusterRole>();
    for manifest in manifests(&Choices::default()).map_err(words)? {
        if manifest.kind() != "ClusterRole" {
            continue;
        }
        let released: ClusterRole =
            serde_json::from_value(manifest.object.clone()).map_err(|e| e.to_string())?;
        let action = Action::new("get", "clusterroles").named(manifest.name());
        if let Some(live) = cluster
            .call(&action, api.get_opt(manifest.name()))
            .await
            .map_err(words)?
        {
            facts.widened.extend(widened(&live, &released));
        }
    }
    let name = "axon-spawner";
    let action = Action::new("get", "rolebindings")
        .named(name)
        .within(&cluster.namespace);
    let binding = cluster
        .call(&action, cluster.api::<RoleBinding>().get_opt(name))
        .await;
    facts.binding = BindingState::of(&cluster.namespace, binding.map_err(words)?.as_ref());
    Ok(facts)
}
