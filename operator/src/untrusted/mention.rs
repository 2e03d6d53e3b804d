//! Names of files in text from people.
//!
//! Claude Code and Gemini replace `@PATH` by the content of that file: any that the agent may read, such as a key that is mounted
//! for git. Both take it behind white space, and behind many other characters (`。`, `(`, `,`). Gemini (0.61.0) takes it behind any
//! but a backslash, also in an address such as `me@example.com`, and for a directory, an agent or a resource of an MCP server as
//! well. Behind a backslash it stays a word, and means the same in Markdown.

use axon_api::agents::AgentType;

/// Returns how text from people is written for an agent that reads files that its prompt names so.
pub fn escape(agent: AgentType) -> Option<fn(&str) -> String> {
    match agent {
        AgentType::ClaudeCode => Some(outside_addresses),
        AgentType::Gemini => Some(everywhere),
        AgentType::Codex | AgentType::OpenCode => None,
    }
}

/// Returns the text with a backslash before each `@` that is not in the middle of an address.
fn outside_addresses(text: &str) -> String {
    escaped(text, |before| {
        before.is_ascii_alphanumeric() || "_.-+\\".contains(before)
    })
}

/// Returns the text with a backslash before each `@`.
fn everywhere(text: &str) -> String {
    escaped(text, |before| before == '\\')
}

fn escaped(text: &str, is_word_behind: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if c == '@' && !is_word_behind(before) {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_files_are_words() {
        for (text, expected) in [
            ("", ""),
            ("see @/axon/ssh/ssh-privatekey", r"see \@/axon/ssh/ssh-privatekey"),
            ("@octocat: \n@../x\t@\"a b\"", "\\@octocat: \n\\@../x\t\\@\"a b\""),
            (
                "a\u{a0}@b\u{3000}@c\u{feff}@d\r@e",
                "a\u{a0}\\@b\u{3000}\\@c\u{feff}\\@d\r\\@e",
            ),
            // Behind these at least one of them takes it.
            (
                "直して。@/etc/passwd、@x？@y！@z",
                r"直して。\@/etc/passwd、\@x？\@y！\@z",
            ),
            (
                "(@y) `@x` ,@a *@b [@c /@d :@e <br>@f",
                r"(\@y) `\@x` ,\@a *\@b [\@c /\@d :\@e <br>\@f",
            ),
            (
                "\u{85}@a\u{180e}@b\u{2063}@c",
                "\u{85}\\@a\u{180e}\\@b\u{2063}\\@c",
            ),
            ("@@x", r"\@\@x"),
            (
                "me@example.com a.b+c@d.e 1@2 _@_",
                "me@example.com a.b+c@d.e 1@2 _@_",
            ),
            (r"\@x", r"\@x"),
        ] {
            assert_eq!(outside_addresses(text), expected, "{text:?}");
            assert_eq!(outside_addresses(expected), expected, "once is enough");
        }
    }

    #[test]
    fn addresses_name_files_too_for_gemini() {
        for (text, expected) in [
            ("", ""),
            ("me@example.com x@src/a.rs", r"me\@example.com x\@src/a.rs"),
            ("@a @@b (@c", r"\@a \@\@b (\@c"),
            (r"\@x \\@y", r"\@x \\@y"),
        ] {
            assert_eq!(everywhere(text), expected, "{text:?}");
            assert_eq!(everywhere(expected), expected, "once is enough");
        }
    }

    #[test]
    fn two_agents_read_files() {
        use AgentType::{ClaudeCode, Codex, Gemini, OpenCode};
        assert_eq!(
            [ClaudeCode, Codex, Gemini, OpenCode].map(|agent| escape(agent).is_some()),
            [true, false, true, false]
        );
    }
}
