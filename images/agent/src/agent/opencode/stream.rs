//! OpenCode's `--format json` output.
//!
//! Each answer of the model ends in a `step_finish` with its tokens and its cost, so a run that is killed keeps all
//! but the answer under way. The output is that of the main session: what its sub-agents use is told nowhere.
//!
//! Input counts do not include the cache. Output counts do not include the reasoning, which is charged as output and
//! counted so here. The cost is OpenCode's own, from its list of prices; models without a price have none.

use std::collections::BTreeSet;

use axon_api::TaskReason;
use axon_api::money::Money;
use axon_api::usage::Usage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::figures::{count, group, lenient};
use crate::agent::readable::{object, readable};
use crate::agent::tokens::plus;
use crate::agent::{Line, Stream, Tokens, Verdict, provider_reason, said};

/// An event of the output. Its other fields are not for us.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

/// The end of a step.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(default, deserialize_with = "lenient")]
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    reason: String,
    #[serde(default, deserialize_with = "group")]
    tokens: Counts,
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "count")]
    input: Option<i64>,
    #[serde(deserialize_with = "count")]
    output: Option<i64>,
    #[serde(deserialize_with = "count")]
    reasoning: Option<i64>,
    #[serde(deserialize_with = "group")]
    cache: Cache,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Cache {
    #[serde(deserialize_with = "count")]
    read: Option<i64>,
    #[serde(deserialize_with = "count")]
    write: Option<i64>,
}

impl Counts {
    /// Returns what is known; `None` if nothing is.
    fn tokens(self) -> Option<Tokens> {
        let Cache { read, write } = self.cache;
        let all = [self.input, self.output, self.reasoning, read, write];
        all.iter().any(Option::is_some).then(|| Tokens {
            input: self.input,
            output: plus(self.output, self.reasoning),
            cache_read: read,
            cache_write: write,
        })
    }
}

/// Reads the stream.
#[derive(Default)]
pub(super) struct OpenCodeStream {
    steps: BTreeSet<String>,
    usage: Usage,
    /// How the last step ended.
    ended: Option<String>,
    error: Option<Verdict>,
    /// True if the last line was an event of work.
    is_at_work: bool,
}

impl OpenCodeStream {
    fn step(&mut self, step: Step<'_>) {
        self.ended = Some(step.reason);
        if self.steps.insert(step.id) {
            let cost = step.cost.map(|raw| raw.get().to_owned());
            let cost = cost.filter(|cost| Money::reported(cost).is_some());
            let used = match step.tokens.tokens() {
                Some(tokens) => tokens.usage(cost),
                None => Usage {
                    cost_usd: cost,
                    ..Usage::default()
                },
            };
            self.usage = self.usage.plus(&used);
        }
    }
}

impl Stream for OpenCodeStream {
    fn line(&mut self, line: &[u8]) -> Line {
        self.is_at_work = false;
        let line = readable(line);
        let Some(event) = object::<Event<'_>>(&line) else {
            return Line::Forward;
        };
        let kinds = [
            "step_start",
            "text",
            "reasoning",
            "tool_use",
            "step_finish",
            "error",
        ];
        self.is_at_work = kinds.contains(&event.kind.as_str());
        match event.kind.as_str() {
            "step_finish" => {
                if let Some(step) = event.part.and_then(|part| object(part.get().as_bytes())) {
                    self.step(step);
                }
            }
            "error" => self.error = failed(event.error.as_ref()).or(self.error.take()),
            _ => {}
        }
        Line::Forward
    }

    fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    fn usage(&mut self) -> Usage {
        let is_zero = |cost: &String| Money::parse(cost) == Some(Money::default());
        Usage {
            // Nothing is what a model without a price costs.
            cost_usd: self.usage.cost_usd.clone().filter(|cost| !is_zero(cost)),
            ..self.usage.clone()
        }
    }

    fn verdict(&self) -> Option<Verdict> {
        if self.error.is_some() {
            return self.error.clone();
        }
        match self.ended.as_deref()? {
            "stop" => Some(Verdict::Done),
            // More was to come.
            "tool-calls" | "unknown" | "" => None,
            reason => Some(Verdict::Failed {
                reason: TaskReason::AgentError,
                message: format!("the model's last answer ended with {reason:?}"),
            }),
        }
    }
}

/// Returns what an error says; nothing if that is only that the log says more.
fn failed(error: Option<&Value>) -> Option<Verdict> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(error.and_then(|error| error.get("name"))).unwrap_or_default();
    let data = error.and_then(|error| error.get("data"));
    let message = text(data.and_then(|data| data.get("message"))).filter(|text| !text.trim().is_empty());
    if name == "UnknownError" && message.as_ref().is_some_and(|text| text.contains("server logs")) {
        return None;
    }
    let said = said(&message.unwrap_or_else(|| format!("opencode ended with {name}")));
    let status = data
        .and_then(|data| data.get("statusCode"))
        .and_then(Value::as_u64)
        .and_then(|status| u16::try_from(status).ok());
    let reason = match name.as_str() {
        "ProviderAuthError" => TaskReason::AuthFailed,
        _ => provider_reason(status.or(said.status), &said.message),
    };
    Some(Verdict::Failed {
        reason,
        message: said.message,
    })
}

#[cfg(test)]
mod tests;
