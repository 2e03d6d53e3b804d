//! OpenAI's Codex CLI.
//!
//! All that we configure is in a profile, a file of our own that Codex lays over whatever configuration there is.

mod config;
mod stream;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use axon_api::agents::{AgentType, CredentialType};
use axon_api::contract::REPO_DIR;
use jiff::Timestamp;
use serde_json::Value;

use super::plugin::{Document, Plugin, named};
use super::slash::after_mark;
use super::{Agent, Launch, Setup, Stream, base, mcp};
use crate::env::Env;
use crate::failure::Failure;

/// OpenAI's `codex`.
pub struct Codex;

/// Moves all of Codex's files away from `~/.codex`.
const HOME: &str = "CODEX_HOME";
/// Codex does not read this variable, but people set it.
const BASE_URL: &str = "OPENAI_BASE_URL";
/// Nor does it send this one's key to its built-in provider.
const OTHER_KEY: &str = "OPENAI_API_KEY";
/// Name of our profile.
const PROFILE: &str = "axon";
/// Codex leaves out skills with a longer name, with nothing but a line in its log.
const LONGEST_NAME: usize = 64;
/// Age of a log-in, in days, at which it is time for a new one: from eight on Codex renews it.
const LOGIN_DAYS: i64 = 7;

impl Agent for Codex {
    fn program(&self) -> &'static str {
        "codex"
    }

    fn kind(&self) -> AgentType {
        AgentType::Codex
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Failure> {
        let home = home(setup.env);
        let mut args: Vec<OsString> = [
            "exec",
            "--dangerously-bypass-approvals-and-sandbox",
            // Outside a repository, too.
            "--skip-git-repo-check",
            "--json",
            "--profile",
            PROFILE,
        ]
        .map(Into::into)
        .into();
        if let Some(model) = &setup.model {
            args.extend(["--model".into(), model.into()]);
        }
        if base::applies(setup) {
            args.extend(["--config".into(), config::untrusted(&directory()).into()]);
        }
        // The prompt is all of standard input.
        args.push("-".into());

        let servers = mcp::servers(setup.mcp_servers.as_deref())?;
        let profile = config::profile(setup.env.text(BASE_URL), &servers)?;
        let mut files = vec![(home.join(format!("{PROFILE}.config.toml")), profile)];
        if let Some(instructions) = base::instructions(setup, &["AGENTS.md"]) {
            files.push((home.join("AGENTS.md"), instructions));
        }
        files.extend(skills(&home, &setup.plugins)?);
        files.extend(agents(&home, &setup.plugins)?);

        let (mut set, mut unset) = (Vec::new(), Vec::new());
        if let Some(name) = AgentType::Codex.credential_variable(CredentialType::ApiKey) {
            match (setup.env.text(name), setup.env.text(OTHER_KEY)) {
                (Some(login), _) if is_login(login) => {
                    files.push((home.join("auth.json"), login.to_owned()));
                    unset.push(name);
                }
                (Some(_), _) => {}
                (None, Some(key)) => set.push((name, key.into())),
                (None, None) => unset.extend(setup.env.is_set(name).then_some(name)),
            }
        }
        Ok(Launch {
            args,
            set,
            unset,
            files,
            stdin: after_mark(&setup.prompt),
            ..Launch::default()
        })
    }

    fn advice(&self, env: &Env, now: Timestamp) -> Option<String> {
        let login = AgentType::Codex.credential_variable(CredentialType::Oauth)?;
        old_login(env.text(login)?, now)
    }

    fn stream(&self, env: &Env) -> Box<dyn Stream + Send> {
        Box::new(stream::CodexStream::new(home(env).join("sessions")))
    }
}

/// Returns the directory that Codex works in.
fn directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| REPO_DIR.into())
}

fn home(env: &Env) -> PathBuf {
    env.path(HOME)
        .map_or_else(|| env.home().join(".codex"), Path::to_owned)
}

/// Returns true for the content of an `auth.json`, which is what a log-in leaves; a key is no JSON object.
fn is_login(credential: &str) -> bool {
    serde_json::from_str::<Value>(credential).is_ok_and(|value| value.is_object())
}

/// Returns what to do about a log-in that is so old that Codex renews it: the token for that is good for one use, and what
/// comes of it ends with the pod.
fn old_login(credential: &str, now: Timestamp) -> Option<String> {
    let login: Value = serde_json::from_str(credential).ok()?;
    let renewed: Timestamp = login.get("last_refresh")?.as_str()?.parse().ok()?;
    let age = now.duration_since(renewed).as_hours() / 24;
    (age >= LOGIN_DAYS).then(|| {
        format!(
            "the log-in in the Secret is {age} days old, and codex renews old ones: that works once, and \
             the Secret keeps the old one. Log in anew for the cluster (`CODEX_HOME=$(mktemp -d) codex login`) \
             and put its auth.json into the Secret every week, or use an API key"
        )
    })
}

fn skills(home: &Path, plugins: &[Plugin]) -> Result<Vec<(PathBuf, String)>, Failure> {
    let all = plugins.iter().flat_map(|plugin| &plugin.skills);
    let all = named("skills", all, str::to_owned)?;
    let file = |(name, skill): (String, &Document)| {
        if name.chars().count() > LONGEST_NAME {
            return Err(Failure::invalid(format!(
                "skill {name:?}: codex takes no name of more than {LONGEST_NAME} characters"
            )));
        }
        let path = home.join("skills").join(&name).join("SKILL.md");
        Ok((path, skill.skill(&name)))
    };
    all.into_iter().map(file).collect()
}

fn agents(home: &Path, plugins: &[Plugin]) -> Result<Vec<(PathBuf, String)>, Failure> {
    let all = plugins.iter().flat_map(|plugin| &plugin.agents);
    let file = |(name, agent): (String, &Document)| {
        let path = home.join("agents").join(format!("{name}.toml"));
        (path, config::agent(&name, agent))
    };
    Ok(named("sub-agents", all, str::to_owned)?
        .into_iter()
        .map(file)
        .collect())
}

#[cfg(test)]
mod tests;
