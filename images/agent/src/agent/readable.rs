//! Lines of an agent's output that are almost JSON. What a tool or a model has printed into one may not cost the event.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::values::representable;

/// Stands for what can't be read.
const UNKNOWN: &str = "\u{fffd}";
/// The same in a JSON string.
const ESCAPED: &[u8] = b"\\ufffd";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Returns a line that a JSON parser can read: without a byte order mark and NUL bytes around it, with U+FFFD in place of
/// bytes that are no UTF-8, of control characters that JSON does not allow, and of escapes for half a surrogate pair, and with
/// `null` in place of numbers that no parser takes and of what is nested deeper than 100 levels.
#[must_use]
pub fn readable(line: &[u8]) -> Cow<'_, [u8]> {
    let text = around(line);
    let decoded = decoded(text);
    if !is_object(&decoded) {
        return decoded;
    }
    match decoded {
        Cow::Borrowed(text) => representable(text),
        Cow::Owned(text) => Cow::Owned(representable(&text).into_owned()),
    }
}

/// Reads an object. Serde takes an array for a struct as well, by position, but no agent writes an event so.
pub fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    is_object(text)
        .then(|| serde_json::from_slice(text).ok())
        .flatten()
}

/// Returns true if the line, whose end is still missing, is a whole JSON object.
#[must_use]
pub fn is_whole(line: &[u8]) -> bool {
    let text = around(line);
    // Most lines that are cut are cut elsewhere: no need to parse these.
    text.ends_with(b"}") && object::<IgnoredAny>(&readable(text)).is_some()
}

fn is_object(text: &[u8]) -> bool {
    text.starts_with(b"{")
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let needs_no_change = std::str::from_utf8(text).is_ok() && fault(text, 0).is_none();
    if needs_no_change {
        return Cow::Borrowed(text);
    }
    let text = String::from_utf8_lossy(text).into_owned().into_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    while let Some((at, length)) = fault(&text, from) {
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        out.extend_from_slice(if length == 1 { UNKNOWN.as_bytes() } else { ESCAPED });
        from = at + length;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

fn around(line: &[u8]) -> &[u8] {
    let mut text = line;
    loop {
        let shorter = text.strip_prefix(BOM).unwrap_or(text);
        let shorter = shorter.strip_prefix(b"\0").unwrap_or(shorter);
        let shorter = shorter.strip_suffix(b"\0").unwrap_or(shorter);
        let shorter = shorter.trim_ascii();
        if shorter.len() == text.len() {
            return text;
        }
        text = shorter;
    }
}

/// Returns where the first fault from `from` on is, and how many bytes it has: 1 for a control character, 6 for an escape.
/// `from` is not inside of an escape.
fn fault(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            // White space between members is read anyway.
            b'\t' | b'\n' | b'\r' => at += 1,
            0..=0x1f => return Some((at, 1)),
            b'\\' => match unit(text, at) {
                Some(0xd800..=0xdbff) if matches!(unit(text, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
                Some(0xd800..=0xdfff) => return Some((at, 6)),
                Some(_) => at += 6,
                None => at += 2,
            },
            _ => at += 1,
        }
    }
    None
}

/// Reads an escape such as `\ud83d`.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|c| c.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use axon_api::contract::env;

    use super::*;
    use crate::agent::Verdict;
    use crate::env::Env;

    #[test]
    fn a_good_line_is_left_as_it_is() {
        for line in [
            &b""[..],
            b"not json",
            br#"{"a":"\ud83d\ude00 \u0000 \\ud800 \n"}"#,
            "{\"a\":\"\u{1f600}\"}".as_bytes(),
        ] {
            assert!(matches!(readable(line), Cow::Borrowed(found) if found == line));
        }
        assert_eq!(&*readable(b"{\"a\":1}\r\n"), b"{\"a\":1}");
    }

    #[test]
    fn what_no_parser_reads_is_replaced() {
        for (line, text) in [
            (&b"\xef\xbb\xbf{\"a\":\"x\"}\n"[..], "x"),
            (b"\0\0{\"a\":\"x\"}\0\r\n\0", "x"),
            (b"{\"a\":\"x\0y\x1b\"}", "x\u{fffd}y\u{fffd}"),
            (b"{\"a\":\"x\xff\"}", "x\u{fffd}"),
            (br#"{"a":"x\ud800"}"#, "x\u{fffd}"),
            (br#"{"a":"\udc00x\uD83Dy"}"#, "\u{fffd}x\u{fffd}y"),
            (br#"{"a":"\ud800\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (br#"{"a":"\\\ud800\\ud800"}"#, "\\\u{fffd}\\ud800"),
        ] {
            let found: serde_json::Value = serde_json::from_slice(&readable(line)).unwrap();
            assert_eq!(found["a"], text, "{}", line.escape_ascii());
        }
        // The end of a line that was cut.
        for line in [&b"{\"a\":\"\\"[..], b"\\u", b"\\ud8", b"\\ud800\\u"] {
            let _ = readable(line);
        }
    }

    /// An event of each agent that ends well, and one that does not.
    const EVENTS: [(&str, &str, &str); 4] = [
        (
            "claude-code",
            r#"{"type":"result","subtype":"success","is_error":false,"result":"WORDS","usage":{"output_tokens":1}}"#,
            r#"{"type":"result","subtype":"success","is_error":true,"result":"WORDS","usage":{"output_tokens":1}}"#,
        ),
        (
            "codex",
            r#"{"type":"turn.completed","usage":{"output_tokens":1},"note":"WORDS"}"#,
            r#"{"type":"turn.failed","error":{"message":"WORDS"}}"#,
        ),
        (
            "gemini",
            r#"{"type":"result","status":"success","note":"WORDS"}"#,
            r#"{"type":"result","status":"error","error":{"message":"WORDS"}}"#,
        ),
        (
            "opencode",
            r#"{"type":"step_finish","part":{"id":"p","reason":"stop","note":"WORDS"}}"#,
            r#"{"type":"error","error":{"name":"APIError","data":{"message":"WORDS"}}}"#,
        ),
    ];

    #[test]
    fn no_agent_s_verdict_is_lost_to_values_that_no_parser_takes() {
        let deep = format!("{}NaN{}", "[".repeat(5_000), "]".repeat(5_000));
        let deep_objects = format!("{}1{}", r#"{"tool_input":"#.repeat(5_000), "}".repeat(5_000));
        let digits = "9".repeat(400);
        let values = [
            "1e999",
            "-1e999",
            "NaN",
            "Infinity",
            "-Infinity",
            &digits,
            &deep,
            &deep_objects,
        ];
        for (kind, done, failed) in EVENTS {
            let env: Env = [(env::AGENT_TYPE, kind), ("HOME", "/none")].into_iter().collect();
            for value in values {
                for field in ["total_cost_usd", "modelUsage", "usage", "stats", "extra"] {
                    if done.contains(&format!("\"{field}\"")) {
                        continue;
                    }
                    let verdict = |event: &str| {
                        let event = event.replace("WORDS", "1e999 and NaN");
                        let members = event.strip_suffix('}').unwrap();
                        let agent = super::super::of(&env).unwrap_or_else(|e| panic!("{e}"));
                        let mut stream = agent.stream(&env);
                        stream.line(format!("{members},\"{field}\":{value}}}").as_bytes());
                        stream.verdict()
                    };
                    let name = || format!("{kind}, {field}, {value:.20}");
                    assert_eq!(verdict(done), Some(Verdict::Done), "{}", name());
                    match verdict(failed) {
                        Some(Verdict::Failed { message, .. }) => {
                            assert_eq!(message, "1e999 and NaN", "{}", name());
                        }
                        other => panic!("{}: {other:?}", name()),
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_without_its_end_is_whole_once_it_is_an_object() {
        for line in [
            &b"{}"[..],
            b"\xef\xbb\xbf {\"a\":\"}\"} ",
            b"{\"a\":[1e999,{}]}\r",
            b"{\"a\":\"\xff\"}",
        ] {
            assert!(is_whole(line), "{}", line.escape_ascii());
        }
        for line in [
            &b""[..],
            b"{",
            b"{\"a\":{}",
            b"{\"a\":\"}",
            b"}",
            b"[{}]",
            b"7",
            b"{}{}",
            b"x {}",
        ] {
            assert!(!is_whole(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn no_agent_s_verdict_is_lost_to_what_its_output_holds() {
        let long = "x".repeat(1 << 20);
        let words: [(&[u8], &str); 9] = [
            (b"plain", "plain"),
            (b"\\ud800 half", "\u{fffd} half"),
            (b"half \\uDFFF", "half \u{fffd}"),
            (b"a\0b", "a\u{fffd}b"),
            (b"a\\u0000b", "a\0b"),
            (b"\x1b[31mred", "\u{fffd}[31mred"),
            (b"caf\xe9", "caf\u{fffd}"),
            (b"\xef\xbb\xbfmark", "\u{feff}mark"),
            (long.as_bytes(), &long),
        ];
        let around: [(&[u8], &[u8]); 5] = [
            (b"", b"\n"),
            (b"", b"\r\n"),
            (b"\xef\xbb\xbf", b"\n"),
            (b"\0", b"\0\n"),
            (b" \t", b""),
        ];
        for (kind, done, failed) in EVENTS {
            let env: Env = [(env::AGENT_TYPE, kind), ("HOME", "/none")].into_iter().collect();
            let verdict = |event: &str, words: &[u8], (before, after): (&[u8], &[u8])| {
                let (begin, end) = event.split_once("WORDS").unwrap();
                let mut stream = super::super::of(&env)
                    .unwrap_or_else(|e| panic!("{e}"))
                    .stream(&env);
                stream.line(&[before, begin.as_bytes(), words, end.as_bytes(), after].concat());
                stream.verdict()
            };
            for (words, told) in words {
                for around in around {
                    let name = || format!("{kind}, {:.40}, {around:?}", words.escape_ascii().to_string());
                    assert_eq!(verdict(done, words, around), Some(Verdict::Done), "{}", name());
                    match verdict(failed, words, around) {
                        Some(Verdict::Failed { message, .. }) => assert_eq!(message, told, "{}", name()),
                        other => panic!("{}: {other:?}", name()),
                    }
                }
            }
        }
    }

    #[test]
    fn a_megabyte_of_faults_is_replaced_in_one_pass() {
        let line = format!("{{\"a\":\"{}\"}}", "\\ud800".repeat(1 << 18));
        let found: serde_json::Value = serde_json::from_slice(&readable(line.as_bytes())).unwrap();
        assert_eq!(found["a"].as_str().unwrap().chars().count(), 1 << 18);
    }
}
