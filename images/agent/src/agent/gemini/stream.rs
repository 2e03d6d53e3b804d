//! Gemini's `stream-json` output, and the journal that it keeps of each session.
//!
//! The output tells figures once, in the `result` at the end, over all models and sub-agents. Until then there is the
//! journal (`tmp/*/chats/**/*.jsonl`), with the counts of each message of the model; it lacks the requests by which
//! gemini picks a model, and a session may note one message twice. So the result's figures count where there are
//! any, and the journal's are what survives a kill: a lower bound, exact when the Task names a model.
//!
//! Input counts include what was read from the cache; writes to it are not counted by this API. Output counts do not
//! include the thoughts, which are charged as output and counted so here. There is no cost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use axon_api::TaskReason;
use axon_api::usage::Usage;
use serde::Deserialize;
use serde_json::Value;

use crate::agent::figures::{count, group, lenient};
use crate::agent::journal::Journal;
use crate::agent::readable::{object, readable};
use crate::agent::tokens::{minus, plus};
use crate::agent::{Line, Stream, Tokens, Verdict, provider_reason, said};

/// Characters of a session's id in the name of its journal.
const ID_CHARS: usize = 8;

/// An event of the output. Its other fields are not for us.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    session_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default, deserialize_with = "group")]
    stats: Stats,
}

/// Figures of a result: `input_tokens` with the cache, `total_tokens` with the thoughts.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Stats {
    #[serde(deserialize_with = "count")]
    total_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    input_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    cached: Option<i64>,
}

impl Stats {
    /// Returns what is known; `None` if nothing is.
    fn tokens(self) -> Option<Tokens> {
        let all = [
            self.total_tokens,
            self.input_tokens,
            self.output_tokens,
            self.cached,
        ];
        all.iter().any(Option::is_some).then(|| {
            let thought = self
                .input_tokens
                .and_then(|_| minus(self.total_tokens, self.input_tokens));
            Tokens {
                input: minus(self.input_tokens, self.cached),
                output: thought.max(self.output_tokens),
                cache_read: self.cached,
                cache_write: None,
            }
        })
    }
}

/// A line of the journal.
#[derive(Deserialize)]
struct Entry {
    #[serde(deserialize_with = "group")]
    tokens: Counts,
}

/// Figures of a message.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "count")]
    input: Option<i64>,
    #[serde(deserialize_with = "count")]
    output: Option<i64>,
    #[serde(deserialize_with = "count")]
    cached: Option<i64>,
    #[serde(deserialize_with = "count")]
    thoughts: Option<i64>,
    #[serde(deserialize_with = "count")]
    tool: Option<i64>,
}

impl From<Counts> for Tokens {
    fn from(counts: Counts) -> Self {
        let input = counts.input.and_then(|_| plus(counts.input, counts.tool));
        Self {
            input: minus(input, counts.cached),
            output: plus(counts.output, counts.thoughts),
            cache_read: counts.cached,
            cache_write: None,
        }
    }
}

/// Reads the stream.
#[derive(Default)]
pub(super) struct GeminiStream {
    journal: Journal,
    /// Begin of the session's id.
    session: Option<String>,
    /// Counts of each message by its journal: a message is noted again as its tools answer, and at a sub-agent's end
    /// under another id. The next one has other counts, since its input holds more.
    messages: BTreeSet<(PathBuf, Counts)>,
    result: Option<Tokens>,
    verdict: Option<Verdict>,
    /// True if the last line was an event of work.
    is_at_work: bool,
}

impl GeminiStream {
    /// Returns a reader that also follows the journal below `dir`.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            journal: Journal::new(dir),
            ..Self::default()
        }
    }

    fn note(messages: &mut BTreeSet<(PathBuf, Counts)>, session: &str, path: &Path, line: &[u8]) {
        // A sub-agent's journal is in a directory that has the session's id.
        if path.to_string_lossy().contains(session)
            && let Some(entry) = object::<Entry>(&readable(line))
        {
            messages.insert((path.to_owned(), entry.tokens));
        }
    }
}

impl Stream for GeminiStream {
    fn line(&mut self, line: &[u8]) -> Line {
        self.is_at_work = false;
        let line = readable(line);
        let Some(event) = object::<Event>(&line) else {
            return Line::Forward;
        };
        self.is_at_work = ["message", "tool_use", "tool_result", "result"].contains(&event.kind.as_str());
        match event.kind.as_str() {
            "init" => {
                let begin = |id: String| id.get(..ID_CHARS).map(str::to_owned);
                self.session = self.session.take().or(event.session_id.and_then(begin));
            }
            "result" => {
                self.result = event.stats.tokens().or(self.result);
                self.verdict = Some(match event.status.as_deref() {
                    Some("success") => Verdict::Done,
                    _ => failed(event.error.as_ref()),
                });
            }
            _ => {}
        }
        Line::Forward
    }

    fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    fn usage(&mut self) -> Usage {
        if let Some(tokens) = self.result {
            return tokens.usage(None);
        }
        if let Some(session) = &self.session {
            let messages = &mut self.messages;
            self.journal
                .news(|path, line| Self::note(messages, session, path, line));
        }
        if self.messages.is_empty() {
            return Usage::default();
        }
        let noted: Tokens = self
            .messages
            .iter()
            .map(|(_, counts)| Tokens::from(*counts))
            .sum();
        noted.usage(None)
    }

    fn verdict(&self) -> Option<Verdict> {
        self.verdict.clone()
    }
}

fn failed(error: Option<&Value>) -> Verdict {
    let text = error
        .and_then(|error| error.get("message"))
        .and_then(Value::as_str);
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Verdict::Failed {
            reason: TaskReason::AgentError,
            message: "gemini ended with an error that it does not name".to_owned(),
        };
    };
    let said = said(text);
    Verdict::Failed {
        reason: provider_reason(said.status, &said.message),
        message: said.message,
    }
}

#[cfg(test)]
mod tests;
