//! OpenCode's `run --format json` events.

use std::collections::HashSet;

use axon_api::money::Money;
use serde_json::{Map, Value};

use super::{Event, Outcome, number, text};

/// What was seen of a run. Its totals are those of its steps.
#[derive(Debug, Default)]
pub(super) struct OpenCode {
    messages: HashSet<String>,
    input: u64,
    output: u64,
    cached: u64,
    cost: Money,
}

impl OpenCode {
    /// Renders an event. Kinds of events that are not known are left out.
    pub(super) fn render(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        let empty = Map::new();
        let part = event.get("part").and_then(Value::as_object).unwrap_or(&empty);
        match text(event, "type") {
            "step_start" if self.messages.insert(text(part, "messageID").to_owned()) => {
                events.push(Event::Turn {
                    turn: self.messages.len(),
                });
            }
            "text" => {
                let said = text(part, "text").trim_end();
                if !said.is_empty() {
                    events.push(Event::Text {
                        text: said.to_owned(),
                    });
                }
            }
            "tool_use" => tool(part, events),
            "step_finish" => self.step(part, events),
            "error" => {
                let error = event.get("error").and_then(Value::as_object).unwrap_or(&empty);
                let data = error.get("data").and_then(Value::as_object).unwrap_or(&empty);
                let why = [text(data, "message"), text(error, "message"), text(error, "name")];
                let why = why.into_iter().find(|w| !w.is_empty()).unwrap_or("unknown");
                events.push(Event::Error {
                    message: why.to_owned(),
                });
            }
            _ => {}
        }
    }

    fn step(&mut self, part: &Map<String, Value>, events: &mut Vec<Event>) {
        if let Some(tokens) = part.get("tokens").and_then(Value::as_object) {
            let count = |sum: u64, key| sum.saturating_add(number(tokens, key).unwrap_or_default());
            self.input = count(self.input, "input");
            self.output = count(self.output, "output");
            let cache = tokens.get("cache").and_then(Value::as_object);
            let read = cache.and_then(|c| number(c, "read")).unwrap_or_default();
            self.cached = self.cached.saturating_add(read);
        }
        let cost = part.get("cost").filter(|c| c.is_number());
        let cost = cost.and_then(|c| Money::reported(&c.to_string()));
        self.cost = self.cost.plus(cost.unwrap_or_default());
        // More steps follow a step that called tools.
        if text(part, "reason") != "tool-calls" {
            events.push(Event::Result(Outcome {
                ok: true,
                turns: u64::try_from(self.messages.len()).ok(),
                cost: Some(self.cost.to_string()),
                input_tokens: Some(self.input),
                output_tokens: Some(self.output),
                cached_tokens: Some(self.cached),
                ..Outcome::default()
            }));
        }
    }
}

fn tool(part: &Map<String, Value>, events: &mut Vec<Event>) {
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
    events.push(Event::Tool {
        tool: text(part, "tool").to_owned(),
        argument: known.or_else(all),
        nested: false,
    });
    if text(state, "status") == "error" {
        events.push(Event::ToolError {
            message: text(state, "error").to_owned(),
            nested: false,
        });
    }
}
