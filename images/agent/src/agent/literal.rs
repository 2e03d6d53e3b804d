//! Values that a CLI is to take as they are. Most expand variables in their configuration, and none has a way to write a dollar
//! sign or a brace there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use crate::failure::Failure;

/// Where a value out of a Secret goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into a header of requests to an MCP server.
    Header,
    /// Into the environment of one that is a program.
    Environment,
}

/// Variables by whose expansion a dollar sign comes into a value, and the begin of an expansion.
const PARTS: [(&str, &str); 2] = [("AXON_DOLLAR", "$"), ("AXON_OPEN", "${")];
/// Stands for `{` until the configuration is written: no value of an MCP server has a NUL (`super::carried`).
const BRACE: char = '\0';

/// Returns a value for Claude Code, which expands `${NAME}`: in headers twice (2.1.330), in environments once.
pub(super) fn for_claude(value: &str, place: Place) -> String {
    value.replace(
        "${",
        match place {
            Place::Header => "${AXON_OPEN}AXON_DOLLAR}{",
            Place::Environment => "${AXON_DOLLAR}{",
        },
    )
}

/// Returns the variables to set for an agent whose servers need them.
pub(super) fn variables(servers: Option<&str>) -> impl Iterator<Item = (&'static str, OsString)> {
    let are_used = servers.is_some_and(|servers| servers.contains("AXON_DOLLAR}{"));
    PARTS
        .into_iter()
        .filter(move |_| are_used)
        .map(|(name, value)| (name, value.into()))
}

/// Returns why gemini can't have a value: it expands `$NAME` and `${NAME}` again and again (0.61.0).
pub(super) fn fault_for_gemini(value: &str) -> Option<&'static str> {
    let mut after = value.split('$').skip(1);
    let begins = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '{';
    after.any(|rest| rest.starts_with(begins)).then_some(
        "has a dollar sign before a letter, a digit or a brace, which gemini takes for a variable: use another value, or \
         another agent",
    )
}

/// Returns a value for OpenCode, which expands `{env:NAME}` and `{file:PATH}` in its configuration's text, before it is read as
/// JSON. [`written`] makes JSON's own form of the brace of it, which is none to that.
pub(super) fn for_opencode(value: &str) -> String {
    value.replace('{', &BRACE.to_string())
}

/// Writes strings of OpenCode's configuration, with JSON's escape of a brace for each [`BRACE`].
struct Braces;

impl Formatter for Braces {
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::AsciiControl(0) => writer.write_all(b"\\u007b"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }
}

/// Returns OpenCode's configuration as it goes into its file.
///
/// # Errors
/// `InvalidConfig` for what can't be written as JSON.
pub(super) fn written(configuration: &impl Serialize) -> Result<String, Failure> {
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, Braces);
    configuration
        .serialize(&mut writer)
        .map_err(|error| Failure::invalid(format!("can't write OpenCode's configuration: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns headers for a CLI that sends each character as one byte, and refuses those beyond U+00FF: each is a byte of UTF-8,
/// which is what the other CLIs send.
pub(super) fn utf8(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let bytes = |value: &String| value.bytes().map(char::from).collect();
    headers
        .iter()
        .map(|(name, value)| (name.clone(), bytes(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [&str; 7] = [
        "",
        "plain",
        "p$HOME",
        "a${HOME}b$$",
        "${X:-y}${",
        "{env:HOME}",
        "{file:/x}",
    ];

    #[test]
    fn expansions_give_the_value_back() {
        // Leftmost first, as a regular expression does: a name ends at the next brace.
        let expanded = |text: String| {
            let open = text.replace("${AXON_OPEN}", "\u{1}");
            open.replace("${AXON_DOLLAR}", "$").replace('\u{1}', "${")
        };
        for value in VALUES {
            let once = for_claude(value, Place::Environment);
            assert_eq!(expanded(once), value);
            let twice = for_claude(value, Place::Header);
            assert_eq!(expanded(expanded(twice)), value);
            let json = written(&for_opencode(value)).unwrap();
            assert!(!json.contains('{'), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        }
        // What stands in a value that is no secret is no stand-in.
        for value in ["\u{fdd0}", "\\u0000", "\u{1}\u{7f}", "{env:HOME}"] {
            assert_eq!(written(&value).unwrap(), serde_json::to_string(value).unwrap());
        }
        assert_eq!(for_claude("$HOME {x}", Place::Header), "$HOME {x}");
    }

    #[test]
    fn a_header_has_one_character_a_byte() {
        let headers = [("a".to_owned(), "b\u{e9}\u{1f600}".to_owned())].into();
        assert_eq!(utf8(&headers)["a"], "b\u{c3}\u{a9}\u{f0}\u{9f}\u{98}\u{80}");
    }

    #[test]
    fn variables_are_set_where_they_are_used() {
        let set = |servers: Option<&str>| variables(servers).count();
        assert_eq!((set(None), set(Some("x"))), (0, 0));
        for place in [Place::Header, Place::Environment] {
            assert_eq!(set(Some(&for_claude("${HOME}", place))), 2);
        }
    }

    #[test]
    fn what_gemini_would_replace_is_refused() {
        for (value, refused) in [
            ("plain", false),
            ("5$ and $", false),
            ("$$", false),
            ("$HOME", true),
            ("a${x}", true),
            ("pa$5word", true),
            ("$_", true),
        ] {
            assert_eq!(fault_for_gemini(value).is_some(), refused, "{value}");
        }
    }
}
