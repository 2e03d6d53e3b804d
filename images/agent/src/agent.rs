//! The agent CLIs: how each is started, and what its output stream says. One file per agent.

pub mod base;
pub mod carried;
pub mod claude_code;
pub mod codex;
pub mod figures;
pub mod gemini;
pub mod journal;
mod literal;
pub mod mcp;
pub mod opencode;
pub mod plugin;
pub mod provider;
pub mod readable;
mod slash;
pub mod tokens;
mod values;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use axon_api::TaskReason;
use axon_api::agents::AgentType;
use axon_api::contract::env as names;
use axon_api::usage::Usage;
use jiff::Timestamp;

use crate::agent::plugin::Plugin;
use crate::env::{Env, LOGIN_PATH};
use crate::failure::Failure;

pub use self::literal::Place;
pub use self::provider::{provider_reason, said};
pub use self::tokens::Tokens;

/// An agent CLI.
pub trait Agent {
    /// Name of its program, for messages.
    fn program(&self) -> &'static str;
    /// Returns how to start it. Writes nothing: what must be on disk is in [`Launch::files`] and [`Launch::programs`].
    ///
    /// # Errors
    /// `InvalidConfig` for what this agent can't do.
    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Failure>;
    /// Type of the Tasks that it runs.
    fn kind(&self) -> AgentType;
    /// Returns the variables with the key of the model that it will have, set or not.
    fn key_variables(&self, setup: &Setup<'_>) -> Vec<&'static str> {
        let _ = setup;
        self.kind().credential_variables()
    }
    /// Returns a value out of a Secret as it has to stand in the agent's configuration, so that the agent takes it as it is.
    ///
    /// # Errors
    /// What a value is like that the agent can't have.
    fn literal(&self, value: &str, place: Place) -> Result<String, &'static str> {
        let _ = place;
        Ok(value.to_owned())
    }
    /// Returns what people should know of its credential at the time `now`, before it is used.
    fn advice(&self, env: &Env, now: Timestamp) -> Option<String> {
        let _ = (env, now);
        None
    }
    /// Returns after how long the signal to stop is sent once more; `None` for an agent that needs it once.
    fn stops_again_after(&self) -> Option<Duration> {
        None
    }
    /// Returns true for an agent that tells what it has cost after each answer, not only at its end.
    fn tells_cost(&self) -> bool {
        false
    }
    /// Returns a reader of its standard output, and of what else it tells in the environment `env`.
    fn stream(&self, env: &Env) -> Box<dyn Stream + Send>;
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
    /// The plugins, by name.
    pub plugins: Vec<Plugin>,
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
    /// Programs to write first, likewise.
    pub programs: Vec<(PathBuf, String)>,
    /// Standard input.
    pub stdin: Vec<u8>,
}

impl Launch {
    /// Makes the agent's `PATH` known to login shells, which begin with another.
    pub fn keep_path(&mut self, env: &Env) {
        let own = self.set.iter().find(|(name, _)| *name == "PATH");
        let path = own.map(|(_, path)| path.clone());
        if let Some(path) = path.or_else(|| env.path("PATH").map(OsString::from)) {
            self.set.push((LOGIN_PATH, path));
        }
    }
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
    /// It is done, and people should know this about it.
    DoneBut(String),
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
    /// Returns true if the last line was an event of work: a message of the model, a tool's use or result, a turn's start or
    /// end. An agent that goes on printing others after its end, such as states and warnings, is done nevertheless.
    fn is_at_work(&self) -> bool;
    /// Returns what was consumed up to here.
    fn usage(&mut self) -> Usage;
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
        Ok(AgentType::Codex) => Ok(&codex::Codex),
        Ok(AgentType::Gemini) => Ok(&gemini::Gemini),
        Ok(AgentType::OpenCode) => Ok(&opencode::OpenCode),
        Err(_) => Err(Failure::invalid(format!(
            "agent type {name} is not supported by this image"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_an_agent_and_any_other_is_refused_by_name() {
        let of = |name: &str| super::of(&[(names::AGENT_TYPE, name)].into_iter().collect());
        for (name, program) in [
            ("claude-code", "claude"),
            ("codex", "codex"),
            ("gemini", "gemini"),
            ("opencode", "opencode"),
        ] {
            assert_eq!(of(name).unwrap_or_else(|e| panic!("{e}")).program(), program);
        }
        let failure = of("nonsense").err().unwrap();
        assert_eq!(
            failure.message,
            "agent type nonsense is not supported by this image"
        );
        assert_eq!(failure.reason, TaskReason::InvalidConfig);
        assert!(of("").is_err());
    }
}
