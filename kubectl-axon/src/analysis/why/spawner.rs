//! Why a TaskSpawner makes no Tasks, or does.

use axon_api::v1alpha1::spawner_condition as kind;
use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, Link};
use crate::format;

/// Explains a TaskSpawner from its spec, its counts and its conditions.
#[must_use]
pub fn explain_spawner(name: &str, object: &Value, flag: &str, now: Timestamp) -> Answer {
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.map(format::joined).filter(|t| !t.is_empty())
    };
    let number = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let (active, created) = (number("/status/activeTasks"), number("/status/totalTasksCreated"));
    let most_ever = number("/spec/maxTotalTasks");
    let (most_active, whose) = match object.pointer("/spec/maxConcurrency") {
        None | Some(Value::Null) => (number("/status/maxConcurrency"), ", the operator's default"),
        Some(_) => (number("/spec/maxConcurrency"), ""),
    };
    let polled = text("/status/lastDiscoveryTime").and_then(|t| t.parse().ok());
    let faults = faults(object);
    let (clause, next) = if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        (
            "is suspended".to_owned(),
            vec![format!("kubectl axon resume taskspawner {name}{flag}")],
        )
    } else if let Some(message) = paused(object) {
        (
            format!("is paused: {message}"),
            vec![format!("kubectl axon describe taskspawner {name}{flag}")],
        )
    } else if let Some((reason, message)) = faults.first() {
        (
            format!("has a problem ({reason}): {message}"),
            vec![format!("kubectl axon describe taskspawner {name}{flag}")],
        )
    } else if most_ever > 0 && created >= most_ever {
        (
            format!("has made all of the {most_ever} tasks that maxTotalTasks allows"),
            vec![format!("kubectl edit taskspawner {name}{flag}")],
        )
    } else if most_active > 0 && active >= most_active {
        (
            format!("makes no more tasks while {active} are active: maxConcurrency is {most_active}{whose}"),
            vec![format!("kubectl axon tree taskspawner/{name}{flag}")],
        )
    } else if let Some(message) = blocked(object) {
        (
            format!("is at work, but not all items can become tasks: {message}"),
            vec![format!("kubectl axon describe taskspawner {name}{flag}")],
        )
    } else if text("/status/phase").is_none() {
        (
            "has not been taken up by an operator yet".to_owned(),
            vec![format!("kubectl axon doctor{flag}")],
        )
    } else {
        let when = polled
            .map(|at: Timestamp| format!(", and looked for work {} ago", format::age(Some(at), now)))
            .unwrap_or_default();
        (
            format!("is at work{when}"),
            vec![format!("kubectl axon tree taskspawner/{name}{flag}")],
        )
    };
    let mut evidence = vec![
        format!("discovered {}", number("/status/totalDiscovered")),
        format!("created {created}"),
        format!("active {active}"),
    ];
    evidence.extend(text("/status/message"));
    let own = Link {
        object: format!("taskspawner/{name}"),
        phase: text("/status/phase").unwrap_or_else(|| "New".to_owned()),
        reason: String::new(),
        evidence: evidence.join("; "),
    };
    // What is as it should be and has nothing to say would bury the rest.
    let told = conditions(object).filter(|c| {
        is_fault(c)
            || c.get("message")
                .and_then(Value::as_str)
                .is_some_and(|m| !m.is_empty())
    });
    let conditions = told.map(|condition| {
        let part = |key: &str| {
            let value = condition.get(key).and_then(Value::as_str).unwrap_or_default();
            format::joined(value)
        };
        Link {
            object: format!("condition {}", part("type")),
            phase: part("status"),
            reason: part("reason"),
            evidence: part("message"),
        }
    });
    Answer {
        summary: format!("{name} {clause}."),
        links: std::iter::once(own).chain(conditions).collect(),
        next,
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten()
}

/// Returns what keeps single items from becoming tasks.
fn blocked(object: &Value) -> Option<String> {
    let is = |c: &&Value| {
        c.get("type").is_some_and(|t| t == kind::ITEMS_BLOCKED)
            && c.get("status").is_some_and(|s| s == "True")
    };
    let message = conditions(object).find(is)?.get("message")?.as_str()?;
    Some(format::joined(message))
}

/// Conditions that tell of a problem, and when. The one that says most comes first: Ready only repeats the others.
const TELLING: [(&str, &str); 5] = [
    (kind::SOURCE_REACHABLE, "False"),
    (kind::SCHEDULE_VALID, "False"),
    (kind::TEMPLATE_VALID, "False"),
    (kind::READY, "False"),
    (kind::STALLED, "True"),
];

fn is_fault(condition: &Value) -> bool {
    let is = |key: &str, value: &str| condition.get(key).is_some_and(|v| v == value);
    TELLING
        .iter()
        .any(|(kind, bad)| is("type", kind) && is("status", bad))
}

/// Returns why a TaskSpawner is suspended that does not ask for it: its Workspace is paused.
fn paused(object: &Value) -> Option<String> {
    let is =
        |condition: &Value, key: &str, value: &str| condition.get(key).and_then(Value::as_str) == Some(value);
    let paused = conditions(object).find(|c| is(c, "type", "Suspended") && is(c, "status", "True"))?;
    let message = paused.get("message").and_then(Value::as_str)?;
    Some(format::joined(message))
}

/// Returns reason and message of the conditions that tell of a problem.
fn faults(object: &Value) -> Vec<(String, String)> {
    let text = |condition: &Value, key: &str| {
        let value = condition.get(key).and_then(Value::as_str).unwrap_or_default();
        format::joined(value)
    };
    let found = TELLING.iter().filter_map(|(kind, _)| {
        conditions(object).find(|c| is_fault(c) && c.get("type").is_some_and(|t| t == kind))
    });
    found
        .map(|condition| (text(condition, "reason"), text(condition, "message")))
        .collect()
}
