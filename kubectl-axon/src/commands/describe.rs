//! `describe`: everything about one object, on one screen.

use axon_api::labels;
use clap::Parser;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::event_time::told_at;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::follow;
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Kind, detail, parse_arguments};
use crate::term::output::Ui;
use crate::term::shown::Shown;
use crate::term::table::Table;

const EXAMPLES: &str = "\
Types: task, taskspawner (ts), workspace (ws), agentconfig (ac), taskbudget (tb), taskrecord (axr)

Examples:
  kubectl axon describe task fix-login
  kubectl axon describe ts/nightly";

/// Most events that are shown.
const MAX_EVENTS: usize = 15;

/// Shows everything about objects: fields, attempts, containers, conditions, events
#[derive(Parser, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Type of the objects, or TYPE/NAME
    #[arg(value_name = "TYPE", required = true)]
    pub kind: String,
    /// Names of the objects
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, an object that does not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (kind, names) = parse_arguments(&args.kind, &args.names).map_err(CliError::usage)?;
    if names.is_empty() {
        return Err(CliError::usage(format!("name a {}", kind.singular()))
            .hint(format!("see what there is: kubectl axon get {}", kind.plural())));
    }
    let cluster = globals.cluster(ui).await?;
    let (mut gap, mut outcome) = ("", Ok(()));
    for name in &names {
        match describe(&cluster, kind, name, ui.width()).await {
            Ok(text) => {
                ui.block(&Shown::block(&format!("{gap}{text}")))?;
                gap = "\n";
            }
            // As kubectl: the others are shown all the same.
            Err(error) if error.kind == Failure::NotFound && names.len() > 1 => {
                ui.error(&error);
                outcome = Err(CliError::silent(Failure::NotFound));
            }
            Err(error) => return Err(error),
        }
    }
    outcome
}

async fn describe(cluster: &Cluster, kind: Kind, name: &str, width: Option<usize>) -> Result<String> {
    let action = Action::new("get", kind.plural())
        .named(name)
        .within(&cluster.namespace);
    let api = cluster.dynamic(&kind.resource(), Some(&cluster.namespace));
    let mut object = cluster.call(&action, api.get(name)).await?;
    object.metadata.managed_fields = None;
    let object =
        serde_json::to_value(object).map_err(|e| CliError::new(format!("cannot read the object: {e}")))?;
    // Both only add to what is known; who may not see them gets the rest.
    let (pods, events) = futures::join!(pods(cluster, kind, name), events(cluster, kind, name));
    let now = Timestamp::now();
    let mut text = detail(kind, &object, now);
    text += &labelled("Labels", &labels_of(&object));
    text += &section(
        "Attempts",
        &["POD", "EXIT", "REASON", "COST", "MESSAGE"],
        attempts(&object),
        width,
    );
    text += &section(
        "Containers",
        &["CONTAINER", "STATE", "REASON", "EXIT", "MESSAGE"],
        pods,
        width,
    );
    text += &section(
        "Conditions",
        &["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"],
        conditions(&object, now),
        width,
    );
    text += &section("Events", &["AGE", "TYPE", "REASON", "MESSAGE"], events, width);
    Ok(text)
}

type Rows = Vec<Vec<String>>;

fn labelled(label: &str, values: &[String]) -> String {
    let mut text = String::new();
    for (index, value) in values.iter().enumerate() {
        let head = if index == 0 {
            format!("{label}:")
        } else {
            String::new()
        };
        text += &format!("{head:<20}{}\n", format::one_line(value));
    }
    text
}

fn labels_of(object: &Value) -> Vec<String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect()
}

/// Returns a titled table; nothing without rows. The last column is cut where there is no room.
fn section(title: &str, header: &[&str], rows: Rows, width: Option<usize>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new(header.iter().map(|h| (*h).to_owned()).collect());
    for row in rows {
        table.row("", row);
    }
    let mut widths = Vec::new();
    if let Some(width) = width {
        let elastic: Vec<bool> = (0..header.len()).map(|i| i + 1 == header.len()).collect();
        table.fit(width.saturating_sub(2), &elastic, &mut widths);
    }
    let lines = table.lines(true, &mut widths);
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{title}:\n{}", lines.concat())
}

fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => format::joined(text),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn attempts(object: &Value) -> Rows {
    let all = object.pointer("/status/attempts").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .map(|attempt| {
            let money = |field: &str| attempt.pointer(field).and_then(Value::as_str);
            vec![
                text(attempt, "/podName"),
                text(attempt, "/exitCode"),
                text(attempt, "/reason"),
                format::spent(money("/usage/costUSD"), money("/usage/estimatedCostUSD")),
                text(attempt, "/message"),
            ]
        })
        .collect()
}

fn conditions(object: &Value, now: Timestamp) -> Rows {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .map(|condition| {
            let since = text(condition, "/lastTransitionTime").parse().ok();
            vec![
                text(condition, "/type"),
                text(condition, "/status"),
                text(condition, "/reason"),
                since.map(|at| format::age(Some(at), now)).unwrap_or_default(),
                text(condition, "/message"),
            ]
        })
        .collect()
}

async fn pods(cluster: &Cluster, kind: Kind, name: &str) -> Rows {
    if kind != Kind::Task {
        return Rows::new();
    }
    let action = Action::new("list", "pods").within(&cluster.namespace);
    let params = ListParams::default().labels(&format!("{}={name}", labels::TASK));
    let Ok(pods) = cluster.call(&action, cluster.api::<Pod>().list(&params)).await else {
        return Rows::new();
    };
    let Some(pod) = follow::newest(&pods.items) else {
        return Rows::new();
    };
    use axon_api::contract::container::{AGENT, WORKSPACE};
    [WORKSPACE, AGENT]
        .iter()
        .filter_map(|container| {
            let state = follow::container_state(pod, container)?;
            let (word, reason, exit, message) = match (&state.waiting, &state.running, &state.terminated) {
                (Some(waiting), ..) => ("Waiting", waiting.reason.clone(), None, waiting.message.clone()),
                (_, Some(_), _) => ("Running", None, None, None),
                (.., Some(ended)) => ("Ended", ended.reason.clone(), Some(ended.exit_code), None),
                _ => ("Unknown", None, None, None),
            };
            Some(vec![
                (*container).to_owned(),
                word.to_owned(),
                reason.unwrap_or_default(),
                exit.map(|code| code.to_string()).unwrap_or_default(),
                message.map(|m| format::joined(&m)).unwrap_or_default(),
            ])
        })
        .collect()
}

async fn events(cluster: &Cluster, kind: Kind, name: &str) -> Rows {
    let action = Action::new("list", "events").within(&cluster.namespace);
    let selector = format!(
        "involvedObject.name={name},involvedObject.kind={}",
        kind.resource().kind
    );
    let params = ListParams::default().fields(&selector);
    let Ok(found) = cluster.call(&action, cluster.api::<Event>().list(&params)).await else {
        return Rows::new();
    };
    let mut events = found.items;
    events.sort_by_key(told_at);
    let now = Timestamp::now();
    let newest = events.iter().skip(events.len().saturating_sub(MAX_EVENTS));
    newest
        .map(|event| {
            vec![
                format::age(told_at(event), now),
                event.type_.clone().unwrap_or_default(),
                event.reason.clone().unwrap_or_default(),
                event.message.as_deref().map(format::joined).unwrap_or_default(),
            ]
        })
        .collect()
}
