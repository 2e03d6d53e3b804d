//! `verify-image`: whether an image keeps the rules of the agent image interface, tried out in pods of the cluster.

mod pods;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::agents::AgentType;
use clap::Parser;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerState, Pod};
use kube::api::{DeleteParams, LogParams, Patch};
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::pods::{Probe, Subject};
use crate::cluster::{Cluster, patching, posting};
use crate::commands::verify_image::verdict::{Seen, Verdict, checks};
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::format;
use crate::globals::Globals;
use crate::term::output::{Notation, Ui};

const DETAILS: &str = "\
It runs the image in four short pods, shaped as a Task's, in the namespace of the command. In place
of the agent's own CLI, a stub stands first in PATH: --program says what the entry point calls it.
Nothing is asked of any model provider.

Examples:
  kubectl axon verify-image registry.example/my-agent:v1 --program my-agent
  kubectl axon verify-image ghcr.io/axon-io/axon-codex:v1 --type codex";

const PAUSE: Duration = Duration::from_millis(500);
/// States of a waiting container that do not pass.
const HOPELESS: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerError",
    "RunContainerError",
];

/// Tries out whether an image can run tasks
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Type of the tasks that it is for
    #[arg(long = "type", value_name = "TYPE", default_value = "claude-code", value_parser = agent_type)]
    pub agent: AgentType,
    /// Program that the image's entry point starts [default: that of the type]
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Longest time to wait for each pod, such as 5m
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = duration)]
    pub timeout: Duration,
    /// What to print: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Notation>,
}

fn agent_type(text: &str) -> Result<AgentType, String> {
    text.parse()
        .map_err(|_| "is not one of claude-code, codex, gemini, opencode".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    axon_api::go_duration::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
///
/// # Errors
/// When the image breaks a rule, or the pods can't be made or do not start in time.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let program = args.program.unwrap_or_else(|| {
        match args.agent {
            AgentType::ClaudeCode => "claude",
            AgentType::Codex => "codex",
            AgentType::Gemini => "gemini",
            AgentType::OpenCode => "opencode",
        }
        .to_owned()
    });
    if program.is_empty() || program.contains('/') || program == "prompt" {
        return Err(CliError::usage(format!(
            "--program {program:?} is no name of a program"
        )));
    }
    let subject = Subject {
        image: args.image,
        agent: args.agent,
        program,
    };
    let cluster = globals.cluster(ui).await?;
    let maps = cluster.api::<ConfigMap>();
    let action = Action::new("create", "configmaps").within(&cluster.namespace);
    let map = cluster
        .call(&action, maps.create(&posting(false), &pods::config_map()?))
        .await?;
    let tried = async {
        ui.say(&format!(
            "trying {} in namespace {}",
            subject.image, cluster.namespace
        ));
        let probes = Probe::ALL.map(|probe| observe(&cluster, &map, &subject, probe, args.timeout));
        try_join_all(probes).await
    };
    let seen = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(CliError::silent(Failure::Interrupted)),
        seen = tried => seen,
    };
    // The pods belong to it and go with it.
    let name = map.metadata.name.clone().unwrap_or_default();
    let action = Action::new("delete", "configmaps")
        .named(&name)
        .within(&cluster.namespace);
    let gone = cluster
        .call(&action, maps.delete(&name, &DeleteParams::background()))
        .await;
    let seen: BTreeMap<Probe, Seen> = seen?.into_iter().collect();
    gone?;
    if let Some((probe, why)) = verdict::unseen(&seen) {
        return Err(CliError::of(
            Failure::TimedOut,
            format!(
                "the pod {name}-{} did not start within {}: {why}",
                probe.name(),
                format::duration(args.timeout)
            ),
        )
        .hint("this says nothing of the image; give the pods more time with --timeout"));
    }
    report(ui, &subject, &seen, args.output)
}

fn report(ui: &Ui, subject: &Subject, seen: &BTreeMap<Probe, Seen>, output: Option<Notation>) -> Result<()> {
    let all = checks(&subject.program, seen);
    match output {
        Some(notation) => ui.structured(&all, notation)?,
        None => {
            for check in &all {
                let verdict = match check.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Failed => "FAILED",
                    Verdict::Info => "info",
                };
                ui.line(&format!("{verdict:<8}{:<13}{}", check.rule, check.details))?;
            }
        }
    }
    let failed = all
        .iter()
        .filter(|check| check.verdict == Verdict::Failed)
        .count();
    if failed == 0 {
        return Ok(());
    }
    Err(CliError::new(format!(
        "{} breaks {failed} of the rules of the agent image interface",
        subject.image
    )))
}

/// Makes the pod of a probe and watches it to its end.
async fn observe(
    cluster: &Cluster,
    map: &ConfigMap,
    subject: &Subject,
    probe: Probe,
    limit: Duration,
) -> Result<(Probe, Seen)> {
    let api = cluster.api::<Pod>();
    let until = Instant::now() + limit;
    let pod = pods::pod(map, subject, probe, limit)?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let action = |verb| Action::new(verb, "pods").named(&name).within(&cluster.namespace);
    cluster
        .call(&action("create"), api.create(&posting(false), &pod))
        .await?;
    let mut told = probe != Probe::Stop;
    let mut waits_for = Some(String::new());
    while Instant::now() < until {
        let pod = cluster.call(&action("get"), api.get(&name)).await?;
        let state = state(&pod);
        if state.running.is_some() {
            waits_for = None;
        }
        waits_for = waits_for.map(|_| pods::waits_for(&pod));
        if let Some(ended) = state.terminated {
            let why = ended.message.clone().unwrap_or_default();
            let reason = ended.reason.unwrap_or_default();
            if matches!(reason.as_str(), "StartError" | "ContainerCannotRun") {
                return Ok((probe, Seen::NotStarted(why)));
            }
            let seen = Seen::Ended {
                code: ended.exit_code,
                log: log_of(cluster, &name).await.unwrap_or_default(),
                message: why,
            };
            return Ok((probe, seen));
        }
        if let Some(waiting) = state.waiting
            && let Some(reason) = waiting
                .reason
                .filter(|reason| HOPELESS.contains(&reason.as_str()))
        {
            let why = waiting.message.unwrap_or_default();
            return Ok((probe, Seen::NotStarted(format!("{reason}: {why}"))));
        }
        if !told
            && state.running.is_some()
            && log_of(cluster, &name)
                .await
                .is_ok_and(|log| log.contains("axon-verify waits"))
        {
            // Ends the container as the deletion of the pod would, but leaves its status to be read.
            let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
            cluster
                .call(&action("patch"), api.patch(&name, &patching(false), &patch))
                .await?;
            told = true;
        }
        sleep(PAUSE).await;
    }
    Ok((probe, waits_for.map_or(Seen::Endless, Seen::Waiting)))
}

async fn log_of(cluster: &Cluster, pod: &str) -> Result<String> {
    let action = Action::new("get", "pods/log")
        .named(pod)
        .within(&cluster.namespace);
    let api = cluster.api::<Pod>();
    cluster.call(&action, api.logs(pod, &LogParams::default())).await
}

fn state(pod: &Pod) -> ContainerState {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let first = statuses.and_then(|statuses| statuses.first());
    first.and_then(|status| status.state.clone()).unwrap_or_default()
}
