//! What `get` is asked to print, and in which order.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum as _};
use serde_json::Value;

use crate::error::{CliError, Result};
use crate::format;
use crate::kinds::Kind;
use crate::term::output::Format;

/// Formats that kubectl has and that are left to it.
const KUBECTLS: [&str; 7] = [
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "custom-columns",
    "custom-columns-file",
    "go-template",
    "go-template-file",
];

/// What `-o` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A format of this program.
    Ours(Format),
    /// A format of kubectl's, as it was typed.
    Kubectls(String),
}

/// Reads [`Wanted`], and knows the formats for completion.
#[derive(Clone, Debug)]
pub struct WantedParser;

impl TypedValueParser for WantedParser {
    type Value = Wanted;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Wanted, clap::Error> {
        let text = value.to_string_lossy();
        let word = text.split('=').next().unwrap_or_default();
        if KUBECTLS.contains(&word) {
            return Ok(Wanted::Kubectls(text.into_owned()));
        }
        let ours = clap::builder::EnumValueParser::<Format>::new();
        ours.parse_ref(command, arg, value).map(Wanted::Ours)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let all = Format::value_variants().iter();
        Some(Box::new(all.filter_map(Format::to_possible_value)))
    }
}

/// Returns the error of somebody who wants a format of kubectl's: the kinds are known to kubectl, so it can do it.
pub(super) fn kubectls(kind: Kind, names: &[String], format: &str, flags: &str) -> CliError {
    let named: String = names.iter().map(|name| format!(" {name}")).collect();
    CliError::usage(format!(
        "-o {} is not an output format of this command: use json, yaml, name or wide",
        format.split('=').next().unwrap_or_default()
    ))
    .hint(format!(
        "kubectl has it: kubectl get {}.axon.io{named}{flags} -o {}",
        kind.plural(),
        format::quoted(format)
    ))
}

/// What `--sort-by` names: the keys on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SortBy(Vec<String>);

impl SortBy {
    /// Reads a path such as `.status.startTime`, with or without kubectl's braces. `[0]` is an entry of a list, and a
    /// backslash stands before a dot that belongs to a key.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let refused = || {
            CliError::usage(format!(
                "--sort-by {text:?} is not a path such as .status.startTime"
            ))
        };
        let bare = text.trim();
        let bare = match bare.strip_prefix('{') {
            Some(inner) => inner.strip_suffix('}').ok_or_else(refused)?,
            None => bare,
        };
        let mut keys = vec![String::new()];
        let mut escaped = false;
        for c in bare.strip_prefix('.').unwrap_or(bare).chars() {
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '.' | '[' if !escaped => keys.push(String::new()),
                ']' if !escaped => {}
                '*' | '?' | '(' | '@' | '{' | '}' | '$' => return Err(refused()),
                c => keys.last_mut().ok_or_else(refused)?.push(c),
            }
            escaped = false;
        }
        if keys.iter().any(String::is_empty) {
            return Err(refused());
        }
        Ok(Self(keys))
    }

    /// Returns the key by which an object is sorted; those without the field come first.
    pub(super) fn key(&self, object: &Value) -> String {
        let mut at = Some(object);
        for key in &self.0 {
            at = at.and_then(|value| match value {
                Value::Array(list) => list.get(key.parse::<usize>().ok()?),
                other => other.get(key),
            });
        }
        match at {
            Some(Value::String(text)) => format!("2{}", number(text).unwrap_or_else(|| text.clone())),
            Some(Value::Number(count)) => format!("2{}", number(&count.to_string()).unwrap_or_default()),
            None | Some(Value::Null) => String::new(),
            Some(other) => format!("2{other}"),
        }
    }
}

/// Returns a number so that its text is in the order of numbers, before all words; `None` if it is none. Money is text in the API.
fn number(text: &str) -> Option<String> {
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let value: f64 = text
        .parse()
        .ok()
        .filter(|value: &f64| begins && value.is_finite())?;
    let bits = value.to_bits();
    let ordered = if value.is_sign_negative() {
        !bits
    } else {
        bits | (1 << 63)
    };
    Some(format!("{ordered:016x}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_as_kubectl_writes_them() {
        for text in [".a.b", "{.a.b}", "a.b"] {
            assert_eq!(
                SortBy::parse(text).unwrap(),
                SortBy(vec!["a".into(), "b".into()]),
                "{text}"
            );
        }
        let label = SortBy::parse(r".metadata.labels.axon\.io/item").unwrap();
        assert_eq!(
            label.key(&json!({"metadata": {"labels": {"axon.io/item": "7"}}})),
            label.key(&json!({"metadata": {"labels": {"axon.io/item": 7}}}))
        );
        assert_eq!(
            SortBy::parse(".a[1].b")
                .unwrap()
                .key(&json!({"a": [0, {"b": "x"}]})),
            "2x"
        );
        for bad in ["", ".", "{.a", ".a..b", ".a[*].b", ".a[?(@.b==1)]"] {
            assert!(SortBy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_sorted_as_numbers_and_nothing_comes_first() {
        let path = SortBy::parse(".v").unwrap();
        let all = [
            json!(null),
            json!(-20),
            json!(-3),
            json!("0.0122"),
            json!("0.5"),
            json!(9),
            json!("10.5"),
            json!(200),
        ];
        let keys: Vec<String> = all.iter().map(|v| path.key(&json!({ "v": v }))).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
        let words = ["2026-01-02T09:00:00Z", "2026-01-02T10:00:00Z", "abc", "x"];
        let keys: Vec<String> = words.iter().map(|v| path.key(&json!({ "v": v }))).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
    }

    #[test]
    fn the_command_to_type_instead_is_whole() {
        let error = kubectls(
            Kind::Task,
            &["a".to_owned()],
            "jsonpath={.spec['prompt']}",
            " -n x",
        );
        assert_eq!(
            error.hints,
            [r"kubectl has it: kubectl get tasks.axon.io a -n x -o 'jsonpath={.spec['\''prompt'\'']}'"]
        );
    }
}
