//! Codex's `--json` output, and the journal that it keeps of each thread.
//!
//! The output tells figures once, in `turn.completed`: what the main thread has used since it began, without its
//! sub-agents. The journal (`sessions/**/rollout-*.jsonl`) has a `token_usage_record` for each answer of the model,
//! sub-agents' too, written when the answer came. So the journal is what survives a kill, and what is complete; the
//! output's figure is a lower bound, for a Codex that keeps no journal.
//!
//! Input counts include what was read from and written to the cache, output counts the reasoning. There is no cost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axon_api::TaskReason;
use axon_api::usage::Usage;
use serde::Deserialize;
use serde_json::Value;

use crate::agent::figures::{count, group, lenient};
use crate::agent::journal::Journal;
use crate::agent::readable::{object, readable};
use crate::agent::tokens::minus;
use crate::agent::{Line, Stream, Tokens, Verdict, provider_reason, said};

/// An event of the output. Its other fields are not for us.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    thread_id: Option<String>,
    #[serde(default, deserialize_with = "group")]
    usage: Counts,
    #[serde(default)]
    error: Option<Value>,
}

/// A line of the journal.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    payload: Record,
}

#[derive(Deserialize)]
struct Record {
    #[serde(default, deserialize_with = "lenient")]
    session_id: String,
    #[serde(default, deserialize_with = "lenient")]
    response_id: String,
    #[serde(default, deserialize_with = "group")]
    usage: Counts,
}

/// Figures as Codex writes them.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "count")]
    input_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    cached_input_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    cache_write_input_tokens: Option<i64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<i64>,
}

impl Counts {
    /// Returns what is known; `None` if nothing is.
    fn tokens(self) -> Option<Tokens> {
        let (read, write) = (self.cached_input_tokens, self.cache_write_input_tokens);
        let all = [self.input_tokens, self.output_tokens, read, write];
        all.iter().any(Option::is_some).then(|| Tokens {
            input: minus(minus(self.input_tokens, read), write),
            output: self.output_tokens,
            cache_read: read,
            cache_write: write,
        })
    }
}

/// Reads the stream.
#[derive(Default)]
pub(super) struct CodexStream {
    journal: Journal,
    /// Name of the main thread, which is that of the session.
    thread: Option<String>,
    /// Figures of each answer, by its id: a sub-agent's journal may repeat what came before it.
    answers: BTreeMap<String, Tokens>,
    reported: Option<Tokens>,
    verdict: Option<Verdict>,
    /// True if the last line was an event of work.
    is_at_work: bool,
}

impl CodexStream {
    /// Returns a reader that also follows the journal below `sessions`.
    pub(super) fn new(sessions: PathBuf) -> Self {
        Self {
            journal: Journal::new(sessions),
            ..Self::default()
        }
    }

    fn record(answers: &mut BTreeMap<String, Tokens>, thread: &str, line: &[u8]) {
        // Cheaper than to read each line, of which some hold whole files.
        const KIND: &[u8] = b"\"token_usage_record\"";
        if !line.windows(KIND.len()).take(200).any(|part| part == KIND) {
            return;
        }
        if let Some(Entry { kind, payload }) = object(&readable(line))
            && kind == "token_usage_record"
            && payload.session_id == thread
            && let Some(tokens) = payload.usage.tokens()
        {
            answers.insert(payload.response_id, tokens);
        }
    }
}

impl Stream for CodexStream {
    fn line(&mut self, line: &[u8]) -> Line {
        self.is_at_work = false;
        let line = readable(line);
        let Some(event) = object::<Event>(&line) else {
            return Line::Forward;
        };
        self.is_at_work = ["turn.", "item."]
            .iter()
            .any(|begin| event.kind.starts_with(begin));
        match event.kind.as_str() {
            "thread.started" => self.thread = self.thread.take().or(event.thread_id),
            "turn.completed" => {
                // Of the whole thread up to here, so a later one replaces it.
                self.reported = event.usage.tokens().or(self.reported);
                self.verdict = Some(Verdict::Done);
            }
            "turn.failed" => self.verdict = Some(failed(event.error.as_ref())),
            _ => {}
        }
        Line::Forward
    }

    fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    fn usage(&mut self) -> Usage {
        if let Some(thread) = &self.thread {
            let answers = &mut self.answers;
            self.journal.news(|_, line| Self::record(answers, thread, line));
        }
        if self.answers.is_empty() && self.reported.is_none() {
            return Usage::default();
        }
        let noted = self.answers.values().copied().sum::<Tokens>();
        noted.max(self.reported.unwrap_or_default()).usage(None)
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
            message: "codex ended with an error that it does not name".to_owned(),
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
