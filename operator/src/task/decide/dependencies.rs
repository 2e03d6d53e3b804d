//! `dependsOn`: whether a Task may start, what it waits for, or why it never will.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};

use crate::task::build::prompt;
use crate::task::decide::failure::Failure;

/// What a Task's dependencies say.
#[derive(Clone, Debug, PartialEq)]
pub enum Dependencies {
    /// All have succeeded, or there are none.
    Ready(Satisfied),
    /// Some have not ended or do not exist.
    Waiting {
        /// Names them.
        message: String,
        /// Those that have succeeded.
        satisfied: Satisfied,
    },
    /// The Task can't run any more.
    Failed(Failure),
}

/// Dependencies that have succeeded, and what a prompt may ask of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Satisfied {
    /// Their names, those that are recorded first.
    pub names: Vec<String>,
    /// Their outputs by name, if the prompt is a template; see [`MAX_KEPT`].
    pub outputs: BTreeMap<String, Vec<String>>,
}

/// Bytes of outputs of dependencies that a status keeps. A dependency whose outputs do not fit any more is not recorded:
/// it is kept from expiring, and asked when the Task starts.
pub const MAX_KEPT: usize = 256 * 1024;

impl Satisfied {
    /// Writes it down.
    pub fn record(&self, status: &mut TaskStatus) {
        let mut kept = 0;
        for name in &self.names {
            let outputs = self.outputs.get(name);
            kept += outputs
                .iter()
                .flat_map(|lines| lines.iter())
                .map(String::len)
                .sum::<usize>();
            if status.satisfied_dependencies.contains(name) || kept > MAX_KEPT {
                continue;
            }
            status.satisfied_dependencies.push(name.clone());
            if let Some(outputs) = outputs {
                status.dependency_outputs.insert(name.clone(), outputs.clone());
            }
        }
    }
}

/// Looks at the dependencies of `task`. `find` returns a Task of the same namespace by name.
#[must_use]
pub fn resolve<T: Deref<Target = Task>>(
    task: &Task,
    name: &str,
    find: &impl Fn(&str) -> Option<T>,
) -> Dependencies {
    let recorded = task.status.clone().unwrap_or_default();
    let mut satisfied = Satisfied::default();
    let needs_outputs = prompt::is_template(task);
    let mut open = Vec::new();
    for dependency in &task.spec.depends_on {
        if satisfied.names.contains(dependency) {
            continue;
        }
        if !recorded.satisfied_dependencies.contains(dependency) {
            open.push(dependency);
            continue;
        }
        if let Some(outputs) = recorded.dependency_outputs.get(dependency) {
            satisfied.outputs.insert(dependency.clone(), outputs.clone());
        }
        satisfied.names.push(dependency.clone());
    }
    if open.is_empty() {
        return Dependencies::Ready(satisfied);
    }
    if let Some(cycle) = cycle_through(name, task, find) {
        return Dependencies::Failed(Failure {
            reason: TaskReason::DependencyCycle,
            message: format!("circular dependency: {}", cycle.join(" -> ")),
        });
    }
    let mut waits = Vec::new();
    for dependency in open {
        let found = find(dependency);
        let status = found.as_ref().map(|t| t.status.as_ref());
        match status.map(|s| s.and_then(|s| s.phase)) {
            Some(Some(TaskPhase::Succeeded)) => {
                let outputs = status.flatten().map(|s| s.outputs.clone());
                if let Some(outputs) = outputs.filter(|_| needs_outputs) {
                    satisfied.outputs.insert(dependency.clone(), outputs);
                }
                satisfied.names.push(dependency.clone());
            }
            Some(Some(TaskPhase::Failed)) => {
                return Dependencies::Failed(Failure {
                    reason: TaskReason::DependencyFailed,
                    message: format!("dependency {dependency} failed"),
                });
            }
            // Not its phase: whoever waits is not woken by each of them.
            Some(_) => waits.push(dependency.clone()),
            None => waits.push(format!("{dependency} (does not exist yet)")),
        }
    }
    if waits.is_empty() {
        return Dependencies::Ready(satisfied);
    }
    Dependencies::Waiting {
        message: format!("waits for {}", waits.join(", ")),
        satisfied,
    }
}

/// Returns the Tasks that `task` still waits for: none of what has succeeded for it, and none once it has itself.
fn awaited(task: &Task) -> impl Iterator<Item = &String> {
    let status = task.status.as_ref();
    let over = status.and_then(|s| s.phase) == Some(TaskPhase::Succeeded);
    let is_recorded = move |name: &String| status.is_some_and(|s| s.satisfied_dependencies.contains(name));
    let all = task.spec.depends_on.iter();
    all.filter(move |name| !over && !is_recorded(name))
}

/// Returns the first cycle that leads from `name` back to `name`, spelled out.
fn cycle_through<T: Deref<Target = Task>>(
    name: &str,
    task: &Task,
    find: &impl Fn(&str) -> Option<T>,
) -> Option<Vec<String>> {
    // By whom each Task was reached; iterative, because a chain may be as long as the namespace is large.
    let mut reached_by: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut to_see: Vec<String> = Vec::new();
    let reach = |from: &str, task: &Task, to_see: &mut Vec<String>, by: &mut BTreeMap<String, String>| {
        for next in awaited(task) {
            if !by.contains_key(next) {
                by.insert(next.clone(), from.to_owned());
                to_see.push(next.clone());
            }
        }
    };
    reach(name, task, &mut to_see, &mut reached_by);
    while let Some(next) = to_see.pop() {
        if next == name {
            return Some(way(name, &reached_by));
        }
        if seen.insert(next.clone())
            && let Some(found) = find(&next)
        {
            reach(&next, &found, &mut to_see, &mut reached_by);
        }
    }
    None
}

/// Returns the way from `name` to itself.
fn way(name: &str, reached_by: &BTreeMap<String, String>) -> Vec<String> {
    let mut way = vec![name.to_owned()];
    let mut at = name;
    while let Some(by) = reached_by.get(at) {
        way.push(by.clone());
        at = by;
        if at == name {
            break;
        }
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests;
