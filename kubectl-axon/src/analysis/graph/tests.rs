use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// A Task with its dependencies, phase and run time in minutes.
pub(crate) fn task(name: &str, deps: &[&str], phase: &str, minutes: i64) -> Brief {
    let mut status = json!({"phase": phase});
    if minutes > 0 {
        status["startTime"] = json!("2026-01-02T09:00:00Z");
        let end = format!("2026-01-02T{:02}:{:02}:00Z", 9 + minutes / 60, minutes % 60);
        if phase != "Running" {
            status["completionTime"] = json!(end);
        }
    }
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "d", "uid": name, "creationTimestamp": "2026-01-02T09:00:00Z"},
        "spec": {"type": "claude-code", "dependsOn": deps}, "status": status,
    }))
    .unwrap()
}

pub(crate) fn spawned(mut task: Brief, by: &str) -> Brief {
    task.metadata
        .labels
        .insert(axon_api::labels::TASK_SPAWNER.to_owned(), by.to_owned());
    task
}

fn drawn(graph: &Graph<'_>, shown: &BTreeSet<usize>) -> String {
    let lines = graph.outline(shown);
    let text = lines.iter().map(|line| {
        let mark = match line.mark {
            Mark::Whole => "",
            Mark::Again => " ^",
            Mark::Cycle => " (cycle)",
        };
        format!(
            "{}{}{mark}\n",
            "  ".repeat(line.depth),
            graph.nodes[line.node].name()
        )
    });
    text.collect()
}

fn all(graph: &Graph<'_>) -> BTreeSet<usize> {
    (0..graph.nodes.len()).collect()
}

fn names(graph: &Graph<'_>, nodes: &[usize]) -> Vec<String> {
    nodes.iter().map(|n| graph.nodes[*n].name().to_owned()).collect()
}

fn now() -> jiff::Timestamp {
    "2026-01-02T10:00:00Z".parse().unwrap()
}

#[test]
fn what_two_wait_for_and_who_waits_for_two_is_shown_once() {
    let tasks = [
        task("a", &[], "Succeeded", 1),
        task("b", &["a"], "Running", 5),
        task("c", &["a"], "Waiting", 0),
        task("d", &["b", "c"], "Waiting", 0),
        task("e", &["d"], "Waiting", 0),
    ];
    let graph = Graph::new(&tasks, &[]);
    insta::assert_snapshot!(drawn(&graph, &all(&graph)), @r"
    a
      b
        d
          e
      c
        d ^
    ");
}

#[test]
fn cycles_are_walked_once_and_named() {
    let tasks = [
        task("a", &["c"], "Failed", 0),
        task("b", &["a"], "Failed", 0),
        task("c", &["b"], "Failed", 0),
        task("s", &["s"], "Failed", 0),
        task("t", &["c"], "Failed", 0),
    ];
    let graph = Graph::new(&tasks, &[]);
    insta::assert_snapshot!(drawn(&graph, &all(&graph)), @r"
    a
      b
        c
          a (cycle)
          t
    s
      s (cycle)
    ");
    let cycles: Vec<Vec<String>> = graph
        .cycles(&all(&graph))
        .iter()
        .map(|cycle| names(&graph, cycle))
        .collect();
    assert_eq!(cycles, [vec!["a", "b", "c"], vec!["s"]]);
}

#[test]
fn missing_dependencies_and_spawners_are_roots() {
    let tasks = [
        spawned(task("one", &[], "Running", 1), "bugs"),
        spawned(task("two", &["one"], "Waiting", 0), "bugs"),
        spawned(task("three", &["ghost"], "Waiting", 0), "bugs"),
    ];
    let other: Spawner = serde_json::from_value(
        json!({"metadata": {"name": "idle", "namespace": "d"}, "status": {"phase": "Suspended"}}),
    )
    .unwrap();
    let spawners = [other];
    let graph = Graph::new(&tasks, &spawners);
    insta::assert_snapshot!(drawn(&graph, &all(&graph)), @r"
    bugs
      one
        two
      three
    idle
    ghost
      three ^
    ");
    let ghost = graph.nodes.iter().find(|n| n.name() == "ghost").unwrap();
    assert!(matches!(ghost, Node::Missing { succeeded: false, .. }));
}

#[test]
fn a_task_is_shown_with_its_past_and_its_future_only() {
    let tasks = [
        task("a", &[], "Succeeded", 1),
        task("b", &["a"], "Running", 5),
        task("c", &["a"], "Waiting", 0),
        task("d", &["b", "x"], "Waiting", 0),
        task("x", &[], "Running", 0),
    ];
    let graph = Graph::new(&tasks, &[]);
    let related = graph.related(graph.find_task("d", "b").unwrap());
    let found: Vec<&str> = related.iter().map(|n| graph.nodes[*n].name()).collect();
    assert_eq!(found, ["a", "b", "d"]);
    assert_eq!(graph.pipelines().len(), 1);
}

#[test]
fn the_critical_path_is_the_longest_in_time() {
    let tasks = [
        task("a", &[], "Succeeded", 10),
        task("b", &["a"], "Succeeded", 1),
        task("c", &["a"], "Succeeded", 20),
        task("d", &["b", "c"], "Waiting", 0),
        task("z", &[], "Succeeded", 25),
    ];
    let graph = Graph::new(&tasks, &[]);
    let path = graph.critical(&graph.pipelines()[0], now());
    assert_eq!(names(&graph, &path.nodes), ["a", "c", "d"]);
    assert_eq!(path.seconds, 30 * 60);
}

#[test]
fn a_chain_of_ten_thousand_and_a_cycle_behind_it_are_no_problem() {
    let mut tasks: Vec<Brief> = (0..10_000)
        .map(|i| {
            let before = format!("t{:05}", i - 1);
            let deps: &[&str] = if i == 0 { &[] } else { &[&before] };
            task(&format!("t{i:05}"), deps, "Waiting", 0)
        })
        .collect();
    tasks.push(task("x", &["t09999", "y"], "Failed", 0));
    tasks.push(task("y", &["x"], "Failed", 0));
    let graph = Graph::new(&tasks, &[]);
    let everything = all(&graph);
    assert_eq!(graph.outline(&everything).len(), 10_003);
    assert_eq!(graph.cycles(&everything).len(), 1);
    assert_eq!(graph.critical(&everything, now()).nodes.len(), 10_000);
}
