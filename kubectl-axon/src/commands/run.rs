//! `run`: creates a Task, and what it needs of the configuration file.

pub(crate) mod plan;
mod template;

use std::path::PathBuf;

use axon_api::agents::AgentType;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use rand::Rng as _;
use serde_json::json;

use self::plan::plan;
use crate::error::{CliError, Result};
use crate::follow::{self, Options};
use crate::globals::{DryRun, Globals};
use crate::objects::budget::BudgetFlags;
use crate::objects::credentials::CredentialFlags;
use crate::objects::new_task::{create, print_new, print_task};
use crate::objects::plan::Plan;
use crate::objects::{ensure, existence, inputs};
use crate::term::output::{Notation, ObjectFormat, Ui, yaml};
use crate::term::shown::Shown;

const DETAILS: &str = "\
Credentials and a workspace come from the configuration file (kubectl axon init writes one to fill
in), unless flags name others. Nothing is created before all input is known to be valid. A dry run
shows the Secret, Workspace and Task; the Job is made of them by the operator and is not shown.

With --watch and -o the task is printed once, when it has ended, and what the agent says goes to
stderr.

--from asks the operator to render the template of a taskspawner for an issue or pull request, in
its match or not; for a schedule, for the present moment. The task is yours: the spawner counts it
against no limit, and makes its own for that item all the same.

Examples:
  kubectl axon run -p \"Add a hello world program in Python\"
  kubectl axon run -p @prompt.md --workspace my-repo --branch fix/login -w
  kubectl axon run -p \"Write tests\" --depends-on scaffold --timeout 30m
  kubectl axon run -p \"Fix the flaky tests\" --max-cost 5 --max-tokens 2M
  kubectl axon run --from-task fix-login -t codex -p \"Now with tests\"
  kubectl axon run --from taskspawner/fix-bugs --item 42 --dry-run
  kubectl axon run -p \"Fix the bug\" --dry-run > task.yaml";

/// Creates a task: one run of an agent
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// What the agent is asked to do; @FILE reads a file, - reads stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present_any = ["from", "from_task", "filename"])]
    pub prompt: Option<String>,
    /// Try the template of a taskspawner: take all from it that flags do not say
    #[arg(long, value_name = "TASKSPAWNER", conflicts_with_all = ["from_task", "filename"])]
    pub from: Option<String>,
    /// With --from: the issue or pull request to render the template for
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub item: Option<u64>,
    /// Vary a task that is there: take all from it that flags do not say
    #[arg(long, value_name = "TASK", conflicts_with = "filename")]
    pub from_task: Option<String>,
    /// Take all that flags do not say from the manifest of a task; - reads stdin
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,
    /// Agent type [default: claude-code]
    #[arg(short = 't', long = "type", value_name = "TYPE",
          value_parser = PossibleValuesParser::new(["claude-code", "codex", "gemini", "opencode"]).try_map(|t| t.parse::<AgentType>()))]
    pub agent: Option<AgentType>,
    /// Model to use instead of the agent's default
    #[arg(long)]
    pub model: Option<String>,
    /// Image to use instead of the agent's own
    #[arg(long)]
    pub image: Option<String>,
    /// Name of the task; made up if absent
    #[arg(long)]
    pub name: Option<String>,
    /// Workspace to work on
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
    /// AgentConfig with instructions, plugins and MCP servers
    #[arg(long, value_name = "NAME")]
    pub agent_config: Option<String>,
    /// Task that must succeed first (repeatable, or separated by commas)
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub depends_on: Vec<String>,
    /// Git branch to work on; tasks of one branch run one at a time
    #[arg(long)]
    pub branch: Option<String>,
    /// Longest run time, such as 30m or 1h
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// What the task may spend.
    #[command(flatten)]
    pub budget: BudgetFlags,
    /// Environment variable of the agent (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Delete the task this long after it has ended, such as 24h; 0 for at once
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// Label of the task (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Credential of the agent.
    #[command(flatten)]
    pub credential: CredentialFlags,
    /// Follow the task to its end; exit code 3 if it fails
    #[arg(short, long)]
    pub watch: bool,
    /// Print the objects instead of creating them; =server lets the server check them instead
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client", default_value = "none", hide_default_value = true,
          hide_possible_values = true)]
    pub dry_run: DryRun,
    /// Replace objects that an earlier run made, without asking
    #[arg(short, long)]
    pub yes: bool,
    /// What to print: json, yaml or name
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<ObjectFormat>,
}

/// Runs the command.
///
/// # Errors
/// Input that can't be used (nothing has been created then), and whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    if args.watch && args.dry_run != DryRun::None {
        return Err(CliError::usage(
            "--watch and --dry-run exclude each other: a dry run makes no task to watch",
        ));
    }
    let config = globals.configuration(ui)?;
    let prompt = args.prompt.as_deref().map(inputs::prompt).transpose()?;
    let mut base = template::from_file(&args, globals.connection.namespace.as_deref())?;
    if let Some(given) = &args.from_task {
        let cluster = globals.connection.connect(config.namespace.as_deref()).await?;
        base = Some(template::from_task(&cluster, given).await?);
    }
    if let Some(given) = &args.from {
        let cluster = globals.connection.connect(config.namespace.as_deref()).await?;
        base = Some(template::from_spawner(ui, &cluster, given, args.item).await?);
    }
    let named = base.as_ref().and_then(|base| base.name.clone());
    let name = args.name.clone().or(named).unwrap_or_else(random_name);
    let mut plan = match (&base, prompt) {
        (Some(base), prompt) => template::vary(&args, &config, base, prompt, &name)?,
        (None, prompt) => plan(&args, &config, prompt.unwrap_or_default(), &name)?,
    };
    // The manifest's namespace is no default: it wins over the file's.
    let configured = base.and_then(|base| base.namespace).or(config.namespace);
    if args.dry_run == DryRun::Client {
        let namespace = globals.connection.namespace_offline(configured.as_deref())?;
        plan.set_namespace(&namespace);
        return print_plan(ui, &plan, args.output);
    }
    let cluster = globals.connection.connect(configured.as_deref()).await?;
    plan.set_namespace(&cluster.namespace);
    existence::check_name(&cluster, &name).await?;
    let changes = ensure::compare(&cluster, &plan.secrets, plan.workspace.as_ref()).await?;
    let trial = args.dry_run == DryRun::Server;
    if !trial {
        ensure::ask(ui, &cluster, &changes, args.yes).await?;
    }
    ensure::write(ui, &cluster, &changes, trial).await?;
    let task = create(&cluster, &plan.task, trial).await?;
    if trial {
        print_task(ui, &task, &name, args.output, true)?;
    } else {
        print_new(ui, &task, &name, args.output, args.watch)?;
    }
    for warning in existence::missing(&cluster, &plan).await {
        ui.warn(&warning);
    }
    if trial {
        return Ok(());
    }
    if !args.watch {
        ui.tip(&format!(
            "follow it: kubectl axon logs {name} -f{}",
            cluster.flags()
        ));
        return Ok(());
    }
    follow::run(ui, &cluster, &name, &Options::watch(args.output)).await
}

fn print_plan(ui: &Ui, plan: &Plan, output: Option<ObjectFormat>) -> Result<()> {
    let objects = plan.redacted_objects()?;
    match output {
        Some(ObjectFormat::Name) => {
            for object in &objects {
                let kind = object
                    .pointer("/kind")
                    .and_then(|k| k.as_str())
                    .unwrap_or_default()
                    .to_lowercase();
                let group = if kind == "secret" { "" } else { ".axon.io" };
                let name = object
                    .pointer("/metadata/name")
                    .and_then(|n| n.as_str())
                    .unwrap_or_default();
                ui.line(&format!("{kind}{group}/{name}"))?;
            }
            Ok(())
        }
        Some(ObjectFormat::Json) => ui.structured(
            &json!({"apiVersion": "v1", "kind": "List", "items": objects}),
            Notation::Json,
        ),
        Some(ObjectFormat::Yaml) | None => {
            let documents: Vec<String> = objects.iter().map(yaml).collect::<Result<_>>()?;
            ui.block(&Shown::block(&documents.join("---\n")))
        }
    }
}

/// Returns `task-` and five characters that Kubernetes uses for names: no vowels, so no words.
fn random_name() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    let tail: String = (0..5)
        .filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())))
        .map(|byte| char::from(*byte))
        .collect();
    format!("task-{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_valid() {
        for _ in 0..50 {
            let name = random_name();
            assert_eq!(name.len(), 10);
            assert!(axon_api::naming::label_fault(&name).is_none(), "{name}");
        }
    }
}
