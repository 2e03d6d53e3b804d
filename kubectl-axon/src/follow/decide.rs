//! What to do next, from what is observed. Pure.

use axon_api::contract::container::{AGENT, WORKSPACE};
use axon_api::{Task, TaskPhase, TaskReason};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::Options;
use crate::format::joined;

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Wait for a change; the text says what for.
    Wait(String),
    /// Show a container's log.
    Stream {
        /// Name of the pod.
        pod: String,
        /// Name of the container.
        container: &'static str,
    },
    /// There is nothing more to come.
    End,
}

/// Logs that were shown already, as pod uid and container.
#[derive(Debug, Default)]
pub struct Seen(Vec<(String, &'static str)>);

impl Seen {
    /// Notes that a log was shown.
    pub fn add(&mut self, uid: String, container: &'static str) {
        self.0.push((uid, container));
    }

    /// Returns true when nothing was shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, pod: &Pod, container: &str) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        self.0.iter().any(|(seen, c)| seen == uid && *c == container)
    }

    fn has_any(&self, container: &str) -> bool {
        self.0.iter().any(|(_, c)| *c == container)
    }
}

/// Returns what to do next about a Task and its newest pod.
#[must_use]
pub fn next(task: &Task, pod: Option<&Pod>, seen: &Seen, options: &Options) -> Step {
    let terminal = phase(task).is_some_and(TaskPhase::is_terminal);
    if let Some(pod) = pod {
        let name = pod.metadata.name.clone().unwrap_or_default();
        if let Some(container) = pick(pod, options.workspace)
            && !seen.has(pod, container)
        {
            return Step::Stream { pod: name, container };
        }
        let wanted = if options.workspace { WORKSPACE } else { AGENT };
        if seen.has(pod, wanted) && !options.to_the_end && !is_disrupted(pod) {
            return Step::End;
        }
    }
    if terminal {
        return Step::End;
    }
    Step::Wait(waiting_for(task, pod, seen))
}

/// Returns the container whose log is worth showing: the agent if it has started, the workspace if that failed or
/// was asked for.
#[must_use]
pub fn pick(pod: &Pod, workspace: bool) -> Option<&'static str> {
    let started = |container| {
        container_state(pod, container).is_some_and(|s| s.running.is_some() || s.terminated.is_some())
    };
    if workspace {
        return started(WORKSPACE).then_some(WORKSPACE);
    }
    if started(AGENT) {
        return Some(AGENT);
    }
    let exit = container_state(pod, WORKSPACE)?.terminated.as_ref()?.exit_code;
    (exit != 0).then_some(WORKSPACE)
}

/// Returns the state of a container of a pod.
#[must_use]
pub fn container_state<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerState> {
    status(pod, name)?.state.as_ref()
}

fn status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .find(|s| s.name == name)
}

/// Returns what is said before a log, if anything.
#[must_use]
pub fn introduction(container: &str, seen: &Seen, options: &Options) -> Option<&'static str> {
    if container == WORKSPACE && !options.workspace {
        return Some("the workspace could not be set up; its log:");
    }
    (container == AGENT && seen.has_any(AGENT)).then_some("the task was started again in a new pod")
}

/// A pod that its node gives up is replaced by its Job.
fn is_disrupted(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "DisruptionTarget" && c.status == "True")
}

fn phase(task: &Task) -> Option<TaskPhase> {
    task.status.as_ref()?.phase
}

fn waiting_for(task: &Task, pod: Option<&Pod>, seen: &Seen) -> String {
    let Some(phase) = phase(task) else {
        return "waiting for the operator to take up the task".to_owned();
    };
    if let Some(pod) = pod {
        if seen.has(pod, AGENT) {
            return "the agent has ended; waiting for the operator to record the outcome".to_owned();
        }
        if seen.has(pod, WORKSPACE) && pick(pod, false) == Some(WORKSPACE) {
            return "waiting for the operator to record the outcome".to_owned();
        }
        // The pod knows first how far it is; what is wrong with it the operator says better.
        if !knows_what_is_wrong(task)
            && let Some(words) = pod_words(pod)
        {
            return words;
        }
    }
    state_words(task).unwrap_or_else(|| format!("task is {phase}"))
}

fn knows_what_is_wrong(task: &Task) -> bool {
    use TaskReason::{ImagePull, PodRefused, Queued, SecretNotFound, Unschedulable};
    let status = task.status.as_ref();
    let told = status.filter(|s| s.message.is_some()).and_then(|s| s.reason);
    told.is_some_and(|r| {
        matches!(
            r,
            ImagePull | PodRefused | Queued | SecretNotFound | Unschedulable
        )
    })
}

/// Returns reason and message of a Task's status in one line.
fn state_words(task: &Task) -> Option<String> {
    let status = task.status.as_ref()?;
    let message = status.message.as_deref().map(joined).filter(|m| !m.is_empty());
    let reason = status.reason.filter(|r| *r != TaskReason::Unknown);
    match (message, reason) {
        (Some(message), Some(reason)) => Some(format!("{message} ({reason})")),
        (Some(message), None) => Some(message),
        (None, Some(reason)) => Some(reason.to_string()),
        (None, None) => None,
    }
}

/// Returns what keeps the agent from starting.
fn pod_words(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let unscheduled = conditions
        .into_iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        let why = condition.message.as_deref().map(joined).unwrap_or_default();
        return Some(format!("waiting for a node: {why}"));
    }
    for (container, preparing, running) in [
        (WORKSPACE, "preparing the pod", "cloning the repository"),
        (AGENT, "starting the agent", ""),
    ] {
        let Some(state) = container_state(pod, container) else {
            continue;
        };
        if state.running.is_some() && !running.is_empty() {
            return Some(running.to_owned());
        }
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if matches!(reason, "" | "PodInitializing" | "ContainerCreating") {
                // An agent that waits for its init container says nothing about the pod yet.
                return Some(preparing.to_owned());
            }
            let message = waiting.message.as_deref().map(joined).unwrap_or_default();
            return Some(format!(
                "container {container} does not start: {reason}: {message}"
            ));
        }
    }
    None
}

/// Returns why there is no log to show.
#[must_use]
pub fn explain_silence(name: &str, task: &Task, pod: Option<&Pod>) -> String {
    let state = state_words(task)
        .map(|words| format!(": {words}"))
        .unwrap_or_default();
    match (phase(task), pod) {
        (None, _) => format!("task {name:?} has no log: no operator has taken it up yet"),
        (Some(TaskPhase::Succeeded), None) => {
            format!("the log of task {name:?} is gone with its pod; the task has Succeeded{state}")
        }
        (Some(phase @ (TaskPhase::Failed | TaskPhase::Succeeded)), _) => {
            format!("task {name:?} has no log; it has {phase}{state}")
        }
        (Some(phase), Some(pod)) => {
            let words = match pod_words(pod) {
                Some(words) if !knows_what_is_wrong(task) => format!(": {words}"),
                _ => state,
            };
            format!("task {name:?} has no log yet; it is {phase}{words}")
        }
        (Some(phase), None) => format!("task {name:?} has no log yet; it is {phase}{state}"),
    }
}

#[cfg(test)]
mod tests;
