//! `why`: why a Task is where it is.

use std::collections::BTreeMap;

use axon_api::{Task, TaskReason, Workspace};
use clap::Parser;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

use crate::analysis::why::{Answer, World, explain_spawner};
use crate::cluster::Cluster;
use crate::cluster::event_time::told_at;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::term::output::{Notation, Ui};
use crate::term::shown::Shown;

const EXAMPLES: &str = "\
The first line is the answer; below it stands what it rests on, causes below what they cause.

Examples:
  kubectl axon why merge
  kubectl axon why taskspawner/fix-bugs
  kubectl axon why merge -o json | jq -r .summary";

/// Spaces before evidence.
const INDENT: usize = 4;

/// Explains why a task waits, failed or goes on, and what to do
#[derive(Parser, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The object: TASK, task/TASK or taskspawner/NAME
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What to print: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Notation>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, an object that does not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (kind, name) = parse_named(&args.name, &[Kind::Task, Kind::TaskSpawner]).map_err(CliError::usage)?;
    let cluster = globals.cluster(ui).await?;
    let flag = cluster.flags();
    let now = Timestamp::now();
    let answer = if kind == Kind::TaskSpawner {
        let action = Action::new("get", kind.plural())
            .named(&name)
            .within(&cluster.namespace);
        let api = cluster.dynamic(&kind.resource(), Some(&cluster.namespace));
        let object = cluster.call(&action, api.get(&name)).await?;
        let value = serde_json::to_value(object)
            .map_err(|e| CliError::new(format!("cannot read the taskspawner: {e}")))?;
        explain_spawner(&name, &value, &flag, now)
    } else {
        let (mut tasks, mut workspaces): (Vec<Task>, Vec<Workspace>) = (Vec::new(), Vec::new());
        let (place, all) = (Some(cluster.namespace.as_str()), ListParams::default());
        let listed = cluster.list(Kind::Task, place, &all, |page| tasks.extend(page));
        let places = cluster.list(Kind::Workspace, place, &all, |page| workspaces.extend(page));
        futures::try_join!(listed, places)?;
        let mut world = World::new(&tasks, &workspaces, &flag, now);
        let first = world.explain(&name);
        let refusals = refusals(&cluster, &world, first.as_ref()).await;
        let again = !refusals.is_empty();
        world = world.with_refusals(refusals);
        if again { world.explain(&name) } else { first }.ok_or_else(|| {
            CliError::of(
                Failure::NotFound,
                format!("task {name:?} does not exist in namespace {}", cluster.namespace),
            )
            .hint(format!("see what there is: kubectl axon get tasks{flag}"))
        })?
    };
    match args.output {
        Some(notation) => ui.structured(&answer, notation),
        None => ui.block(&Shown::block(&ui.addressed(&text(&answer, ui.width())))),
    }
}

/// Reads why pods were refused, as the user may: the operator has no right to read events.
async fn refusals(cluster: &Cluster, world: &World<'_>, answer: Option<&Answer>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let links = answer.map(|answer| answer.links.as_slice()).unwrap_or_default();
    for link in links {
        let Some(name) = link.object.strip_prefix("task/") else {
            continue;
        };
        let status = world.task(name).and_then(|task| task.status.as_ref());
        let refused = status.filter(|s| s.reason == Some(TaskReason::PodRefused));
        let Some(job) = refused.and_then(|s| s.job_name.as_deref()) else {
            continue;
        };
        let fields = format!("involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate");
        let action = Action::new("list", "events").within(&cluster.namespace);
        let params = ListParams::default().fields(&fields);
        // Who may not look is told of the job.
        let Ok(found) = cluster.call(&action, cluster.api::<Event>().list(&params)).await else {
            continue;
        };
        let newest = found.items.into_iter().max_by_key(told_at);
        let said = newest.and_then(|event| event.message).unwrap_or_default();
        let said = format::joined(said.trim_start_matches("Error creating: "));
        if !said.is_empty() {
            all.insert(name.to_owned(), said);
        }
    }
    all
}

fn text(answer: &Answer, width: Option<usize>) -> String {
    let mut lines = format::wrapped(&answer.summary, width);
    lines.push(String::new());
    for link in &answer.links {
        let reason = match link.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        lines.push(format!("  {}: {}{reason}", link.object, link.phase));
        let evidence = format::wrapped(&link.evidence, width.map(|width| width.saturating_sub(INDENT)));
        let evidence = evidence.iter().filter(|line| !line.is_empty());
        lines.extend(evidence.map(|line| format!("{:INDENT$}{line}", "")));
    }
    lines.push(String::new());
    lines.extend(answer.next.iter().map(|command| format!("next: {command}")));
    let text = lines.join("\n");
    text.trim_end().to_owned() + "\n"
}
