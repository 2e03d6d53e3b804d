//! `logs`: what the agent of a Task says and does.

use axon_api::Task;
use axon_api::contract::container::AGENT;
use clap::{Parser, ValueEnum};
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Result};
use crate::follow::{self, Options, Sink};
use crate::globals::Globals;
use crate::kinds::Kind;
use crate::term::output::Ui;

const DETAILS: &str = "\
What the agent says goes to stdout; its turns, tools and costs go to stderr. --raw prints the
agent's stream of events as it is; a terminal gets it without what it would obey.

-o json prints all of it to stdout, in the same form for all agents: one object a line, with the
time of the log's line and a type. Fields in brackets are there if the agent tells.
  start       model
  turn        turn: its number
  text        text: what the agent says
  tool        tool, [argument]: what it is called with; nested: true if by a sub-agent
  tool-error  message, nested
  retry       error, [status], [attempt], [attempts]: a request to the model goes out again
  mcp-server  server, status: it can't be used
  error       message
  result      ok, [message], [turns], [costUSD], [inputTokens], [outputTokens], [cachedTokens],
              [durationMilliseconds]
  line        text: a line that is not of the agent's stream

Examples:
  kubectl axon logs task-a5b3c -f
  kubectl axon logs task-a5b3c --raw | jq .
  kubectl axon logs task-a5b3c -o json | jq -r '.argument // empty'
  kubectl axon logs task-a5b3c -c workspace";

/// Prints what the agent of a task says and does
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The task: NAME or task/NAME
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Follow: wait for the agent to start, and go on until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Print the lines of the log as they are, except to a terminal
    #[arg(long, conflicts_with = "output")]
    pub raw: bool,
    /// What to print: json, one object for each event
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<LogFormat>,
    /// Begin this many lines before the end
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Begin this long ago, such as 10m
    #[arg(long, value_name = "DURATION")]
    pub since: Option<String>,
    /// Begin at this time (RFC 3339), such as 2026-01-02T09:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    pub since_time: Option<String>,
    /// Put its time before each line
    #[arg(long)]
    pub timestamps: bool,
    /// Container to show: agent, or workspace, which clones the repository
    #[arg(
        short,
        long,
        value_name = "NAME",
        default_value = "agent",
        hide_possible_values = true
    )]
    pub container: Container,
}

/// What `-o` may ask for of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object for each event
    Json,
}

/// A container of a Task's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Container {
    /// Runs the agent
    Agent,
    /// Clones the repository
    Workspace,
}

/// Runs the command.
///
/// # Errors
/// When there is no such Task, or no log to show.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let name = task_name(&args.task)?;
    let since_seconds = match &args.since {
        Some(text) => {
            let duration =
                axon_api::go_duration::parse(text).map_err(|e| CliError::usage(format!("--since: {e}")))?;
            // The API takes whole seconds, and none at all would mean everything.
            Some(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).max(1))
        }
        None => None,
    };
    let since_time = args
        .since_time
        .as_deref()
        .map(str::parse::<Timestamp>)
        .transpose();
    let since_time = since_time.map_err(|e| {
        CliError::usage(format!("--since-time: {e}")).hint("write a time such as 2026-01-02T09:00:00Z")
    })?;
    // The client rounds to seconds, possibly up, which would skip lines.
    let since_time = since_time.and_then(|time| Timestamp::from_second(time.as_second()).ok());
    let options = Options {
        raw: args.raw,
        json: args.output == Some(LogFormat::Json),
        timestamps: args.timestamps,
        tail: args.tail,
        since_seconds,
        since_time,
        workspace: args.container == Container::Workspace,
        to_the_end: false,
        finished: None,
    };
    let cluster = globals.cluster(ui).await?;
    if args.follow {
        follow::run(ui, &cluster, &name, &options).await
    } else {
        print(ui, &cluster, &name, &options).await
    }
}

fn task_name(text: &str) -> Result<String> {
    match text.split_once('/') {
        None if !text.is_empty() => Ok(text.to_owned()),
        Some((kind, name)) if kind.parse() == Ok(Kind::Task) && !name.is_empty() => Ok(name.to_owned()),
        _ => Err(CliError::usage(format!(
            "{text:?} is not a task: write NAME or task/NAME"
        ))),
    }
}

async fn print(ui: &Ui, cluster: &Cluster, name: &str, options: &Options) -> Result<()> {
    let action = Action::new("get", "tasks").named(name).within(&cluster.namespace);
    let task = cluster.call(&action, cluster.api::<Task>().get(name)).await?;
    let pods = follow::pods_of(cluster, name).await?;
    let pod = follow::newest(&pods);
    let silence = || {
        CliError::new(follow::explain_silence(name, &task, pod)).hint(format!(
            "see more of it: kubectl axon get task {name} --detail{}",
            cluster.flags()
        ))
    };
    let pod = pod.ok_or_else(silence)?;
    let Some(container) = follow::pick(pod, options.workspace) else {
        return Err(silence().hint(format!(
            "wait for it: kubectl axon logs {name} -f{}",
            cluster.flags()
        )));
    };
    if container != AGENT && !options.workspace {
        ui.say("the workspace could not be set up; its log:");
    }
    let agent = (container == AGENT).then_some(task.spec.agent);
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut sink = Sink::new(ui, agent, options);
    follow::read_once(cluster, pod_name, container, options, &mut sink).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_with_or_without_its_type() {
        for text in ["x", "task/x", "tasks/x", "tasks.axon.io/x"] {
            assert_eq!(task_name(text).unwrap(), "x");
        }
        for bad in ["", "task/", "pod/x", "a/b/c"] {
            assert!(task_name(bad).is_err(), "{bad}");
        }
    }
}
