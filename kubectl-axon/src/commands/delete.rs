//! `delete`: deletes objects of all kinds.

use std::time::Duration;

use clap::{ArgAction, Parser};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PartialObjectMeta};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Kind, parse_arguments};
use crate::term::output::Ui;

const EXAMPLES: &str = "\
Types: task, taskspawner (ts), workspace (ws), agentconfig (ac), taskbudget (tb), taskrecord (axr)

Examples:
  kubectl axon delete task fix-login
  kubectl axon delete task/a task/b
  kubectl axon delete tasks --all -y";

/// Deletes tasks, taskspawners, workspaces, agentconfigs, taskbudgets or taskrecords. A task that runs is stopped.
#[derive(Parser, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Type of the objects, or TYPE/NAME
    #[arg(value_name = "TYPE", required = true)]
    pub kind: String,
    /// Names of the objects
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Delete all objects of the type in the namespace
    #[arg(long)]
    pub all: bool,
    /// Delete without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Wait until the objects are gone [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub wait: bool,
    /// Longest time to wait
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub timeout: String,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, objects that do not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (kind, mut names) = parse_arguments(&args.kind, &args.names).map_err(CliError::usage)?;
    let timeout = axon_api::go_duration::parse(&args.timeout)
        .map_err(|e| CliError::usage(format!("--timeout: {e}")))?;
    match (args.all, names.is_empty()) {
        (true, false) => return Err(CliError::usage("names and --all cannot be combined")),
        (false, true) => {
            return Err(CliError::usage(format!(
                "name a {}, or pass --all",
                kind.singular()
            )));
        }
        _ => {}
    }
    let cluster = globals.cluster(ui).await?;
    let api = cluster.dynamic(&kind.resource(), Some(&cluster.namespace));
    if args.all {
        let place = Some(cluster.namespace.as_str());
        let each =
            |page: Vec<PartialObjectMeta>| names.extend(page.into_iter().filter_map(|o| o.metadata.name));
        cluster.list(kind, place, &ListParams::default(), each).await?;
        if names.is_empty() {
            ui.say(&format!(
                "No {} found in {} namespace.",
                kind.plural(),
                cluster.namespace
            ));
            return Ok(());
        }
        let what = format!(
            "{} in namespace {}",
            format::count(names.len(), kind.singular()),
            cluster.namespace
        );
        ui.confirm(
            &format!("This deletes {what}. Go on?"),
            args.yes,
            &format!("this would delete {what}"),
        )?;
    }
    let mut failure: Option<CliError> = None;
    let mut deleted = Vec::new();
    for name in names {
        match delete(&cluster, &api, kind, &name).await {
            Ok(uid) => {
                ui.line(&format!("{}/{name} deleted", kind.singular()))?;
                deleted.push((name, uid));
            }
            // Somebody else was faster, which is what --all asks for.
            Err(error) if args.all && error.kind == Failure::NotFound => {}
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    ui.error(&earlier);
                }
            }
        }
    }
    if args.wait {
        wait(&cluster, &api, kind, deleted, timeout).await?;
    }
    failure.map_or(Ok(()), Err)
}

/// Deletes an object and returns its uid, by which to know whether it is gone.
async fn delete(
    cluster: &Cluster,
    api: &Api<DynamicObject>,
    kind: Kind,
    name: &str,
) -> Result<Option<String>> {
    let action = Action::new("delete", kind.plural())
        .named(name)
        .within(&cluster.namespace);
    let params = DeleteParams::background();
    let answer = cluster.call(&action, api.delete(name, &params)).await?;
    Ok(answer.either(
        |object| object.metadata.uid,
        |status| status.details.map(|d| d.uid),
    ))
}

async fn wait(
    cluster: &Cluster,
    api: &Api<DynamicObject>,
    kind: Kind,
    objects: Vec<(String, Option<String>)>,
    timeout: Duration,
) -> Result<()> {
    let end = Instant::now() + timeout;
    for (name, uid) in objects {
        let action = Action::new("get", kind.plural())
            .named(&name)
            .within(&cluster.namespace);
        let mut pause = Duration::from_millis(50);
        loop {
            let found = cluster.call(&action, api.get_metadata_opt(&name)).await?;
            // Another object of the same name is not the one that was deleted.
            let Some(found) = found.filter(|o| uid.is_none() || o.metadata.uid == uid) else {
                break;
            };
            if Instant::now() >= end {
                let finalizers = found.metadata.finalizers.unwrap_or_default().join(", ");
                let blocked = if finalizers.is_empty() {
                    String::new()
                } else {
                    format!(" (finalizers: {finalizers})")
                };
                return Err(CliError::of(
                    Failure::TimedOut,
                    format!(
                        "{}/{name} is being deleted but not gone after {}{blocked}",
                        kind.singular(),
                        format::duration(timeout)
                    ),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
    Ok(())
}
