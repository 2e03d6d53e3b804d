//! Cases of `dependsOn`.

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
    assert!(matches!(of(&all, "t"), Dependencies::Waiting { message, .. } if message == "waits for runs"));
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
