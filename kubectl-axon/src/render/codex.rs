//! Codex's `exec --json` events.

use serde_json::{Map, Value};

use super::{GIST, Piece, labelled, number, text};
use crate::human;

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Codex {
    turns: usize,
}

impl Codex {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, pieces: &mut Vec<Piece>) {
        let item = event.get("item").and_then(Value::as_object);
        match (text(event, "type"), item) {
            ("turn.started", _) => {
                self.turns += 1;
                pieces.push(Piece::Note(String::new()));
                pieces.push(Piece::Note(format!("--- Turn {} ---", self.turns)));
            }
            ("item.started", Some(item)) => pieces.extend(started(item)),
            ("item.completed", Some(item)) => completed(item, pieces),
            ("turn.completed", _) => {
                pieces.push(Piece::Note(format!("[result] completed ({})", usage(event))));
            }
            ("turn.failed", _) => {
                let error = event.get("error").and_then(Value::as_object);
                let why = error.map(|e| text(e, "message")).unwrap_or_default();
                pieces.push(Piece::Fault(format!(
                    "[result] failed: {}",
                    human::gist(why, 1000)
                )));
            }
            ("error", _) => {
                let why = human::gist(text(event, "message"), 1000);
                pieces.push(Piece::Fault(format!("[error] {why}")));
            }
            _ => {}
        }
    }
}

fn started(item: &Map<String, Value>) -> Option<Piece> {
    let line = match text(item, "type") {
        "command_execution" => labelled("shell", Some(bare(text(item, "command")))),
        "mcp_tool_call" => {
            let name = format!("{}/{}", text(item, "server"), text(item, "tool"));
            let arguments = item.get("arguments").map(ToString::to_string);
            labelled(&human::gist(&name, GIST), arguments.as_deref())
        }
        "web_search" => labelled("web_search", Some(text(item, "query"))),
        _ => return None,
    };
    Some(Piece::Note(format!("[tool] {line}")))
}

fn completed(item: &Map<String, Value>, pieces: &mut Vec<Piece>) {
    match text(item, "type") {
        "agent_message" => {
            let said = text(item, "text").trim_end();
            if !said.is_empty() {
                pieces.push(Piece::Text(human::printable(said)));
            }
        }
        "command_execution" => {
            let code = item.get("exit_code").and_then(Value::as_i64).unwrap_or_default();
            if code != 0 {
                let output = text(item, "aggregated_output").trim();
                pieces.push(Piece::Fault(format!(
                    "[tool error] exit code {code}: {}",
                    human::gist(output, GIST)
                )));
            }
        }
        "mcp_tool_call" => {
            let error = item.get("error").and_then(Value::as_object);
            if let Some(error) = error {
                let why = human::gist(text(error, "message"), GIST);
                pieces.push(Piece::Fault(format!("[tool error] {why}")));
            }
        }
        "file_change" => {
            let changes = item
                .get("changes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for change in changes.filter_map(Value::as_object) {
                let (kind, path) = (text(change, "kind"), text(change, "path"));
                pieces.push(Piece::Note(format!("[tool] {kind}: {}", human::gist(path, GIST))));
            }
        }
        "error" => {
            let why = human::gist(text(item, "message"), 1000);
            pieces.push(Piece::Fault(format!("[error] {why}")));
        }
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

fn usage(event: &Map<String, Value>) -> String {
    let Some(usage) = event.get("usage").and_then(Value::as_object) else {
        return "no usage reported".to_owned();
    };
    let count = |key: &str| number(usage, key).unwrap_or_default();
    format!(
        "{} in / {} out tokens, {} from cache",
        count("input_tokens"),
        count("output_tokens"),
        count("cached_input_tokens")
    )
}
