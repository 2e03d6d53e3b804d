//! Reads the installed version: the operator, the kinds, and if the API server knows admission policies.

use std::collections::BTreeMap;

use axon_api::labels;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind, Result};
use crate::install::manifests;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operator {
    pub(crate) version: String,
    pub(crate) image: String,
    pub(crate) namespace: String,
    pub(crate) replicas: i32,
    pub(crate) ready: i32,
    /// Namespaces that it works in; none are all of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) watches: Vec<String>,
    /// Its variables, as far as their values are literal.
    #[serde(skip)]
    pub(crate) variables: BTreeMap<String, String>,
}

/// Returns the version of this program as tags write it.
#[must_use]
pub fn client() -> String {
    format!("v{}", env!("CARGO_PKG_VERSION"))
}

/// Returns the operator: that of [`manifests::NAMESPACE`], or one in any namespace.
///
/// # Errors
/// [`Kind::Denied`] also when it is not in that namespace, and the others may not be looked at.
pub(crate) async fn operator(cluster: &Cluster) -> Result<Option<Operator>> {
    let name = manifests::OPERATOR;
    let action = Action::new("get", "deployments")
        .named(name)
        .within(manifests::NAMESPACE);
    let api = cluster.api_in::<Deployment>(manifests::NAMESPACE);
    if let Some(found) = cluster.call(&action, api.get_opt(name)).await? {
        return Ok(Some(Operator::of(found)));
    }
    let selector = format!(
        "{}={},{}=operator",
        labels::NAME,
        labels::APP_NAME,
        labels::COMPONENT
    );
    let everywhere = Api::<Deployment>::all(cluster.client.clone());
    let action = Action::new("list", "deployments");
    let chosen = ListParams::default().labels(&selector);
    match cluster.call(&action, everywhere.list(&chosen)).await {
        Ok(found) => Ok(found.items.into_iter().next().map(Operator::of)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) if error.kind == Kind::Denied => Err(CliError::of(
            Kind::Denied,
            format!(
                "no operator is in namespace {}, and deployments of other namespaces may not be listed",
                manifests::NAMESPACE
            ),
        )),
        Err(error) => Err(error),
    }
}

impl Operator {
    fn of(found: Deployment) -> Self {
        let spec = found.spec.unwrap_or_default();
        let container = spec
            .template
            .spec
            .and_then(|pod| pod.containers.into_iter().next());
        let container = container.unwrap_or_default();
        let image = container.image.unwrap_or_default();
        let variables = container.env.unwrap_or_default().into_iter();
        let variables: BTreeMap<String, String> = variables
            .filter_map(|variable| Some((variable.name, variable.value?)))
            .collect();
        let watches = variables.get(manifests::WATCH_NAMESPACES);
        let watches = watches.map(String::as_str).unwrap_or_default().split(',');
        let watches = watches.map(str::trim).filter(|name| !name.is_empty());
        Self {
            version: tag(&image).to_owned(),
            image,
            namespace: found
                .metadata
                .namespace
                .unwrap_or_else(|| manifests::NAMESPACE.to_owned()),
            replicas: spec.replicas.unwrap_or(1),
            ready: found.status.and_then(|s| s.ready_replicas).unwrap_or(0),
            watches: watches.map(str::to_owned).collect(),
            variables,
        }
    }

    /// Returns true if it is not where `install` would put it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.namespace != manifests::NAMESPACE
    }
}

/// Returns the resources of axon that the API server serves.
pub(crate) async fn crds(cluster: &Cluster) -> Result<Vec<String>> {
    served(cluster, axon_api::API_VERSION).await
}

/// Returns the resources of a group and version that the API server serves; none if it does not know the group. Everybody may
/// ask for these, unlike for the definitions.
pub(crate) async fn served(cluster: &Cluster, version: &str) -> Result<Vec<String>> {
    let action = Action::new("get", "apiresources").named(version);
    let request = cluster.client.list_api_group_resources(version);
    let served = match cluster.call(&action, request).await {
        Ok(list) => list.resources,
        Err(error) if error.kind == Kind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let names = served.into_iter().map(|resource| resource.name);
    let mut names: Vec<String> = names.filter(|name| !name.contains('/')).collect();
    names.sort_unstable();
    Ok(names)
}

/// Returns whether the API server knows the kinds of admission policies.
pub(crate) async fn admission_is_served(cluster: &Cluster) -> Result<bool> {
    let served = served(cluster, "admissionregistration.k8s.io/v1").await?;
    Ok(served.iter().any(|name| name == "validatingadmissionpolicies"))
}

/// Returns the tag of an image reference.
fn tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or("unknown", |(_, tag)| tag)
}

/// Warns when client and operator are more than one minor version apart.
pub(crate) fn skew(client: &str, operator: &str) -> Option<String> {
    let parts = |version: &str| -> Option<(u64, u64)> {
        let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    let ((client_major, client_minor), (major, minor)) = (parts(client)?, parts(operator)?);
    (client_major != major || client_minor.abs_diff(minor) > 1).then(|| {
        format!(
            "this program is {client} and the operator {operator}: more than one minor version apart; \
             update the older one (the operator: kubectl axon install)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_out_of_images() {
        for (image, expected) in [
            ("r/axon-operator:v0.1.0", "v0.1.0"),
            ("host:5000/axon-operator", "unknown"),
            ("host:5000/axon-operator:x@sha256:00", "x"),
        ] {
            assert_eq!(tag(image), expected);
        }
    }

    #[test]
    fn skew_is_more_than_a_minor_version() {
        for (client, operator, warned) in [
            ("v0.1.0", "v0.2.9", false),
            ("v0.1.0", "v0.3.0", true),
            ("v1.0.0", "v0.0.0", true),
            ("v0.1.0", "latest", false),
        ] {
            assert_eq!(skew(client, operator).is_some(), warned, "{client} {operator}");
        }
    }
}
