//! `retry`: runs a Task that has ended once more, as a new Task.

use axon_api::{Task, TaskPhase, labels, naming};
use clap::Parser;
use kube::api::ListParams;

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Result};
use crate::follow::{self, Options};
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::objects::budget::BudgetFlags;
use crate::objects::new_task;
use crate::objects::plan::{Plan, own_labels};
use crate::objects::{existence, manifest};
use crate::term::output::{ObjectFormat, Ui};

const DETAILS: &str = "\
The new task asks for the same as the old one, which stays as it is. One that a taskspawner made is
repeated as the spawner's: it has its labels, and counts for maxConcurrency. It may have another
budget. To change something else, or to run it apart from the spawner: kubectl axon run --from-task.

Examples:
  kubectl axon retry fix-login
  kubectl axon retry fix-login --name fix-login-again -w
  kubectl axon retry fix-login --max-cost 10";

/// Runs a task that has ended once more, as a new task
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The task to repeat: NAME or task/NAME
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Name of the new task [default: the old one with -r1, -r2, ...]
    #[arg(long)]
    pub name: Option<String>,
    /// What the new task may spend, instead of what the old one could.
    #[command(flatten)]
    pub budget: BudgetFlags,
    /// Follow the new task to its end; exit code 3 if it fails
    #[arg(short, long)]
    pub watch: bool,
    /// What to print: json, yaml or name
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<ObjectFormat>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, a Task that does not exist or has not ended, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (_, old_name) = parse_named(&args.task, &[Kind::Task]).map_err(CliError::usage)?;
    if let Some(name) = &args.name
        && let Some(fault) = axon_api::naming::label_fault(name)
    {
        return Err(CliError::usage(format!("--name {name:?} {fault}")));
    }
    let cluster = globals.cluster(ui).await?;
    let flag = cluster.flags();
    let action = Action::new("get", "tasks")
        .named(&old_name)
        .within(&cluster.namespace);
    let old = cluster
        .call(&action, cluster.api::<Task>().get(&old_name))
        .await?;
    let phase = old.status.as_ref().and_then(|status| status.phase);
    if !phase.is_some_and(TaskPhase::is_terminal) {
        let phase = phase.map_or("not taken up yet".to_owned(), |p| p.to_string());
        return Err(
            CliError::new(format!("task {old_name:?} has not ended: it is {phase}"))
                .hint(format!("stop it first: kubectl axon stop {old_name}{flag}")),
        );
    }
    let name = match args.name {
        Some(name) => name,
        None => free_name(&old_name, &taken(&cluster).await?),
    };
    let mut task = repeated(&old, &old_name, &name);
    task.spec.budget = args.budget.over(task.spec.budget.as_ref())?;
    let created = new_task::create(&cluster, &task, false).await?;
    new_task::print_new(ui, &created, &name, args.output, args.watch)?;
    let plan = Plan {
        secrets: Vec::new(),
        workspace: None,
        task,
    };
    for warning in existence::missing(&cluster, &plan).await {
        ui.warn(&warning);
    }
    if args.watch {
        return follow::run(ui, &cluster, &name, &Options::watch(args.output)).await;
    }
    ui.tip(&format!("follow it: kubectl axon logs {name} -f{flag}"));
    Ok(())
}

async fn taken(cluster: &Cluster) -> Result<Vec<String>> {
    let action = Action::new("list", "tasks").within(&cluster.namespace);
    let api = cluster.api::<Task>();
    let all = cluster
        .call(&action, api.list_metadata(&ListParams::default()))
        .await?;
    Ok(all
        .items
        .into_iter()
        .filter_map(|task| task.metadata.name)
        .collect())
}

/// Returns the first free one of `NAME-r1`, `NAME-r2` and so on. A repetition of a repetition counts on.
fn free_name(old: &str, taken: &[String]) -> String {
    let base = match old.rsplit_once("-r") {
        Some((base, number)) if !base.is_empty() && number.parse::<u32>().is_ok() => base,
        _ => old,
    };
    let candidates = (1_u32..).map(|n| naming::child(base, &format!("r{n}"), naming::MAX_TASK_NAME));
    candidates
        .into_iter()
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

fn repeated(old: &Task, old_name: &str, name: &str) -> Task {
    let mut spec = old.spec.clone();
    spec.stop = None;
    spec.retry_of = Some(old_name.to_owned());
    let mut task = Task::new(name, spec);
    // The spawner's labels, and the annotations that go with them: the newest task of an item says whether the item is in
    // the match.
    task.metadata.annotations =
        Some(manifest::unowned(old.metadata.annotations.as_ref())).filter(|all| !all.is_empty());
    let mut all = manifest::unowned(old.metadata.labels.as_ref());
    all.extend(own_labels());
    all.insert(labels::RETRY_OF.to_owned(), old_name.to_owned());
    task.metadata.labels = Some(all);
    // This is its item's turn, also if the item was seen to have left the match before it.
    let mut notes = task.metadata.annotations.as_mut();
    if let Some(mark) = notes.as_mut().and_then(|all| all.get_mut(labels::MATCH)) {
        *mark = mark.replacen("left:", "in:", 1);
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_on() {
        let taken = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(free_name("fix", &taken(&["fix"])), "fix-r1");
        assert_eq!(
            free_name("fix-r1", &taken(&["fix", "fix-r1", "fix-r2"])),
            "fix-r3"
        );
        assert_eq!(free_name("a-red", &[]), "a-red-r1");
        let long = free_name(&"a".repeat(63), &[]);
        assert!(long.len() <= 63 && long.ends_with("-r1"), "{long}");
    }

    #[test]
    fn a_repetition_asks_for_the_same_and_says_so() {
        let old: Task = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "t", "labels": {"team": "a", "app.kubernetes.io/instance": "agents"},
                "annotations": {"x": "y", "argocd.argoproj.io/tracking-id": "agents:axon.io/Task:ns/t"}},
            "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}, "stop": true, "branch": "b"},
            "status": {"phase": "Failed"},
        }))
        .unwrap();
        let new = repeated(&old, "t", "t-r1");
        assert_eq!((new.spec.stop, new.spec.retry_of.as_deref()), (None, Some("t")));
        assert_eq!((new.spec.branch.as_deref(), new.status), (Some("b"), None));
        assert_eq!(
            new.metadata.annotations,
            Some([("x".to_owned(), "y".to_owned())].into())
        );
        let labels = new.metadata.labels.unwrap();
        assert_eq!(labels.get("app.kubernetes.io/instance"), None);
        assert_eq!(labels["team"], "a");
        assert_eq!(labels[axon_api::labels::RETRY_OF], "t");
    }

    #[test]
    fn a_repetition_of_a_spawners_task_is_the_spawners() {
        let old: Task = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "s-7", "labels": {labels::TASK_SPAWNER: "s", labels::ITEM: "7"},
                "annotations": {labels::MATCH: "left:f", labels::ITEM_URL: "u",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}},
        }))
        .unwrap();
        let new = repeated(&old, "s-7", "s-7-r1").metadata;
        let all = new.labels.unwrap();
        assert_eq!(
            (all[labels::TASK_SPAWNER].as_str(), all[labels::ITEM].as_str()),
            ("s", "7")
        );
        let notes = new.annotations.unwrap();
        assert_eq!(
            notes.into_iter().collect::<Vec<_>>(),
            [
                (labels::ITEM_URL.to_owned(), "u".to_owned()),
                (labels::MATCH.to_owned(), "in:f".to_owned())
            ]
        );
    }
}
