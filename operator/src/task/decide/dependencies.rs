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
mod tests {
    use super::*;
    use crate::task::fixtures::task;

    fn tasks(graph: &[(&str, &[&str], Option<TaskPhase>)]) -> BTreeMap<String, Task> {
        graph
            .iter()
            .map(|(name, deps, phase)| {
                let mut t = task(name);
                t.spec.depends_on = deps.iter().map(|d| (*d).to_owned()).collect();
                t.status = phase.map(|p| TaskStatus {
                    phase: Some(p),
                    ..TaskStatus::default()
                });
                ((*name).to_owned(), t)
            })
            .collect()
    }

    fn named(name: &str) -> Satisfied {
        Satisfied {
            names: vec![name.to_owned()],
            ..Satisfied::default()
        }
    }

    fn of(all: &BTreeMap<String, Task>, name: &str) -> Dependencies {
        resolve(&all[name], name, &|n: &str| all.get(n))
    }

    #[test]
    fn waits_name_every_blocker() {
        let all = tasks(&[
            ("a", &["b", "c", "d"], None),
            ("b", &[], Some(TaskPhase::Succeeded)),
            ("c", &[], Some(TaskPhase::Running)),
        ]);
        let message = "waits for c, d (does not exist yet)".to_owned();
        assert_eq!(
            of(&all, "a"),
            Dependencies::Waiting {
                message,
                satisfied: named("b")
            }
        );
    }

    #[test]
    fn success_of_all_is_ready_and_one_failure_is_final() {
        let mut all = tasks(&[("a", &["b"], None), ("b", &[], Some(TaskPhase::Succeeded))]);
        assert_eq!(of(&all, "a"), Dependencies::Ready(named("b")));
        all.get_mut("b").unwrap().status.as_mut().unwrap().phase = Some(TaskPhase::Failed);
        assert!(matches!(of(&all, "a"), Dependencies::Failed(f) if f.message.contains("b failed")));
    }

    #[test]
    fn a_recorded_success_counts_when_the_dependency_is_gone() {
        let mut all = tasks(&[("a", &["b"], None)]);
        all.get_mut("a").unwrap().status = Some(TaskStatus {
            satisfied_dependencies: vec!["b".into()],
            ..TaskStatus::default()
        });
        assert_eq!(of(&all, "a"), Dependencies::Ready(named("b")));
    }

    #[test]
    fn outputs_are_kept_for_a_prompt_that_is_a_template_and_only_as_many_as_fit() {
        let mut all = tasks(&[
            ("a", &["b", "c", "d", "e"], None),
            ("b", &[], Some(TaskPhase::Succeeded)),
            ("c", &[], Some(TaskPhase::Succeeded)),
            ("d", &[], Some(TaskPhase::Succeeded)),
        ]);
        for (name, bytes) in [("b", 10), ("c", MAX_KEPT), ("d", 10)] {
            all.get_mut(name).unwrap().status.as_mut().unwrap().outputs = vec!["x".repeat(bytes)];
        }
        let kept = |all: &BTreeMap<String, Task>| {
            let Dependencies::Waiting { satisfied, .. } = of(all, "a") else {
                panic!("e is not there");
            };
            let mut status = TaskStatus::default();
            satisfied.record(&mut status);
            status
        };
        let plain = kept(&all);
        assert_eq!(plain.satisfied_dependencies, ["b", "c", "d"]);
        assert!(plain.dependency_outputs.is_empty(), "nothing asks for them");
        all.get_mut("a").unwrap().spec.prompt = "{{.Deps}}".into();
        let status = kept(&all);
        assert_eq!(status.satisfied_dependencies, ["b"], "the others stay awaited");
        assert_eq!(status.dependency_outputs.len(), 1);
        all.get_mut("a").unwrap().status = Some(status);
        all.remove("b");
        let Dependencies::Waiting { satisfied, .. } = of(&all, "a") else {
            panic!("e is not there");
        };
        assert_eq!(satisfied.names, ["b", "c", "d"]);
        assert_eq!(satisfied.outputs["b"], ["x".repeat(10)]);
        assert_eq!(
            satisfied.outputs["c"][0].len(),
            MAX_KEPT,
            "all of it is there for the prompt"
        );
    }

    #[test]
    fn a_long_chain_is_walked_in_no_time() {
        let names: Vec<String> = (0..3000).map(|n| format!("t{n}")).collect();
        let mut all = BTreeMap::new();
        for (n, name) in names.iter().enumerate() {
            let mut t = task(name);
            t.spec.depends_on = names.get(n + 1).cloned().into_iter().collect();
            all.insert(name.clone(), t);
        }
        assert!(matches!(of(&all, "t0"), Dependencies::Waiting { .. }));
        all.get_mut("t2999").unwrap().spec.depends_on = vec!["t0".into()];
        let Dependencies::Failed(failure) = of(&all, "t0") else {
            panic!("it is a cycle");
        };
        assert!(
            failure
                .message
                .starts_with("circular dependency: t0 -> t1 -> t2 -> ")
        );
        assert!(failure.message.ends_with(" -> t2999 -> t0"));
    }

    #[test]
    fn what_nobody_waits_for_any_more_closes_no_cycle() {
        // `t` was deleted after the others had made use of it, and is created anew.
        let mut all = tasks(&[
            ("t", &["done", "runs"], None),
            ("done", &["t"], Some(TaskPhase::Succeeded)),
            ("runs", &["t"], Some(TaskPhase::Running)),
        ]);
        all.get_mut("runs")
            .unwrap()
            .status
            .as_mut()
            .unwrap()
            .satisfied_dependencies = vec!["t".into()];
        assert!(
            matches!(of(&all, "t"), Dependencies::Waiting { message, .. } if message == "waits for runs")
        );
        all.get_mut("runs").unwrap().status = None;
        assert!(matches!(of(&all, "t"), Dependencies::Failed(f) if f.reason == TaskReason::DependencyCycle));
    }

    #[test]
    fn cycles_are_spelled_out_and_diamonds_are_none() {
        let all = tasks(&[
            ("a", &["b"], None),
            ("b", &["c"], None),
            ("c", &["a"], None),
            ("s", &["s"], None),
        ]);
        assert!(
            matches!(of(&all, "a"), Dependencies::Failed(f) if f.message == "circular dependency: a -> b -> c -> a")
        );
        assert!(matches!(of(&all, "s"), Dependencies::Failed(f) if f.reason == TaskReason::DependencyCycle));
        let diamond = tasks(&[
            ("a", &["b", "c"], None),
            ("b", &["d"], None),
            ("c", &["d"], None),
            ("d", &[], None),
        ]);
        assert!(matches!(of(&diamond, "a"), Dependencies::Waiting { .. }));
    }
}
