//! Whether an agent's key can be one, before anything is started with it. The CLIs' own words for a malformed key look like
//! anything but that, and quote it.

use axon_api::agents::AgentType;
use serde_json::Value;

use crate::env::Env;
use crate::failure::Failure;

/// How keys of Anthropic begin, with the variable that takes them and the type of credentials that gives it.
const ANTHROPIC: [(&str, &str, &str); 2] = [
    ("sk-ant-oat", "CLAUDE_CODE_OAUTH_TOKEN", "oauth"),
    ("sk-ant-api", "ANTHROPIC_API_KEY", "api-key"),
];

/// Checks the keys of an agent.
///
/// # Errors
/// `InvalidConfig`, without a part of the key.
pub fn check(env: &Env, agent: AgentType) -> Result<(), Failure> {
    for name in agent.credential_variables() {
        if let Some(fault) = env.text(name).and_then(|key| fault(agent, name, key)) {
            return Err(Failure::invalid(format!("{name} {fault}")));
        }
    }
    Ok(())
}

fn fault(agent: AgentType, name: &str, key: &str) -> Option<String> {
    if serde_json::from_str::<Value>(key).is_ok_and(|value| value.is_object()) {
        // A log-in of codex, in as many lines as it likes.
        return (agent != AgentType::Codex).then(|| "is a JSON document, and a key is one word".to_owned());
    }
    let again = "put the key into the Secret again, in one line";
    if key.contains(['\n', '\r']) {
        return Some(format!(
            "has a line break in its middle, as a key has that was copied out of a narrow terminal: {again}"
        ));
    }
    if key.starts_with(['"', '\'']) || key.ends_with(['"', '\'']) {
        return Some(format!("is in quotes, which are no part of a key: {again}"));
    }
    if key.chars().any(|c| c.is_whitespace() || !c.is_ascii_graphic()) {
        return Some(format!(
            "has a blank or a character that no key has: {again}, without anything around it"
        ));
    }
    let other = ANTHROPIC.iter().find(|(begin, _, _)| key.starts_with(begin))?;
    let (begin, variable, kind) = other;
    match agent {
        AgentType::ClaudeCode if name != *variable => Some(format!(
            "has a key that begins with {begin}, which belongs into {variable}: rename it in the Secret, and set \
             credentials.type: {kind}"
        )),
        AgentType::Codex | AgentType::Gemini => Some(format!(
            "has a key of Anthropic ({begin}…), which {agent} can't use: put a key of its provider into the Secret"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_key_is_told_by_its_fault_and_not_quoted() {
        use AgentType::{ClaudeCode, Codex, Gemini, OpenCode};
        for (agent, name, key, expected) in [
            (ClaudeCode, "ANTHROPIC_API_KEY", "sk-test-key", None),
            (ClaudeCode, "ANTHROPIC_API_KEY", "sk-ant-api03-x", None),
            (ClaudeCode, "CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-x", None),
            (
                ClaudeCode,
                "CLAUDE_CODE_OAUTH_TOKEN",
                "sk-ant-oat01-first\nsecond",
                Some("line break"),
            ),
            (
                ClaudeCode,
                "ANTHROPIC_API_KEY",
                "\"sk-ant-api03-secret\"",
                Some("in quotes"),
            ),
            (ClaudeCode, "ANTHROPIC_API_KEY", "sk-ant secret", Some("a blank")),
            (
                ClaudeCode,
                "ANTHROPIC_API_KEY",
                "sk-ant\u{a0}secret",
                Some("a blank"),
            ),
            (
                ClaudeCode,
                "ANTHROPIC_API_KEY",
                "sk-ant\u{2026}secret",
                Some("no key has"),
            ),
            (
                ClaudeCode,
                "ANTHROPIC_API_KEY",
                "sk-ant-oat01-secret",
                Some("CLAUDE_CODE_OAUTH_TOKEN"),
            ),
            (
                ClaudeCode,
                "CLAUDE_CODE_OAUTH_TOKEN",
                "sk-ant-api03-secret",
                Some("type: api-key"),
            ),
            (
                ClaudeCode,
                "ANTHROPIC_API_KEY",
                "{\"secret\": 1}",
                Some("JSON document"),
            ),
            (Codex, "CODEX_API_KEY", "{\n\"tokens\": {}\n}", None),
            (Codex, "CODEX_API_KEY", "sk-proj-x", None),
            (
                Codex,
                "CODEX_API_KEY",
                "sk-ant-api03-secret",
                Some("key of Anthropic"),
            ),
            (Gemini, "GEMINI_API_KEY", "AIza-x", None),
            (Gemini, "GEMINI_API_KEY", "AIza\r\nsecret", Some("line break")),
            (OpenCode, "OPENCODE_API_KEY", "sk-ant-api03-x", None),
            (OpenCode, "OPENCODE_API_KEY", "", None),
        ] {
            let env: Env = [(name, key)].into_iter().collect();
            let found = check(&env, agent).err().map(|failure| failure.message);
            match (expected, found) {
                (None, None) => {}
                (Some(part), Some(message)) => {
                    assert!(message.starts_with(name) && message.contains(part), "{message}");
                    assert!(
                        !message.contains("secret") && !message.contains("second"),
                        "{message}"
                    );
                }
                (expected, found) => panic!("{key:?}: {expected:?}, {found:?}"),
            }
        }
    }
}
