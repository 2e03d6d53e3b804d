//! Names of files in text from people.
//!
//! Claude Code and Gemini replace `@PATH` at the begin of a word by the content of that file: any that the agent may read, such
//! as a key that is mounted for git. Behind a backslash it stays a word, and means the same in Markdown.

use axon_api::agents::AgentType;

/// Returns true for an agent that reads files that its prompt names so.
pub(super) fn are_read_by(agent: AgentType) -> bool {
    matches!(agent, AgentType::ClaudeCode | AgentType::Gemini)
}

/// Returns the text with a backslash before each `@` that begins a word.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_begin = true;
    for c in text.chars() {
        if is_begin && c == '@' {
            escaped.push('\\');
        }
        escaped.push(c);
        is_begin = is_space(c);
    }
    escaped
}

/// What a regular expression of JavaScript takes for white space, and a little more.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
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
            // Not at the begin of a word: the agents take none of these.
            ("me@example.com `@x` (@y) '@/z'", "me@example.com `@x` (@y) '@/z'"),
            (r"\@x", r"\@x"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
            assert_eq!(escaped(expected), expected, "once is enough");
        }
    }

    #[test]
    fn two_agents_read_files() {
        use AgentType::{ClaudeCode, Codex, Gemini, OpenCode};
        assert_eq!(
            [ClaudeCode, Codex, Gemini, OpenCode].map(are_read_by),
            [true, false, true, false]
        );
    }
}
