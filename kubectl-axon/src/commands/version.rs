//! `version`: of this program, and of what is installed in the cluster.

use std::collections::BTreeMap;

use axon_api::labels;
use clap::Parser;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use super::Globals;
use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind, Result};
use crate::manifests;
use crate::output::{Notation, Ui};

/// Prints the versions of this program and of the operator
#[derive(Parser, Debug)]
pub struct Args {
    /// Print the version of this program only; no cluster is needed
    #[arg(long)]
    pub client: bool,
    /// What to print: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Notation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Operator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crds: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operator {
    pub(crate) version: String,
    image: String,
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

/// Runs the command.
///
/// # Errors
/// When the cluster can't be asked; the client's version is printed all the same.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let mut versions = Versions {
        client: client(),
        operator: None,
        crds: None,
    };
    let (mut failure, mut hidden) = (None, None);
    if !args.client {
        match in_cluster(globals).await {
            Ok((operator, crds)) => {
                versions.crds = Some(crds);
                match operator {
                    Ok(operator) => versions.operator = operator,
                    Err(error) => hidden = Some(error),
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    match args.output {
        Some(notation) => ui.structured(&versions, notation)?,
        None => print(ui, &versions, hidden.is_some())?,
    }
    // Who only uses axon need not see its operator.
    if let Some(error) = hidden {
        ui.warn(&error.to_string());
    }
    if let Some(warning) = versions
        .operator
        .as_ref()
        .and_then(|o| skew(&versions.client, &o.version))
    {
        ui.warn(&warning);
    }
    failure.map_or(Ok(()), Err)
}

fn print(ui: &Ui, versions: &Versions, hidden: bool) -> Result<()> {
    ui.line(&format!("client    {}", versions.client))?;
    let Some(crds) = &versions.crds else {
        return Ok(());
    };
    match &versions.operator {
        Some(o) => {
            let place = match o.is_elsewhere() {
                true => format!(", namespace {}", o.namespace),
                false => String::new(),
            };
            ui.line(&format!(
                "operator  {} ({} of {} ready, {}{place})",
                o.version, o.ready, o.replicas, o.image
            ))?;
            if !o.watches.is_empty() {
                ui.line(&format!("watches   {}", o.watches.join(", ")))?;
            }
        }
        None if hidden => ui.line("operator  unknown")?,
        None => ui.line("operator  not installed")?,
    }
    let names = if crds.is_empty() {
        "none".to_owned()
    } else {
        crds.join(", ")
    };
    ui.line(&format!("crds      {names}"))?;
    if (versions.operator.is_none() && !hidden) || crds.is_empty() {
        ui.say("hint: install it: kubectl axon install");
    }
    Ok(())
}

/// Returns the operator, unless it may not be seen, and the resources that are served.
async fn in_cluster(globals: &Globals) -> Result<(Result<Option<Operator>>, Vec<String>)> {
    let cluster = globals.connection.connect(None).await?;
    let (operator, crds) = futures::join!(operator(&cluster), crds(&cluster));
    match operator {
        Err(error) if error.kind != Kind::Denied => Err(error),
        operator => Ok((operator, crds?)),
    }
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
