//! Values that a CLI is to take as they are. Most expand variables in their configuration, and none has a way to write a dollar
//! sign or a brace there.

use std::ffi::OsString;

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
/// Stands for `{` until the configuration is written. It is no character, so that no value has it.
const BRACE: char = '\u{fdd0}';

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

/// Returns OpenCode's configuration as it goes into its file.
pub(super) fn written(configuration: &str) -> String {
    configuration.replace(BRACE, "\\u007b")
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
            let json = written(&serde_json::to_string(&for_opencode(value)).unwrap());
            assert!(!json.contains('{'), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        }
        assert_eq!(for_claude("$HOME {x}", Place::Header), "$HOME {x}");
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
