//! The last words about a watched Task.

use axon_api::usage::Usage;
use axon_api::{Task, TaskPhase};

use crate::format;

/// Returns the Task's end: `task/x Failed (AgentError): message`. Further lines of the message stand below, indented.
#[must_use]
pub fn headline(name: &str, task: &Task) -> String {
    let Some(status) = &task.status else {
        return format!("task/{name}");
    };
    let phase = status.phase.map(|p| p.to_string()).unwrap_or_default();
    let mut line = format!("task/{name} {phase}");
    if status.phase == Some(TaskPhase::Failed) {
        if let Some(reason) = status.reason {
            line += &format!(" ({reason})");
        }
        if let Some(message) = status.message.as_deref().filter(|m| !m.trim().is_empty()) {
            line += &format!(": {}", format::printable(message.trim()).replace('\n', "\n  "));
        }
    }
    line
}

/// Returns the Task's end and what it made and cost.
#[must_use]
pub fn summary(name: &str, task: &Task) -> Vec<String> {
    let mut lines = vec![headline(name, task)];
    let Some(status) = &task.status else {
        return lines;
    };
    let mut field = |label: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {label:<10}{value}"));
        }
    };
    for (label, key) in [("branch", "branch"), ("commit", "commit"), ("pr", "pr")] {
        field(
            label,
            status
                .results
                .get(key)
                .map(|v| format::one_line(v))
                .unwrap_or_default(),
        );
    }
    let usage = status.usage.clone().unwrap_or_default();
    field(
        "cost",
        usage.cost_usd.as_deref().map(format::cost).unwrap_or_default(),
    );
    field(
        "estimate",
        format::spent(None, usage.estimated_cost_usd.as_deref()),
    );
    field("tokens", tokens(&usage));
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
        field("duration", format::age(Some(start.0), end.0));
    }
    lines
}

fn tokens(usage: &Usage) -> String {
    let parts = [
        (usage.input_tokens, "in"),
        (usage.output_tokens, "out"),
        (usage.cache_read_tokens, "from cache"),
    ];
    let told = parts
        .iter()
        .filter_map(|(count, word)| count.map(|count| format!("{} {word}", format::tokens(count))));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn success_and_failure_are_summed_up() {
        let task = |status: serde_json::Value| -> Task {
            serde_json::from_value(json!({
                "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
                "spec": {"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}}, "status": status,
            }))
            .unwrap()
        };
        let done = task(json!({
            "phase": "Succeeded", "reason": "Completed",
            "results": {"branch": "fix/x", "commit": "abc", "pr": "https://example.com/pr/1"},
            "usage": {"costUSD": "0.012224", "estimatedCostUSD": "0.004", "inputTokens": 2001, "outputTokens": 101},
            "startTime": "2026-01-02T09:00:00Z", "completionTime": "2026-01-02T09:04:12Z",
        }));
        insta::assert_snapshot!(summary("t", &done).join("\n"), @r"
        task/t Succeeded
          branch    fix/x
          commit    abc
          pr        https://example.com/pr/1
          cost      $0.0122
          estimate  ~$0.0040
          tokens    2001 in, 101 out
          duration  4m12s
        ");
        let failed =
            task(json!({"phase": "Failed", "reason": "CloneFailed", "message": "repository\nnot found"}));
        assert_eq!(
            headline("t", &failed),
            "task/t Failed (CloneFailed): repository\n  not found"
        );
    }
}
