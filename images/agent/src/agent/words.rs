//! Words in the texts of an AgentConfig that gemini would act upon.

/// Returns instructions in which no `@word` is an import. Gemini (0.61.0) puts the file `~/.gemini/word` in its place, or, since
/// there is none, a comment that the import failed. Behind a backslash it stays a word; inside of backticks it is one anyway.
#[must_use]
pub(super) fn without_imports(text: &str) -> String {
    let code = code(text);
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let next = text.get(at + c.len_utf8()..).and_then(|rest| rest.chars().next());
        let is_path = next.is_some_and(|next| next == '.' || next == '/' || next.is_ascii_alphabetic());
        let is_code = || {
            let after = code.partition_point(|(from, _)| *from <= at);
            after
                .checked_sub(1)
                .and_then(|n| code.get(n))
                .is_some_and(|(_, to)| at < *to)
        };
        if c == '@' && is_path && " \t\n\r".contains(before) && !is_code() {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// Returns where text between equal runs of backticks begins and ends, as gemini looks for it.
fn code(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = text.get(at..).and_then(|rest| rest.find('`')).map(|n| at + n) {
        let rest = text.get(begin..).unwrap_or_default();
        let run = rest.len() - rest.trim_start_matches('`').len();
        let end = (1..=run).rev().find_map(|length| {
            let (fence, inner) = rest.split_at_checked(length)?;
            Some(begin + length + inner.find(fence)? + length)
        });
        match end {
            Some(end) => {
                found.push((begin, end));
                at = end;
            }
            None => at = begin + run,
        }
    }
    found
}

/// Returns the text of a sub-agent in which no `${NAME}` is a parameter: gemini (0.61.0) refuses to start a sub-agent with
/// one that it does not know, and replaces the others.
#[must_use]
pub(super) fn without_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("${");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = part.len() - part.trim_start_matches(is_word).len();
        let is_parameter = name > 0 && part.get(name..).is_some_and(|rest| rest.starts_with('}'));
        out.push_str(if is_parameter { "$\\{" } else { "${" });
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_an_at_sign_are_words() {
        for (text, expected) in [
            ("", ""),
            ("@octocat", "\\@octocat"),
            (
                "ask @acme/x,\r\n@./y\t@/z\n@-",
                "ask \\@acme/x,\r\n\\@./y\t\\@/z\n@-",
            ),
            (
                "me@example.com (@x \\@y @1 @ @@a",
                "me@example.com (@x \\@y @1 @ @@a",
            ),
            ("`@a` ``b ` @c`` @d `", "`@a` ``b ` @c`` \\@d `"),
            ("```\n@a\n```\n@b", "```\n@a\n```\n\\@b"),
            // A run that is not closed is read as a shorter one.
            ("``` @a ` @b", "``` @a ` \\@b"),
            ("``` @a `` @b", "``` @a `` \\@b"),
        ] {
            assert_eq!(without_imports(text), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_text() {
        for (text, expected) in [
            (
                "${HOME} $HOME ${X:-y} ${} $${a}",
                "$\\{HOME} $HOME ${X:-y} ${} $$\\{a}",
            ),
            ("${query", "${query"),
            ("${a${b}", "${a$\\{b}"),
            ("", ""),
        ] {
            assert_eq!(without_parameters(text), expected, "{text}");
        }
    }
}
