//! `create taskspawner`.

use axon_api::TaskSpawner;
use axon_api::agents::AgentType;
use axon_api::limits::MAX_PROMPT_TEMPLATE;
use axon_api::v1alpha1::ITEM_FIELDS;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use go_cron::Schedule;
use go_template::Template;
use serde_json::{Value, json};

use super::{Common, checked_name, object, pruned, text_or_file};
use crate::config_file::Config;
use crate::error::{CliError, Result};
use crate::kinds::Kind;
use crate::objects::budget::BudgetFlags;
use crate::objects::credentials;
use crate::objects::credentials::CredentialFlags;
use crate::objects::inputs;
use crate::objects::plan::{self, WantedSecret};

const EXAMPLES: &str = "\
Tasks come either by the clock (--cron) or from issues and pull requests of the workspace's
repository. Prompt and branch are Go templates: {{.Title}}, {{.Body}}, {{.Number}}, {{.URL}} of an
item, {{.Time}} of a schedule. An item counts if somebody with write permission has opened it, or
has set one of its labels since its last edit. Credential, agent and workspace come from the
configuration file unless flags name others.

Examples:
  kubectl axon create taskspawner fix-bugs --workspace app --label axon --max-concurrency 2
  kubectl axon create taskspawner nightly --cron '0 3 * * *' -p 'Fix flaky tests'";

/// Creates a taskspawner: tasks by the clock, or from issues and pull requests
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the taskspawner
    pub name: String,
    /// Schedule with five fields: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["label", "exclude_label", "state", "items"])]
    pub cron: Option<String>,
    /// Time zone of the schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub time_zone: Option<String>,
    /// Items: issues, pulls or both [default: issues]
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = ["issues", "pulls"])]
    pub items: Vec<String>,
    /// Only items with this label (repeatable)
    #[arg(long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// No items with this label (repeatable)
    #[arg(long, value_name = "LABEL")]
    pub exclude_label: Vec<String>,
    /// Items in this state [default: open]
    #[arg(long, value_name = "STATE", value_parser = ["open", "closed", "all"])]
    pub state: Option<String>,
    /// What agents are asked to do, as a template; @FILE reads a file, - reads stdin
    #[arg(short, long, value_name = "TEMPLATE")]
    pub prompt: Option<String>,
    /// Agent type [default: claude-code]
    #[arg(short = 't', long = "type", value_name = "TYPE",
          value_parser = PossibleValuesParser::new(["claude-code", "codex", "gemini", "opencode"]).try_map(|t| t.parse::<AgentType>()))]
    pub agent: Option<AgentType>,
    /// Model to use instead of the agent's default
    #[arg(long)]
    pub model: Option<String>,
    /// Workspace to work on, and whose items to take
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
    /// AgentConfig with instructions, plugins and MCP servers
    #[arg(long, value_name = "NAME")]
    pub agent_config: Option<String>,
    /// Git branch to work on, as a template
    #[arg(long, value_name = "TEMPLATE")]
    pub branch: Option<String>,
    /// Delete tasks this long after they have ended, such as 24h
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// What each task may spend.
    #[command(flatten)]
    pub budget: BudgetFlags,
    /// How often to look for items
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub poll_interval: String,
    /// Most tasks at the same time; 0 for no limit [default: the operator's, which is 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub max_concurrency: Option<i32>,
    /// Most tasks in its life [default: no limit]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..))]
    pub max_total_tasks: Option<i32>,
    /// Create it suspended
    #[arg(long)]
    pub suspend: bool,
    /// Credential of the agents.
    #[command(flatten)]
    pub credential: CredentialFlags,
    /// Flags that all of them have.
    #[command(flatten)]
    pub common: Common,
}

/// Returns the TaskSpawner, and the Secret that its credential needs.
pub(super) fn plan(args: &Args, config: &Config) -> Result<(Value, Vec<WantedSecret>)> {
    let name = checked_name(&args.name)?;
    let agent = plan::agent(args.agent, config)?;
    let (credentials, secret) = credentials::choose(&args.credential, config, agent)?;
    let (workspace, made, _) = plan::workspace(args.workspace.as_deref(), config)?;
    if made.is_some() && args.workspace.is_none() {
        return Err(CliError::usage(
            "a taskspawner needs a workspace that stays: the config file describes one by its repo",
        )
        .hint("create one and name it: kubectl axon create workspace NAME --repo URL")
        .hint("then pass --workspace NAME"));
    }
    if workspace.is_none() && args.cron.is_none() {
        return Err(CliError::usage(
            "items come from the repository of a workspace: name it with --workspace",
        )
        .hint("or make tasks by the clock with --cron"));
    }
    let when = match &args.cron {
        Some(schedule) => {
            Schedule::parse(schedule, args.time_zone.as_deref())
                .map_err(|e| CliError::usage(format!("--cron {schedule:?}: {e}")))?;
            pruned(json!({"cron": {"schedule": schedule, "timeZone": args.time_zone}}))
        }
        None => pruned(json!({"githubIssues": {
            "types": args.items, "labels": args.label, "excludeLabels": args.exclude_label, "state": args.state,
        }})),
    };
    let prompt = args
        .prompt
        .as_deref()
        .map(|p| text_or_file("--prompt", p))
        .transpose()?;
    if prompt.as_ref().is_some_and(|p| p.trim().is_empty()) {
        return Err(CliError::usage("--prompt is empty: say what the agent should do"));
    }
    if let (Some(typed), Some(prompt)) = (&args.prompt, &prompt) {
        inputs::fits("--prompt", typed, prompt, MAX_PROMPT_TEMPLATE)?;
    }
    if args.cron.is_some() && prompt.is_none() {
        return Err(CliError::usage(
            "--cron needs --prompt: nothing else says what the agent should do",
        ));
    }
    for (flag, template) in [
        ("--prompt", prompt.as_deref()),
        ("--branch", args.branch.as_deref()),
    ] {
        if let Some(template) = template {
            let template = Template::parse(flag.trim_start_matches('-'), template)
                .map_err(|e| CliError::usage(format!("{flag}: {e}")))?;
            if let Some(field) = template.unknown_field(&ITEM_FIELDS) {
                let fields = ITEM_FIELDS.join(", .");
                return Err(CliError::usage(format!(
                    "{flag}: an item has no field {field}: there is .{fields}"
                )));
            }
        }
    }
    axon_api::go_duration::parse(&args.poll_interval)
        .map_err(|e| CliError::usage(format!("--poll-interval: {e}")))?;
    let model = args.model.clone().or_else(|| config.model.clone());
    let agent_config = args.agent_config.clone().or_else(|| config.agent_config.clone());
    let agent_config = agent_config
        .map(|name| inputs::reference("--agent-config", &name))
        .transpose()?;
    let template = json!({
        "type": agent, "credentials": credentials, "model": model.filter(|m| !m.is_empty()),
        "workspaceRef": workspace, "agentConfigRef": agent_config.map(|name| json!({"name": name})),
        "branch": args.branch, "promptTemplate": prompt, "budget": args.budget.or_of(config).over(None)?,
        "ttlSecondsAfterFinished": args.ttl.as_deref().map(inputs::ttl).transpose()?,
    });
    let spec = json!({
        "when": when, "taskTemplate": pruned(template), "pollInterval": args.poll_interval,
        "maxConcurrency": args.max_concurrency, "maxTotalTasks": args.max_total_tasks,
        "suspend": args.suspend.then_some(true),
    });
    let value = object(Kind::TaskSpawner, name, &pruned(spec));
    serde_json::from_value::<TaskSpawner>(value.clone())
        .map_err(|e| CliError::usage(format!("the taskspawner can't be used: {e}")))?;
    Ok((value, secret.into_iter().collect()))
}
