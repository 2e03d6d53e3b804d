//! The agent CLIs: how each is started, and what its output stream says. One file per agent.

pub mod claude_code;

use std::ffi::OsString;
use std::path::PathBuf;

use axon_api::TaskReason;
use axon_api::agents::AgentType;
use axon_api::contract::env as names;
use axon_api::usage::Usage;

use crate::env::Env;
use crate::failure::Failure;

/// An agent CLI.
pub trait Agent {
    /// Name of its program, for messages.
    fn program(&self) -> &'static str;
    /// Returns how to start it. Pure: what must be on disk is in [`Launch::files`].
    fn launch(&self, setup: &Setup<'_>) -> Launch;
    /// Returns a reader of its standard output.
    fn stream(&self) -> Box<dyn Stream + Send>;
}

/// What a run gives to the agent.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The environment that the agent inherits.
    pub env: &'a Env,
    /// The prompt, byte for byte.
    pub prompt: Vec<u8>,
    /// Model, if the Task names one.
    pub model: Option<String>,
    /// Instructions at user level.
    pub instructions: Option<String>,
    /// MCP servers, as `{"mcpServers": {...}}` with at least one.
    pub mcp_servers: Option<String>,
    /// Directory of each plugin.
    pub plugins: Vec<PathBuf>,
}

/// How to start an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Arguments.
    pub args: Vec<OsString>,
    /// Variables to set.
    pub set: Vec<(&'static str, OsString)>,
    /// Variables to remove.
    pub unset: Vec<&'static str>,
    /// Files to write first, readable for the user alone.
    pub files: Vec<(PathBuf, String)>,
    /// Standard input.
    pub stdin: Vec<u8>,
}

/// What becomes of a line of the agent's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It belongs to the log.
    Forward,
    /// It is there for us alone.
    Drop,
}

/// What the agent's last event says about the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The agent is done.
    Done,
    /// The agent failed.
    Failed {
        /// For programs.
        reason: TaskReason,
        /// For people, in the agent's words.
        message: String,
    },
}

/// Folds an agent's standard output, line by line, into what the run consumed and how it ended.
pub trait Stream {
    /// Takes one line, with or without its line end.
    fn line(&mut self, line: &[u8]) -> Line;
    /// Returns what was consumed up to here.
    fn usage(&self) -> Usage;
    /// Returns the last event's verdict, if there was such an event.
    fn verdict(&self) -> Option<Verdict>;
}

/// Returns the agent that `env` names.
///
/// # Errors
/// `InvalidConfig` if there is none of that name here.
pub fn of(env: &Env) -> Result<&'static dyn Agent, Failure> {
    let Some(name) = env.text(names::AGENT_TYPE) else {
        return Err(Failure::invalid(format!("{} is not set", names::AGENT_TYPE)));
    };
    match name.parse() {
        Ok(AgentType::ClaudeCode) => Ok(&claude_code::ClaudeCode),
        _ => Err(Failure::invalid(format!(
            "agent type {name} is not supported by this image"
        ))),
    }
}

/// Returns the reason behind an error of a model provider, from its HTTP status or, without one, from its text.
#[must_use]
pub fn provider_reason(status: Option<u16>, text: &str) -> TaskReason {
    const AUTH: [&str; 9] = [
        "not logged in",
        "please run /login",
        "invalid api key",
        "invalid x-api-key",
        "invalid bearer token",
        "failed to authenticate",
        "authentication_error",
        "permission_error",
        "token has expired",
    ];
    const RATE: [&str; 6] = [
        "(429)",
        "error: 429",
        "rate limit",
        "rate_limit_error",
        "usage limit reached",
        "hit your limit",
    ];
    match status {
        Some(401 | 403) => return TaskReason::AuthFailed,
        Some(429) => return TaskReason::RateLimited,
        Some(_) => return TaskReason::AgentError,
        None => {}
    }
    let text = text.to_ascii_lowercase();
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    if any(&AUTH) {
        TaskReason::AuthFailed
    } else if any(&RATE) {
        TaskReason::RateLimited
    } else {
        TaskReason::AgentError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_without_an_adapter_is_refused_by_name() {
        let of = |name: &str| super::of(&[(names::AGENT_TYPE, name)].into_iter().collect());
        assert!(of("claude-code").is_ok());
        for name in ["codex", "nonsense"] {
            let failure = of(name).err().unwrap();
            assert_eq!(
                failure.message,
                format!("agent type {name} is not supported by this image")
            );
            assert_eq!(failure.reason, TaskReason::InvalidConfig);
        }
        assert!(of("").is_err());
    }

    #[test]
    fn a_status_says_more_than_words() {
        for (status, text, reason) in [
            (Some(401), "", TaskReason::AuthFailed),
            (Some(403), "", TaskReason::AuthFailed),
            (Some(429), "", TaskReason::RateLimited),
            (Some(500), "rate limit", TaskReason::AgentError),
            (None, "Not logged in · Please run /login", TaskReason::AuthFailed),
            (None, "Claude usage limit reached", TaskReason::RateLimited),
            (None, "it broke", TaskReason::AgentError),
        ] {
            assert_eq!(provider_reason(status, text), reason, "{status:?} {text}");
        }
    }
}
