//! What is registered, what the documentation lists, and what alerts and dashboard ask for are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use axon_api::{TaskPhase, TaskReason, TaskStatus};
use kube_runtime::reflector::store;
use kube_runtime::watcher::Event;
use serde_json::Value;

use super::*;
use crate::spawner::fixtures;
use crate::task::fixtures::task;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Returns all figures as text, each with a value.
fn touched() -> String {
    let metrics = Metrics::new();
    let mut task = task("t");
    let (reader, mut writer) = store::store();
    let _shown = metrics.backlog.show(reader);
    let (namespace, r#type) = ("team".to_owned(), "codex".to_owned());
    let job = TaskStatus {
        job_name: Some("t".into()),
        ..TaskStatus::default()
    };
    metrics.created(&task, &job);
    let kind = Kind { namespace, r#type };
    metrics.duration.get_or_create(&kind).observe(1.0);
    let end = TaskStatus {
        phase: Some(TaskPhase::Failed),
        ..TaskStatus::default()
    };
    metrics.entered(&task, &end);
    task.status = Some(end);
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitApply(task));
    writer.apply_watcher_event(&Event::InitDone);
    let spawner = fixtures::github("fix");
    metrics.spawners.owned(&spawner);
    metrics.spawners.spawned(&spawner);
    metrics.spawners.polled(None);
    metrics.github.touch();
    let what = "write task status";
    metrics.refused("Task", &CallError::Timeout { what }, Kept::Part);
    let text = metrics.text();
    // Those without a value are not in the text: none must be forgotten here.
    let registered = format!("{:?}", metrics.registry);
    let descriptors: Vec<&str> = registered.split("Descriptor { name: \"").skip(1).collect();
    assert!(descriptors.len() > 15, "{registered}");
    for descriptor in descriptors {
        let name = descriptor.split('"').next().unwrap();
        assert!(
            text.contains(&format!("# TYPE axon_{name}")),
            "{name} has no value here"
        );
    }
    text
}

/// Returns the names of all figures, as queries write them, with the kind of each.
fn registered() -> BTreeMap<String, String> {
    let text = touched();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect()
}

/// Returns all words of a text that could be the name of a figure.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("axon_")).collect()
}

fn rules() -> Vec<Value> {
    let rules: Value = axon_api::yaml::from_str(&file("config/monitoring/rules.yaml")).unwrap();
    rules["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn every_figure_is_documented_with_its_kind() {
    let page = file("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `axon_"));
    let documented: BTreeMap<String, String> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let name = cells.next().unwrap().trim_end_matches('`');
            (format!("axon_{name}"), cells.next().unwrap().to_owned())
        })
        .collect();
    assert_eq!(documented, registered());
}

#[test]
fn alerts_and_dashboard_ask_for_figures_that_are_there() {
    let registered = registered();
    let is_there = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .any(|base| registered.get(base).is_some_and(|kind| kind == "histogram"));
        of_histogram || registered.get(name).is_some_and(|kind| kind != "histogram")
    };
    let dashboard: Value = serde_json::from_str(&file("config/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules = rules();
    let asked: Vec<&str> = targets
        .chain(&rules)
        .map(|asked| asked["expr"].as_str().unwrap())
        .collect();
    assert!(asked.len() > 25);
    for query in asked {
        assert!(!names(query).is_empty(), "{query}");
        for name in names(query) {
            assert!(is_there(name), "{name} of {query}");
        }
        for (label, values) in [("reason=~\"", true), ("phase=~\"", false)] {
            let lists = query
                .split(label)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap());
            for value in lists.flat_map(|list| list.split('|')) {
                let known = if values {
                    value.parse::<TaskReason>().is_ok()
                } else {
                    value.parse::<TaskPhase>().is_ok() || value == crate::metrics::task_count::UNSEEN
                };
                assert!(known, "{value} of {query}");
            }
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let page = file("docs/operations.md");
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let place = format!("docs/operations.md#{}", alert.to_lowercase());
        assert!(runbook.ends_with(&place), "{runbook}");
        assert!(page.contains(&format!("\n### {alert}\n")), "{alert}");
    }
}
