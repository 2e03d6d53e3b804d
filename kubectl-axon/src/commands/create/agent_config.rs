//! `create agentconfig`.

use std::collections::BTreeSet;

use axon_api::AgentConfig;
use axon_api::limits::MAX_CONTENT;
use serde_json::{Map, Value, json};

use super::{Common, checked_name, object, pruned, text_or_file};
use crate::error::{CliError, Result};
use crate::kinds::Kind;
use crate::objects::inputs;

const EXAMPLES: &str = "\
After @ stands the name of a file. Skills and sub-agents become one plugin named axon. An MCP server
is a JSON object with type (stdio, http or sse), and command, args and env, or url and headers.
Values of headers and env that are secret belong into a Secret: headersFrom and envFrom.

Examples:
  kubectl axon create agentconfig team --agents-md @AGENTS.md --skill deploy=@skills/deploy.md
  kubectl axon create agentconfig team --mcp 'docs={\"type\":\"http\",\"url\":\"https://host/mcp\"}'";

/// Creates an agentconfig: instructions, skills, sub-agents and MCP servers
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the agentconfig
    pub name: String,
    /// Instructions
    #[arg(long, value_name = "TEXT|@FILE")]
    pub agents_md: Option<String>,
    /// Skill (repeatable)
    #[arg(long, value_name = "NAME=TEXT|@FILE")]
    pub skill: Vec<String>,
    /// Sub-agent (repeatable)
    #[arg(long, value_name = "NAME=TEXT|@FILE")]
    pub agent: Vec<String>,
    /// MCP server (repeatable)
    #[arg(long, value_name = "NAME=JSON|@FILE")]
    pub mcp: Vec<String>,
    /// Flags that all of them have.
    #[command(flatten)]
    pub common: Common,
}

/// Keys of an MCP server, besides its name.
const MCP_KEYS: [&str; 8] = [
    "type",
    "command",
    "args",
    "env",
    "envFrom",
    "url",
    "headers",
    "headersFrom",
];

/// Returns the AgentConfig.
pub(super) fn plan(args: &Args) -> Result<Value> {
    let name = checked_name(&args.name)?;
    let mut spec = Map::new();
    if let Some(text) = &args.agents_md {
        spec.insert("agentsMD".into(), content("--agents-md", text)?.into());
    }
    let (skills, agents) = (files("--skill", &args.skill)?, files("--agent", &args.agent)?);
    if !skills.is_empty() || !agents.is_empty() {
        let plugin = pruned(json!({"name": "axon", "skills": skills, "agents": agents}));
        spec.insert("plugins".into(), json!([plugin]));
    }
    let servers = named("--mcp", &args.mcp)?
        .into_iter()
        .map(|(name, text)| server(name, &text))
        .collect::<Result<Vec<Value>>>()?;
    if !servers.is_empty() {
        spec.insert("mcpServers".into(), servers.into());
    }
    let value = object(Kind::AgentConfig, name, &Value::Object(spec));
    serde_json::from_value::<AgentConfig>(value.clone())
        .map_err(|e| CliError::usage(format!("the agentconfig can't be used: {e}")))?;
    Ok(value)
}

/// Reads `NAME=TEXT|@FILE`, each name once.
fn named<'a>(flag: &str, values: &'a [String]) -> Result<Vec<(&'a str, String)>> {
    let mut seen = BTreeSet::new();
    values
        .iter()
        .map(|value| {
            let (name, text) = value
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| CliError::usage(format!("{flag} {value:?} is not NAME=TEXT or NAME=@FILE")))?;
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(CliError::usage(format!(
                    "{flag} {name:?} can't be the name of a file"
                )));
            }
            if !seen.insert(name) {
                return Err(CliError::usage(format!("{flag} {name} is given twice")));
            }
            Ok((name, content(&format!("{flag} {name}"), text)?))
        })
        .collect()
}

/// Reads a text that becomes a file for the agent.
fn content(source: &str, typed: &str) -> Result<String> {
    let text = text_or_file(source, typed)?;
    inputs::fits(source, typed, &text, MAX_CONTENT)?;
    Ok(text)
}

fn files(flag: &str, values: &[String]) -> Result<Vec<Value>> {
    let all = named(flag, values)?.into_iter();
    Ok(all
        .map(|(name, content)| json!({"name": name, "content": content}))
        .collect())
}

fn server(name: &str, text: &str) -> Result<Value> {
    let invalid = |fault: String| {
        CliError::usage(format!("--mcp {name}: {fault}")).hint(format!(
            "write --mcp '{name}={{\"type\":\"http\",\"url\":\"https://...\"}}'"
        ))
    };
    let value: Value = serde_json::from_str(text).map_err(|e| invalid(format!("not JSON: {e}")))?;
    let Value::Object(mut map) = value else {
        return Err(invalid("not a JSON object".to_owned()));
    };
    if let Some(key) = map.keys().find(|key| !MCP_KEYS.contains(&key.as_str())) {
        return Err(invalid(format!(
            "unknown key {key:?}; there is {}",
            MCP_KEYS.join(", ")
        )));
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let needed = match kind {
        "stdio" => "command",
        "http" | "sse" => "url",
        _ => return Err(invalid("type must be stdio, http or sse".to_owned())),
    };
    if !map.contains_key(needed) {
        return Err(invalid(format!("type {kind} needs {needed}")));
    }
    map.insert("name".into(), name.into());
    Ok(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_checked() {
        let good = server("x", r#"{"type":"stdio","command":"npx","args":["-y"]}"#).unwrap();
        assert_eq!(good["name"], "x");
        for bad in [
            "",
            "[]",
            r#"{"url":"https://x"}"#,
            r#"{"type":"ws","url":"x"}"#,
            r#"{"type":"http"}"#,
            r#"{"type":"http","url":"x","colour":"red"}"#,
        ] {
            assert!(server("x", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_given_once() {
        let texts = |t: &[&str]| t.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            named("--skill", &texts(&["a=x=y"])).unwrap(),
            [("a", "x=y".to_owned())]
        );
        for bad in [
            &["a"][..],
            &["=x"],
            &["a=1", "a=2"],
            &["../a=1"],
            &["a=@/does/not/exist"],
            &[&format!("a={}", "x".repeat(MAX_CONTENT + 1))],
        ] {
            assert!(named("--skill", &texts(bad)).is_err(), "{bad:?}");
        }
    }
}
