//! Claude Code's `stream-json` output.
//!
//! Two sources of figures: `result` events, which are complete (their `modelUsage` has the sub-agents in it and adds
//! up over several results, their `usage` has neither), and, until one comes, the messages of the API. Of those, the
//! main agent's come as `stream_event` lines, exact from `message_start` to the last `message_delta`; a sub-agent's
//! come only as `assistant` lines, whose output count is the first token's. The lines of one message share its id.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use axon_api::TaskReason;
use axon_api::money::Money;
use axon_api::usage::Usage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::figures::{self, lenient};
use crate::agent::readable::{object, readable};
use crate::agent::{Line, Stream, Tokens, Verdict, provider_reason};

/// Reads the `usage` of a message or of a result.
fn of_usage(usage: &Value) -> Tokens {
    let count = |name: &str| usage.get(name).and_then(figures::of);
    Tokens {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_input_tokens"),
        cache_write: count("cache_creation_input_tokens"),
    }
}

/// Reads `modelUsage`: the sum over all models.
fn of_models(models: &Value) -> Tokens {
    let models = models.as_object().into_iter().flat_map(|models| models.values());
    let tokens = models.map(|model| {
        let count = |name: &str| model.get(name).and_then(figures::of);
        Tokens {
            input: count("inputTokens"),
            output: count("outputTokens"),
            cache_read: count("cacheReadInputTokens"),
            cache_write: count("cacheCreationInputTokens"),
        }
    });
    tokens.sum()
}

/// What all lines share, borrowed: only the few that matter are read further.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    api_message_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_tool_use_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    total_cost_usd: Option<&'a RawValue>,
}

/// The part of a message that counts.
#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    usage: Value,
    #[serde(default, deserialize_with = "lenient")]
    content: Vec<Block>,
}

/// A part of what a message says.
#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: String,
}

/// An event of the API.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    usage: Value,
}

/// The last `result` event.
struct Outcome {
    cost: Option<String>,
    tokens: Tokens,
    /// What the messages had added up to by then; what comes after is not in the result.
    streamed: Tokens,
    verdict: Verdict,
}

/// Reads the stream.
#[derive(Default)]
pub(super) struct ClaudeStream {
    messages: BTreeMap<String, Tokens>,
    streamed: Tokens,
    /// The message under way of each agent, by the tool call that started the agent (empty for the main one).
    current: BTreeMap<String, String>,
    /// Calls of tools, by their ids.
    calls: BTreeSet<String>,
    outcome: Option<Outcome>,
    /// True if the last line was an event of work.
    is_at_work: bool,
}

impl ClaudeStream {
    fn count(&mut self, id: &str, tokens: Tokens) {
        let message = self.messages.entry(id.to_owned()).or_default();
        // Counts of one message only grow; a line that lacks one says nothing about it.
        let grown = message.max(tokens);
        let added = grown.minus(*message);
        *message = grown;
        self.streamed = self.streamed.plus(added);
    }

    fn event(&mut self, envelope: &Envelope<'_>) {
        let Some(event) = envelope.event.and_then(parse::<Event>) else {
            return;
        };
        let agent = envelope
            .parent_tool_use_id
            .and_then(parse::<String>)
            .unwrap_or_default();
        match event.kind.as_str() {
            "message_start" => {
                if let Some(Message {
                    id: Some(id), usage, ..
                }) = event.message
                {
                    self.count(&id, of_usage(&usage));
                    self.current.insert(agent, id);
                }
            }
            "message_delta" => {
                let id = envelope.api_message_id.and_then(parse::<String>);
                if let Some(id) = id.or_else(|| self.current.get(&agent).cloned()) {
                    self.count(&id, of_usage(&event.usage));
                }
            }
            _ => {}
        }
    }

    /// Judges a success by what was denied on the way: where all of it was, nothing can have been done.
    fn done(&self, result: &Value) -> Verdict {
        let denials = result.get("permission_denials").and_then(Value::as_array);
        let denials: Vec<&Value> = denials.into_iter().flatten().collect();
        let tools: BTreeSet<&str> = denials
            .iter()
            .filter_map(|denial| text(denial, "tool_name"))
            .collect();
        let tools = tools.into_iter().collect::<Vec<_>>().join(", ");
        let denied = |denial: &&&Value| text(denial, "tool_use_id").is_some_and(|id| self.calls.contains(id));
        match denials.len() {
            0 => Verdict::Done,
            // A call that a rule of the repository denies may be missing among those that were seen.
            n if denials.iter().filter(denied).count() >= self.calls.len() => Verdict::Failed {
                reason: TaskReason::ToolsDenied,
                message: format!(
                    "claude was not allowed to use any tool: {}. Settings of the repository (.claude/settings.json) or of \
                     the image deny them",
                    denied_calls(n, &tools)
                ),
            },
            n => Verdict::DoneBut(denied_calls(n, &tools)),
        }
    }

    fn result(&mut self, line: &[u8], envelope: &Envelope<'_>) {
        let Ok(result) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let field = |name: &str| result.get(name).unwrap_or(&Value::Null);
        let cost = envelope.total_cost_usd.map(|raw| raw.get().to_owned());
        let tokens = of_models(field("modelUsage")).max(of_usage(field("usage")));
        let asked = !tokens.max(self.streamed).is_none();
        let verdict = match verdict(&result) {
            // What it takes for one of its own commands it answers itself, or not at all.
            Verdict::Done if !asked && field("num_turns").as_u64() == Some(0) => Verdict::Failed {
                reason: TaskReason::AgentError,
                message: format!(
                    "claude ended without asking the model: {}",
                    text(&result, "result").unwrap_or("it said nothing")
                ),
            },
            Verdict::Done => self.done(&result),
            verdict @ (Verdict::DoneBut(_) | Verdict::Failed { .. }) => verdict,
        };
        self.outcome = Some(Outcome {
            cost: cost.filter(|cost| Money::reported(cost).is_some()),
            tokens,
            streamed: self.streamed,
            verdict,
        });
    }
}

impl Stream for ClaudeStream {
    fn line(&mut self, line: &[u8]) -> Line {
        self.is_at_work = false;
        let line = readable(line);
        let Some(envelope) = object::<Envelope<'_>>(&line) else {
            return Line::Forward;
        };
        self.is_at_work = is_work(&envelope);
        match envelope.kind.as_ref() {
            "stream_event" => {
                self.event(&envelope);
                return Line::Drop;
            }
            // Printed only next to stream events, so it is no part of the ordinary stream either.
            "system" if is(envelope.subtype, "status") && is(envelope.status, "requesting") => {
                return Line::Drop;
            }
            "assistant" => {
                if let Some(Message {
                    id: Some(id),
                    usage,
                    content,
                }) = envelope.message.and_then(parse)
                {
                    self.count(&id, of_usage(&usage));
                    let calls = content.into_iter().filter(|block| block.kind == "tool_use");
                    self.calls.extend(calls.map(|call| call.id));
                }
            }
            "result" => self.result(&line, &envelope),
            _ => {}
        }
        Line::Forward
    }

    fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    fn usage(&mut self) -> Usage {
        if self.outcome.is_none() && self.messages.is_empty() {
            return Usage::default();
        }
        let tokens = match &self.outcome {
            Some(outcome) => {
                let since = self.streamed.minus(outcome.streamed);
                outcome.tokens.plus(since)
            }
            None => self.streamed,
        };
        tokens.usage(self.outcome.as_ref().and_then(|outcome| outcome.cost.clone()))
    }

    fn verdict(&self) -> Option<Verdict> {
        self.outcome.as_ref().map(|outcome| outcome.verdict.clone())
    }
}

/// Of claude's own states, only the start of a turn, the end of a background task, which starts one, and a call of the model
/// that is repeated are work: the others may come for as long as a background task runs.
fn is_work(envelope: &Envelope<'_>) -> bool {
    match envelope.kind.as_ref() {
        "assistant" | "user" | "stream_event" | "result" => true,
        "system" => ["init", "task_notification", "api_retry"]
            .iter()
            .any(|subtype| is(envelope.subtype, subtype)),
        _ => false,
    }
}

fn denied_calls(number: usize, tools: &str) -> String {
    let calls = if number == 1 { "call was" } else { "calls were" };
    format!("{number} tool {calls} denied ({tools})")
}

fn text<'a>(result: &'a Value, name: &str) -> Option<&'a str> {
    let text = result.get(name).and_then(Value::as_str).map(str::trim);
    text.filter(|text| !text.is_empty())
}

/// A success needs both: `subtype` stays "success" when the API fails, and `is_error` may be false although the session
/// ended with an error.
fn verdict(result: &Value) -> Verdict {
    let text = |name: &str| text(result, name);
    let subtype = text("subtype").unwrap_or("success");
    let is_error = result.get("is_error").and_then(Value::as_bool);
    if !is_error.unwrap_or(subtype != "success") && !subtype.starts_with("error") {
        return Verdict::Done;
    }
    let errors = result
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
    let message = match text("result") {
        Some(text) => text.to_owned(),
        None if errors.is_empty() => format!("claude ended with {subtype}"),
        None => errors.join("; "),
    };
    let status = result.get("api_error_status").and_then(Value::as_u64);
    let reason = match status.map(u16::try_from) {
        Some(Ok(status)) => provider_reason(Some(status), &message),
        // Without the API's own error, only a short text is claude's; a long one is the model's.
        None if message.len() <= 200 => provider_reason(None, &message),
        _ => TaskReason::AgentError,
    };
    Verdict::Failed { reason, message }
}

fn is(raw: Option<&RawValue>, text: &str) -> bool {
    raw.is_some_and(|raw| raw.get().strip_prefix('"').and_then(|t| t.strip_suffix('"')) == Some(text))
}

fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests;
