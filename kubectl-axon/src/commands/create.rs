//! `create`: makes Workspaces, AgentConfigs and TaskSpawners without YAML.

mod agent_config;
mod spawner;
mod workspace;

use clap::{Parser, Subcommand};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cluster::posting;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::globals::{DryRun, Globals};
use crate::kinds::Kind;
use crate::objects::plan::{WantedSecret, own_labels};
use crate::objects::{ensure, inputs};
use crate::term::output::{Notation, ObjectFormat, Ui, yaml};
use crate::term::shown::Shown;

/// Creates workspaces, agentconfigs or taskspawners
#[derive(Parser, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// What to create.
    #[command(subcommand)]
    pub command: CreateCommand,
}

/// The kinds that can be created.
#[derive(Subcommand, Debug)]
pub enum CreateCommand {
    /// Create a workspace: a repository for agents to work on
    #[command(visible_alias = "ws")]
    Workspace(workspace::Args),
    /// Create an agentconfig: instructions, skills, sub-agents and MCP servers
    #[command(name = "agentconfig", visible_alias = "ac")]
    AgentConfig(agent_config::Args),
    /// Create a taskspawner: tasks by the clock, or from issues and pull requests
    #[command(name = "taskspawner", visible_alias = "ts")]
    TaskSpawner(Box<spawner::Args>),
}

/// Flags that all of them have.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// Print the objects instead of creating them; =server lets the server check them instead
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client", default_value = "none", hide_default_value = true,
          hide_possible_values = true)]
    pub dry_run: DryRun,
    /// Replace a secret that an earlier command made, without asking
    #[arg(short, long)]
    pub yes: bool,
    /// What to print: json, yaml or name
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<ObjectFormat>,
}

/// Runs the command.
///
/// # Errors
/// Input that can't be used (nothing has been created then), or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    match args.command {
        CreateCommand::Workspace(args) => {
            let (object, secret) = workspace::plan(&args, globals.connection.token.as_deref())?;
            make(
                ui,
                globals,
                Kind::Workspace,
                object,
                secret.into_iter().collect(),
                &args.common,
            )
            .await
        }
        CreateCommand::AgentConfig(args) => {
            let object = agent_config::plan(&args)?;
            make(ui, globals, Kind::AgentConfig, object, Vec::new(), &args.common).await
        }
        CreateCommand::TaskSpawner(args) => {
            let config = globals.configuration(ui)?;
            let (object, secrets) = spawner::plan(&args, &config)?;
            make(ui, globals, Kind::TaskSpawner, object, secrets, &args.common).await
        }
    }
}

/// Returns an object of ours.
fn object(kind: Kind, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": axon_api::API_VERSION,
        "kind": kind.resource().kind,
        "metadata": {"name": name, "labels": own_labels()},
        "spec": spec,
    })
}

/// Returns a JSON object without what is null or an empty list, one level deep and below that of its objects.
fn pruned(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let kept = map
        .into_iter()
        .map(|(key, value)| (key, pruned(value)))
        .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    Value::Object(kept.collect())
}

/// Checks a name before anything is asked of the cluster.
fn checked_name(name: &str) -> Result<&str> {
    inputs::reference("name", name)?;
    Ok(name)
}

/// Returns the text itself, the file after `@`, or stdin for `-`.
fn text_or_file(source: &str, text: &str) -> Result<String> {
    if text == "-" {
        return std::io::read_to_string(std::io::stdin())
            .map_err(|e| CliError::usage(format!("{source}: cannot read stdin: {e}")));
    }
    match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| CliError::usage(format!("{source}: cannot read file {path:?}: {e}"))),
        None => Ok(text.to_owned()),
    }
}

async fn make(
    ui: &Ui,
    globals: &Globals,
    kind: Kind,
    mut wanted: Value,
    secrets: Vec<WantedSecret>,
    common: &Common,
) -> Result<()> {
    let config = globals.configuration(ui)?;
    if common.dry_run == DryRun::Client {
        let namespace = globals
            .connection
            .namespace_offline(config.namespace.as_deref())?;
        set_namespace(&mut wanted, &namespace);
        let mut objects: Vec<Value> = secrets.iter().map(|s| s.redacted(Some(&namespace))).collect();
        objects.push(wanted);
        return print(ui, kind, &objects, common.output);
    }
    let cluster = globals.connection.connect(config.namespace.as_deref()).await?;
    set_namespace(&mut wanted, &cluster.namespace);
    let wanted: DynamicObject = serde_json::from_value(wanted)
        .map_err(|e| CliError::new(format!("cannot write the {}: {e}", kind.singular())))?;
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let api = cluster.dynamic(&kind.resource(), Some(&cluster.namespace));
    let action = Action::new("get", kind.plural())
        .named(&name)
        .within(&cluster.namespace);
    // Before its Secret is written.
    match cluster.call(&action, api.get_metadata_opt(&name)).await {
        Ok(None) => {}
        Ok(Some(_)) => {
            let word = kind.singular();
            return Err(
                CliError::new(format!("{word} {name:?} already exists in namespace {}", cluster.namespace)).hint(
                    format!(
                        "change it: kubectl edit {word} {name}{flag}, or delete it: kubectl axon delete {word} {name}{flag}",
                        flag = cluster.flags()
                    ),
                ),
            );
        }
        Err(error) if error.kind == Failure::Denied => {}
        Err(error) => return Err(error),
    }
    let trial = common.dry_run == DryRun::Server;
    let changes = ensure::compare(&cluster, &secrets, None).await?;
    if !trial {
        ensure::ask(ui, &cluster, &changes, common.yes).await?;
    }
    ensure::write(ui, &cluster, &changes, trial).await?;
    let action = Action::new("create", kind.plural())
        .named(&name)
        .within(&cluster.namespace);
    let params = posting(trial);
    let mut created = cluster.call(&action, api.create(&params, &wanted)).await?;
    created.metadata.managed_fields = None;
    if common.output.is_some() {
        let created = serde_json::to_value(created)
            .map_err(|e| CliError::new(format!("cannot write the object: {e}")))?;
        return print(ui, kind, &[created], common.output);
    }
    let note = if trial { " (server dry run)" } else { "" };
    ui.line(&format!("{}/{name} created{note}", kind.singular()))
}

fn set_namespace(object: &mut Value, namespace: &str) {
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

fn print(ui: &Ui, kind: Kind, objects: &[Value], output: Option<ObjectFormat>) -> Result<()> {
    match (output, objects) {
        (Some(ObjectFormat::Name), _) => {
            for object in objects {
                let name = object
                    .pointer("/metadata/name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let secret = object.pointer("/kind").is_some_and(|k| k == "Secret");
                match secret {
                    true => ui.line(&format!("secret/{name}"))?,
                    false => ui.line(&format!("{}.axon.io/{name}", kind.singular()))?,
                }
            }
            Ok(())
        }
        (Some(ObjectFormat::Json), [one]) => ui.structured(one, Notation::Json),
        (Some(ObjectFormat::Json), many) => ui.structured(
            &json!({"apiVersion": "v1", "kind": "List", "items": many}),
            Notation::Json,
        ),
        (Some(ObjectFormat::Yaml) | None, _) => {
            let documents: Vec<String> = objects.iter().map(yaml).collect::<Result<_>>()?;
            ui.block(&Shown::block(&documents.join("---\n")))
        }
    }
}
