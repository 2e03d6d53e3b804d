//! OpenCode's `run --format json` events.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{GIST, Piece, labelled, number, text};
use crate::human;
use axon_api::money;

/// What was seen of a run. Its totals are those of its steps.
#[derive(Debug, Default)]
pub(super) struct OpenCode {
    messages: HashSet<String>,
    input: u64,
    output: u64,
    cached: u64,
    cost: i64,
}

impl OpenCode {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, pieces: &mut Vec<Piece>) {
        let empty = Map::new();
        let part = event.get("part").and_then(Value::as_object).unwrap_or(&empty);
        match text(event, "type") {
            "step_start" if self.messages.insert(text(part, "messageID").to_owned()) => {
                pieces.push(Piece::Note(String::new()));
                pieces.push(Piece::Note(format!("--- Turn {} ---", self.messages.len())));
            }
            "text" => {
                let said = text(part, "text").trim_end();
                if !said.is_empty() {
                    pieces.push(Piece::Text(human::printable(said)));
                }
            }
            "tool_use" => tool(part, pieces),
            "step_finish" => self.step(part, pieces),
            "error" => {
                let error = event.get("error").and_then(Value::as_object).unwrap_or(&empty);
                let data = error.get("data").and_then(Value::as_object).unwrap_or(&empty);
                let why = [text(data, "message"), text(error, "message"), text(error, "name")];
                let why = why.into_iter().find(|w| !w.is_empty()).unwrap_or("unknown");
                pieces.push(Piece::Fault(format!("[error] {}", human::gist(why, 1000))));
            }
            _ => {}
        }
    }

    fn step(&mut self, part: &Map<String, Value>, pieces: &mut Vec<Piece>) {
        if let Some(tokens) = part.get("tokens").and_then(Value::as_object) {
            self.input += number(tokens, "input").unwrap_or_default();
            self.output += number(tokens, "output").unwrap_or_default();
            let cache = tokens.get("cache").and_then(Value::as_object);
            self.cached += cache.and_then(|c| number(c, "read")).unwrap_or_default();
        }
        let cost = part.get("cost").filter(|c| c.is_number());
        self.cost += cost
            .and_then(|c| money::parse(&c.to_string()))
            .unwrap_or_default();
        // More steps follow a step that called tools.
        if text(part, "reason") != "tool-calls" {
            pieces.push(Piece::Note(format!(
                "[result] completed ({}, {}, {} in / {} out tokens, {} from cache)",
                human::count(self.messages.len(), "turn"),
                money::short(self.cost),
                self.input,
                self.output,
                self.cached
            )));
        }
    }
}

fn tool(part: &Map<String, Value>, pieces: &mut Vec<Piece>) {
    let empty = Map::new();
    let state = part.get("state").and_then(Value::as_object).unwrap_or(&empty);
    let input = state.get("input").and_then(Value::as_object).unwrap_or(&empty);
    let known = [
        "command",
        "filePath",
        "pattern",
        "path",
        "url",
        "query",
        "description",
    ]
    .iter()
    .find_map(|key| input.get(*key).and_then(Value::as_str).map(str::to_owned));
    let all = || (!input.is_empty()).then(|| Value::Object(input.clone()).to_string());
    let name = human::gist(text(part, "tool"), GIST);
    let line = labelled(&name, known.or_else(all).as_deref());
    pieces.push(Piece::Note(format!("[tool] {line}")));
    if text(state, "status") == "error" {
        let why = human::gist(text(state, "error"), GIST);
        pieces.push(Piece::Fault(format!("[tool error] {why}")));
    }
}
