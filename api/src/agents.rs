//! The agent types that have an image of their own, and the credential variable each of them reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The agent that runs a Task.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AgentType {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex CLI.
    Codex,
    /// Google's Gemini CLI.
    Gemini,
    /// OpenCode.
    #[serde(rename = "opencode")]
    #[strum(serialize = "opencode")]
    OpenCode,
}

/// Kind of the agent's credential for its model provider.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CredentialType {
    /// An API key of the provider.
    ApiKey,
    /// A token of a subscription log-in.
    Oauth,
    /// Nothing is injected: the pod has credentials by other means (env, workload identity, free models).
    None,
}

impl AgentType {
    /// Returns true if the agent itself says what its runs cost.
    #[must_use]
    pub fn reports_cost(self) -> bool {
        matches!(self, Self::ClaudeCode | Self::OpenCode)
    }

    /// Returns true if the agent says so while it runs, not only at its end.
    #[must_use]
    pub fn reports_cost_live(self) -> bool {
        self == Self::OpenCode
    }

    /// Returns the environment variable, and so the Secret key, that holds the credential; `None` for
    /// [`CredentialType::None`].
    #[must_use]
    pub fn credential_variable(self, credential: CredentialType) -> Option<&'static str> {
        match (self, credential) {
            (_, CredentialType::None) => None,
            (Self::ClaudeCode, CredentialType::ApiKey) => Some("ANTHROPIC_API_KEY"),
            (Self::ClaudeCode, CredentialType::Oauth) => Some("CLAUDE_CODE_OAUTH_TOKEN"),
            (Self::Codex, _) => Some("CODEX_API_KEY"),
            (Self::Gemini, _) => Some("GEMINI_API_KEY"),
            (Self::OpenCode, _) => Some("OPENCODE_API_KEY"),
        }
    }

    /// Returns the variables of all kinds of credentials, each once.
    #[must_use]
    pub fn credential_variables(self) -> Vec<&'static str> {
        let kinds = [CredentialType::ApiKey, CredentialType::Oauth];
        let mut all: Vec<_> = kinds
            .into_iter()
            .filter_map(|credential| self.credential_variable(credential))
            .collect();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn names_are_the_same_in_manifests_and_in_text() {
        for agent in AgentType::iter() {
            assert_eq!(serde_json::to_value(agent).unwrap(), agent.to_string());
            assert_eq!(AgentType::from_str(&agent.to_string()).unwrap(), agent);
        }
        assert_eq!(AgentType::OpenCode.to_string(), "opencode");
        assert_eq!(CredentialType::ApiKey.to_string(), "api-key");
    }

    #[test]
    fn every_credential_has_the_variable_its_cli_reads() {
        use AgentType::*;
        use CredentialType::*;
        assert_eq!(ClaudeCode.credential_variable(ApiKey), Some("ANTHROPIC_API_KEY"));
        assert_eq!(
            ClaudeCode.credential_variable(Oauth),
            Some("CLAUDE_CODE_OAUTH_TOKEN")
        );
        assert_eq!(Codex.credential_variable(Oauth), Some("CODEX_API_KEY"));
        assert_eq!(Gemini.credential_variable(ApiKey), Some("GEMINI_API_KEY"));
        assert_eq!(OpenCode.credential_variable(ApiKey), Some("OPENCODE_API_KEY"));
        for agent in AgentType::iter() {
            assert_eq!(agent.credential_variable(None), Option::None);
        }
    }
}
