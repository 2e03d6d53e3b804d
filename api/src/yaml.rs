//! The one place that reads and writes YAML.
//!
//! The library behind it writes every string so that kubectl reads the same string back (`no`, `on`, `1_000`
//! are quoted), which is what `get -o yaml | kubectl apply -f -` needs.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::shown::{escaped, has_hidden};

/// A document that is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text is no YAML, or not of the type asked for. The message has line and column.
    #[error("{0}")]
    Read(String),
    /// The value can't be written as YAML.
    #[error("{0}")]
    Write(String),
}

/// Reads one document.
///
/// # Errors
/// [`YamlError::Read`], with the position.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_saphyr::from_str(text).map_err(|e| YamlError::Read(e.to_string()))
}

/// Reads all documents of a stream; empty ones are left out.
///
/// # Errors
/// [`YamlError::Read`], with the position.
pub fn documents(text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    let all: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|e| YamlError::Read(e.to_string()))?;
    Ok(all.into_iter().filter(|v| !v.is_null()).collect())
}

/// Writes one document, ending in a newline. It has no [hidden](has_hidden) character: texts with such are quoted, and
/// the characters escaped.
///
/// # Errors
/// [`YamlError::Write`].
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    let failed = |error: &dyn std::fmt::Display| YamlError::Write(error.to_string());
    let plain = serde_saphyr::to_string(value).map_err(|e| failed(&e))?;
    if !has_hidden(&plain) {
        return Ok(plain);
    }
    // The library has no switch for it: a word of our own stands for each such text until all else is written.
    let mut words = Words::outside_of(&plain);
    let value = serde_json::to_value(value).map_err(|e| failed(&e))?;
    let text = serde_saphyr::to_string(&words.put_into(value)).map_err(|e| failed(&e))?;
    Ok(words.replaced_in(&text))
}

/// Texts with hidden characters, and the words that stand for them.
struct Words {
    prefix: String,
    texts: Vec<String>,
}

impl Words {
    /// Returns words that are no part of `text`.
    fn outside_of(text: &str) -> Self {
        let mut prefix = "escaped".to_owned();
        while text.contains(&prefix) {
            prefix.push('x');
        }
        Self {
            prefix,
            texts: Vec::new(),
        }
    }

    fn word(&mut self, text: String) -> String {
        if !has_hidden(&text) {
            return text;
        }
        self.texts.push(text);
        format!("{}-{}-", self.prefix, self.texts.len() - 1)
    }

    fn put_into(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.word(text)),
            Value::Array(items) => items.into_iter().map(|item| self.put_into(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(key, value)| (self.word(key), self.put_into(value)))
                        .collect(),
                )
            }
            other => other,
        }
    }

    fn replaced_in(&self, text: &str) -> String {
        let start = format!("{}-", self.prefix);
        let mut parts = text.split(start.as_str());
        let mut all = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (index, rest) = part.split_once('-').unwrap_or((part, ""));
            let index = index.parse::<usize>().ok();
            let hidden = index.and_then(|index| self.texts.get(index));
            all += &hidden.map(|text| quoted(text)).unwrap_or_default();
            all += rest;
        }
        all
    }
}

/// Returns a text as a double-quoted scalar.
fn quoted(text: &str) -> String {
    // The backslash first: all other escapes have one.
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let text = escaped(&text, |c| format!("\\U{:08x}", u32::from(c)));
    format!("\"{}\"", text.replace('\n', "\\n").replace('\t', "\\t"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_that_look_like_other_types_stay_strings() {
        for text in [
            "yes", "no", "on", "off", "y", "N", "1_000", "017", "null", "~", "1e3", "0x1f", "", " a", "a: b",
            "- x",
        ] {
            let written = to_string(&serde_json::json!({ "v": text })).unwrap();
            let read: serde_json::Value = from_str(&written).unwrap();
            assert_eq!(read["v"], text, "{written}");
        }
        assert!(
            to_string(&serde_json::json!({"v": "on"})).unwrap().contains('"'),
            "kubectl reads a bare on as true"
        );
    }

    /// Texts of the characters that YAML cares about, and of any others.
    fn texts() -> impl Strategy<Value = String> {
        let awkward =
            "[ \t\r\n\u{85}\u{a0}\u{2028}\u{2029}\u{feff}#:,?!&*|>'\"%@`{}~=<.a-c0-9_+\\[\\]\\-\\\\]{0,24}";
        let hidden =
            "[\\x00-\u{a0}\u{200b}-\u{206f}\u{fe0f}\u{fffe}\u{ffff}\u{e0001}-\u{e007f}👩a\\- ]{0,12}";
        prop_oneof![awkward, hidden, any::<String>()]
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back_wherever_it_stands(key in texts(), text in texts(), other in texts()) {
            let value = serde_json::json!({
                key.clone(): text, "list": [text, [other], {"deep": {key: text}}], "z": {"last": other},
            });
            let written = to_string(&value).unwrap();
            prop_assert!(!has_hidden(&written), "{:?}", written);
            let read: serde_json::Value = from_str(&written).unwrap();
            prop_assert_eq!(&read, &value, "{}", written);
            let stream = format!("{written}---\n{written}");
            prop_assert_eq!(documents(&stream).unwrap(), [value.clone(), value]);
        }
    }

    #[test]
    fn what_is_hidden_is_escaped_and_the_rest_is_as_ever() {
        let value =
            serde_json::json!({"a": "x\u{1b}[2J\u{202e}\n\"", "b": "no", "c": ["escaped-0-", "\u{e0041}"]});
        let written = to_string(&value).unwrap();
        let expected =
            "a: \"x\\U0000001b[2J\\U0000202e\\n\\\"\"\nb: \"no\"\nc:\n- escaped-0-\n- \"\\U000e0041\"\n";
        assert_eq!(written, expected);
    }

    #[test]
    fn a_stream_is_split_and_empty_documents_vanish() {
        let docs = documents("a: 1\n---\n---\nb: 2\n").unwrap();
        assert_eq!(docs, [serde_json::json!({"a": 1}), serde_json::json!({"b": 2})]);
    }

    #[test]
    fn an_error_says_where() {
        let error = from_str::<serde_json::Value>("a: [1\nb: 2")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line"), "{error}");
    }
}
