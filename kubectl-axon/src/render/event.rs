//! What an agent's log tells, whichever agent it is of; shown to people as lines, and to programs as JSON.

use serde::Serialize;

use super::{GIST, Piece};
use crate::format;

/// Longest error that people are shown, in characters.
const LONG: usize = 1000;

/// Something that an agent did or said. As JSON it is an object whose `type` says which of these it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The agent has started.
    Start {
        /// The model that it uses, or `auto`.
        model: String,
    },
    /// The agent can't use an MCP server.
    McpServer {
        /// Name of the server.
        server: String,
        /// What the agent says of it, such as `failed`.
        status: String,
    },
    /// A request to the model goes out again.
    Retry {
        /// Why the one before failed.
        error: String,
        /// Its HTTP status.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u64>,
        /// How many there were already.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u64>,
        /// How many there can be.
        #[serde(skip_serializing_if = "Option::is_none")]
        attempts: Option<u64>,
    },
    /// The model's turn.
    Turn {
        /// Its number, from 1.
        turn: usize,
    },
    /// What the agent says.
    Text {
        /// The words.
        text: String,
    },
    /// The agent calls a tool.
    Tool {
        /// Name of the tool; `server/tool` if it is of an MCP server.
        tool: String,
        /// The argument that says most, such as a command or a path; else all arguments as JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        argument: Option<String>,
        /// True if a sub-agent calls it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        nested: bool,
    },
    /// A tool has failed.
    ToolError {
        /// What it said.
        message: String,
        /// True if a sub-agent had called it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        nested: bool,
    },
    /// The agent's run is over, well or not.
    Result(Outcome),
    /// Something went wrong.
    Error {
        /// What.
        message: String,
    },
    /// A line of the log that is not of the agent's stream.
    Line {
        /// The line.
        text: String,
    },
}

/// How a run ended, and what of it the agent has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// True if all went well.
    pub ok: bool,
    /// Why it did not, if the agent says it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The model's turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Dollars, decimal.
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Tokens that the model has read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens that the model has written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens that were read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Milliseconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_milliseconds: Option<u64>,
}

impl Event {
    /// Returns the event as people read it.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        let note = |text: String| vec![Piece::Note(text)];
        let fault = |text: String| vec![Piece::Fault(text)];
        match self {
            Self::Start { model } => note(format!("[init] model={}", format::gist(model, GIST))),
            Self::McpServer { server, status } => fault(format!(
                "[init] MCP server {}: {}",
                format::gist(server, GIST),
                format::gist(status, GIST)
            )),
            Self::Retry {
                error,
                status,
                attempt,
                attempts,
            } => {
                let status = status.map(|s| format!(" {s}")).unwrap_or_default();
                let count = match (attempt, attempts) {
                    (Some(attempt), Some(most)) => format!(" ({attempt} of {most})"),
                    _ => String::new(),
                };
                note(format!(
                    "[retry] after {}{status}{count}",
                    format::gist(error, GIST)
                ))
            }
            Self::Turn { turn } => {
                vec![
                    Piece::Note(String::new()),
                    Piece::Note(format!("--- Turn {turn} ---")),
                ]
            }
            Self::Text { text } => vec![Piece::Text(format::printable(text))],
            Self::Tool {
                tool,
                argument,
                nested,
            } => note(format!(
                "{}[tool] {}",
                indent(*nested),
                call(tool, argument.as_deref())
            )),
            Self::ToolError { message, nested } => fault(format!(
                "{}[tool error] {}",
                indent(*nested),
                format::gist(message, GIST)
            )),
            Self::Result(outcome) => vec![outcome.piece()],
            Self::Error { message } => fault(format!("[error] {}", format::gist(message, LONG))),
            Self::Line { text } => vec![Piece::Text(format::printable(text))],
        }
    }
}

impl Outcome {
    fn piece(&self) -> Piece {
        let facts = match self.facts() {
            facts if !facts.is_empty() => format!(" ({facts})"),
            _ if self.ok => " (no usage reported)".to_owned(),
            _ => String::new(),
        };
        if self.ok {
            return Piece::Note(format!("[result] completed{facts}"));
        }
        let why = self.message.as_deref().filter(|why| !why.trim().is_empty());
        let why = why
            .map(|why| format!(": {}", format::gist(why, LONG)))
            .unwrap_or_default();
        Piece::Fault(format!("[result] failed{facts}{why}"))
    }

    fn facts(&self) -> String {
        let turns = self
            .turns
            .map(|turns| format::count(usize::try_from(turns).unwrap_or_default(), "turn"));
        let tokens = match (self.input_tokens, self.output_tokens) {
            (Some(input), Some(output)) => Some(format!("{input} in / {output} out tokens")),
            _ => None,
        };
        let facts = [
            turns,
            self.cost.as_deref().map(format::cost),
            tokens,
            self.cached_tokens.map(|tokens| format!("{tokens} from cache")),
            self.duration_milliseconds.map(format::run_time),
        ];
        facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn indent(nested: bool) -> &'static str {
    if nested { "  " } else { "" }
}

/// Returns a tool call in a line.
fn call(tool: &str, argument: Option<&str>) -> String {
    let tool = format::gist(tool, GIST);
    match argument {
        Some(argument) if !argument.trim().is_empty() => format!("{tool}: {}", format::gist(argument, GIST)),
        _ => tool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_what_people_see_shortened() {
        let command = format!("echo\n{}", "x".repeat(100));
        let event = Event::Tool {
            tool: "Bash".to_owned(),
            argument: Some(command.clone()),
            nested: false,
        };
        let line = format!("[tool] Bash: echo\\n{}...", "x".repeat(74));
        assert_eq!(event.pieces(), [Piece::Note(line)]);
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::json!({"type": "tool", "tool": "Bash", "argument": command})
        );
    }

    #[test]
    fn an_outcome_has_what_was_counted_and_nothing_else() {
        let outcome = Event::Result(Outcome {
            ok: true,
            cost: Some("0.012224".to_owned()),
            input_tokens: Some(0),
            ..Outcome::default()
        });
        assert_eq!(
            serde_json::to_value(&outcome).unwrap(),
            serde_json::json!({"type": "result", "ok": true, "costUSD": "0.012224", "inputTokens": 0})
        );
        assert_eq!(
            Event::Result(Outcome::default()).pieces(),
            [Piece::Fault("[result] failed".to_owned())]
        );
    }
}
