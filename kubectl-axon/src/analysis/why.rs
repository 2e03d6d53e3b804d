//! Why a Task is where it is: one chain of causes, with evidence and what to do. Pure.
//!
//! Who waits for whom follows from the same rules as the operator's: `axon_api::branch_lock`, and the dependencies that
//! the status has not recorded as satisfied.

mod reasons;
mod secrets;
mod spawner;

use std::collections::{BTreeMap, BTreeSet};

use axon_api::branch_lock::{self, Blocker, Rival};
use axon_api::{Task, TaskPhase, TaskReason, Workspace};
use jiff::Timestamp;
use serde::Serialize;

use crate::format;

pub use spawner::explain_spawner;

/// Links that are shown at most.
const MAX_LINKS: usize = 25;

/// One object of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `task/NAME`.
    pub object: String,
    /// Phase, or that it is missing.
    pub phase: String,
    /// Reason, as one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is known about it.
    pub evidence: String,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// One sentence.
    pub summary: String,
    /// What it stands on, causes below what they cause.
    pub links: Vec<Link>,
    /// Commands to type next.
    pub next: Vec<String>,
}

/// All that is known.
pub struct World<'a> {
    tasks: BTreeMap<&'a str, &'a Task>,
    workspaces: BTreeMap<&'a str, &'a Workspace>,
    /// What commands need to find the namespace, such as ` -n x`.
    flag: &'a str,
    now: Timestamp,
    /// By Task: why the Job controller could not make its pod.
    refusals: BTreeMap<String, String>,
}

/// What stands behind a Task's state.
#[derive(Default)]
struct Step {
    /// Completes "NAME ..." and "..., which ...".
    clause: String,
    state: State,
    next: Vec<String>,
    /// Tasks that are the cause, the worst first.
    causes: Vec<String>,
}

/// Phase, reason and evidence.
#[derive(Default)]
struct State {
    phase: String,
    reason: String,
    evidence: String,
}

impl<'a> World<'a> {
    /// Returns the world of one namespace.
    #[must_use]
    pub fn new(tasks: &'a [Task], workspaces: &'a [Workspace], flag: &'a str, now: Timestamp) -> Self {
        fn name<K: kube::Resource>(object: &K) -> &str {
            object.meta().name.as_deref().unwrap_or_default()
        }
        Self {
            tasks: tasks.iter().map(|t| (name(t), t)).collect(),
            workspaces: workspaces.iter().map(|w| (name(w), w)).collect(),
            flag,
            now,
            refusals: BTreeMap::new(),
        }
    }

    /// Adds, by Task, why the Job controller could not make its pod, in the API server's words.
    #[must_use]
    pub fn with_refusals(mut self, refusals: BTreeMap<String, String>) -> Self {
        self.refusals = refusals;
        self
    }

    /// Returns the Task of this name.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&'a Task> {
        self.tasks.get(name).copied()
    }

    /// Explains a Task; `None` if there is none of this name.
    #[must_use]
    pub fn explain(&self, name: &str) -> Option<Answer> {
        self.tasks.get(name)?;
        let mut answer = Answer::default();
        let mut seen = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        // The first cause of the first cause and so on makes the sentence.
        let mut spine = Some(name.to_owned());
        while let Some(current) = open.pop() {
            if !seen.insert(current.clone()) {
                continue;
            }
            let step = self.step(&current);
            if spine.as_ref() == Some(&current) {
                let more = match step.causes.len() {
                    0 | 1 => String::new(),
                    n => format!(" (and {})", format::count(n - 1, "other")),
                };
                if answer.summary.is_empty() {
                    answer.summary = format!("{current} {}{more}", step.clause);
                } else {
                    answer.summary += &format!(", which {}{more}", step.clause);
                }
                spine = step.causes.first().cloned();
                if spine.as_ref().is_some_and(|next| seen.contains(next)) {
                    answer.summary += ": a circle";
                    spine = None;
                }
                if spine.is_none() {
                    answer.next = step.next;
                }
            }
            answer.links.push(Link {
                object: format!("task/{current}"),
                phase: step.state.phase,
                reason: step.state.reason,
                evidence: step.state.evidence,
            });
            if answer.links.len() >= MAX_LINKS {
                break;
            }
            open.extend(step.causes.into_iter().rev());
        }
        // The words of the kubelet, and of others, have one already.
        if !answer.summary.ends_with('.') {
            answer.summary += ".";
        }
        Some(answer)
    }

    fn step(&self, name: &str) -> Step {
        let Some(task) = self.tasks.get(name) else {
            return Step {
                clause: "does not exist".to_owned(),
                state: State {
                    phase: "Missing".to_owned(),
                    evidence: "no task of this name in the namespace".to_owned(),
                    ..State::default()
                },
                next: vec![format!("kubectl axon run --name {name} -p PROMPT{}", self.flag)],
                causes: Vec::new(),
            };
        };
        let status = task.status.clone().unwrap_or_default();
        let mut step = match (status.phase, status.reason) {
            (None, _) => self.new_task(task),
            (Some(TaskPhase::Waiting), Some(TaskReason::WaitingForDependencies)) => self.dependencies(task),
            (Some(TaskPhase::Waiting), Some(TaskReason::WaitingForBranch)) => self.branch(name, task),
            (Some(TaskPhase::Failed), Some(TaskReason::DependencyFailed)) => self.failed_dependency(task),
            (Some(phase), reason) => {
                let context = reasons::Context {
                    workspace: self.workspace(task),
                    refusal: self.refusals.get(name).map(String::as_str),
                    flag: self.flag,
                    now: self.now,
                };
                let (clause, next) = reasons::words(name, task, phase, reason, &context);
                Step {
                    clause,
                    next,
                    ..Step::default()
                }
            }
        };
        step.state.phase = status.phase.map_or("New".to_owned(), |p| p.to_string());
        step.state.reason = status.reason.map(|r| r.to_string()).unwrap_or_default();
        if step.state.evidence.is_empty() {
            step.state.evidence = self.evidence(task);
        }
        step
    }

    /// Returns message and times.
    fn evidence(&self, task: &Task) -> String {
        let status = task.status.clone().unwrap_or_default();
        let mut parts: Vec<String> = Vec::new();
        parts.extend(
            status
                .message
                .as_deref()
                .map(format::joined)
                .filter(|m| !m.is_empty()),
        );
        let ago = |time: Timestamp| format!("{} ago", format::age(Some(time), self.now));
        match (&status.start_time, &status.completion_time) {
            (_, Some(end)) => parts.push(format!("ended {}", ago(end.0))),
            (Some(start), None) => parts.push(format!("started {}", ago(start.0))),
            (None, None) => {
                let created = task.metadata.creation_timestamp.as_ref();
                parts.extend(created.map(|created| format!("created {}", ago(created.0))));
            }
        }
        let running = status.phase == Some(TaskPhase::Running);
        parts.extend(
            status
                .pod_name
                .filter(|_| running)
                .map(|pod| format!("pod {pod}")),
        );
        parts.join("; ")
    }

    fn new_task(&self, task: &Task) -> Step {
        let created = task.metadata.creation_timestamp.as_ref().map(|time| time.0);
        Step {
            clause: format!(
                "was created {} ago and no operator has taken it up",
                format::age(created, self.now)
            ),
            next: vec![format!("kubectl axon doctor{}", self.flag)],
            ..Step::default()
        }
    }

    fn dependencies(&self, task: &Task) -> Step {
        let satisfied = task
            .status
            .as_ref()
            .map(|s| s.satisfied_dependencies.clone())
            .unwrap_or_default();
        let phase = |name: &str| Some(self.tasks.get(name)?.status.as_ref()?.phase);
        let mut causes: Vec<String> = task.spec.depends_on.clone();
        causes.retain(|name| !satisfied.contains(name) && phase(name) != Some(Some(TaskPhase::Succeeded)));
        causes.dedup();
        // What does not move by itself comes first.
        causes.sort_by_key(
            |name| match (self.tasks.contains_key(name.as_str()), phase(name).flatten()) {
                (false, _) => 0,
                (true, Some(TaskPhase::Failed)) => 1,
                (true, Some(TaskPhase::Waiting) | None) => 2,
                (true, Some(TaskPhase::Pending)) => 3,
                (true, _) => 4,
            },
        );
        let clause = match causes.first() {
            Some(first) => format!("waits for {first}"),
            None => "waited for dependencies that have succeeded by now, and starts soon".to_owned(),
        };
        Step {
            clause,
            causes,
            ..Step::default()
        }
    }

    fn failed_dependency(&self, task: &Task) -> Step {
        let failed = |name: &&String| {
            let status = self.tasks.get(name.as_str()).and_then(|t| t.status.as_ref());
            status.and_then(|s| s.phase) == Some(TaskPhase::Failed)
        };
        let causes: Vec<String> = task.spec.depends_on.iter().filter(failed).cloned().collect();
        let clause = match causes.first() {
            Some(first) => format!("failed because it depends on {first}"),
            None => "failed because a dependency failed, which is deleted by now".to_owned(),
        };
        Step {
            clause,
            causes,
            ..Step::default()
        }
    }

    fn workspace(&self, task: &Task) -> Option<&'a Workspace> {
        let name = &task.spec.workspace_ref.as_ref()?.name;
        self.workspaces.get(name.as_str()).copied()
    }

    fn branch(&self, name: &str, task: &Task) -> Step {
        let branch = task.spec.branch().unwrap_or_default();
        let key = branch_lock::key(task, self.workspace(task));
        let others = self.tasks.iter().filter(|(other, _)| **other != name);
        let rivals: Vec<Rival<'_>> = others
            .filter(|(_, other)| branch_lock::key(other, self.workspace(other)) == key)
            .map(|(_, other)| Rival {
                task: other,
                has_job: other.status.as_ref().is_some_and(|s| s.job_name.is_some()),
            })
            .collect();
        match branch_lock::blocker(task, &rivals) {
            Some(Blocker::Holder(holder)) => {
                let held = self
                    .tasks
                    .get(holder)
                    .and_then(|t| t.status.as_ref()?.start_time.as_ref());
                let since = held
                    .map(|start| format!(" for {}", format::age(Some(start.0), self.now)))
                    .unwrap_or_default();
                Step {
                    clause: format!("waits for branch {branch}, held by {holder}{since}"),
                    causes: vec![holder.to_owned()],
                    ..Step::default()
                }
            }
            Some(Blocker::Queue) => self.queue(task, branch, &rivals),
            None => Step {
                clause: format!("waited for branch {branch}, which is free by now, and starts soon"),
                ..Step::default()
            },
        }
    }

    fn queue(&self, task: &Task, branch: &str, rivals: &[Rival<'_>]) -> Step {
        let order = |t: &Task| (t.metadata.creation_timestamp.clone(), t.metadata.name.clone());
        let queued = |t: &Task| {
            let status = t.status.as_ref();
            status.and_then(|s| s.reason) == Some(TaskReason::WaitingForBranch)
        };
        let mut ahead: Vec<&Task> = rivals.iter().map(|r| r.task).filter(|t| queued(t)).collect();
        ahead.retain(|other| order(other) < order(task));
        ahead.sort_by_key(|t| order(t));
        let names: Vec<String> = ahead.iter().filter_map(|t| t.metadata.name.clone()).collect();
        Step {
            clause: format!(
                "waits for branch {branch} as number {} in its queue, behind {}",
                names.len() + 1,
                names.join(", ")
            ),
            // Only the one in front can move.
            causes: names.into_iter().take(1).collect(),
            ..Step::default()
        }
    }
}

#[cfg(test)]
mod tests;
