//! OpenCode.

mod stream;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axon_api::agents::{AgentType, CredentialType};
use serde_json::{Value, json};

use super::mcp::{self, Remote, Server, Transport};
use super::plugin::named;
use super::slash::after_mark;
use super::{Agent, Launch, Place, Setup, Stream, base, literal};
use crate::env::Env;
use crate::failure::Failure;
use crate::say;

/// OpenCode's `opencode`.
pub struct OpenCode;

/// Switches for a container: nothing is fetched or updated. A user's own value stays.
const DEFAULTS: [&str; 3] = [
    "OPENCODE_DISABLE_AUTOUPDATE",
    "OPENCODE_DISABLE_LSP_DOWNLOAD",
    "OPENCODE_DISABLE_MODELS_FETCH",
];

/// Switches against what a repository configures: settings, plugins, commands and instructions; skills of other agents.
const PROJECT_OFF: [&str; 2] = [
    "OPENCODE_DISABLE_PROJECT_CONFIG",
    "OPENCODE_DISABLE_EXTERNAL_SKILLS",
];

/// The variables in which OpenCode looks for the key of a provider, by the part of the model before the slash.
const PROVIDERS: [(&str, &[&str]); 9] = [
    ("anthropic", &["ANTHROPIC_API_KEY"]),
    ("deepseek", &["DEEPSEEK_API_KEY"]),
    ("google", &["GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"]),
    ("groq", &["GROQ_API_KEY"]),
    ("mistral", &["MISTRAL_API_KEY"]),
    ("openai", &["OPENAI_API_KEY"]),
    ("openrouter", &["OPENROUTER_API_KEY"]),
    ("xai", &["XAI_API_KEY"]),
    ("zai", &["ZHIPU_API_KEY"]),
];
/// The providers of OpenCode's makers, which take the variable as it is.
const OWN: [&str; 2] = ["opencode", "zen"];

impl Agent for OpenCode {
    fn program(&self) -> &'static str {
        "opencode"
    }

    fn kind(&self) -> AgentType {
        AgentType::OpenCode
    }

    fn key_variables(&self, setup: &Setup<'_>) -> Vec<&'static str> {
        let set = credential(setup.env, setup.model.as_deref()).0;
        let set = set.into_iter().map(|(name, _)| name);
        set.chain(self.kind().credential_variables()).collect()
    }

    fn literal(&self, value: &str, _: Place) -> Result<String, &'static str> {
        Ok(literal::for_opencode(value))
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Failure> {
        let home = home(setup.env);
        let mut args: Vec<OsString> = ["run", "--format", "json", "--auto"].map(Into::into).into();
        // With a title of its own the session needs none from a model.
        args.extend(["--title".into(), "axon".into()]);
        // Its output says of some errors only that the log has them.
        args.extend(["--print-logs", "--log-level", "ERROR"].map(Into::into));
        if let Some(model) = &setup.model {
            args.extend(["--model".into(), model.into()]);
        }

        let servers = mcp::servers(setup.mcp_servers.as_deref())?;
        servers.iter().try_for_each(can_be_sent)?;
        let mut files = vec![(home.join("opencode.json"), literal::written(&config(&servers))?)];
        if let Some(instructions) = base::instructions(setup, &["AGENTS.md", "CLAUDE.md"]) {
            files.push((home.join("AGENTS.md"), instructions));
        }
        let all = setup.plugins.iter().flat_map(|plugin| &plugin.skills);
        for (name, skill) in named("skills", all, str::to_owned)? {
            files.push((
                home.join("skills").join(&name).join("SKILL.md"),
                skill.skill(&name),
            ));
        }
        let all = setup.plugins.iter().flat_map(|plugin| &plugin.agents);
        for (name, agent) in named("sub-agents", all, str::to_owned)? {
            // The file's name is the sub-agent's. Other fields are of other agents, and OpenCode does not start with
            // one of a form that it does not know.
            let text = agent.markdown(None, &[("mode", "subagent".into())]);
            files.push((home.join("agents").join(format!("{name}.md")), text));
        }

        let (mut set, unset) = credential(setup.env, setup.model.as_deref());
        let defaults = DEFAULTS.into_iter().filter(|name| !setup.env.is_set(name));
        set.extend(defaults.map(|name| (name, "1".into())));
        if base::applies(setup) {
            set.extend(PROJECT_OFF.map(|name| (name, "1".into())));
        }
        Ok(Launch {
            args,
            set,
            unset,
            files,
            // A prompt that is an argument is quoted anew; standard input is not.
            stdin: after_mark(&setup.prompt),
            ..Launch::default()
        })
    }

    /// While one of its commands runs, and for a moment after that, OpenCode only notes the first signal.
    fn tells_cost(&self) -> bool {
        true
    }

    fn stops_again_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn stream(&self, _: &Env) -> Box<dyn Stream + Send> {
        Box::<stream::OpenCodeStream>::default()
    }
}

fn home(env: &Env) -> PathBuf {
    env.path("XDG_CONFIG_HOME")
        .map_or_else(|| env.home().join(".config"), Path::to_owned)
        .join("opencode")
}

/// Returns what to set so that the provider of `model` gets the credential, and what to remove.
fn credential(env: &Env, model: Option<&str>) -> (Vec<(&'static str, OsString)>, Vec<&'static str>) {
    let variable = AgentType::OpenCode.credential_variable(CredentialType::ApiKey);
    let Some(variable) = variable.filter(|name| env.is_set(name)) else {
        return (Vec::new(), Vec::new());
    };
    let Some(key) = env.text(variable) else {
        // Free models want no key.
        return (Vec::new(), vec![variable]);
    };
    let provider = model
        .and_then(|model| model.split_once('/'))
        .map_or("anthropic", |(provider, _)| provider);
    if OWN.contains(&provider) {
        return (Vec::new(), Vec::new());
    }
    let names = PROVIDERS.iter().find(|(name, _)| *name == provider);
    let names = names.map_or_else(
        || {
            say!("no variable is known for provider {provider}: its key goes to Anthropic's");
            &["ANTHROPIC_API_KEY"][..]
        },
        |(_, names)| names,
    );
    let set = names.iter().filter(|name| env.text(name).is_none());
    // OpenCode's own provider, which has other models, has nothing to do with this key.
    (set.map(|name| (*name, key.into())).collect(), vec![variable])
}

fn config(servers: &[Server]) -> Value {
    let servers: BTreeMap<&str, Value> = servers
        .iter()
        .map(|server| (server.name.as_str(), entry(&server.transport)))
        .collect();
    json!({"$schema": "https://opencode.ai/config.json", "autoupdate": false, "share": "disabled", "mcp": servers})
}

/// Refuses headers that OpenCode (1.18.33) can't send: it goes on without the server then.
fn can_be_sent(server: &Server) -> Result<(), Failure> {
    let (Transport::Http(Remote { headers, .. }) | Transport::Sse(Remote { headers, .. })) =
        &server.transport
    else {
        return Ok(());
    };
    let is_beyond = |value: &str| value.chars().any(|c| c > '\u{ff}');
    match headers.iter().find(|(_, value)| is_beyond(value)) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::invalid(format!(
            "MCP server {:?}: headers {name:?} has a character beyond U+00FF, which opencode can't send: use another value, or \
             another agent",
            server.name
        ))),
    }
}

fn entry(transport: &Transport) -> Value {
    match transport {
        Transport::Stdio { command, args, env } => {
            let command: Vec<&String> = std::iter::once(command).chain(args).collect();
            json!({"type": "local", "command": command, "environment": env})
        }
        // One kind for both: what is no streamable HTTP is tried as server-sent events. Nobody is there to log in.
        Transport::Http(Remote { url, headers }) | Transport::Sse(Remote { url, headers }) => {
            json!({"type": "remote", "url": url, "headers": headers, "oauth": false})
        }
    }
}

#[cfg(test)]
mod tests;
