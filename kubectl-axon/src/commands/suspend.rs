//! `suspend` and `resume`: pause TaskSpawners and let them go on.

use axon_api::TaskSpawner;
use clap::Parser;
use kube::api::Patch;
use serde_json::json;

use crate::cluster::{Cluster, patching};
use crate::error::{Action, CliError, Result};
use crate::globals::Globals;
use crate::kinds::{Kind, parse_arguments};
use crate::term::output::Ui;

/// Names of TaskSpawners
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  kubectl axon suspend taskspawner fix-bugs
  kubectl axon resume ts/fix-bugs")]
pub struct Args {
    /// Type of the objects, which is taskspawner (ts), or TYPE/NAME
    #[arg(value_name = "TYPE", required = true)]
    pub kind: String,
    /// Names of the objects
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Pauses TaskSpawners, or lets them go on.
///
/// # Errors
/// Wrong usage, TaskSpawners that do not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args, suspend: bool) -> Result<()> {
    let (kind, names) = parse_arguments(&args.kind, &args.names).map_err(CliError::usage)?;
    let verb = if suspend { "suspend" } else { "resume" };
    if kind != Kind::TaskSpawner {
        return Err(CliError::usage(format!(
            "a {} can't be {verb}{}: only taskspawners can",
            kind.singular(),
            past(verb)
        )));
    }
    if names.is_empty() {
        return Err(CliError::usage("name a taskspawner"));
    }
    let cluster = globals.cluster(ui).await?;
    let mut failure: Option<CliError> = None;
    for name in names {
        match set(&cluster, &name, suspend).await {
            Ok(true) => ui.line(&format!("taskspawner/{name} {verb}{}", past(verb)))?,
            Ok(false) => ui.say(&format!("taskspawner/{name} is {verb}{} already", past(verb))),
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    ui.error(&earlier);
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Returns what makes the verb's participle.
fn past(verb: &str) -> &'static str {
    if verb.ends_with('e') { "d" } else { "ed" }
}

/// Sets `spec.suspend`; returns false if it was so already. Only this field is sent, so that nobody else's change is
/// undone.
async fn set(cluster: &Cluster, name: &str, suspend: bool) -> Result<bool> {
    let api = cluster.api::<TaskSpawner>();
    let action = |verb| {
        Action::new(verb, "taskspawners")
            .named(name)
            .within(&cluster.namespace)
    };
    let spawner = cluster.call(&action("get"), api.get(name)).await?;
    if spawner.spec.suspend == suspend {
        return Ok(false);
    }
    let params = patching(false);
    let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    cluster
        .call(&action("patch"), api.patch(name, &params, &patch))
        .await?;
    Ok(true)
}
