//! `get`: shows objects of all kinds.

mod rows;
mod selection;
mod watch;

use clap::Parser;
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use self::rows::Rows;
use crate::cluster::Cluster;
use crate::commands::get::selection::{SortBy, Wanted, WantedParser};
use crate::config_file::Config;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Column, Kind, columns, detail, parse_arguments};
use crate::term::output::{Format, Notation, Ui};
use crate::term::shown::Shown;

const EXAMPLES: &str = "\
Types: task, taskspawner (ts), workspace (ws), agentconfig (ac), taskbudget (tb), taskrecord (axr)

Tasks come in the order of their age, the newest last. On a terminal that is too narrow, long
branches and URLs are shortened; -o wide shows all of them. What kubectl can do besides, such as
-o jsonpath, it does with these types too: kubectl get tasks.axon.io -o jsonpath=...

Examples:
  kubectl axon get tasks
  kubectl axon get task/fix-login --detail
  kubectl axon get tasks -A -w -o wide
  kubectl axon get tasks -l team=core --sort-by .status.usage.costUSD
  kubectl axon get ts nightly -o yaml";

/// Shows tasks, taskspawners, workspaces, agentconfigs, taskbudgets or taskrecords
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
    #[arg(short, long, value_name = "FORMAT", value_parser = WantedParser, hide_possible_values = true)]
    pub output: Option<Wanted>,
    /// Look into all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Go on printing changes
    #[arg(short, long)]
    pub watch: bool,
    /// Only objects with these labels, such as team=a,env!=prod
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only objects with these fields, such as metadata.name=fix-login
    #[arg(long, value_name = "FIELDS")]
    pub field_selector: Option<String>,
    /// Order by a field, such as .status.startTime; numbers as numbers, objects without it first
    #[arg(long, value_name = "PATH", conflicts_with = "watch")]
    pub sort_by: Option<String>,
    /// Add a column with the labels
    #[arg(long, conflicts_with = "detail")]
    pub show_labels: bool,
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
    if !names.is_empty() && args.field_selector.is_some() {
        return Err(CliError::usage("a name and --field-selector exclude each other"));
    }
    let sort_by = args.sort_by.as_deref().map(SortBy::parse).transpose()?;
    let output = match &args.output {
        Some(Wanted::Kubectls(format)) => {
            return Err(selection::kubectls(
                kind,
                &names,
                format,
                &kubectl_flags(globals, &globals.configuration(ui)?, &args),
            ));
        }
        Some(Wanted::Ours(format)) => Some(*format),
        None => None,
    };
    if args.detail && names.is_empty() {
        return Err(CliError::usage("--detail shows one object: name it"));
    }
    if args.watch && names.len() > 1 {
        return Err(CliError::usage("--watch takes one name, or a type alone"));
    }
    if args.watch && matches!(output, Some(Format::Json | Format::Yaml)) {
        return Err(CliError::usage("--watch prints tables and names only"));
    }
    let cluster = globals.cluster(ui).await?;
    let view = View {
        ui,
        cluster: &cluster,
        kind,
        args: &args,
        output,
        sort_by,
    };
    if args.watch {
        view.watch(names.first().map(String::as_str)).await
    } else if names.is_empty() {
        view.list().await
    } else {
        view.named(&names).await
    }
}

/// Returns the flags that kubectl needs to find the same objects.
fn kubectl_flags(globals: &Globals, config: &Config, args: &Args) -> String {
    let mut flags = String::new();
    let mut add = |flag: &str, value: Option<&str>| {
        if let Some(value) = value {
            flags += &format!(" {flag} {}", format::quoted(value));
        }
    };
    let namespace = globals.connection.namespace.as_deref();
    let namespace = namespace.or(config.namespace.as_deref());
    add("-n", namespace.filter(|_| !args.all_namespaces));
    add("-l", args.selector.as_deref());
    add("--field-selector", args.field_selector.as_deref());
    if args.all_namespaces {
        flags += " -A";
    }
    flags + &globals.connection.flags()
}

struct View<'a> {
    ui: &'a Ui,
    cluster: &'a Cluster,
    kind: Kind,
    args: &'a Args,
    output: Option<Format>,
    sort_by: Option<SortBy>,
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

    /// Returns what is asked of the server.
    fn chosen(&self) -> ListParams {
        ListParams {
            label_selector: self.args.selector.clone(),
            field_selector: self.args.field_selector.clone(),
            ..ListParams::default()
        }
    }

    fn sort(&self, objects: &mut [Value]) {
        if let Some(path) = &self.sort_by {
            objects.sort_by_cached_key(|object| path.key(object));
        }
    }

    fn columns(&self) -> Vec<Column> {
        columns(
            self.kind,
            self.args.all_namespaces,
            self.output == Some(Format::Wide),
            self.args.show_labels,
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
        self.sort(&mut objects);
        match (self.output, objects.as_slice()) {
            _ if self.args.detail => {
                for object in &objects {
                    self.ui
                        .block(&Shown::block(&detail(self.kind, object, Timestamp::now())))?;
                }
            }
            (Some(Format::Json), [one]) if names.len() == 1 => self.ui.structured(one, Notation::Json)?,
            (Some(Format::Yaml), [one]) if names.len() == 1 => self.ui.structured(one, Notation::Yaml)?,
            (format, _) => self.print(format, &objects)?,
        }
        missing.map_or(Ok(()), Err)
    }

    /// Lists what is wanted and hands each object to `each`, without the bookkeeping that kubectl hides too.
    async fn each(&self, mut each: impl FnMut(Value)) -> Result<String> {
        let namespace = (!self.args.all_namespaces).then_some(self.cluster.namespace.as_str());
        let pages = |page: Vec<Value>| page.into_iter().map(without_bookkeeping).for_each(&mut each);
        self.cluster
            .list(self.kind, namespace, &self.chosen(), pages)
            .await
    }

    async fn list(&self) -> Result<()> {
        if matches!(self.output, Some(Format::Json | Format::Yaml)) {
            let mut objects = Vec::new();
            self.each(|object| objects.push(object)).await?;
            self.sort(&mut objects);
            return self.print(self.output, &objects);
        }
        // Rows are all that is kept of a page.
        let mut rows = Rows::new(self);
        let now = Timestamp::now();
        self.each(|object| rows.add(&object, now)).await?;
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
fn value(object: DynamicObject) -> Result<Value> {
    serde_json::to_value(object)
        .map(without_bookkeeping)
        .map_err(|e| CliError::new(format!("cannot write the object: {e}")))
}

fn without_bookkeeping(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}
