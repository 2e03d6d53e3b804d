//! The columns of `get`.

use jiff::Timestamp;
use serde_json::Value;

use super::{Kind, budget};
use crate::format;

/// A column: its header, and how to read its cell out of an object.
pub struct Column {
    /// Capitals.
    pub header: &'static str,
    read: fn(&Value, Timestamp) -> String,
}

impl Column {
    /// Returns the cell of an object; empty when there is nothing to show.
    #[must_use]
    pub fn cell(&self, object: &Value, now: Timestamp) -> String {
        format::one_line(&(self.read)(object, now))
    }

    /// Returns true if a cell may be shortened where there is no room; names are never, they are typed again.
    #[must_use]
    pub fn is_elastic(&self) -> bool {
        matches!(
            self.header,
            "BRANCH" | "SOURCE" | "REPO" | "REF" | "PLUGINS" | "MCP SERVERS"
        )
    }

    /// Returns the width that the cells of an object's life need.
    #[must_use]
    pub fn least(&self) -> usize {
        match self.header {
            "PHASE" => "Succeeded".len(),
            "REASON" => "AgentRunning".len(),
            "COST" => "$0.0000".len(),
            _ => 0,
        }
    }
}

/// Returns the columns of a kind.
#[must_use]
pub fn columns(kind: Kind, namespace: bool, wide: bool, labels: bool) -> Vec<Column> {
    let mut all: Vec<Column> = Vec::new();
    let mut add = |header, read| all.push(Column { header, read });
    if namespace {
        add("NAMESPACE", |o, _| text(o, "/metadata/namespace"));
    }
    add("NAME", |o, _| text(o, "/metadata/name"));
    match kind {
        Kind::Task => {
            add("TYPE", |o, _| text(o, "/spec/type"));
            add("PHASE", |o, _| text(o, "/status/phase"));
            add("REASON", |o, _| text(o, "/status/reason"));
            add("BRANCH", |o, _| branch(o));
            add("COST", |o, _| spent(o, "/status/usage"));
            if wide {
                add("MODEL", |o, _| text(o, "/spec/model"));
                add("WORKSPACE", |o, _| text(o, "/spec/workspaceRef/name"));
                add("IN", |o, _| tokens(o, "/status/usage/inputTokens"));
                add("OUT", |o, _| tokens(o, "/status/usage/outputTokens"));
                add("DURATION", duration);
                add("POD", |o, _| text(o, "/status/podName"));
            }
        }
        Kind::TaskSpawner => {
            add("SOURCE", |o, _| source(o));
            add("PHASE", |o, _| text(o, "/status/phase"));
            add("ACTIVE", |o, _| text(o, "/status/activeTasks"));
            add("DISCOVERED", |o, _| text(o, "/status/totalDiscovered"));
            add("TASKS", |o, _| text(o, "/status/totalTasksCreated"));
            if wide {
                add("REASON", |o, _| fault(o));
                add("TYPE", |o, _| text(o, "/spec/taskTemplate/type"));
                add("MODEL", |o, _| text(o, "/spec/taskTemplate/model"));
                add("WHEN", |o, _| schedule(o));
                add("LAST RUN", last_run);
                add("NEXT RUN", next_run);
                add("RUNNER", |o, _| text(o, "/status/runner"));
            }
        }
        Kind::Workspace => {
            add("REPO", |o, _| text(o, "/spec/repo"));
            add("REF", |o, _| text(o, "/spec/ref"));
            if wide {
                add("SECRET", |o, _| text(o, "/spec/secretRef/name"));
                add("FILES", |o, _| entries(o, "/spec/files"));
            }
        }
        Kind::TaskBudget => {
            add("LIMIT", |o, _| budget::limit(o));
            add("SPENT", |o, _| budget::spent(o));
            add("RESERVED", |o, _| budget::reserved(o));
            add("LEFT", |o, _| budget::left(o));
            add("USED", |o, _| budget::bar(o));
            add("RESETS", budget::resets);
            if wide {
                add("WINDOW", |o, _| budget::window(o));
            }
        }
        Kind::TaskRecord => {
            add("TASK", |o, _| text(o, "/spec/taskName"));
            add("TYPE", |o, _| text(o, "/spec/type"));
            add("PHASE", |o, _| text(o, "/spec/phase"));
            add("COST", |o, _| spent(o, "/spec/usage"));
            if wide {
                add("REASON", |o, _| text(o, "/spec/reason"));
                add("MODEL", |o, _| text(o, "/spec/model"));
                add("WORKSPACE", |o, _| text(o, "/spec/workspace"));
                add("SPAWNER", |o, _| text(o, "/spec/taskSpawner"));
                add("IN", |o, _| tokens(o, "/spec/usage/inputTokens"));
                add("OUT", |o, _| tokens(o, "/spec/usage/outputTokens"));
            }
        }
        Kind::AgentConfig => {
            add("PLUGINS", |o, _| names(o, "/spec/plugins"));
            add("MCP SERVERS", |o, _| names(o, "/spec/mcpServers"));
            if wide {
                add("INSTRUCTIONS", |o, _| {
                    let lines = text(o, "/spec/agentsMD").lines().count();
                    if lines == 0 {
                        String::new()
                    } else {
                        format::count(lines, "line")
                    }
                });
            }
        }
    }
    add("AGE", |o, now| {
        format::age(time(o, "/metadata/creationTimestamp"), now)
    });
    if labels {
        all.push(Column {
            header: "LABELS",
            read: |o, _| labels_of(o),
        });
    }
    all
}

/// Returns a text or number at a JSON pointer; empty if there is none.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Returns a number of tokens at a JSON pointer; empty if there is none.
pub(super) fn tokens(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(count) => format::tokens(count.as_i64().unwrap_or(-1)),
    }
}

/// Returns a time at a JSON pointer.
pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

/// Returns the names of the entries of a list.
pub(super) fn names(object: &Value, pointer: &str) -> String {
    let list = object.pointer(pointer).and_then(Value::as_array);
    let names = list
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("name")?.as_str());
    names.collect::<Vec<_>>().join(",")
}

fn labels_of(object: &Value) -> String {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

fn entries(object: &Value, pointer: &str) -> String {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.map(|entries| entries.len().to_string()).unwrap_or_default()
}

fn branch(object: &Value) -> String {
    let result = text(object, "/status/results/branch");
    if result.is_empty() {
        text(object, "/spec/branch")
    } else {
        result
    }
}

/// Returns the money of the usage at a JSON pointer.
pub(super) fn spent(object: &Value, pointer: &str) -> String {
    let usage = object.pointer(pointer);
    let field = |name: &str| usage?.get(name)?.as_str();
    format::spent(field("costUSD"), field("estimatedCostUSD"))
}

/// Returns dollars at a JSON pointer; empty if there are none.
pub(super) fn dollars(object: &Value, pointer: &str) -> String {
    let dollars = text(object, pointer);
    if dollars.is_empty() {
        dollars
    } else {
        format::cost(&dollars)
    }
}

/// Returns how long a Task has run or did run; empty before it starts.
pub(super) fn duration(object: &Value, now: Timestamp) -> String {
    let Some(start) = time(object, "/status/startTime") else {
        return String::new();
    };
    format::age(Some(start), time(object, "/status/completionTime").unwrap_or(now))
}

/// Returns why a TaskSpawner has failed; empty if it has not.
fn fault(object: &Value) -> String {
    if text(object, "/status/phase") != "Failed" {
        return String::new();
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| text(condition, "/type") == "Ready");
    ready
        .map(|condition| text(condition, "/reason"))
        .unwrap_or_default()
}

/// Returns how often a TaskSpawner looks at its source.
fn schedule(object: &Value) -> String {
    let schedule = text(object, "/spec/when/cron/schedule");
    let zone = text(object, "/spec/when/cron/timeZone");
    if schedule.is_empty() {
        return format!("every {}", text(object, "/spec/pollInterval"));
    }
    format!("{schedule} {zone}").trim_end().to_owned()
}

/// Returns how long ago the last run of a schedule was, or the last look at another source.
fn last_run(object: &Value, now: Timestamp) -> String {
    let clock = object.pointer("/spec/when/cron").is_some();
    let field = if clock {
        "/status/lastRunTime"
    } else {
        "/status/lastDiscoveryTime"
    };
    match time(object, field) {
        Some(at) => format::age(Some(at), now),
        None => String::new(),
    }
}

/// Returns how long it is until the next run of a schedule.
fn next_run(object: &Value, now: Timestamp) -> String {
    match time(object, "/status/nextRunTime") {
        Some(at) => format::age(Some(now), at),
        None => String::new(),
    }
}

/// Returns where a TaskSpawner's work comes from.
pub(super) fn source(object: &Value) -> String {
    let schedule = text(object, "/spec/when/cron/schedule");
    if !schedule.is_empty() {
        return format!("cron: {schedule}");
    }
    let workspace = text(object, "/spec/taskTemplate/workspaceRef/name");
    if workspace.is_empty() {
        "GitHub".to_owned()
    } else {
        workspace
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(kind: Kind, wide: bool, object: &Value) -> Vec<(&'static str, String)> {
        let now = "2026-01-02T10:00:00Z".parse().unwrap();
        columns(kind, false, wide, false)
            .iter()
            .map(|c| (c.header, c.cell(object, now)))
            .collect()
    }

    #[test]
    fn a_finished_task_shows_what_it_made_and_cost() {
        let task = json!({
            "metadata": {"name": "fix", "namespace": "x", "creationTimestamp": "2026-01-02T09:00:00Z"},
            "spec": {"type": "claude-code", "branch": "asked", "workspaceRef": {"name": "w"}},
            "status": {"phase": "Succeeded", "reason": "Completed", "results": {"branch": "made"},
                "usage": {"costUSD": "0.012224", "inputTokens": 2001},
                "startTime": "2026-01-02T09:00:00Z", "completionTime": "2026-01-02T09:04:12Z"},
        });
        let cells: Vec<String> = row(Kind::Task, false, &task)
            .into_iter()
            .map(|(_, c)| c)
            .collect();
        assert_eq!(
            cells,
            [
                "fix",
                "claude-code",
                "Succeeded",
                "Completed",
                "made",
                "$0.0122",
                "60m"
            ]
        );
        let estimated = json!({"status": {"usage": {"estimatedCostUSD": "0.12"}}});
        let cells = row(Kind::Task, false, &estimated);
        assert!(cells.contains(&("COST", "~$0.1200".into())), "{cells:?}");
        let wide = row(Kind::Task, true, &task);
        assert!(wide.contains(&("DURATION", "4m12s".into())), "{wide:?}");
        assert!(wide.contains(&("IN", "2001".into())));
        assert!(wide.contains(&("OUT", String::new())));
    }

    #[test]
    fn an_object_without_anything_has_empty_cells() {
        for kind in Kind::ALL {
            let cells = row(kind, true, &json!({}));
            assert_eq!(cells.last(), Some(&("AGE", "<unknown>".to_owned())));
        }
    }

    #[test]
    fn a_spawner_shows_when_it_runs_who_runs_it_and_why_it_does_not() {
        let cron = json!({
            "metadata": {"name": "nightly"},
            "spec": {"when": {"cron": {"schedule": "0 9 * * *", "timeZone": "Asia/Tokyo"}}, "pollInterval": "5m"},
            "status": {"phase": "Running", "runner": "operator-1", "lastRunTime": "2026-01-02T00:00:00Z",
                "lastDiscoveryTime": "2026-01-02T09:59:00Z", "nextRunTime": "2026-01-03T00:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "reason": "Running"}]},
        });
        let wide = row(Kind::TaskSpawner, true, &cron);
        for cell in [
            ("REASON", ""),
            ("WHEN", "0 9 * * * Asia/Tokyo"),
            ("LAST RUN", "10h"),
            ("NEXT RUN", "14h"),
            ("RUNNER", "operator-1"),
        ] {
            assert!(wide.contains(&(cell.0, cell.1.to_owned())), "{cell:?} {wide:?}");
        }
        let github = json!({
            "spec": {"when": {"githubIssues": {}}, "pollInterval": "5m"},
            "status": {"phase": "Failed", "lastDiscoveryTime": "2026-01-02T09:56:00Z",
                "conditions": [{"type": "Ready", "status": "False", "reason": "Unauthorized"}]},
        });
        let wide = row(Kind::TaskSpawner, true, &github);
        for cell in [
            ("REASON", "Unauthorized"),
            ("WHEN", "every 5m"),
            ("LAST RUN", "4m"),
            ("NEXT RUN", ""),
        ] {
            assert!(wide.contains(&(cell.0, cell.1.to_owned())), "{cell:?} {wide:?}");
        }
    }

    #[test]
    fn sources_are_named() {
        let cron = json!({"spec": {"when": {"cron": {"schedule": "0 * * * *"}}}});
        let github =
            json!({"spec": {"when": {"githubIssues": {}}, "taskTemplate": {"workspaceRef": {"name": "w"}}}});
        assert_eq!(source(&cron), "cron: 0 * * * *");
        assert_eq!(source(&github), "w");
    }
}
