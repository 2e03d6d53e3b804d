//! The format in which a run's outcome travels from the pod into the Task's status.
//!
//! First choice is the container's termination message: one line of JSON, [`Report`], at most 4096 bytes. Images
//! that know only axon's contract print a marker block in their log instead; [`parse_marker_block`] reads that.

pub mod claims;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::money::Money;
use crate::outputs::claims::LeftOut;
use crate::shown::storable;
use crate::usage::{Usage, reported_tokens};
use crate::v1alpha1::TaskReason;

/// First line of the marker block.
pub const MARKER_START: &str = "---AXON_OUTPUTS_START---";
/// Last line of the marker block.
pub const MARKER_END: &str = "---AXON_OUTPUTS_END---";
/// Kubernetes' limit of a termination message, in bytes.
pub const MAX_TERMINATION_MESSAGE: usize = 4096;

/// The report that a container of a Task writes when it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this form; tells a report from any other text. Always 1.
    pub axon: u32,
    /// True for the last report of a run; false for those written on the way, in case the container is killed.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Why the run failed, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<TaskReason>,
    /// Evidence for people: the agent's last error, or git's own last lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Tokens and cost of the run.
    #[serde(skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
    /// `key: value` lines in the order of the contract.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Places whose claims could not be taken when the report was read.
    #[serde(skip)]
    pub left_out: LeftOut,
}

impl Report {
    /// Returns an empty report of the current form.
    #[must_use]
    pub fn new() -> Self {
        Self {
            axon: 1,
            ..Self::default()
        }
    }

    /// Reads a termination message; `None` if it is anything else than a report. What is read is bounded: see [`claims`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str(text.trim()) {
            Ok(Value::Object(fields)) if fields.get("axon").and_then(Value::as_u64) == Some(1) => {
                Some(claims::report(&fields))
            }
            _ => None,
        }
    }

    /// Writes the report in at most [`MAX_TERMINATION_MESSAGE`] bytes.
    ///
    /// A report above the limit is shortened in this order: the message is cut, then outputs are dropped from the end (the
    /// usage is also in its own field, so nothing that costs money is lost), then what is left of the message.
    #[must_use]
    pub fn to_termination_message(&self) -> String {
        let mut report = self.clone();
        // Operators of earlier versions can't store every character.
        report.message = report.message.map(|message| storable(&message).into_owned());
        for line in &mut report.outputs {
            *line = storable(line).into_owned();
        }
        loop {
            let text = serde_json::to_string(&report).unwrap_or_default();
            let excess = text.len().saturating_sub(MAX_TERMINATION_MESSAGE);
            if excess == 0 {
                return text;
            }
            match &report.message {
                // An escaped character takes up to six bytes, so each turn cuts at least what is needed for some.
                Some(message) if message.len() > 200 => {
                    let keep = message.len().saturating_sub(excess.max(64)).max(100);
                    report.message = Some(tail(message, keep).to_owned());
                }
                _ if report.outputs.pop().is_some() => {}
                Some(_) => report.message = None,
                None => {
                    return Self {
                        axon: 1,
                        is_final: self.is_final,
                        reason: self.reason,
                        usage: self.usage.clone(),
                        ..Self::default()
                    }
                    .to_json_unbounded();
                }
            }
        }
    }

    fn to_json_unbounded(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the end of `text`, at most `max` bytes, cut at a character.
#[must_use]
pub fn tail(text: &str, max: usize) -> &str {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

/// Returns the marker block for `lines`, or nothing when there are none.
#[must_use]
pub fn marker_block(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut block = format!("{MARKER_START}\n");
    for line in lines {
        let _ = writeln!(block, "{line}");
    }
    block.push_str(MARKER_END);
    block.push('\n');
    block
}

/// Returns the lines of the **last** complete marker block of a log, trimmed and without blank ones.
///
/// The last one is the run's own: an agent may have printed an earlier pair itself.
#[must_use]
pub fn parse_marker_block(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().map(str::trim).collect();
    let Some(end) = lines.iter().rposition(|line| *line == MARKER_END) else {
        return Vec::new();
    };
    let before = lines.get(..end).unwrap_or_default();
    let Some(start) = before.iter().rposition(|line| *line == MARKER_START) else {
        return Vec::new();
    };
    let block = before.get(start + 1..).unwrap_or_default();
    block
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| (*line).to_owned())
        .collect()
}

/// Splits `key: value` lines into a map. Lines of another form are left out; of equal keys the last wins.
#[must_use]
pub fn results(lines: &[String]) -> BTreeMap<String, String> {
    lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .filter(|(key, _)| claims::is_key(key.trim()))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Returns the usage that `cost-usd`, `input-tokens` and `output-tokens` results tell of, as far as it can be.
#[must_use]
pub fn usage_from_results(results: &BTreeMap<String, String>) -> Usage {
    let tokens = |key: &str| results.get(key)?.parse().ok().and_then(reported_tokens);
    let cost = results.get("cost-usd").and_then(|cost| Money::reported(cost));
    Usage {
        cost_usd: cost.map(|cost| cost.to_string()),
        input_tokens: tokens("input-tokens"),
        output_tokens: tokens("output-tokens"),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn a_report_survives_the_trip() {
        let report = Report {
            is_final: true,
            reason: Some(TaskReason::AgentError),
            message: Some("boom".into()),
            usage: Usage {
                cost_usd: Some("0.012224".into()),
                input_tokens: Some(5),
                ..Usage::default()
            },
            outputs: lines(&["branch: x", "commit: abc"]),
            ..Report::new()
        };
        assert_eq!(Report::parse(&report.to_termination_message()), Some(report));
    }

    #[test]
    fn other_text_is_no_report() {
        for text in [
            "",
            "42",
            "{}",
            "fatal: repository not found",
            "{\"axon\":2}",
            "[1]",
        ] {
            assert_eq!(Report::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_complete_block_counts() {
        let log = format!(
            "x\n{MARKER_START}\nbranch: fake\n{MARKER_END}\nmore\n {MARKER_START} \r\n\n branch: real\r\npr: a: b\n{MARKER_END}\n{MARKER_START}\n"
        );
        assert_eq!(parse_marker_block(&log), lines(&["branch: real", "pr: a: b"]));
        for none in [
            "",
            MARKER_START,
            MARKER_END,
            &format!("{MARKER_END}\n{MARKER_START}"),
        ] {
            assert!(parse_marker_block(none).is_empty(), "{none}");
        }
        assert_eq!(
            parse_marker_block(&marker_block(&lines(&["a: 1"]))),
            lines(&["a: 1"])
        );
    }

    #[test]
    fn results_split_at_the_first_separator_and_the_last_key_wins() {
        let map = results(&lines(&["pr: one", "pr: two: three", "no separator", ": empty"]));
        assert_eq!(map, BTreeMap::from([("pr".to_owned(), "two: three".to_owned())]));
    }

    #[test]
    fn usage_comes_from_well_formed_results_only() {
        let usage = usage_from_results(&results(&lines(&[
            "cost-usd: 0.5",
            "input-tokens: 7",
            "output-tokens: x",
        ])));
        assert_eq!(
            (usage.cost_usd.as_deref(), usage.input_tokens, usage.output_tokens),
            (Some("0.50"), Some(7), None)
        );
        assert!(usage_from_results(&results(&lines(&["cost-usd: NaN"]))).is_empty());
    }

    proptest! {
        #[test]
        fn a_report_always_fits_and_keeps_reason_and_usage(message in ".{0,6000}", n in 0usize..200) {
            let report = Report {
                is_final: true,
                reason: Some(TaskReason::CloneFailed),
                message: Some(message),
                usage: Usage { input_tokens: Some(12), ..Usage::default() },
                outputs: (0..n).map(|i| format!("pr: https://example.com/{i}")).collect(),
                ..Report::new()
            };
            let text = report.to_termination_message();
            prop_assert!(text.len() <= MAX_TERMINATION_MESSAGE);
            let back = Report::parse(&text).unwrap();
            prop_assert_eq!(back.reason, report.reason);
            prop_assert_eq!(back.usage, report.usage);
            prop_assert_eq!(back.is_final, report.is_final);
            prop_assert!(back.message.is_some(), "the message gives way before the outputs");
        }
    }
}
