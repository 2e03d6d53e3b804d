//! `stop`: ends Tasks, and keeps what they did.

use axon_api::{Task, TaskPhase};
use clap::Parser;
use kube::api::Patch;
use serde_json::json;

use crate::cluster::{Cluster, patching};
use crate::error::{Action, CliError, Result};
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::term::output::Ui;

const DETAILS: &str = "\
The agent is asked to end and has some seconds for it. The task then has failed with reason
Stopped; its outputs and its cost stay, its log goes with the pod. It can't be continued, but
repeated: kubectl axon retry.

Examples:
  kubectl axon stop fix-login
  kubectl axon stop task/a task/b";

/// Ends tasks, and keeps what they did
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The tasks: NAME or task/NAME
    #[arg(value_name = "TASK", required = true)]
    pub tasks: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, Tasks that do not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let names = args.tasks.iter().map(|text| parse_named(text, &[Kind::Task]));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(CliError::usage)?;
    let cluster = globals.cluster(ui).await?;
    let mut failure: Option<CliError> = None;
    for (_, name) in names {
        match stop(&cluster, &name).await {
            Ok(Some(phase)) => ui.say(&format!("task/{name} has ended already: {phase}")),
            Ok(None) => ui.line(&format!("task/{name} stopped"))?,
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    ui.error(&earlier);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Asks a Task to stop; returns its phase if it has ended already.
async fn stop(cluster: &Cluster, name: &str) -> Result<Option<TaskPhase>> {
    let api = cluster.api::<Task>();
    let action = Action::new("get", "tasks").named(name).within(&cluster.namespace);
    let task = cluster.call(&action, api.get(name)).await?;
    let phase = task.status.and_then(|status| status.phase);
    if let Some(phase) = phase.filter(|phase| phase.is_terminal()) {
        return Ok(Some(phase));
    }
    let action = Action::new("patch", "tasks")
        .named(name)
        .within(&cluster.namespace);
    let params = patching(false);
    let patch = Patch::Merge(json!({"spec": {"stop": true}}));
    cluster.call(&action, api.patch(name, &params, &patch)).await?;
    Ok(None)
}
