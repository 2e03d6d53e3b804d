//! The one place that reads and writes YAML.
//!
//! The library behind it writes every string so that kubectl reads the same string back (`no`, `on`, `1_000`
//! are quoted), which is what `get -o yaml | kubectl apply -f -` needs.

use serde::Serialize;
use serde::de::DeserializeOwned;

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

/// Writes one document, ending in a newline.
///
/// # Errors
/// [`YamlError::Write`].
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|e| YamlError::Write(e.to_string()))
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
        prop_oneof![awkward, any::<String>()]
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back_wherever_it_stands(key in texts(), text in texts(), other in texts()) {
            let value = serde_json::json!({
                key.clone(): text, "list": [text, [other], {"deep": {key: text}}], "z": {"last": other},
            });
            let written = to_string(&value).unwrap();
            let read: serde_json::Value = from_str(&written).unwrap();
            prop_assert_eq!(&read, &value, "{}", written);
            let stream = format!("{written}---\n{written}");
            prop_assert_eq!(documents(&stream).unwrap(), [value.clone(), value]);
        }
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
