//! A graph for programs: JSON, Graphviz, Mermaid.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::analysis::graph::{Graph, Node};

/// Returns nodes, critical paths and cycles.
pub(super) fn json(graph: &Graph<'_>, shown: &BTreeSet<usize>, now: Timestamp) -> Value {
    let name = |node: usize| graph.nodes.get(node).map(|n| n.name().to_owned());
    let names = |nodes: &[usize]| nodes.iter().filter_map(|n| name(*n)).collect::<Vec<_>>();
    let pipelines: Vec<BTreeSet<usize>> = graph
        .pipelines()
        .iter()
        .map(|group| group.intersection(shown).copied().collect())
        .filter(|group: &BTreeSet<usize>| group.len() > 1)
        .collect();
    let paths: Vec<_> = pipelines
        .iter()
        .map(|group| graph.critical(group, now))
        .filter(|path| path.nodes.len() > 1)
        .collect();
    let cycles = graph.cycles(shown);
    let on_path: BTreeSet<usize> = paths.iter().flat_map(|p| p.nodes.clone()).collect();
    let in_cycle: BTreeSet<usize> = cycles.iter().flatten().copied().collect();
    let nodes: Vec<Value> = shown
        .iter()
        .filter_map(|index| {
            let node = graph.nodes.get(*index)?;
            let mut value = described(node, now);
            let before = graph.before.get(*index)?;
            let (spawners, dependencies): (Vec<usize>, Vec<usize>) = before
                .iter()
                .partition(|n| matches!(graph.nodes.get(**n), Some(Node::Spawner { .. })));
            let map = value.as_object_mut()?;
            if node.task().is_some() {
                map.insert("dependsOn".into(), names(&dependencies).into());
                map.insert("below".into(), names(&spawners).into());
                map.insert("critical".into(), on_path.contains(index).into());
                map.insert("inCycle".into(), in_cycle.contains(index).into());
            }
            Some(value)
        })
        .collect();
    json!({
        "nodes": nodes,
        "criticalPaths": paths
            .iter()
            .map(|path| json!({"tasks": names(&path.nodes), "seconds": path.seconds}))
            .collect::<Vec<_>>(),
        "cycles": cycles.iter().map(|cycle| names(cycle)).collect::<Vec<_>>(),
    })
}

fn described(node: &Node<'_>, now: Timestamp) -> Value {
    let (namespace, name) = (node.namespace(), node.name());
    match node {
        Node::Task(task) => {
            let status = &task.status;
            let mut value = json!({
                "kind": "Task", "namespace": namespace, "name": name, "uid": task.metadata.uid,
                "type": task.spec.agent, "model": task.spec.model, "taskSpawner": task.spawner(),
                "phase": status.phase, "reason": status.reason, "branch": task.branch(),
                "pr": status.results.get("pr"), "commit": status.results.get("commit"), "usage": status.usage,
                "creationTime": task.metadata.creation_timestamp, "startTime": status.start_time,
                "completionTime": status.completion_time, "runSeconds": task.run_seconds(now),
            });
            if let Some(map) = value.as_object_mut() {
                map.retain(|_, v| !v.is_null() && v != "");
            }
            value
        }
        Node::Missing { succeeded, .. } => {
            json!({"kind": "Missing", "namespace": namespace, "name": name, "succeeded": succeeded})
        }
        Node::Spawner { object, .. } => json!({
            "kind": "TaskSpawner", "namespace": namespace, "name": name, "exists": object.is_some(),
            "phase": object.and_then(|o| o.status.phase.clone()),
        }),
    }
}

/// What stands in a node: name, and what it is or how far.
fn labels(node: &Node<'_>) -> (String, String) {
    let name = crate::format::one_line(node.name());
    match node {
        Node::Task(task) => {
            let phase = task.status.phase.map_or("New".to_owned(), |p| p.to_string());
            (name, phase)
        }
        Node::Missing { succeeded: true, .. } => (name, "Succeeded, deleted".to_owned()),
        Node::Missing { .. } => (name, "Missing".to_owned()),
        Node::Spawner { .. } => (format!("taskspawner/{name}"), String::new()),
    }
}

fn colour(state: &str) -> &'static str {
    match state {
        "Succeeded" | "Succeeded, deleted" => "#c8e6c9",
        "Failed" | "Missing" => "#ffcdd2",
        "Running" => "#bbdefb",
        "" => "#eeeeee",
        _ => "#fff9c4",
    }
}

fn edges<'a>(graph: &'a Graph<'_>, shown: &'a BTreeSet<usize>) -> impl Iterator<Item = (usize, usize)> + 'a {
    shown.iter().flat_map(move |node| {
        let after = graph.after.get(*node).into_iter().flatten();
        after
            .filter(|next| shown.contains(next))
            .map(move |next| (*node, *next))
    })
}

/// Returns the graph in Graphviz' language.
pub(super) fn dot(graph: &Graph<'_>, shown: &BTreeSet<usize>) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text =
        "digraph axon {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n".to_owned();
    for index in shown {
        let Some(node) = graph.nodes.get(*index) else {
            continue;
        };
        let (name, state) = labels(node);
        let colour = colour(&state);
        let label = [quoted(&name), quoted(&state)].join("\\n");
        let label = label.trim_end_matches("\\n");
        // Writing to a String does not fail.
        writeln!(text, "  n{index} [label=\"{label}\", fillcolor=\"{colour}\"];").ok();
    }
    for (from, to) in edges(graph, shown) {
        writeln!(text, "  n{from} -> n{to};").ok();
    }
    text + "}\n"
}

/// Returns the graph in Mermaid's language.
pub(super) fn mermaid(graph: &Graph<'_>, shown: &BTreeSet<usize>) -> String {
    let quoted = |text: &str| text.replace('"', "#quot;");
    let mut text = "flowchart LR\n".to_owned();
    for index in shown {
        let Some(node) = graph.nodes.get(*index) else {
            continue;
        };
        let (name, state) = labels(node);
        let label = [quoted(&name), quoted(&state)].join("<br/>");
        let label = label.trim_end_matches("<br/>");
        writeln!(text, "  n{index}[\"{label}\"]").ok();
        writeln!(text, "  style n{index} fill:{}", colour(&state)).ok();
    }
    for (from, to) in edges(graph, shown) {
        writeln!(text, "  n{from} --> n{to}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::graph::tests::{spawned, task};

    #[test]
    fn programs_get_the_same_graph() {
        let tasks = [
            spawned(task("a", &[], "Succeeded", 10), "s"),
            task("b", &["a", "ghost"], "Waiting", 0),
        ];
        let graph = Graph::new(&tasks, &[]);
        let shown = (0..graph.nodes.len()).collect();
        insta::assert_snapshot!(dot(&graph, &shown), @r##"
        digraph axon {
          rankdir=LR;
          node [shape=box, style="rounded,filled"];
          n0 [label="taskspawner/s", fillcolor="#eeeeee"];
          n1 [label="a\nSucceeded", fillcolor="#c8e6c9"];
          n2 [label="b\nWaiting", fillcolor="#fff9c4"];
          n3 [label="ghost\nMissing", fillcolor="#ffcdd2"];
          n0 -> n1;
          n1 -> n2;
          n3 -> n2;
        }
        "##);
        insta::assert_snapshot!(mermaid(&graph, &shown), @r#"
        flowchart LR
          n0["taskspawner/s"]
          style n0 fill:#eeeeee
          n1["a<br/>Succeeded"]
          style n1 fill:#c8e6c9
          n2["b<br/>Waiting"]
          style n2 fill:#fff9c4
          n3["ghost<br/>Missing"]
          style n3 fill:#ffcdd2
          n0 --> n1
          n1 --> n2
          n3 --> n2
        "#);
        let value = json(&graph, &shown, "2026-01-02T10:00:00Z".parse().unwrap());
        assert_eq!(
            value["criticalPaths"][0],
            json!({"tasks": ["a", "b"], "seconds": 600})
        );
        assert_eq!(value["nodes"][2]["dependsOn"], json!(["a", "ghost"]));
        assert_eq!(value["nodes"][1]["below"], json!(["s"]));
    }
}
