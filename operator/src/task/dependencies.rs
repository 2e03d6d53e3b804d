//! `dependsOn`: whether a Task may start, what it waits for, or why it never will.

use std::collections::BTreeSet;

use axon_api::{Task, TaskPhase, TaskReason};

use super::outcome::Failure;

/// What a Task's dependencies say.
#[derive(Clone, Debug, PartialEq)]
pub enum Dependencies {
    /// All have succeeded, or there are none.
    Ready,
    /// Some have not ended or do not exist.
    Waiting {
        /// Names them.
        message: String,
        /// Names of those that have succeeded.
        satisfied: Vec<String>,
    },
    /// The Task can't run any more.
    Failed(Failure),
}

/// Looks at the dependencies of `task`. `find` returns a Task of the same namespace by name.
#[must_use]
pub fn look<'a>(task: &'a Task, name: &'a str, find: &impl Fn(&str) -> Option<&'a Task>) -> Dependencies {
    if task.spec.depends_on.is_empty() {
        return Dependencies::Ready;
    }
    if let Some(cycle) = cycle_through(name, task, find) {
        return Dependencies::Failed(Failure {
            reason: TaskReason::DependencyCycle,
            message: format!("circular dependency: {}", cycle.join(" -> ")),
        });
    }
    let recorded = task
        .status
        .as_ref()
        .map(|s| s.satisfied_dependencies.as_slice())
        .unwrap_or_default();
    let mut waits = Vec::new();
    let mut satisfied = Vec::new();
    for dependency in &task.spec.depends_on {
        if recorded.contains(dependency) {
            satisfied.push(dependency.clone());
            continue;
        }
        let phase = find(dependency).map(|t| t.status.as_ref().and_then(|s| s.phase));
        match phase {
            Some(Some(TaskPhase::Succeeded)) => satisfied.push(dependency.clone()),
            Some(Some(TaskPhase::Failed)) => {
                return Dependencies::Failed(Failure {
                    reason: TaskReason::DependencyFailed,
                    message: format!("dependency {dependency} failed"),
                });
            }
            Some(phase) => {
                let phase = phase.map_or("new".to_owned(), |p| p.to_string());
                waits.push(format!("{dependency} ({phase})"));
            }
            None => waits.push(format!("{dependency} (does not exist yet)")),
        }
    }
    if waits.is_empty() {
        return Dependencies::Ready;
    }
    Dependencies::Waiting {
        message: format!("waits for {}", waits.join(", ")),
        satisfied,
    }
}

/// Returns the first cycle that leads from `name` back to `name`, spelled out.
fn cycle_through<'a>(
    name: &str,
    task: &'a Task,
    find: &impl Fn(&str) -> Option<&'a Task>,
) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    // Each entry is a way from `name`; iterative, because a chain may be as long as the namespace is large.
    let mut ways: Vec<Vec<&'a str>> = task.spec.depends_on.iter().map(|d| vec![d.as_str()]).collect();
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        if last == name {
            let names = std::iter::once(name).chain(way).map(str::to_owned);
            return Some(names.collect());
        }
        if !seen.insert(last) {
            continue;
        }
        for next in find(last).into_iter().flat_map(|t| &t.spec.depends_on) {
            ways.push(
                way.iter()
                    .copied()
                    .chain(std::iter::once(next.as_str()))
                    .collect(),
            );
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axon_api::TaskStatus;

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

    fn of(all: &BTreeMap<String, Task>, name: &str) -> Dependencies {
        look(&all[name], name, &|n: &str| all.get(n))
    }

    #[test]
    fn waits_name_every_blocker() {
        let all = tasks(&[
            ("a", &["b", "c", "d"], None),
            ("b", &[], Some(TaskPhase::Succeeded)),
            ("c", &[], Some(TaskPhase::Running)),
        ]);
        let message = "waits for c (Running), d (does not exist yet)".to_owned();
        assert_eq!(
            of(&all, "a"),
            Dependencies::Waiting {
                message,
                satisfied: vec!["b".into()]
            }
        );
    }

    #[test]
    fn success_of_all_is_ready_and_one_failure_is_final() {
        let mut all = tasks(&[("a", &["b"], None), ("b", &[], Some(TaskPhase::Succeeded))]);
        assert_eq!(of(&all, "a"), Dependencies::Ready);
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
        assert_eq!(of(&all, "a"), Dependencies::Ready);
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
