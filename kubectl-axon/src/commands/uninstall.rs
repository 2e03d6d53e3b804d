//! `uninstall`: removes what `install` made, and all objects of its kinds. It never waits for ever.

mod service_accounts;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser;
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta};
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::commands::uninstall::service_accounts::Identities;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::format::{count, duration};
use crate::globals::Globals;
use crate::install::manifests::{Choices, Manifest, NAMESPACE, POLICY, manifests, policy};
use crate::install::rights;
use crate::kinds::Kind;
use crate::term::output::Ui;

const DETAILS: &str = "\
Secrets that run made from the configuration file stay, and so does all that is not axon's.";

/// Removes everything that install made, and all tasks
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// Remove without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Keep the definitions, and with them all tasks, taskspawners, workspaces and agentconfigs
    #[arg(long)]
    pub keep_crds: bool,
    /// Longest time to wait for objects to be gone
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub timeout: String,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, whatever the cluster refuses, or objects that do not go away.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    if let Some(namespace) = globals.one_namespace() {
        return Err(CliError::usage(format!(
            "axon can't be removed from namespace {namespace:?} alone, only from the whole cluster"
        ))
        .hint("leave --namespace out to remove it everywhere")
        .hint(format!(
            "to delete the tasks of the namespace: kubectl axon delete task --all -n {namespace}{}",
            globals.connection.flags()
        )));
    }
    let timeout: Duration = axon_api::go_duration::parse(&args.timeout)
        .map_err(|e| CliError::usage(format!("--timeout: {e}")))?;
    let cluster = globals.connection.connect(None).await?;
    let mut present = Vec::new();
    for manifest in manifests(&Choices::default())? {
        if find(&cluster, &manifest).await?.is_some() {
            present.push(manifest);
        }
    }
    // What was applied last goes first.
    present.reverse();
    let (definitions, rest): (Vec<_>, Vec<_>) = present
        .into_iter()
        .partition(|m| m.kind() == "CustomResourceDefinition");
    let definitions = if args.keep_crds { Vec::new() } else { definitions };
    let identities = Identities::find(&cluster, args.keep_crds).await?;
    let policy = installed_policy(ui, &cluster).await?;
    let roles = rights::namespaces(&cluster).await?;
    let has_operator = !rest.is_empty() || !roles.is_empty();
    if definitions.is_empty() && !has_operator && identities.is_empty() && policy.is_empty() {
        ui.say("axon is not installed; there is nothing to remove");
        return Ok(());
    }
    let stock = if args.keep_crds {
        Vec::new()
    } else {
        take_stock(&cluster).await?
    };
    let mut losses = losses(&stock, has_operator, args.keep_crds, !identities.is_empty());
    if !policy.is_empty() {
        losses += &format!("\n  the admission policies {POLICY} of config/policy, with their bindings");
    }
    ui.say(&format!("This removes from {}:\n{losses}", cluster.target.server));
    ui.confirm("Go on?", args.yes, "uninstall asks before it removes anything")?;
    let end = Instant::now() + timeout;
    for manifest in &policy {
        delete(ui, &cluster, manifest).await?;
    }
    // Tasks first: their Jobs and pods go with them only while their definition is there.
    for (kind, objects) in &stock {
        remove_objects(ui, &cluster, *kind, objects, end, timeout).await?;
    }
    for manifest in definitions.iter().chain(&rest) {
        delete(ui, &cluster, manifest).await?;
    }
    for manifest in definitions.iter().chain(&rest) {
        wait_gone(&cluster, manifest, end, timeout).await?;
    }
    rights::revoke_in_namespaces(ui, &cluster, &[]).await?;
    // Read again: until it was gone, the operator may have made more.
    Identities::find(&cluster, args.keep_crds)
        .await?
        .remove(ui, &cluster)
        .await
}

/// Returns those parts of the optional policy that are there, the binding first. Its parameters go with the operator's
/// namespace, and without them it would refuse every Task of a later installation.
async fn installed_policy(ui: &Ui, cluster: &Cluster) -> Result<Vec<Manifest>> {
    let mut present = Vec::new();
    for manifest in policy()?.into_iter().rev() {
        match find(cluster, &manifest).await {
            Ok(Some(found)) => {
                // Of this name there may be one that is not ours.
                let labels = found.labels.unwrap_or_default();
                if labels
                    .get("app.kubernetes.io/name")
                    .is_some_and(|name| name == "axon")
                {
                    present.push(manifest);
                }
            }
            Ok(None) => {}
            Err(error) if error.kind == Failure::Denied => {
                ui.warn(&format!(
                    "{error}: one that is left refuses every task of a later installation"
                ));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(present)
}

async fn find(cluster: &Cluster, manifest: &Manifest) -> Result<Option<ObjectMeta>> {
    let resource = manifest.resource();
    let api = cluster.dynamic(&resource, manifest.namespace());
    let action = Action::new("get", resource.plural.clone()).named(manifest.name());
    let found = cluster
        .call(&action, api.get_metadata_opt(manifest.name()))
        .await?;
    Ok(found.map(|object| object.metadata))
}

type Stock = Vec<(Kind, Vec<DynamicObject>)>;

/// Lists all objects of the kinds, in the order in which they are to go: what makes Tasks before the Tasks.
async fn take_stock(cluster: &Cluster) -> Result<Stock> {
    let mut stock = Vec::new();
    for kind in [
        Kind::TaskSpawner,
        Kind::Task,
        Kind::Workspace,
        Kind::AgentConfig,
        Kind::TaskBudget,
        Kind::TaskRecord,
    ] {
        stock.push((kind, list(cluster, kind).await?));
    }
    Ok(stock)
}

async fn list(cluster: &Cluster, kind: Kind) -> Result<Vec<DynamicObject>> {
    let api = cluster.dynamic(&kind.resource(), None);
    let action = Action::new("list", kind.plural());
    let mut params = ListParams::default().limit(500);
    let mut all = Vec::new();
    loop {
        let page = match api.list(&params).await {
            // Without its definition a kind has no objects.
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(all),
            answer => cluster.call(&action, std::future::ready(answer)).await?,
        };
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

fn losses(stock: &Stock, operator: bool, keep: bool, identities: bool) -> String {
    let mut lines = Vec::new();
    for (kind, objects) in stock {
        if objects.is_empty() {
            continue;
        }
        let running = objects.iter().filter(|o| is_running(o)).count();
        let running = if *kind == Kind::Task && running > 0 {
            format!(" ({running} running)")
        } else {
            String::new()
        };
        lines.push(format!(
            "  {}{running}, in all namespaces",
            count(objects.len(), kind.singular())
        ));
    }
    if !keep {
        lines
            .push("  the definitions of task, taskspawner, workspace, agentconfig and taskrecord".to_owned());
    }
    if operator {
        lines.push(format!(
            "  the operator, its roles and admission policies, and namespace {NAMESPACE} with all that is in it"
        ));
    }
    if identities {
        lines.push(
            "  the serviceaccounts and rolebindings axon-spawner that it made, in all namespaces".to_owned(),
        );
        if !keep {
            lines.push("  the networkpolicies axon-agents that it made, in all namespaces".to_owned());
        }
    }
    lines.join("\n")
}

fn is_running(task: &DynamicObject) -> bool {
    let phase = task.data.pointer("/status/phase").and_then(|p| p.as_str());
    phase == Some("Running")
}

async fn remove_objects(
    ui: &Ui,
    cluster: &Cluster,
    kind: Kind,
    objects: &[DynamicObject],
    end: Instant,
    timeout: Duration,
) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let namespaces: BTreeSet<&str> = objects
        .iter()
        .filter_map(|o| o.metadata.namespace.as_deref())
        .collect();
    for namespace in namespaces {
        let api = cluster.dynamic(&kind.resource(), Some(namespace));
        let action = Action::new("delete", kind.plural()).within(namespace);
        let (how, which) = (DeleteParams::background(), ListParams::default());
        cluster.call(&action, api.delete_collection(&how, &which)).await?;
    }
    loop {
        let left = list(cluster, kind).await?;
        let Some(first) = left.first() else {
            break;
        };
        if Instant::now() >= end {
            return Err(stuck(cluster, kind, left.len(), first, timeout));
        }
        sleep(Duration::from_millis(500)).await;
    }
    ui.say(&format!("{} deleted", count(objects.len(), kind.singular())));
    Ok(())
}

/// Names what blocks, and how to go on.
fn stuck(cluster: &Cluster, kind: Kind, left: usize, first: &DynamicObject, timeout: Duration) -> CliError {
    let name = first.metadata.name.as_deref().unwrap_or_default();
    let namespace = first.metadata.namespace.as_deref().unwrap_or_default();
    let finalizers = first.metadata.finalizers.clone().unwrap_or_default().join(", ");
    let blocked = if finalizers.is_empty() {
        String::new()
    } else {
        format!(", held by finalizer {finalizers}")
    };
    CliError::of(
        Failure::TimedOut,
        format!(
            "{} not gone after {}: {}/{name} in namespace {namespace}{blocked}",
            count(left, kind.singular()),
            duration(timeout),
            kind.singular()
        ),
    )
    .hint("nothing else was removed; run the command again once it is gone")
    .hint(format!(
        "drop its finalizers by hand: kubectl patch {} {name} -n {namespace} --type merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'{}",
        kind.resource().plural + ".axon.io",
        cluster.target.flags
    ))
}

async fn delete(ui: &Ui, cluster: &Cluster, manifest: &Manifest) -> Result<()> {
    let resource = manifest.resource();
    let api = cluster.dynamic(&resource, manifest.namespace());
    let action = Action::new("delete", resource.plural.clone()).named(manifest.name());
    let params = DeleteParams::background();
    // A namespace that is on its way out refuses to be deleted once more.
    if find(cluster, manifest)
        .await?
        .is_none_or(|found| found.deletion_timestamp.is_some())
    {
        return Ok(());
    }
    match cluster.call(&action, api.delete(manifest.name(), &params)).await {
        Ok(_) => ui.line(&format!("{} deleted", manifest.title())),
        Err(error) if error.kind == Failure::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn wait_gone(cluster: &Cluster, manifest: &Manifest, end: Instant, timeout: Duration) -> Result<()> {
    loop {
        let Some(found) = find(cluster, manifest).await? else {
            return Ok(());
        };
        if Instant::now() >= end {
            let held = found.finalizers.unwrap_or_default().join(", ");
            let held = if held.is_empty() {
                String::new()
            } else {
                format!(", held by finalizer {held}")
            };
            return Err(CliError::of(
                Failure::TimedOut,
                format!(
                    "{} is being deleted but not gone after {}{held}",
                    manifest.title(),
                    duration(timeout)
                ),
            )
            .hint(format!(
                "see what it waits for: kubectl get {} {} -o yaml{}",
                manifest.resource().plural,
                manifest.name(),
                cluster.target.flags
            )));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_lost_is_counted() {
        let task = |phase: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": "t"}, "status": {"phase": phase}})).unwrap()
        };
        let stock = vec![
            (Kind::TaskSpawner, vec![]),
            (Kind::Task, vec![task("Running"), task("Succeeded")]),
        ];
        insta::assert_snapshot!(losses(&stock, true, false, true), @r"
          2 tasks (1 running), in all namespaces
          the definitions of task, taskspawner, workspace, agentconfig and taskrecord
          the operator, its roles and admission policies, and namespace axon-system with all that is in it
          the serviceaccounts and rolebindings axon-spawner that it made, in all namespaces
          the networkpolicies axon-agents that it made, in all namespaces
        ");
        assert!(losses(&stock, false, true, false).contains("2 tasks"));
    }
}
