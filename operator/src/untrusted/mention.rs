//! Names of files in text from people.
//!
//! Claude Code and Gemini replace `@PATH` by the content of that file: any that the agent may read, such as a key that is mounted
//! for git. Both take it behind white space, and behind many other characters (`。`, `(`, `,`); neither does in an address such as
//! `me@example.com`. Behind a backslash it stays a word, and means the same in Markdown.

use axon_api::agents::AgentType;

/// Returns true for an agent that reads files that its prompt names so.
pub fn are_read_by(agent: AgentType) -> bool {
    matches!(agent, AgentType::ClaudeCode | AgentType::Gemini)
}

/// Returns the text with a backslash before each `@` that is not in the middle of an address.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let is_address = before.is_ascii_alphanumeric() || "_.-+\\".contains(before);
        if c == '@' && !is_address {
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
