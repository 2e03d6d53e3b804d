//! `wait`: until Tasks have ended, whatever their ends are.

use std::time::Duration;

use axon_api::{Task, TaskPhase};
use clap::Parser;
use serde_json::json;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::error::{CliError, Kind as Failure, Result};
use crate::follow::{self, Ends, Teller, Watched, Which};
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::term::output::{Notation, ObjectFormat, Ui};

const DETAILS: &str = "\
Ends when all of the tasks have ended, and not only when they have succeeded, which is what kubectl
wait --for=condition=Ready waits for. The exit code is 0 if all have succeeded and 3 if one has
failed; 4 if the time is over first, and 5 if one does not exist or was deleted before its end.

Examples:
  kubectl axon wait fix-login --timeout 30m
  kubectl axon wait a b c -o json | jq -r '.items[].status.results.pr'
  kubectl axon wait -l team=a && echo all have succeeded";

/// Tasks that are named in an error; the rest is counted.
const MOST_NAMED: usize = 4;

/// Waits until tasks have ended
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The tasks: NAME or task/NAME
    #[arg(value_name = "TASK", required_unless_present = "selector")]
    pub tasks: Vec<String>,
    /// The tasks that have these labels now, such as team=a,env!=prod
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "tasks")]
    pub selector: Option<String>,
    /// Longest time to wait, such as 30m; 0 for a look [default: no end]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// What to print of the tasks when all have ended: json, yaml or name
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<ObjectFormat>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, Tasks that do not exist, have failed or have not ended in time, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let which = which(&args)?;
    let timeout = args
        .timeout
        .as_deref()
        .map(axon_api::go_duration::parse)
        .transpose();
    let timeout: Option<Duration> = timeout.map_err(|e| CliError::usage(format!("--timeout: {e}")))?;
    let cluster = globals.cluster(ui).await?;
    let mut ends = Ends::start(&cluster, &which).await?;
    let over = async {
        match timeout {
            Some(timeout) => sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let in_time = tokio::select! {
        // Of what is over at once, the end counts.
        biased;
        ended = Box::pin(all_ended(ui, &cluster, &mut ends, args.output.is_none())) => ended.map(|()| true)?,
        () = over => false,
        _ = tokio::signal::ctrl_c() => return Err(CliError::silent(Failure::Interrupted)),
    };
    if !in_time {
        return Err(too_late(
            ends.all(),
            timeout.unwrap_or_default(),
            &cluster.flags(),
        ));
    }
    if let Some(format) = args.output {
        print(ui, ends.all(), format)?;
    }
    verdict(ends.all()).map_or(Ok(()), |kind| Err(CliError::silent(kind)))
}

fn which(args: &Args) -> Result<Which> {
    if let Some(selector) = &args.selector {
        return Ok(Which::Selector(selector.clone()));
    }
    let mut names = Vec::new();
    for text in &args.tasks {
        let (_, name) = parse_named(text, &[Kind::Task]).map_err(CliError::usage)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Which::Names(names))
}

/// Tells of each Task when it has ended.
async fn all_ended(ui: &Ui, cluster: &Cluster, ends: &mut Ends<'_>, as_lines: bool) -> Result<()> {
    let mut teller = Teller::new(ui);
    let mut told = vec![false; ends.all().len()];
    loop {
        for (one, told) in ends.all().iter().zip(&mut told) {
            if one.is_over() && !std::mem::replace(told, true) {
                tell(ui, one, as_lines)?;
            } else if !one.is_over() {
                teller.say(&format!("task/{} is {}", one.name, state(&one.task)));
            }
        }
        if ends.all().iter().all(Watched::is_over) {
            return Ok(());
        }
        let silent = ends
            .all()
            .iter()
            .any(|one| !one.is_over() && phase(&one.task).is_none());
        tokio::select! {
            changed = ends.changed(&mut teller) => changed?,
            () = sleep(follow::OPERATOR_SILENCE), if silent => {
                teller.say(&follow::no_operator(&cluster.target.flags));
                ends.changed(&mut teller).await?;
            }
        }
    }
}

fn tell(ui: &Ui, one: &Watched, as_lines: bool) -> Result<()> {
    if phase(&one.task).is_none_or(|phase| !phase.is_terminal()) {
        let words = format!("task {:?} was deleted before it had ended", one.name);
        ui.error(&CliError::of(Failure::NotFound, words));
        return Ok(());
    }
    let line = follow::headline(&one.name, &one.task);
    if as_lines {
        return ui.line(&line);
    }
    ui.say(&line);
    Ok(())
}

fn phase(task: &Task) -> Option<TaskPhase> {
    task.status.as_ref()?.phase
}

/// Returns phase and reason.
fn state(task: &Task) -> String {
    let reason = task.status.as_ref().and_then(|status| status.reason);
    match (phase(task), reason) {
        (None, _) => "not taken up yet".to_owned(),
        (Some(phase), None) => phase.to_string(),
        (Some(phase), Some(reason)) => format!("{phase} ({reason})"),
    }
}

/// Returns what the exit code is to tell; `None` if all have succeeded.
fn verdict(all: &[Watched]) -> Option<Failure> {
    let any = |wanted: fn(Option<TaskPhase>) -> bool| all.iter().any(|one| wanted(phase(&one.task)));
    if any(|phase| phase == Some(TaskPhase::Failed)) {
        Some(Failure::TaskFailed)
    } else if any(|phase| phase != Some(TaskPhase::Succeeded)) {
        Some(Failure::NotFound)
    } else {
        None
    }
}

fn too_late(all: &[Watched], timeout: Duration, flags: &str) -> CliError {
    let open: Vec<&Watched> = all.iter().filter(|one| !one.is_over()).collect();
    let (named, rest) = open.split_at(open.len().min(MOST_NAMED));
    let mut words: Vec<String> = named
        .iter()
        .map(|one| format!("{} is {}", one.name, state(&one.task)))
        .collect();
    if !rest.is_empty() {
        words.push(format!("and {} more", rest.len()));
    }
    let text = format!(
        "{} of {} not ended after {}: {}",
        open.len(),
        format::count(all.len(), "task"),
        format::duration(timeout),
        words.join(", ")
    );
    let error = CliError::of(Failure::TimedOut, text);
    match open.first() {
        Some(first) => error.hint(format!("see why: kubectl axon why {}{flags}", first.name)),
        None => error,
    }
}

fn print(ui: &Ui, all: &[Watched], format: ObjectFormat) -> Result<()> {
    if let [one] = all {
        return follow::print(ui, &one.task, format);
    }
    let notation = match format {
        ObjectFormat::Json => Notation::Json,
        ObjectFormat::Yaml => Notation::Yaml,
        ObjectFormat::Name => {
            return all
                .iter()
                .try_for_each(|one| follow::print(ui, &one.task, format));
        }
    };
    let items = all.iter().map(|one| {
        let mut task = one.task.clone();
        task.metadata.managed_fields = None;
        task
    });
    let items: Vec<Task> = items.collect();
    ui.structured(
        &json!({"apiVersion": "v1", "kind": "List", "items": items}),
        notation,
    )
}
