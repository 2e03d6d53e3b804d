//! Prompts that begin with a slash.

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
