//! `preview`: what a TaskSpawner would create at its next look, without creating it.

use axon_api::v1alpha1::{Answer, GithubIssues, PreviewItem, PreviewOutcome, Wanted};
use clap::Parser;
use serde_json::json;

use crate::cluster::operator_query::ask;
use crate::error::{CliError, Result};
use crate::format;
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::term::output::{Format, Notation, Ui};
use crate::term::shown::Shown;
use crate::term::table::Table;

const DETAILS: &str = "\
The operator reads the source and tells what it would do with each item: Create; Wait for a limit,
or until the spawner is resumed; Blocked by a template or branch that can't be; Done, as the item
has its task; Excluded by a label, or as nobody with write permission has opened or approved it.
Nothing is created. Comments are not read for this. -o name prints the tasks that would be created,
-o wide the reasons in full.

Examples:
  kubectl axon preview fix-bugs
  kubectl axon preview taskspawner/fix-bugs -o wide
  kubectl axon run --from taskspawner/fix-bugs --item 42 --dry-run";

/// Warning about a TaskSpawner that is open to strangers.
const OPEN: &str = "everybody who can open an issue or pull request in the repository can start an agent: \
    githubIssues.authors names associations that nobody has to be let in for";

/// Shows what a taskspawner would create next, without creating it
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The taskspawner: NAME or taskspawner/NAME
    #[arg(value_name = "TASKSPAWNER")]
    pub spawner: String,
    /// What to print: json, yaml, name, or a table with more columns (wide)
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Format>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, a TaskSpawner that does not exist, or that the operator does not answer.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let (_, name) = parse_named(&args.spawner, &[Kind::TaskSpawner]).map_err(CliError::usage)?;
    let cluster = globals.cluster(ui).await?;
    let (spawner, answer) = ask(&cluster, &name, Wanted::Preview).await?;
    let source = spawner.spec.when.github_issues.as_ref();
    if source.is_some_and(GithubIssues::is_open_to_strangers) {
        ui.warn(OPEN);
    }
    match args.output {
        Some(Format::Json) => ui.structured(&list(&answer), Notation::Json),
        Some(Format::Yaml) => ui.structured(&list(&answer), Notation::Yaml),
        Some(Format::Name) => {
            let created = answer
                .items
                .iter()
                .filter(|i| i.outcome == PreviewOutcome::Create);
            for task in created.filter_map(|item| item.task.as_deref()) {
                ui.line(&format!("task.axon.io/{task}"))?;
            }
            Ok(())
        }
        format => table(ui, &answer, format == Some(Format::Wide)),
    }
}

fn list(answer: &Answer) -> serde_json::Value {
    json!({"items": answer.items, "moreItems": answer.more_items.unwrap_or_default()})
}

fn table(ui: &Ui, answer: &Answer, wide: bool) -> Result<()> {
    if answer.items.is_empty() {
        ui.say("No items found.");
        return Ok(());
    }
    let (header, elastic) = columns(wide);
    let mut table = Table::new(header);
    for item in &answer.items {
        table.row("", cells(item, wide));
    }
    let mut widths = Vec::new();
    if let Some(width) = ui.width().filter(|_| !wide) {
        table.fit(width, &elastic, &mut widths);
    }
    let lines = table.lines(true, &mut widths);
    ui.block(&Shown::block(&(lines.join("\n") + "\n")))?;
    if let Some(more) = answer.more_items {
        ui.say(&format!(
            "and {}",
            format::count(usize::try_from(more).unwrap_or_default(), "more item")
        ));
    }
    Ok(())
}

fn columns(wide: bool) -> (Vec<String>, Vec<bool>) {
    let mut all = vec![
        ("ITEM", false),
        ("OUTCOME", false),
        ("TASK", false),
        ("BRANCH", true),
        ("REASON", false),
        ("TITLE", true),
    ];
    if wide {
        all.extend([("URL", false), ("MESSAGE", false)]);
    }
    all.into_iter()
        .map(|(header, soft)| (header.to_owned(), soft))
        .unzip()
}

fn cells(item: &PreviewItem, wide: bool) -> Vec<String> {
    let text = |text: &Option<String>| format::one_line(text.as_deref().unwrap_or_default());
    let mut all = vec![
        item.item.clone(),
        item.outcome.to_string(),
        text(&item.task),
        text(&item.branch),
        text(&item.reason),
        text(&item.title),
    ];
    if wide {
        all.extend([text(&item.url), text(&item.message)]);
    }
    all
}
