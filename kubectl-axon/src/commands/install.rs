//! `install`: applies what is built in, and waits until the operator runs.

mod apply;
mod preserved;
mod rollout;
mod scope;

use std::time::Duration;

use axon_api::images::Digests;
use axon_api::network::Allow;
use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Parser};
use k8s_openapi::api::core::v1::ConfigMap;

use self::apply::apply;
use crate::cluster::Cluster;
use crate::error::{Action, CliError, Result};
use crate::globals::{DryRun, Globals};
use crate::install::installed::{self, admission_is_served};
use crate::install::manifests::{Choices, NAMESPACE, POLICY, digests, images, manifests, policy};
use crate::term::output::{Ui, yaml};
use crate::term::shown::Shown;

const DETAILS: &str = "\
Run it again at any time: it changes only what differs, and updates an older release. What flags do
not say stays as it is: registry, replicas, pull policy, and the operator's resources.

Examples:
  kubectl axon install
  kubectl axon install --registry example.com/mirror --tag v0.1.0
  kubectl axon install --watch-namespace team-a,team-b
  kubectl axon install --agent-network-allow 10.1.0.0/16:443,public:80
  kubectl axon install --dry-run > axon.yaml
  kubectl axon install --list-images";

/// Installs the operator and its resources into the cluster, or updates them
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// Print the manifests; no cluster is needed
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client", default_value = "none", hide_default_value = true,
          hide_possible_values = true)]
    pub dry_run: DryRun,
    /// Registry (and path) of the images of operator and agents
    #[arg(long)]
    pub registry: Option<String>,
    /// Tag of these images. They are then named by the tag alone; those of a release are named by tag and digest
    #[arg(long)]
    pub tag: Option<String>,
    /// When nodes pull the operator's image
    #[arg(long, value_name = "POLICY", value_parser = PossibleValuesParser::new(["Always", "IfNotPresent", "Never"]))]
    pub image_pull_policy: Option<String>,
    /// Secret with which the operator's pods and those of tasks pull images, in the namespace of each (repeatable)
    #[arg(long, value_name = "NAME")]
    pub image_pull_secret: Vec<String>,
    /// Print the images that would run, and install nothing; no cluster is needed
    #[arg(long)]
    pub list_images: bool,
    /// Number of operators; one of them leads, the others stand by
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=20))]
    pub replicas: Option<i32>,
    /// Namespaces that the operator works in, with rights there alone, instead of all of the cluster; '*' for all again
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,
    /// Who keeps the NetworkPolicy of tasks' pods: managed by the operator, or off [default: managed]
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["managed", "off"]))]
    pub agent_network_policy: Option<String>,
    /// What tasks' pods may reach besides DNS and public addresses on ports 443 and 22: CIDR, CIDR:PORT, CIDR:PORT-PORT or
    /// public:PORT, separated by commas; '' for nothing more again
    #[arg(long, value_name = "LIST")]
    pub agent_network_allow: Option<String>,
    /// Wait until the operator runs [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub wait: bool,
    /// Longest time to wait
    #[arg(long, value_name = "DURATION", default_value = "3m")]
    pub timeout: String,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, whatever the cluster refuses, or an operator that does not come up in time.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    if let Some(namespace) = globals.one_namespace() {
        return Err(CliError::usage(format!(
            "the operator can't be installed into namespace {namespace:?} yet"
        ))
        .hint(format!(
            "leave --namespace out: it goes into {NAMESPACE}; to let it work in one namespace alone: --watch-namespace {namespace}"
        )));
    }
    if args.dry_run == DryRun::Server {
        return Err(CliError::usage(
            "install has no --dry-run=server: a server can't check objects of kinds that it does not know yet",
        )
        .hint("--dry-run prints the manifests; to compare them with the cluster: kubectl diff -f FILE"));
    }
    let timeout: Duration = axon_api::go_duration::parse(&args.timeout)
        .map_err(|e| CliError::usage(format!("--timeout: {e}")))?;
    let mut choices = choices(&args)?;
    if args.list_images {
        for image in images(&choices)? {
            ui.line(&image)?;
        }
        return Ok(());
    }
    if args.dry_run == DryRun::Client {
        let all = manifests(&choices)?;
        let documents: Vec<String> = all.iter().map(|m| yaml(&m.object)).collect::<Result<_>>()?;
        return ui.block(&Shown::block(&documents.join("---\n")));
    }
    let cluster = globals.connection.connect(None).await?;
    refuse_a_second(&cluster).await?;
    keep_the_rest(ui, &cluster, &mut choices).await?;
    scope::check(&cluster, &choices).await?;
    let mut all = manifests(&choices)?;
    if !admission_is_served(&cluster).await? {
        all.retain(|manifest| !manifest.is_admission());
        ui.warn(NOT_BOUNDED);
    }
    let (definitions, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|m| m.kind() == "CustomResourceDefinition");
    for manifest in &definitions {
        apply(ui, &cluster, manifest).await?;
    }
    rollout::established(&cluster, &definitions, timeout).await?;
    for manifest in &rest {
        apply(ui, &cluster, manifest).await?;
    }
    scope::take_back(ui, &cluster, &choices).await?;
    if let Some(warning) = policy_without_parameters(&cluster).await {
        ui.warn(&warning);
    }
    if args.wait {
        rollout::wait(ui, &cluster, timeout).await?;
        ui.say(&format!(
            "axon is ready; next: kubectl axon init, then kubectl axon run{}",
            cluster.target.flags
        ));
    }
    Ok(())
}

/// Adds to the choices what the cluster has already, and says so.
async fn keep_the_rest(ui: &Ui, cluster: &Cluster, choices: &mut Choices) -> Result<()> {
    let all = manifests(&Choices::default())?;
    let Some(built_in) = all.iter().find(|m| m.kind() == "Deployment") else {
        return Ok(());
    };
    let resource = built_in.resource();
    let action = Action::new("get", resource.plural.clone())
        .named(built_in.name())
        .within(NAMESPACE);
    let api = cluster.dynamic(&resource, Some(NAMESPACE));
    let Some(live) = cluster.call(&action, api.get_opt(built_in.name())).await? else {
        return Ok(());
    };
    for kept in preserved::keep(choices, &live.data, &built_in.object) {
        ui.say(&kept);
    }
    Ok(())
}

/// What an installation without admission policies lacks.
const NOT_BOUNDED: &str = "this cluster serves no ValidatingAdmissionPolicies (Kubernetes 1.30 or later does): the operator is \
    installed without them, so that its token can run privileged pods, and every pod can run as axon-spawner";

/// The optional policy may have outlived its parameters, which are in the operator's namespace: then it refuses all Tasks.
async fn policy_without_parameters(cluster: &Cluster) -> Option<String> {
    let all = policy().ok()?;
    let binding = all
        .iter()
        .find(|m| m.name() == POLICY && m.kind().ends_with("Binding"))?;
    let resource = binding.resource();
    let action = Action::new("get", resource.plural.clone()).named(POLICY);
    let api = cluster.dynamic(&resource, None);
    // Who may not look, or has a cluster without such policies, has no reason to worry.
    cluster.call(&action, api.get_metadata_opt(POLICY)).await.ok()??;
    let action = Action::new("get", "configmaps").named(POLICY).within(NAMESPACE);
    let parameters = cluster.api_in::<ConfigMap>(NAMESPACE);
    let found = cluster
        .call(&action, parameters.get_metadata_opt(POLICY))
        .await
        .ok()?;
    found.is_none().then(|| {
        let flags = &cluster.target.flags;
        format!(
            "the admission policy {POLICY} refuses every task, as its configmap {POLICY} in namespace {NAMESPACE} is \
             gone: apply config/policy again, or kubectl delete {} {POLICY} {POLICY}-workspaces {POLICY}-agentconfigs {POLICY}-jobs{flags}",
            resource.plural
        )
    })
}

/// Fails if an operator is in another namespace: both would work on the same Tasks.
async fn refuse_a_second(cluster: &Cluster) -> Result<()> {
    // Who may not look is not kept from installing.
    match installed::operator(cluster).await {
        Ok(Some(operator)) if operator.is_elsewhere() => Err(CliError::new(format!(
            "an operator is in namespace {} already; a second one would work on the same tasks",
            operator.namespace
        ))
        .hint("update it as it was installed, or remove it first")),
        _ => Ok(()),
    }
}

fn choices(args: &Args) -> Result<Choices> {
    let registry = args
        .registry
        .as_deref()
        .map(|r| r.trim_end_matches('/').to_owned());
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if let Some(registry) = registry.as_deref()
        && (registry.is_empty()
            || registry.contains("://")
            || !registry.chars().all(|c| plain(c) || "/:[]".contains(c)))
    {
        return Err(CliError::usage(format!(
            "--registry {registry:?} is not a registry such as example.com/team"
        )));
    }
    if let Some(tag) = args.tag.as_deref()
        && (tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.chars().all(plain))
    {
        return Err(CliError::usage(format!(
            "--tag {tag:?} is not an image tag such as v0.1.0"
        )));
    }
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let nameless = |name: &&String| name.is_empty() || !name.chars().all(is_name);
    if let Some(name) = args.image_pull_secret.iter().find(nameless) {
        return Err(CliError::usage(format!(
            "--image-pull-secret {name:?} is no name of a Secret"
        )));
    }
    if let Some(list) = &args.agent_network_allow {
        Allow::parse(list).map_err(|error| CliError::usage(format!("--agent-network-allow: {error}")))?;
    }
    Ok(Choices {
        registry,
        tag: args.tag.clone(),
        // A tag that somebody names can be of another release, or of a copy with other digests.
        digests: match args.tag {
            None => digests()?,
            Some(_) => Digests::default(),
        },
        pull_policy: args.image_pull_policy.clone(),
        replicas: args.replicas,
        pull_secrets: args.image_pull_secret.clone(),
        resources: None,
        watch: scope::chosen(&args.watch_namespace)?,
        agent_network_policy: args.agent_network_policy.clone(),
        agent_network_allow: args.agent_network_allow.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_checked() {
        let parse = |words: &[&str]| choices(&Args::try_parse_from([&["install"], words].concat()).unwrap());
        let good = parse(&["--registry", "host:5000/a/", "--tag", "v1"]).unwrap();
        assert_eq!(good.registry.as_deref(), Some("host:5000/a"));
        for bad in [
            ["--registry", "https://x"],
            ["--registry", "/"],
            ["--tag", "a b"],
            ["--tag", ".x"],
            ["--image-pull-secret", "A"],
            ["--agent-network-allow", "10.0.0.0/8,all"],
            ["--watch-namespace", "a,B"],
            ["--watch-namespace", "a,*"],
            ["--watch-namespace", ""],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
