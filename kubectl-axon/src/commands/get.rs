//! `get`: shows objects of all kinds.

mod rows;
mod watch;

use clap::Parser;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use self::rows::Rows;
use super::Globals;
use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::kinds::{Column, Kind, columns, detail, parse_arguments};
use crate::output::{Format, Notation, Ui};

const EXAMPLES: &str = "\
Types: task, taskspawner (ts), workspace (ws), agentconfig (ac), taskrecord (axr)

Tasks come in the order of their age, the newest last. On a terminal that is too narrow, long
branches and URLs are shortened; -o wide shows all of them.

Examples:
  kubectl axon get tasks
  kubectl axon get task/fix-login --detail
  kubectl axon get tasks -A -w -o wide
  kubectl axon get ts nightly -o yaml";

/// Shows tasks, taskspawners, workspaces, agentconfigs or taskrecords
#[derive(Parser, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Type of the objects, or TYPE/NAME
    #[arg(value_name = "TYPE", required = true)]
    pub kind: String,
    /// Names of the objects
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// What to print: json, yaml, name, or a table with more columns (wide)
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Format>,
    /// Look into all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Go on printing changes
    #[arg(short, long)]
    pub watch: bool,
    /// Only objects with these labels, such as team=a,env!=prod
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Leave the header out
    #[arg(long)]
    pub no_headers: bool,
    /// Show one object field by field
    #[arg(short, long, conflicts_with_all = ["output", "watch"])]
    pub detail: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, an object that does not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (kind, names) = parse_arguments(&args.kind, &args.names).map_err(CliError::usage)?;
    if !names.is_empty() && args.all_namespaces {
        return Err(CliError::usage("a name and --all-namespaces exclude each other"));
    }
    if !names.is_empty() && args.selector.is_some() {
        return Err(CliError::usage("a name and --selector exclude each other"));
    }
    if args.detail && names.is_empty() {
        return Err(CliError::usage("--detail shows one object: name it"));
    }
    if args.watch && names.len() > 1 {
        return Err(CliError::usage("--watch takes one name, or a type alone"));
    }
    if args.watch && matches!(args.output, Some(Format::Json | Format::Yaml)) {
        return Err(CliError::usage("--watch prints tables and names only"));
    }
    let cluster = globals.cluster(ui).await?;
    let view = View {
        ui,
        cluster: &cluster,
        kind,
        args: &args,
    };
    if args.watch {
        view.watch(names.first().map(String::as_str)).await
    } else if names.is_empty() {
        view.list().await
    } else {
        view.named(&names).await
    }
}

struct View<'a> {
    ui: &'a Ui,
    cluster: &'a Cluster,
    kind: Kind,
    args: &'a Args,
}

impl View<'_> {
    fn api(&self) -> kube::Api<DynamicObject> {
        let namespace = (!self.args.all_namespaces).then_some(self.cluster.namespace.as_str());
        self.cluster.dynamic(&self.kind.resource(), namespace)
    }

    fn action(&self, verb: &'static str) -> Action {
        let action = Action::new(verb, self.kind.plural());
        if self.args.all_namespaces {
            action
        } else {
            action.within(&self.cluster.namespace)
        }
    }

    fn columns(&self) -> Vec<Column> {
        columns(
            self.kind,
            self.args.all_namespaces,
            self.args.output == Some(Format::Wide),
        )
    }

    async fn named(&self, names: &[String]) -> Result<()> {
        let mut objects = Vec::new();
        let mut missing = None;
        let api = self.api();
        for name in names {
            let action = self.action("get").named(name);
            match self.cluster.call(&action, api.get(name)).await {
                Ok(object) => objects.push(value(object)?),
                Err(error) if error.kind == Failure::NotFound && names.len() > 1 => {
                    self.ui.error(&error);
                    missing = Some(CliError::silent(Failure::NotFound));
                }
                Err(error) => return Err(error),
            }
        }
        match (self.args.output, objects.as_slice()) {
            _ if self.args.detail => {
                for object in &objects {
                    self.ui
                        .raw(detail(self.kind, object, Timestamp::now()).as_bytes())?;
                }
            }
            (Some(Format::Json), [one]) if names.len() == 1 => self.ui.structured(one, Notation::Json)?,
            (Some(Format::Yaml), [one]) if names.len() == 1 => self.ui.structured(one, Notation::Yaml)?,
            (format, _) => self.print(format, &objects)?,
        }
        missing.map_or(Ok(()), Err)
    }

    async fn list(&self) -> Result<()> {
        let api = self.api();
        let selector = self.args.selector.as_deref();
        let action = self.action("list");
        if matches!(self.args.output, Some(Format::Json | Format::Yaml)) {
            let mut objects = Vec::new();
            self.cluster
                .list_pages(&api, selector, &action, |page| objects.extend(page.items))
                .await?;
            let objects = objects.into_iter().map(value).collect::<Result<Vec<_>>>()?;
            return self.print(self.args.output, &objects);
        }
        // Rows are all that is kept of a page.
        let mut rows = Rows::new(self);
        let mut failure = None;
        let now = Timestamp::now();
        self.cluster
            .list_pages(&api, selector, &action, |page| {
                for object in page.items {
                    match value(object) {
                        Ok(object) => rows.add(&object, now),
                        Err(error) => failure = Some(error),
                    }
                }
            })
            .await?;
        failure.map_or(Ok(()), Err)?;
        if rows.is_empty() {
            self.say_empty();
        }
        rows.flush_sorted()
    }

    fn say_empty(&self) {
        if self.args.all_namespaces {
            self.ui.say("No resources found.");
        } else {
            self.ui.say(&format!(
                "No resources found in {} namespace.",
                self.cluster.namespace
            ));
        }
    }

    fn print(&self, format: Option<Format>, objects: &[Value]) -> Result<()> {
        let notation = match format {
            Some(Format::Json) => Notation::Json,
            Some(Format::Yaml) => Notation::Yaml,
            Some(Format::Name | Format::Wide) | None => {
                let mut rows = Rows::new(self);
                let now = Timestamp::now();
                objects.iter().for_each(|object| rows.add(object, now));
                return rows.flush();
            }
        };
        let list = json!({
            "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects,
        });
        self.ui.structured(&list, notation)
    }
}

/// Returns an object as JSON, without the bookkeeping that kubectl hides too.
fn value(mut object: DynamicObject) -> Result<Value> {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).map_err(|e| CliError::new(format!("cannot write the object: {e}")))
}
