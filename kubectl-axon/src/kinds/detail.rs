//! The block that `get TYPE NAME --detail` prints.

use jiff::Timestamp;
use serde_json::Value;

use super::columns::{dollars, duration, names, source, text, time, tokens};
use super::{Kind, budget};
use crate::format;

/// Column in which values start.
const INDENT: usize = 20;

/// Returns an object as `Label:   value` lines; what it does not have is left out.
#[must_use]
pub fn detail(kind: Kind, object: &Value, now: Timestamp) -> String {
    let mut block = Block::default();
    block.field("Name", &text(object, "/metadata/name"));
    block.field("Namespace", &text(object, "/metadata/namespace"));
    match kind {
        Kind::Task => task(&mut block, object, now),
        Kind::TaskSpawner => spawner(&mut block, object, now),
        Kind::Workspace => {
            block.field("Repo", &text(object, "/spec/repo"));
            block.field("Ref", &text(object, "/spec/ref"));
            block.field("Secret", &text(object, "/spec/secretRef/name"));
            block.field(
                "Files",
                &joined(object, "/spec/files", |f| text(f, "/path"), "\n"),
            );
        }
        Kind::TaskBudget => spending(&mut block, object, now),
        Kind::TaskRecord => record(&mut block, object),
        Kind::AgentConfig => {
            block.field("Plugins", &names(object, "/spec/plugins"));
            block.field("MCP Servers", &names(object, "/spec/mcpServers"));
            block.field("Instructions", &text(object, "/spec/agentsMD"));
        }
    }
    if let Some(created) = time(object, "/metadata/creationTimestamp") {
        block.field("Age", &format::age(Some(created), now));
    }
    block.0
}

#[derive(Default)]
struct Block(String);

impl Block {
    /// Adds a field unless it is empty. Further lines of a value stand below its first one.
    fn field(&mut self, label: &str, value: &str) {
        for (index, line) in value.trim_end().lines().enumerate() {
            let label = if index == 0 {
                format!("{label}:")
            } else {
                String::new()
            };
            let line = format::one_line(line);
            self.0.push_str(format!("{label:<INDENT$}{line}").trim_end());
            self.0.push('\n');
        }
    }
}

fn task(block: &mut Block, object: &Value, now: Timestamp) {
    let fields = [
        ("Type", "/spec/type"),
        ("Model", "/spec/model"),
        ("Image", "/spec/image"),
        ("Phase", "/status/phase"),
        ("Reason", "/status/reason"),
        ("Message", "/status/message"),
        ("Prompt", "/spec/prompt"),
        ("Credential Type", "/spec/credentials/type"),
        ("Secret", "/spec/credentials/secretRef/name"),
        ("Workspace", "/spec/workspaceRef/name"),
        ("Agent Config", "/spec/agentConfigRef/name"),
        ("Branch", "/spec/branch"),
    ];
    for (label, pointer) in fields {
        block.field(label, &text(object, pointer));
    }
    block.field(
        "Depends On",
        &joined(object, "/spec/dependsOn", |d| text(d, ""), ", "),
    );
    block.field(
        "Timeout",
        &seconds(object, "/spec/podOverrides/activeDeadlineSeconds"),
    );
    block.field("TTL", &seconds(object, "/spec/ttlSecondsAfterFinished"));
    block.field("Job", &text(object, "/status/jobName"));
    block.field("Pod", &text(object, "/status/podName"));
    block.field("Start Time", &text(object, "/status/startTime"));
    block.field("Completion Time", &text(object, "/status/completionTime"));
    block.field("Duration", &duration(object, now));
    money(block, object, "/status/usage");
    let (input, output) = (
        tokens(object, "/status/usage/inputTokens"),
        tokens(object, "/status/usage/outputTokens"),
    );
    let told = [(input, "in"), (output, "out")].into_iter();
    let told = told.filter(|(count, _)| !count.is_empty());
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    block.field("Tokens", &told.join(", "));
    block.field(
        "Outputs",
        &joined(object, "/status/outputs", |o| text(o, ""), "\n"),
    );
}

/// Shows what was reported and, apart from it, what was estimated.
fn money(block: &mut Block, object: &Value, usage: &str) {
    block.field("Cost", &dollars(object, &format!("{usage}/costUSD")));
    let estimated = dollars(object, &format!("{usage}/estimatedCostUSD"));
    if !estimated.is_empty() {
        block.field("Estimated Cost", &format!("~{estimated}"));
    }
}

fn spending(block: &mut Block, object: &Value, now: Timestamp) {
    block.field("Limit", &budget::limit(object));
    block.field("Window", &budget::window(object));
    block.field("Spent", &budget::spent(object));
    block.field("Reserved", &budget::reserved(object));
    block.field("Left", &budget::left(object));
    block.field("Used", &budget::bar(object));
    block.field("Resets", &budget::resets(object, now));
    block.field(
        "Spawners",
        &joined(object, "/spec/taskSpawners", |name| text(name, ""), ", "),
    );
    let condition = |one: &Value| {
        let (kind, status, message) = (text(one, "/type"), text(one, "/status"), text(one, "/message"));
        format!("{kind} {status}: {message}")
    };
    block.field(
        "Conditions",
        &joined(object, "/status/conditions", condition, "\n"),
    );
    let entry = |one: &Value| {
        let state = if one.get("spentUntil").is_some() {
            "spent"
        } else {
            "reserved"
        };
        format!("{} ${} {state}", text(one, "/task"), text(one, "/costUSD"))
    };
    block.field("Tasks", &joined(object, "/status/reservations", entry, "\n"));
}

fn record(block: &mut Block, object: &Value) {
    for (label, pointer) in [
        ("Task", "/spec/taskName"),
        ("Task UID", "/spec/taskUID"),
        ("Type", "/spec/type"),
        ("Model", "/spec/model"),
        ("Workspace", "/spec/workspace"),
        ("Task Spawner", "/spec/taskSpawner"),
        ("Phase", "/spec/phase"),
        ("Reason", "/spec/reason"),
        ("Start Time", "/spec/startTime"),
        ("Completion Time", "/spec/completionTime"),
        ("Attempts", "/spec/attempts"),
    ] {
        block.field(label, &text(object, pointer));
    }
    money(block, object, "/spec/usage");
    for (label, key) in [
        ("Input Tokens", "inputTokens"),
        ("Output Tokens", "outputTokens"),
        ("Cache Read", "cacheReadTokens"),
        ("Cache Write", "cacheWriteTokens"),
    ] {
        block.field(label, &tokens(object, &format!("/spec/usage/{key}")));
    }
}

/// Returns a number of seconds as a duration; empty if there is none.
fn seconds(object: &Value, pointer: &str) -> String {
    let seconds = object.pointer(pointer).and_then(Value::as_u64);
    seconds
        .map(|s| format::duration(std::time::Duration::from_secs(s)))
        .unwrap_or_default()
}

fn spawner(block: &mut Block, object: &Value, now: Timestamp) {
    block.field("Phase", &text(object, "/status/phase"));
    block.field("Message", &text(object, "/status/message"));
    block.field(
        "Suspended",
        if text(object, "/spec/suspend") == "true" {
            "true"
        } else {
            ""
        },
    );
    block.field("Source", &source(object));
    let github = "/spec/when/githubIssues";
    for (label, key) in [
        ("Item Types", "types"),
        ("Labels", "labels"),
        ("Exclude Labels", "excludeLabels"),
    ] {
        block.field(
            label,
            &joined(object, &format!("{github}/{key}"), |v| text(v, ""), ", "),
        );
    }
    for (label, key) in [("Authors", "authors"), ("Comments From", "commentsFrom")] {
        let people = |group| joined(object, &format!("{github}/{key}/{group}"), |v| text(v, ""), ", ");
        let groups = [people("associations"), people("users")];
        let named: Vec<String> = groups.into_iter().filter(|group| !group.is_empty()).collect();
        block.field(label, &named.join(", "));
    }
    let read = |pointer: &str| text(object, pointer);
    let fields = [
        ("State", read("/spec/when/githubIssues/state")),
        ("Time Zone", read("/spec/when/cron/timeZone")),
        ("Task Type", read("/spec/taskTemplate/type")),
        ("Model", read("/spec/taskTemplate/model")),
        ("Workspace", read("/spec/taskTemplate/workspaceRef/name")),
        ("Poll Interval", read("/spec/pollInterval")),
        ("Max Concurrency", concurrency(object)),
        ("Max Total Tasks", read("/spec/maxTotalTasks")),
        ("Discovered", read("/status/totalDiscovered")),
        ("Tasks Created", read("/status/totalTasksCreated")),
        ("Active Tasks", read("/status/activeTasks")),
        ("Runner", read("/status/runner")),
        ("Deployment", read("/status/deploymentName")),
    ];
    for (label, value) in fields {
        block.field(label, &value);
    }
    if let Some(polled) = time(object, "/status/lastDiscoveryTime") {
        block.field(
            "Last Discovery",
            &format!("{} ago", format::age(Some(polled), now)),
        );
    }
    if let Some(run) = time(object, "/status/lastRunTime") {
        block.field("Last Run", &format!("{run}, {} ago", format::age(Some(run), now)));
    }
    if let Some(run) = time(object, "/status/nextRunTime") {
        block.field("Next Run", &format!("{run}, in {}", format::age(Some(now), run)));
    }
}

/// Returns the limit that holds: the spawner's own, or the operator's default as the status has it.
fn concurrency(object: &Value) -> String {
    let (named, limit) = (
        text(object, "/spec/maxConcurrency"),
        text(object, "/status/maxConcurrency"),
    );
    match (named.is_empty(), limit.is_empty()) {
        (true, false) => format!("{limit} (the operator's default)"),
        _ => named,
    }
}

fn joined(object: &Value, pointer: &str, read: fn(&Value) -> String, between: &str) -> String {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(read)
        .collect::<Vec<_>>()
        .join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_shown_field_by_field() {
        let task = json!({
            "metadata": {"name": "fix", "namespace": "x", "creationTimestamp": "2026-01-02T09:00:00Z"},
            "spec": {"type": "codex", "prompt": "one\ntwo", "credentials": {"type": "none"}, "dependsOn": ["a", "b"],
                "ttlSecondsAfterFinished": 0, "podOverrides": {"activeDeadlineSeconds": 1800}},
            "status": {"phase": "Failed", "outputs": ["branch: b", "commit: c"],
                "usage": {"costUSD": "0.5", "estimatedCostUSD": "0.12"}},
        });
        insta::assert_snapshot!(detail(Kind::Task, &task, "2026-01-02T10:00:00Z".parse().unwrap()), @r"
        Name:               fix
        Namespace:          x
        Type:               codex
        Phase:              Failed
        Prompt:             one
                            two
        Credential Type:    none
        Depends On:         a, b
        Timeout:            30m
        TTL:                0s
        Cost:               $0.5000
        Estimated Cost:     ~$0.1200
        Outputs:            branch: b
                            commit: c
        Age:                60m
        ");
    }

    #[test]
    fn a_spawner_is_shown_with_who_runs_it_and_when() {
        let schedule = json!({
            "metadata": {"name": "nightly", "namespace": "x"},
            "spec": {"when": {"cron": {"schedule": "0 9 * * *"}}, "taskTemplate": {"type": "codex"}},
            "status": {"phase": "Running", "runner": "axon-operator-1", "deploymentName": "axon-operator",
                "lastRunTime": "2026-01-02T09:00:00Z", "nextRunTime": "2026-01-03T09:00:00Z"},
        });
        let now = "2026-01-02T10:00:00Z".parse().unwrap();
        insta::assert_snapshot!(detail(Kind::TaskSpawner, &schedule, now), @r"
        Name:               nightly
        Namespace:          x
        Phase:              Running
        Source:             cron: 0 9 * * *
        Task Type:          codex
        Runner:             axon-operator-1
        Deployment:         axon-operator
        Last Run:           2026-01-02T09:00:00Z, 60m ago
        Next Run:           2026-01-03T09:00:00Z, in 23h
        ");
        let github = json!({
            "metadata": {"name": "fix"},
            "spec": {"when": {"githubIssues": {
                "authors": {"associations": ["OWNER"], "users": ["ann"]}, "commentsFrom": {"users": ["my-app[bot]"]},
            }}, "pollInterval": "5m"},
        });
        insta::assert_snapshot!(detail(Kind::TaskSpawner, &github, now), @r"
        Name:               fix
        Source:             GitHub
        Authors:            OWNER, ann
        Comments From:      my-app[bot]
        Poll Interval:      5m
        ");
    }

    #[test]
    fn every_kind_has_a_block() {
        for kind in Kind::ALL {
            let block = detail(kind, &json!({"metadata": {"name": "n"}}), Timestamp::UNIX_EPOCH);
            assert!(block.starts_with("Name:               n\n"), "{block}");
        }
    }
}
