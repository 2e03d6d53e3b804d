//! Makes an agent's log readable: lines go in, pieces of text and talk come out. Pure; the state is what was seen.
//!
//! Claude Code's stream of JSON events is rendered. The streams of other agents, and lines that are no event,
//! pass unchanged. The block of outputs at the end of a log is for programs and is left out.

mod claude;

use axon_api::agents::AgentType;
use axon_api::outputs::{MARKER_END, MARKER_START};
use serde_json::{Map, Value};

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

/// The state of one log.
#[derive(Debug)]
pub struct Renderer {
    claude: Option<claude::Claude>,
    /// Lines since the start of what may be a block of outputs.
    held: Option<Vec<String>>,
}

impl Renderer {
    /// Returns the renderer for an agent's log.
    #[must_use]
    pub fn new(agent: AgentType) -> Self {
        Self {
            claude: (agent == AgentType::ClaudeCode).then(claude::Claude::default),
            held: None,
        }
    }

    /// Renders a line, without its line end.
    pub fn render(&mut self, line: &str) -> Vec<Piece> {
        let trimmed = line.trim();
        if trimmed == MARKER_START {
            let before = self.finish();
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
        let mut pieces = self.finish();
        match (&mut self.claude, event(trimmed)) {
            (Some(claude), Some(event)) => claude.render(&event, &mut pieces),
            _ if trimmed.is_empty() => {}
            _ => pieces.push(Piece::Text(line.to_owned())),
        }
        pieces
    }

    /// Returns what was held back; for the end of a log.
    pub fn finish(&mut self) -> Vec<Piece> {
        self.held.take().into_iter().flatten().map(Piece::Text).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn all(agent: AgentType, lines: &[&str]) -> Vec<Piece> {
        let mut renderer = Renderer::new(agent);
        let mut pieces: Vec<Piece> = lines.iter().flat_map(|line| renderer.render(line)).collect();
        pieces.extend(renderer.finish());
        pieces
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn lines_that_are_no_events_pass_unchanged() {
        let lines = ["plain", "42", "  [1]", "{broken", ""];
        let expected: Vec<Piece> = lines.iter().take(4).map(|l| text(l)).collect();
        assert_eq!(all(AgentType::ClaudeCode, &lines), expected);
    }

    #[test]
    fn other_agents_streams_pass_unchanged() {
        let line = r#"{"type":"turn.started"}"#;
        assert_eq!(all(AgentType::Codex, &[line]), [text(line)]);
    }

    #[test]
    fn the_block_of_outputs_is_left_out() {
        let lines = ["a", MARKER_START, "branch: x", "pr: y", MARKER_END, "b"];
        assert_eq!(all(AgentType::Codex, &lines), [text("a"), text("b")]);
    }

    #[test]
    fn a_block_that_does_not_end_is_no_block() {
        let lines = [MARKER_START, "a", r#"{"type":"x"}"#, "b"];
        assert_eq!(all(AgentType::Gemini, &lines), lines.map(text));
        assert_eq!(
            all(AgentType::Codex, &[MARKER_START, MARKER_START]),
            [text(MARKER_START), text(MARKER_START)]
        );
    }
}
