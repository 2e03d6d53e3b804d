//! Claude Code's `stream-json` events.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Event, Outcome, number, text};

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Claude {
    /// Ids of the messages so far: one message comes as several events, one for each block of its content.
    messages: HashSet<String>,
    last_text: String,
}

impl Claude {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        match text(event, "type") {
            "system" => system(event, events),
            "assistant" => self.assistant(event, events),
            "user" => tool_results(event, events),
            "result" => self.result(event, events),
            _ => {}
        }
    }

    fn assistant(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        let Some(message) = event.get("message").and_then(Value::as_object) else {
            return;
        };
        let nested = is_nested(event);
        // An event without an id is a message of its own.
        let id = match text(message, "id") {
            "" => format!("#{}", self.messages.len()),
            id => id.to_owned(),
        };
        if !nested && self.messages.insert(id) {
            events.push(Event::Turn {
                turn: self.messages.len(),
            });
        }
        for block in blocks(message) {
            match text(block, "type") {
                "text" if nested => {}
                "text" => {
                    let said = text(block, "text");
                    if !said.trim().is_empty() {
                        events.push(Event::Text {
                            text: said.trim_end().to_owned(),
                        });
                        said.trim().clone_into(&mut self.last_text);
                    }
                }
                "tool_use" => {
                    let (tool, argument) = tool(block);
                    events.push(Event::Tool {
                        tool,
                        argument,
                        nested,
                    });
                }
                _ => {}
            }
        }
    }

    fn result(&self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        let failed = event.get("is_error").and_then(Value::as_bool) == Some(true)
            || text(event, "subtype").starts_with("error");
        let usage = event.get("usage").and_then(Value::as_object);
        let tokens = |key: &str| usage.and_then(|usage| number(usage, key));
        let cost = event.get("total_cost_usd").filter(|c| c.is_number());
        events.push(Event::Result(Outcome {
            ok: !failed,
            message: None,
            turns: number(event, "num_turns"),
            cost: cost.map(Value::to_string),
            input_tokens: tokens("input_tokens"),
            output_tokens: tokens("output_tokens"),
            cached_tokens: tokens("cache_read_input_tokens"),
            duration_milliseconds: number(event, "duration_ms"),
        }));
        if !failed {
            return;
        }
        let said = text(event, "result").trim();
        let errors = event
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let others = errors.filter_map(Value::as_str).map(str::trim);
        let mut why: Vec<&str> = std::iter::once(said)
            .chain(others)
            .filter(|e| !e.is_empty())
            .collect();
        // The same words often stand in the last message already.
        why.retain(|error| *error != self.last_text);
        for error in why {
            events.push(Event::Error {
                message: error.to_owned(),
            });
        }
    }
}

fn system(event: &Map<String, Value>, events: &mut Vec<Event>) {
    match text(event, "subtype") {
        "init" if !text(event, "model").is_empty() => {
            events.push(Event::Start {
                model: text(event, "model").to_owned(),
            });
            let servers = event
                .get("mcp_servers")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for server in servers.filter_map(Value::as_object) {
                let status = text(server, "status");
                if !matches!(status, "" | "connected" | "pending") {
                    events.push(Event::McpServer {
                        server: text(server, "name").to_owned(),
                        status: status.to_owned(),
                    });
                }
            }
        }
        "api_retry" => {
            let error = match text(event, "error") {
                "" => "an error",
                error => error,
            };
            events.push(Event::Retry {
                error: error.to_owned(),
                status: number(event, "error_status"),
                attempt: number(event, "attempt"),
                attempts: number(event, "max_retries"),
            });
        }
        _ => {}
    }
}

/// Only failed tools are worth a line: what the others returned is the agent's business.
fn tool_results(event: &Map<String, Value>, events: &mut Vec<Event>) {
    let Some(message) = event.get("message").and_then(Value::as_object) else {
        return;
    };
    for block in blocks(message) {
        if block.get("is_error").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let content = match block.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => {
                let texts = parts.iter().filter_map(|p| p.get("text")?.as_str());
                texts.collect::<Vec<_>>().join("\n")
            }
            _ => String::new(),
        };
        events.push(Event::ToolError {
            message: content,
            nested: is_nested(event),
        });
    }
}

/// Returns the name of a tool that is called, and the argument that says most.
fn tool(block: &Map<String, Value>) -> (String, Option<String>) {
    let name = text(block, "name");
    let input = block.get("input").and_then(Value::as_object);
    let argument = |key: &str| input.and_then(|i| i.get(key)).and_then(Value::as_str);
    if let Some((server, tool)) = name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
        let arguments = input
            .filter(|i| !i.is_empty())
            .map(|i| Value::Object(i.clone()).to_string());
        return (format!("{server}/{tool}"), arguments);
    }
    let gist = match name {
        "Read" | "Write" | "Edit" | "MultiEdit" => argument("file_path"),
        "NotebookEdit" => argument("notebook_path"),
        "Bash" => argument("command"),
        "Glob" | "Grep" => argument("pattern"),
        "WebFetch" => argument("url"),
        "WebSearch" | "ToolSearch" => argument("query"),
        "Task" | "Agent" => argument("description"),
        "Skill" => argument("skill").or_else(|| argument("command")),
        _ => None,
    };
    (name.to_owned(), gist.map(str::to_owned))
}

/// Returns true for events of a sub-agent, which belong to a tool call of the agent itself.
fn is_nested(event: &Map<String, Value>) -> bool {
    event.get("parent_tool_use_id").is_some_and(|id| !id.is_null())
}

fn blocks(message: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let content = message.get("content").and_then(Value::as_array);
    content.into_iter().flatten().filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use axon_api::agents::AgentType;

    use super::super::{Piece, Renderer};
    use super::*;

    /// Renders a log as a terminal shows it: `>` before stdout, `!` before faults.
    fn shown(log: &str) -> String {
        let mut renderer = Renderer::new(AgentType::ClaudeCode);
        let mut out = String::new();
        for piece in log
            .lines()
            .flat_map(|line| renderer.render(line))
            .flat_map(|event| event.pieces())
        {
            out += &match piece {
                Piece::Text(text) => format!("> {text}\n"),
                Piece::Note(note) => format!("  {note}").trim_end().to_owned() + "\n",
                Piece::Fault(fault) => format!("! {fault}\n"),
            };
        }
        out
    }

    #[test]
    fn a_recorded_run_reads_well() {
        insta::assert_snapshot!(shown(include_str!("../../tests/streams/claude-code.jsonl")));
    }

    #[test]
    fn a_recorded_run_with_mcp_tools_reads_well() {
        insta::assert_snapshot!(shown(include_str!("../../tests/streams/claude-code.mcp.jsonl")));
    }

    #[test]
    fn a_recorded_failure_reads_well() {
        insta::assert_snapshot!(shown(include_str!(
            "../../tests/streams/claude-code.error400.jsonl"
        )));
    }

    #[test]
    fn events_of_one_message_are_one_turn() {
        let event = |id: &str, said: &str| {
            serde_json::json!({"type": "assistant", "message": {"id": id, "content": [{"type": "text", "text": said}]}})
                .to_string()
        };
        let log = [
            event("m1", "a"),
            event("m1", "b"),
            event("m2", "c"),
            event("m1", "d"),
        ]
        .join("\n");
        let shown = shown(&log);
        assert_eq!(shown.matches("--- Turn").count(), 2, "{shown}");
        assert!(shown.contains("--- Turn 2 ---\n> c"), "{shown}");
    }

    #[test]
    fn tool_calls_are_summed_up() {
        let long = "x".repeat(200);
        let cut = format!("Bash: {}...", "x".repeat(80));
        for (name, input, line) in [
            (
                "Bash",
                serde_json::json!({"command": "git commit -m 'a\nb'"}),
                "Bash: git commit -m 'a\\nb'",
            ),
            ("Bash", serde_json::json!({"command": long}), cut.as_str()),
            (
                "Edit",
                serde_json::json!({"file_path": "/a", "old_string": "x"}),
                "Edit: /a",
            ),
            ("Grep", serde_json::json!({"pattern": "p"}), "Grep: p"),
            (
                "mcp__gh__create_pr",
                serde_json::json!({"title": "t"}),
                "gh/create_pr: {\"title\":\"t\"}",
            ),
            ("mcp__gh__ping", serde_json::json!({}), "gh/ping"),
            ("Unheard", serde_json::json!({"a": 1}), "Unheard"),
        ] {
            let block = serde_json::json!({"type": "tool_use", "name": name, "input": input});
            let (tool, argument) = tool(block.as_object().unwrap());
            let event = Event::Tool {
                tool,
                argument,
                nested: false,
            };
            assert_eq!(event.pieces(), [Piece::Note(format!("[tool] {line}"))]);
        }
    }

    #[test]
    fn tool_errors_and_retries_are_shown_shortly() {
        let log = r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true,"content":[{"type":"text","text":"no\nsuch file"}]}]}}
{"type":"system","subtype":"api_retry","attempt":1,"max_retries":3,"error_status":500,"error":"server_error"}
{"type":"stream_event","event":{}}
{"type":"rate_limit_event"}"#;
        assert_eq!(
            shown(log),
            "! [tool error] no\\nsuch file\n  [retry] after server_error 500 (1 of 3)\n"
        );
    }

    #[test]
    fn an_error_result_tells_its_errors_once() {
        let log = r#"{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":1,"errors":["reached the limit"]}"#;
        assert_eq!(
            shown(log),
            "! [result] failed (1 turn)\n! [error] reached the limit\n"
        );
    }

    #[test]
    fn events_of_any_shape_do_not_panic() {
        for log in [
            r#"{"type":"assistant"}"#,
            r#"{"type":"assistant","message":{"content":"text"}}"#,
            r#"{"type":"result"}"#,
            r#"{"type":"user","message":{"content":[1,null,{"is_error":true}]}}"#,
            r#"{"type":7}"#,
            r#"{}"#,
        ] {
            let _ = shown(log);
        }
    }
}
