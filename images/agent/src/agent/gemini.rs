//! Google's Gemini CLI.

mod git;
mod stream;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use axon_api::agents::{AgentType, CredentialType};
use serde_json::{Value, json};

use super::mcp::{self, Remote, Server, Transport};
use super::plugin::{Document, named};
use super::slash::as_prompt;
use super::{Agent, Launch, Place, Setup, Stream, base, literal, words};
use crate::env::Env;
use crate::failure::Failure;

/// Google's `gemini`.
pub struct Gemini;

/// What a container wants and `settings.json` can't say; a user's own value stays. The working directory is trusted: in one
/// that is not, gemini uses no MCP server and asks before each command of git. What is not to configure it is not there: see
/// `crate::workspace::base`. One process instead of two: the
/// outer one does not pass signals on.
const DEFAULTS: [&str; 2] = ["GEMINI_CLI_TRUST_WORKSPACE", "GEMINI_CLI_NO_RELAUNCH"];
/// Moves the directory that holds `.gemini`.
const HOME: &str = "GEMINI_CLI_HOME";

impl Agent for Gemini {
    fn program(&self) -> &'static str {
        "gemini"
    }

    fn kind(&self) -> AgentType {
        AgentType::Gemini
    }

    fn literal(&self, value: &str, _: Place) -> Result<String, &'static str> {
        literal::fault_for_gemini(value).map_or_else(|| Ok(value.to_owned()), Err)
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Failure> {
        let home = home(setup.env);
        let mut args: Vec<OsString> = ["--yolo", "--output-format", "stream-json"]
            .map(Into::into)
            .into();
        if let Some(model) = &setup.model {
            args.extend(["--model".into(), model.into()]);
        }
        let servers = mcp::servers(setup.mcp_servers.as_deref())?;
        for server in &servers {
            // A cloned repository's settings add no servers to those that the Task names.
            args.extend(["--allowed-mcp-server-names".into(), server.name.clone().into()]);
        }

        let settings = settings(setup.env, &servers);
        let mut files = vec![(home.join("settings.json"), settings.to_string())];
        if let Some(instructions) = &setup.instructions {
            files.push((home.join("GEMINI.md"), words::without_imports(instructions)));
        }
        let all = setup.plugins.iter().flat_map(|plugin| &plugin.skills);
        for (name, skill) in named("skills", all, |name| name.replace(REPLACED, "-"))? {
            files.push((
                home.join("skills").join(&name).join("SKILL.md"),
                skill.skill(&name),
            ));
        }
        let all = setup.plugins.iter().flat_map(|plugin| &plugin.agents);
        for (name, agent) in named("sub-agents", all, slug)? {
            let path = home.join("agents").join(format!("{name}.md"));
            // Other fields are of other agents, and one that gemini does not know hides the whole sub-agent.
            let agent = Document {
                body: words::without_parameters(&agent.body),
                ..agent.clone()
            };
            files.push((path, agent.markdown(Some(&name), &[])));
        }

        let unset = AgentType::Gemini
            .credential_variable(CredentialType::ApiKey)
            .filter(|name| setup.env.is_set(name) && setup.env.text(name).is_none());
        let defaults = DEFAULTS.into_iter().filter(|name| !setup.env.is_set(name));
        let mut set: Vec<(&str, OsString)> = defaults.map(|name| (name, "true".into())).collect();
        let wrapper = git::wrapper(setup.env);
        set.extend(wrapper.path.map(|path| ("PATH", path)));
        Ok(Launch {
            args,
            set,
            unset: unset.into_iter().collect(),
            files,
            programs: vec![wrapper.program],
            // Without --prompt, standard input is the prompt.
            stdin: as_prompt(&setup.prompt, |name| !base::applies(setup) && names_file(name)),
        })
    }

    fn stream(&self, env: &Env) -> Box<dyn Stream + Send> {
        Box::new(stream::GeminiStream::new(home(env).join("tmp")))
    }
}

/// Looks for a command of the repository, in which gemini works.
fn names_file(name: &str) -> bool {
    let path = format!("{}.toml", name.replace(':', "/"));
    Path::new(".gemini/commands").join(path).is_file()
}

fn home(env: &Env) -> PathBuf {
    let home = env.path(HOME).map_or_else(|| env.home(), Path::to_owned);
    home.join(".gemini")
}

/// Gemini itself replaces these in the name of a skill.
const REPLACED: [char; 9] = [':', '\\', '/', '<', '>', '*', '?', '"', '|'];

/// Returns the name of a sub-agent, which has to be of these characters.
fn slug(name: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
        _ => '-',
    };
    name.chars().map(plain).collect()
}

fn settings(env: &Env, servers: &[Server]) -> Value {
    let is = |name: &str| env.text(name) == Some("true");
    // Left to itself, gemini takes a base URL of its own for a gateway that it then refuses.
    let auth = if is("GOOGLE_GENAI_USE_VERTEXAI") {
        "vertex-ai"
    } else if is("GOOGLE_GENAI_USE_GCA") {
        "oauth-personal"
    } else {
        "gemini-api-key"
    };
    let servers: BTreeMap<&str, Value> = servers
        .iter()
        .map(|server| (server.name.as_str(), entry(&server.transport)))
        .collect();
    json!({
        "security": {"auth": {"selectedType": auth}},
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false},
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "mcpServers": servers,
    })
}

fn entry(transport: &Transport) -> Value {
    let remote = |kind: &str, Remote { url, headers }: &Remote| json!({"type": kind, "url": url, "headers": literal::utf8(headers)});
    match transport {
        Transport::Stdio { command, args, env } => json!({"command": command, "args": args, "env": env}),
        Transport::Http(server) => remote("http", server),
        Transport::Sse(server) => remote("sse", server),
    }
}

#[cfg(test)]
mod tests;
