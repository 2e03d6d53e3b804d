//! Learns what Tasks' pods of the namespace may reach.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;

use crate::analysis::doctor::Fact;
use crate::analysis::doctor::network::NetworkFacts;
use crate::cluster::Cluster;
use crate::error::Action;

/// Learns it; `variables` are those of the operator.
pub(super) async fn network(
    cluster: &Cluster,
    variables: &Fact<BTreeMap<String, String>>,
) -> Fact<NetworkFacts> {
    let words = |error: crate::error::CliError| error.to_string();
    let variables = variables.as_ref().map_err(Clone::clone)?;
    let action = Action::new("get", "namespaces").named(&cluster.namespace);
    let api = cluster.cluster_api::<Namespace>();
    let about = cluster
        .call(&action, api.get_metadata(&cluster.namespace))
        .await
        .map_err(words)?;
    let action = Action::new("list", "networkpolicies").within(&cluster.namespace);
    let policies = cluster
        .call(
            &action,
            cluster.api::<NetworkPolicy>().list(&ListParams::default()),
        )
        .await
        .map_err(words)?;
    let annotations = about.metadata.annotations.as_ref();
    Ok(NetworkFacts::of(
        &cluster.namespace,
        variables,
        annotations,
        &policies.items,
    ))
}
