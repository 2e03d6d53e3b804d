//! Codex's `exec --json` events.

use serde_json::{Map, Value};

use super::{Event, Outcome, number, text};

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Codex {
    turns: usize,
}

impl Codex {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        let item = event.get("item").and_then(Value::as_object);
        match (text(event, "type"), item) {
            ("turn.started", _) => {
                self.turns += 1;
                events.push(Event::Turn { turn: self.turns });
            }
            ("item.started", Some(item)) => events.extend(started(item)),
            ("item.completed", Some(item)) => completed(item, events),
            ("turn.completed", _) => events.push(Event::Result(Outcome {
                ok: true,
                ..usage(event)
            })),
            ("turn.failed", _) => {
                let error = event.get("error").and_then(Value::as_object);
                events.push(Event::Result(Outcome {
                    message: error.map(|e| text(e, "message").to_owned()),
                    ..Outcome::default()
                }));
            }
            ("error", _) => events.push(Event::Error {
                message: text(event, "message").to_owned(),
            }),
            _ => {}
        }
    }
}

fn started(item: &Map<String, Value>) -> Option<Event> {
    let (tool, argument) = match text(item, "type") {
        "command_execution" => ("shell".to_owned(), Some(bare(text(item, "command")).to_owned())),
        "mcp_tool_call" => (
            format!("{}/{}", text(item, "server"), text(item, "tool")),
            item.get("arguments").map(ToString::to_string),
        ),
        "web_search" => ("web_search".to_owned(), Some(text(item, "query").to_owned())),
        _ => return None,
    };
    Some(Event::Tool {
        tool,
        argument,
        nested: false,
    })
}

fn completed(item: &Map<String, Value>, events: &mut Vec<Event>) {
    let tool_error = |message: String| Event::ToolError {
        message,
        nested: false,
    };
    match text(item, "type") {
        "agent_message" => {
            let said = text(item, "text").trim_end();
            if !said.is_empty() {
                events.push(Event::Text {
                    text: said.to_owned(),
                });
            }
        }
        "command_execution" => {
            let code = item.get("exit_code").and_then(Value::as_i64).unwrap_or_default();
            if code != 0 {
                let output = text(item, "aggregated_output").trim();
                events.push(tool_error(format!("exit code {code}: {output}")));
            }
        }
        "mcp_tool_call" => {
            let error = item.get("error").and_then(Value::as_object);
            events.extend(error.map(|error| tool_error(text(error, "message").to_owned())));
        }
        "file_change" => {
            let changes = item
                .get("changes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for change in changes.filter_map(Value::as_object) {
                events.push(Event::Tool {
                    tool: text(change, "kind").to_owned(),
                    argument: Some(text(change, "path").to_owned()),
                    nested: false,
                });
            }
        }
        "error" => events.push(Event::Error {
            message: text(item, "message").to_owned(),
        }),
        _ => {}
    }
}

/// Returns a command without the shell that runs it.
fn bare(command: &str) -> &str {
    let inner = ["bash -lc ", "sh -lc ", "bash -c ", "sh -c "]
        .iter()
        .find_map(|shell| command.split_once(shell).map(|(_, rest)| rest));
    inner.unwrap_or(command).trim_matches(['"', '\''])
}

fn usage(event: &Map<String, Value>) -> Outcome {
    let Some(usage) = event.get("usage").and_then(Value::as_object) else {
        return Outcome::default();
    };
    let count = |key: &str| Some(number(usage, key).unwrap_or_default());
    Outcome {
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cached_tokens: count("cached_input_tokens"),
        ..Outcome::default()
    }
}
