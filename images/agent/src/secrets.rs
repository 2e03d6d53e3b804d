//! Keeps credentials out of everything that is printed or reported.

mod parts;

use std::path::PathBuf;

use axon_api::agents::AgentType;
use axon_api::contract::env as names;
use serde_json::Value;
use url::Url;

use crate::env::Env;
use crate::mcp_secrets;
use crate::token_file;

/// Shorter values are no tokens, and hiding them would garble ordinary text.
const SHORTEST: usize = 8;
/// Credentials that a pod may carry besides those that Tasks inject.
const OTHER_VARIABLES: [&str; 10] = [
    "ANTHROPIC_AUTH_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "DEEPSEEK_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
];

/// Variables that name the server of a model. Messages about keys name them.
pub const BASE_URLS: [&str; 3] = ["ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL"];

/// Values that must not be seen.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Vec<String>,
    /// Credentials of which parts must not be seen, either, also in base64.
    whole: Vec<String>,
    /// Those that are no more than words.
    words: Vec<String>,
    /// A token that is renewed.
    renewed: Option<PathBuf>,
}

impl Secrets {
    /// Returns the values of all credential variables, the password of the repository URL, and what MCP servers have
    /// from Secrets.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        let password = env
            .text(names::REPO)
            .and_then(|repo| Url::parse(repo).ok())
            .and_then(|url| url.password().map(str::to_owned));
        let of_servers = env
            .path(names::MCP_SECRETS_DIR)
            .map(mcp_secrets::all_values)
            .unwrap_or_default()
            .into_iter()
            .filter(|value| !is_address(value))
            .flat_map(with_token);
        let (words, of_servers): (Vec<_>, Vec<_>) = of_servers.partition(|value| is_words(value));
        let credentials = credential_variables()
            .into_iter()
            .filter_map(|name| env.text(name));
        let whole = credentials.flat_map(with_parts).chain(password);
        let whole: Vec<String> = whole.flat_map(with_base64).collect();
        let encoded = whole.iter().flat_map(|value| parts::encoded(value));
        let values = whole.iter().cloned().chain(encoded).chain(of_servers);
        Self {
            values: sorted(values),
            whole: sorted(whole),
            words: sorted(words),
            renewed: token_file::file(env),
        }
    }

    /// Returns `text` with every secret replaced by `***` and without the user part of http(s) URLs.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        let renewed = self.renewed();
        let text = hidden(&hidden(text, &self.values), &renewed);
        let text = parts::hidden(&text, self.whole.iter().chain(&renewed), &variables());
        without_userinfo(&hidden(&text, &self.words))
    }

    /// Does the same with what git or `gh` has told: a branch, a commit, the URL of a pull request. Mere words stay there,
    /// though an MCP server has them from a Secret, such as the name of an organisation.
    #[must_use]
    pub fn scrub_fact(&self, text: &str) -> String {
        without_userinfo(&hidden(&hidden(text, &self.values), &self.renewed()))
    }

    /// Returns the token that is good now, if it is one that is renewed.
    fn renewed(&self) -> Vec<String> {
        let token = self.renewed.as_deref().and_then(token_file::read);
        sorted(token.into_iter().flat_map(with_base64))
    }
}

/// Returns the names of variables that messages name, and that are no secret: users paste them into Secrets with their keys.
fn variables() -> Vec<&'static str> {
    credential_variables().into_iter().chain(BASE_URLS).collect()
}

/// Returns the values that can be told from ordinary text, the longest first: a token may begin with another.
fn sorted(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let variables = variables();
    let is_name = |value: &str| variables.iter().any(|name| name.contains(value));
    let mut values: Vec<String> = values
        .into_iter()
        .map(|value| value.trim().to_owned())
        .filter(|value| value.len() >= SHORTEST && !is_name(value))
        .collect();
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
    values
}

fn hidden(text: &str, values: &[String]) -> String {
    values
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// Returns true for the address of a server, which is in every link to it. With a user or a query it may hold a token.
fn is_address(value: &str) -> bool {
    let url = Url::parse(value.trim());
    url.is_ok_and(|url| {
        url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// Returns a value and, of one such as `Bearer TOKEN`, the token by itself: it may be told without the word.
fn with_token(value: String) -> Vec<String> {
    let token = value.trim().split_once(' ').filter(|(scheme, _)| {
        let schemes = ["bearer", "basic", "token"];
        schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
    });
    let token = token.map(|(_, token)| token.trim().to_owned());
    [Some(value), token].into_iter().flatten().collect()
}

/// Returns a value, and how it stands in base64.
fn with_base64(value: String) -> Vec<String> {
    let encoded = parts::in_base64(value.trim());
    std::iter::once(value).chain(encoded).collect()
}

/// Returns true for what people call things: words of letters, with a few digits at most behind them.
fn is_words(value: &str) -> bool {
    let is_word = |word: &str| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.chars().all(char::is_alphabetic) && letters.len() <= 15 && word.len() - letters.len() <= 4
    };
    value.trim().split(['-', '_', '.', '/', ' ']).all(is_word)
}

/// Returns the variables that hold a credential: those that Tasks inject, and others that a pod may carry.
#[must_use]
pub fn credential_variables() -> Vec<&'static str> {
    let agents = [
        AgentType::ClaudeCode,
        AgentType::Codex,
        AgentType::Gemini,
        AgentType::OpenCode,
    ];
    let injected = agents.iter().flat_map(|agent| agent.credential_variables());
    let git = [names::GITHUB_TOKEN, names::GH_TOKEN, names::GH_ENTERPRISE_TOKEN];
    let mut all: Vec<_> = injected.chain(git).chain(OTHER_VARIABLES).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns a credential, and the texts in it if it is a JSON document, as what a log-in leaves is.
fn with_parts(credential: &str) -> Vec<String> {
    fn collect(value: Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(values) => values.into_iter().for_each(|value| collect(value, texts)),
            Value::Object(fields) => fields
                .into_iter()
                // The kind of log-in is no secret, and a word that messages use.
                .filter(|(key, _)| key != "auth_mode")
                .for_each(|(_, value)| collect(value, texts)),
            _ => {}
        }
    }
    let mut texts = vec![credential.to_owned()];
    if let Ok(document @ Value::Object(_)) = serde_json::from_str(credential) {
        collect(document, &mut texts);
    }
    texts
}

/// Returns `text` without `user:password@` in URLs, and without `user@` in http(s) ones, where the user may be a
/// token itself. `ssh://git@host` stays as it is.
#[must_use]
pub fn without_userinfo(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| "/?#'\"<>".contains(c) || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        let shown = match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || before.ends_with("http://") => host,
            Some((_, host)) if before.ends_with("https://") => host,
            _ => authority,
        };
        clean.push_str(shown);
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests;
