//! Makes an agent's log readable: lines go in, events come out, which are shown as pieces of text and talk. Pure; the
//! state is what was seen.
//!
//! Each agent has its own stream of JSON events, and its own file here. Lines that are no event pass unchanged. The block of outputs at the end of a log is for programs and is left out.

mod claude;
mod codex;
mod event;
mod gemini;
mod opencode;

use axon_api::agents::AgentType;
use axon_api::outputs::{MARKER_END, MARKER_START};
use serde_json::{Map, Value};

pub use event::{Event, Outcome};

/// Longest gist of a tool call, in characters: with its tool it fits a line of a usual terminal.
const GIST: usize = 80;

/// Most lines that a block of outputs has.
const MAX_BLOCK_LINES: usize = 500;

/// A piece of rendered log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What the agent says; goes to stdout.
    Text(String),
    /// What the agent does; goes to stderr.
    Note(String),
    /// What went wrong; goes to stderr.
    Fault(String),
}

/// What was seen of an agent's events.
#[derive(Debug)]
enum Events {
    Claude(claude::Claude),
    Codex(codex::Codex),
    Gemini(gemini::Gemini),
    OpenCode(opencode::OpenCode),
}

impl Events {
    fn render(&mut self, event: &Map<String, Value>, events: &mut Vec<Event>) {
        match self {
            Self::Claude(claude) => claude.render(event, events),
            Self::Codex(codex) => codex.render(event, events),
            Self::Gemini(gemini) => gemini.render(event, events),
            Self::OpenCode(opencode) => opencode.render(event, events),
        }
    }
}

/// The state of one log.
#[derive(Debug)]
pub struct Renderer {
    events: Events,
    /// Lines since the start of what may be a block of outputs.
    held: Option<Vec<String>>,
}

impl Renderer {
    /// Returns the renderer for an agent's log.
    #[must_use]
    pub fn new(agent: AgentType) -> Self {
        Self {
            events: match agent {
                AgentType::ClaudeCode => Events::Claude(claude::Claude::default()),
                AgentType::Codex => Events::Codex(codex::Codex::default()),
                AgentType::Gemini => Events::Gemini(gemini::Gemini::default()),
                AgentType::OpenCode => Events::OpenCode(opencode::OpenCode::default()),
            },
            held: None,
        }
    }

    /// Renders a line, without its line end.
    pub fn render(&mut self, line: &str) -> Vec<Event> {
        let trimmed = line.trim();
        if trimmed == MARKER_START {
            let before = self.held();
            self.held = Some(vec![line.to_owned()]);
            return before;
        }
        if let Some(held) = &mut self.held {
            if trimmed == MARKER_END {
                self.held = None;
                return Vec::new();
            }
            // An event, or too much, means that somebody only printed the first line of a block.
            if !trimmed.starts_with('{') && held.len() < MAX_BLOCK_LINES {
                held.push(line.to_owned());
                return Vec::new();
            }
        }
        let mut events = self.held();
        match event(trimmed) {
            Some(event) => self.events.render(&event, &mut events),
            None if trimmed.is_empty() => {}
            None => events.push(Event::Line {
                text: line.to_owned(),
            }),
        }
        events
    }

    /// Returns what was held back; for the end of a log.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = self.held();
        if let Events::Gemini(gemini) = &mut self.events {
            events.extend(gemini.finish());
        }
        events
    }

    fn held(&mut self) -> Vec<Event> {
        let lines = self.held.take().into_iter().flatten();
        lines.map(|text| Event::Line { text }).collect()
    }
}

/// Returns a line as an event: a JSON object with a type.
fn event(text: &str) -> Option<Map<String, Value>> {
    if !text.starts_with('{') {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) if map.get("type").is_some_and(Value::is_string) => Some(map),
        _ => None,
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(map: &Map<String, Value>, key: &str) -> Option<u64> {
    map.get(key).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests;
