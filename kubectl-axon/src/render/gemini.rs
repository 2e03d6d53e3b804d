//! Gemini CLI's `stream-json` events.

use serde_json::{Map, Value};

use super::{Event, Outcome, number, text};

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
    pub(super) fn render(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        let kind = text(event, "type");
        if kind != "message" {
            events.extend(self.finish());
        }
        match kind {
            "init" => events.push(Event::Start {
                model: text(event, "model").to_owned(),
            }),
            "message" if text(event, "role") == "assistant" => self.message(event, events),
            "tool_use" => {
                self.turn(events);
                events.push(tool(event));
            }
            "tool_result" => {
                self.speaking = false;
                if text(event, "status") == "error" {
                    let error = event.get("error").and_then(Value::as_object);
                    let why = error.map(|e| text(e, "message")).filter(|m| !m.is_empty());
                    events.push(Event::ToolError {
                        message: why.unwrap_or(text(event, "output")).to_owned(),
                        nested: false,
                    });
                }
            }
            "error" => events.push(Event::Error {
                message: text(event, "message").to_owned(),
            }),
            "result" => result(event, events),
            _ => {}
        }
    }

    /// Returns what has no line end yet.
    pub(super) fn finish(&mut self) -> Option<Event> {
        let said = std::mem::take(&mut self.unsaid);
        words(&said)
    }

    fn turn(&mut self, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.speaking, true) {
            self.turns += 1;
            events.push(Event::Turn { turn: self.turns });
        }
    }

    fn message(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        self.turn(events);
        self.unsaid += text(event, "content");
        if event.get("delta") != Some(&Value::Bool(true)) {
            self.unsaid.push('\n');
        }
        if let Some(end) = self.unsaid.rfind('\n') {
            let rest = self.unsaid.split_off(end + 1);
            let said = std::mem::replace(&mut self.unsaid, rest);
            events.extend(words(&said));
        }
    }
}

fn words(said: &str) -> Option<Event> {
    (!said.trim().is_empty()).then(|| Event::Text {
        text: said.trim_end().to_owned(),
    })
}

fn tool(event: &Map<String, Value>) -> Event {
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
    Event::Tool {
        tool: name.to_owned(),
        argument: known.or_else(all),
        nested: false,
    }
}

fn result(event: &Map<String, Value>, events: &mut Vec<Event>) {
    let stats = event.get("stats").and_then(Value::as_object);
    let count = |key: &str| stats.map(|stats| number(stats, key).unwrap_or_default());
    let ok = text(event, "status") == "success";
    events.push(Event::Result(Outcome {
        ok,
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cached_tokens: count("cached"),
        duration_milliseconds: stats.and_then(|stats| number(stats, "duration_ms")),
        ..Outcome::default()
    }));
    let error = event.get("error").and_then(Value::as_object);
    let why = error.map(|e| text(e, "message")).filter(|m| !m.is_empty());
    if let Some(why) = why.filter(|_| !ok) {
        events.push(Event::Error {
            message: why.to_owned(),
        });
    }
}
