//! Values that serde_json refuses although the document around them is sound: numbers out of range, `NaN`, deep nesting.

use std::borrow::Cow;

/// Deepest nesting that is kept. `serde_json` refuses a document at 128 levels.
const DEEPEST: usize = 100;
const NULL: &[u8] = b"null";

/// Returns an object's text with `null` in place of each bare word that is no JSON value, of each number out of range, and of
/// what is nested deeper than 100 levels. Texts within strings stay as they are.
pub(super) fn representable(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut replace = |from: usize, to: usize| {
        out.extend_from_slice(text.get(copied..from).unwrap_or_default());
        out.extend_from_slice(NULL);
        copied = to;
    };
    let mut depth = 0_usize;
    let mut deep_from = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth == DEEPEST + 1 {
                    deep_from = at;
                }
            }
            b'}' | b']' => {
                if depth == DEEPEST + 1 {
                    replace(deep_from, at + 1);
                }
                depth = depth.saturating_sub(1);
            }
            byte if is_bare(*byte) => {
                let rest = text.get(at..).unwrap_or_default();
                let length = rest.iter().take_while(|byte| is_bare(**byte)).count();
                let word = rest.get(..length).unwrap_or_default();
                if depth <= DEEPEST && !is_value(word) {
                    replace(at, at + length);
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Returns where the text goes on after the string that begins at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// Asks the parser itself, which alone knows what is in its range.
fn is_value(word: &[u8]) -> bool {
    matches!(word, b"null" | b"true" | b"false") || serde_json::from_slice::<f64>(word).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_sound_document_is_left_as_it_is() {
        let deep = format!(
            "{}{}",
            "{\"a\":".repeat(99) + "[1",
            "]".to_owned() + &"}".repeat(99)
        );
        for text in [
            r#"{"a":[1,-2.5e-7,0e999,1e-999,18446744073709551616,true,false,null],"b":"NaN 1e999 \" -Infinity [[{"}"#,
            &deep,
            "{",
            r#"{"a":"\"#,
            r#"{"a":"NaN"#,
        ] {
            assert!(
                matches!(representable(text.as_bytes()), Cow::Borrowed(found) if found == text.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_no_number_of_the_parser_s_is_null() {
        let long = "9".repeat(400);
        for word in [
            "NaN",
            "Infinity",
            "-Infinity",
            "+Infinity",
            "1e999",
            "-1e400",
            "1e99999999999",
            &long,
        ] {
            let text = format!(r#"{{"a":{word},"b":[{word} , "NaN {word}"],"c":{{"d":{word}}}}}"#);
            let found: Value = serde_json::from_slice(&representable(text.as_bytes())).unwrap();
            let expected = json!({"a": null, "b": [null, format!("NaN {word}")], "c": {"d": null}});
            assert_eq!(found, expected, "{word:.20}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_null() {
        for levels in [100, 101, 128, 5_000, 1_000_000] {
            let text = format!(
                r#"{{"a":{}"]",NaN{},"b":2}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            );
            let found: Value = serde_json::from_slice(&representable(text.as_bytes())).unwrap();
            assert_eq!(found["b"], 2, "{levels}");
            let mut depth = 0;
            let mut inner = &found["a"];
            while let Some(next) = inner.as_array().and_then(|all| all.first()) {
                depth += 1;
                inner = next;
            }
            assert_eq!((depth, inner), (99, &Value::Null), "{levels}");
        }
    }
}
