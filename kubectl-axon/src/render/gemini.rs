//! Gemini CLI's `stream-json` events.

use serde_json::{Map, Value};

use super::{GIST, Piece, labelled, number, text};
use crate::human;

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    turns: usize,
    /// True while the agent's turn has not been interrupted by a tool's result.
    speaking: bool,
    /// What was said since the last line end: messages come in pieces.
    unsaid: String,
}

impl Gemini {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, pieces: &mut Vec<Piece>) {
        let kind = text(event, "type");
        if kind != "message" {
            pieces.extend(self.finish());
        }
        match kind {
            "init" => pieces.push(Piece::Note(format!(
                "[init] model={}",
                human::gist(text(event, "model"), GIST)
            ))),
            "message" if text(event, "role") == "assistant" => self.message(event, pieces),
            "tool_use" => {
                self.turn(pieces);
                pieces.push(Piece::Note(format!("[tool] {}", tool(event))));
            }
            "tool_result" => {
                self.speaking = false;
                if text(event, "status") == "error" {
                    let error = event.get("error").and_then(Value::as_object);
                    let why = error.map(|e| text(e, "message")).filter(|m| !m.is_empty());
                    let why = human::gist(why.unwrap_or(text(event, "output")), GIST);
                    pieces.push(Piece::Fault(format!("[tool error] {why}")));
                }
            }
            "error" => pieces.push(Piece::Fault(format!(
                "[error] {}",
                human::gist(text(event, "message"), 1000)
            ))),
            "result" => result(event, pieces),
            _ => {}
        }
    }

    /// Returns what has no line end yet.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        let said = std::mem::take(&mut self.unsaid);
        (!said.trim().is_empty()).then(|| Piece::Text(human::printable(said.trim_end())))
    }

    fn turn(&mut self, pieces: &mut Vec<Piece>) {
        if !std::mem::replace(&mut self.speaking, true) {
            self.turns += 1;
            pieces.push(Piece::Note(String::new()));
            pieces.push(Piece::Note(format!("--- Turn {} ---", self.turns)));
        }
    }

    fn message(&mut self, event: &Map<String, Value>, pieces: &mut Vec<Piece>) {
        self.turn(pieces);
        self.unsaid += text(event, "content");
        if event.get("delta") != Some(&Value::Bool(true)) {
            self.unsaid.push('\n');
        }
        if let Some(end) = self.unsaid.rfind('\n') {
            let rest = self.unsaid.split_off(end + 1);
            let said = std::mem::replace(&mut self.unsaid, rest);
            if !said.trim().is_empty() {
                pieces.push(Piece::Text(human::printable(said.trim_end())));
            }
        }
    }
}

fn tool(event: &Map<String, Value>) -> String {
    let name = text(event, "tool_name");
    let parameters = event.get("parameters").and_then(Value::as_object);
    let argument = |key: &str| parameters.and_then(|p| p.get(key)).and_then(Value::as_str);
    let known = [
        "command",
        "file_path",
        "absolute_path",
        "path",
        "pattern",
        "query",
        "url",
        "prompt",
    ]
    .iter()
    .find_map(|key| argument(key).map(str::to_owned));
    let all = || {
        parameters
            .filter(|p| !p.is_empty())
            .map(|p| Value::Object(p.clone()).to_string())
    };
    labelled(&human::gist(name, GIST), known.or_else(all).as_deref())
}

fn result(event: &Map<String, Value>, pieces: &mut Vec<Piece>) {
    let mut facts = Vec::new();
    if let Some(stats) = event.get("stats").and_then(Value::as_object) {
        let count = |key: &str| number(stats, key).unwrap_or_default();
        facts.push(format!(
            "{} in / {} out tokens, {} from cache",
            count("input_tokens"),
            count("output_tokens"),
            count("cached")
        ));
        facts.extend(number(stats, "duration_ms").map(human::run_time));
    }
    let facts = facts.join(", ");
    if text(event, "status") == "success" {
        pieces.push(Piece::Note(format!("[result] completed ({facts})")));
        return;
    }
    pieces.push(Piece::Fault(format!("[result] failed ({facts})")));
    let error = event.get("error").and_then(Value::as_object);
    if let Some(why) = error.map(|e| text(e, "message")).filter(|m| !m.is_empty()) {
        pieces.push(Piece::Fault(format!("[error] {}", human::gist(why, 1000))));
    }
}
