//! Checks the form of an agent's key before the agent starts: the CLIs' own errors about a malformed key mislead, and quote it.

use axon_api::agents::AgentType;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::env::Env;
use crate::failure::Failure;
use crate::secrets::credential_variables;

/// How keys of Anthropic begin, with the variable that takes them and the type of credentials that gives it.
const ANTHROPIC: [(&str, &str, &str); 2] = [
    ("sk-ant-oat", "CLAUDE_CODE_OAUTH_TOKEN", "oauth"),
    ("sk-ant-api", "ANTHROPIC_API_KEY", "api-key"),
];
/// Prefixes of keys that only one provider gives out, with the agent that uses it. A gateway may take any of them.
const PROVIDERS: [(&str, &str, AgentType); 4] = [
    ("sk-ant-", "Anthropic", AgentType::ClaudeCode),
    ("sk-proj-", "OpenAI", AgentType::Codex),
    ("sk-svcacct-", "OpenAI", AgentType::Codex),
    ("AIza", "Google", AgentType::Gemini),
];
/// Prefixes of GitHub's tokens.
const GITHUB: [&str; 6] = ["ghp_", "github_pat_", "gho_", "ghs_", "ghu_", "ghr_"];
/// Words of examples, without what is between their letters.
const PLACEHOLDERS: [&str; 10] = [
    "apikey",
    "changeit",
    "changeme",
    "placeholder",
    "replaceme",
    "todo",
    "yourapikey",
    "yourapikeyhere",
    "yourkey",
    "yourtoken",
];
const AGAIN: &str = "put the key into the Secret again";

/// Returns the variables by which an agent has another provider, a gateway or another credential. The first one names a gateway.
fn elsewhere(agent: AgentType) -> &'static [&'static str] {
    match agent {
        AgentType::ClaudeCode => &[
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_CODE_USE_FOUNDRY",
        ],
        AgentType::Codex => &["OPENAI_BASE_URL", "OPENAI_API_KEY"],
        AgentType::Gemini => &[
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_VERTEX_BASE_URL",
            "GOOGLE_API_KEY",
            "GOOGLE_GENAI_USE_VERTEXAI",
            "GOOGLE_GENAI_USE_GCA",
        ],
        AgentType::OpenCode => &["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OPENCODE_CONFIG_CONTENT"],
    }
}

/// Checks the keys of an agent.
///
/// # Errors
/// `InvalidConfig`, without a part of the key.
pub fn check(env: &Env, agent: AgentType) -> Result<(), Failure> {
    let has_other = elsewhere(agent).iter().any(|name| env.text(name).is_some());
    let names = agent.credential_variables();
    for name in &names {
        if let Some(fault) = env.text(name).and_then(|key| fault(agent, name, key, has_other)) {
            return Err(Failure::invalid(format!("{name} {fault}")));
        }
    }
    let is_blank = |name: &str| env.text(name).is_none_or(|key| key.trim().is_empty());
    let empty = names.iter().find(|name| env.is_set(name) && is_blank(name));
    // OpenCode has models that take no key.
    match empty.filter(|_| agent != AgentType::OpenCode && !has_other) {
        Some(name) if names.iter().all(|name| is_blank(name)) && !has_login(env, agent) => Err(
            Failure::invalid(format!("{name} is empty: put the key into the Secret")),
        ),
        _ => Ok(()),
    }
}

/// Returns true if the home directory holds files of the agent before its start, which may be a log-in.
fn has_login(env: &Env, agent: AgentType) -> bool {
    let dir = match agent {
        AgentType::ClaudeCode => ".claude",
        AgentType::Codex => ".codex",
        AgentType::Gemini => ".gemini",
        AgentType::OpenCode => return true,
    };
    env.home().join(dir).exists()
}

fn fault(agent: AgentType, name: &str, key: &str, has_other: bool) -> Option<String> {
    let key = key.trim();
    if key.is_empty() {
        return None;
    }
    if is_document(key) {
        // A log-in of codex, in as many lines as it likes.
        return (agent != AgentType::Codex).then(|| "is a JSON document, and a key is one word".to_owned());
    }
    malformed(key).or_else(|| foreign(agent, name, key, has_other))
}

fn is_document(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

/// Returns what is wrong with a text that is no key of any provider.
fn malformed(key: &str) -> Option<String> {
    if is_reference(key) {
        return Some(
            "is a reference to a value, which nothing replaces in a Secret: put the key itself there"
                .to_owned(),
        );
    }
    if credential_variables()
        .iter()
        .any(|variable| key.contains(variable))
    {
        return Some(format!(
            "has the name of a variable in its value, as in a line for a shell: {AGAIN}, without the name"
        ));
    }
    if is_encoded(key) {
        return Some(
            "is encoded in base64 twice: put the key itself into stringData of the Secret, or encode it once for data"
                .to_owned(),
        );
    }
    if key.contains(['\n', '\r']) {
        return Some(format!(
            "has a line break in its middle, as a key has that was copied out of a narrow terminal: {AGAIN}, in one line"
        ));
    }
    if key.starts_with(['"', '\'']) || key.ends_with(['"', '\'']) {
        return Some(format!(
            "is in quotes, which are no part of a key: {AGAIN}, in one line"
        ));
    }
    if (key.starts_with('<') && key.ends_with('>')) || key.ends_with("...") || key.ends_with('…') {
        return Some("is the text of an example and no key: put the key into the Secret".to_owned());
    }
    if key.chars().any(|c| c.is_whitespace() || !c.is_ascii_graphic()) {
        return Some(format!(
            "has a blank or a character that no key has: {AGAIN}, in one line, without anything around it"
        ));
    }
    None
}

/// Returns true for `$NAME`, `${NAME}`, `$(NAME)` and `{{ NAME }}`.
fn is_reference(key: &str) -> bool {
    let around = |begin: &str, end: &str| key.starts_with(begin) && key.ends_with(end);
    let name = key.strip_prefix('$').unwrap_or_default();
    // Passwords may begin with a dollar sign.
    let is_name = name.contains('_')
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_name || around("${", "}") || around("$(", ")") || around("{{", "}}")
}

/// Returns true if a text in base64 is a key or the log-in of a CLI.
fn is_encoded(key: &str) -> bool {
    let text: String = key.split_whitespace().collect();
    let bare = text.trim_end_matches('=');
    [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD]
        .iter()
        .any(|alphabet| {
            let text = alphabet
                .decode(bare)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            text.is_some_and(|text| {
                let text = text.trim();
                let is_word = text.chars().all(|c| c.is_ascii_graphic());
                let begins = ["sk-", "AIza"]
                    .iter()
                    .chain(&GITHUB)
                    .any(|begin| text.starts_with(begin));
                (is_word && begins) || is_document(text)
            })
        })
}

/// Returns what is wrong with a key that belongs elsewhere. With `has_other`, a gateway may take it.
fn foreign(agent: AgentType, name: &str, key: &str, has_other: bool) -> Option<String> {
    let anthropic = ANTHROPIC.iter().find(|(begin, _, _)| key.starts_with(begin));
    if let Some((begin, variable, kind)) = anthropic
        && agent == AgentType::ClaudeCode
    {
        return (name != *variable).then(|| {
            format!(
                "has a key that begins with {begin}, which belongs into {variable}: rename it in the Secret, and set \
                 credentials.type: {kind}"
            )
        });
    }
    if has_other {
        return None;
    }
    if is_placeholder(key) {
        return Some("is the text of an example and no key: put the key into the Secret".to_owned());
    }
    let gateway = elsewhere(agent).first().copied().unwrap_or_default();
    let gateway = format!("for a gateway that takes it, set {gateway} in podOverrides.env");
    if let Some(begin) = GITHUB.iter().find(|begin| key.starts_with(**begin)) {
        return Some(format!(
            "has a token of GitHub ({begin}…), and {agent} needs the key of a model's provider: put one into the Secret; \
             {gateway}"
        ));
    }
    let (begin, provider, _) = PROVIDERS
        .iter()
        .find(|(begin, _, owner)| key.starts_with(begin) && *owner != agent)?;
    // OpenCode has models of every provider.
    (agent != AgentType::OpenCode).then(|| {
        format!(
            "has a key of {provider} ({begin}…), which {agent} can't use: put a key of its provider into the Secret; \
             {gateway}"
        )
    })
}

fn is_placeholder(key: &str) -> bool {
    let bare: String = key.chars().filter(|c| !"-_. ".contains(*c)).collect();
    let bare = bare.to_ascii_lowercase();
    PLACEHOLDERS.contains(&bare.as_str()) || (bare.len() > 2 && bare.chars().all(|c| c == 'x' || c == '*'))
}

#[cfg(test)]
mod tests;
