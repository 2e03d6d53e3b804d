//! Prompts that begin with what a CLI takes for something else.

/// Returns the prompt so that the CLI asks the model. It takes a `/` at the begin for one of its own commands, such as
/// `/login`; a space before it is enough. Commands for which `is_given` is true, those of the Task or of the repository, stay
/// commands.
pub(super) fn as_prompt(prompt: &[u8], is_given: impl Fn(&str) -> bool) -> Vec<u8> {
    let Some(rest) = prompt.strip_prefix(b"/") else {
        return prompt.to_vec();
    };
    let name = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_plain = |c: &u8| c.is_ascii_alphanumeric() || b"-_:".contains(c);
    let name = std::str::from_utf8(name).ok();
    match name.filter(|name| !name.is_empty() && name.bytes().all(|c| is_plain(&c))) {
        Some(name) if is_given(name) => prompt.to_vec(),
        _ => [b" ", prompt].concat(),
    }
}

/// Returns the prompt for a CLI that takes one byte order mark off the begin of its input.
pub(super) fn after_mark(prompt: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if prompt.starts_with(MARK) {
        [MARK, prompt].concat()
    } else {
        prompt.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_begin_is_there_once_more() {
        for (prompt, stdin) in [
            ("\u{feff}a", "\u{feff}\u{feff}a"),
            ("a\u{feff}", "a\u{feff}"),
            ("", ""),
        ] {
            assert_eq!(after_mark(prompt.as_bytes()), stdin.as_bytes());
        }
    }
}
