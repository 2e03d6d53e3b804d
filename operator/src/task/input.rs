//! What travels into a Task's pod by ConfigMap: everything that is too long for an argument or an environment
//! variable, and everything that is written into files.

use std::collections::{BTreeMap, BTreeSet};

use axon_api::contract::{MAX_INLINE_BYTES, input};
use axon_api::v1alpha1::{McpServer, McpTransport};
use axon_api::{AgentConfig, Task, Workspace};
use serde_json::{Map, Value, json};

/// Something in the objects that can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A name that would leave its folder.
    #[error("AgentConfig {config}: {field} {name:?} must not be empty, '.', '..' or contain '/' or '\\'")]
    BadName {
        /// Name of the AgentConfig.
        config: String,
        /// Which name.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// Two of the same name.
    #[error("AgentConfig {config}: {field} {name:?} is there twice")]
    Duplicate {
        /// Name of the AgentConfig.
        config: String,
        /// Which name.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// An MCP server without what its transport needs.
    #[error("AgentConfig {config}: mcpServers {name:?} is of type {transport} and needs {needs}")]
    IncompleteMcp {
        /// Name of the AgentConfig.
        config: String,
        /// Name of the server.
        name: String,
        /// Its transport.
        transport: McpTransport,
        /// The field that is missing.
        needs: &'static str,
    },
}

/// The files of the ConfigMap, by key; see [`input`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Content by key.
    pub files: BTreeMap<String, String>,
}

impl Inputs {
    /// Returns true if there is a file of this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.files.contains_key(key)
    }

    /// Returns true if the file of this key is there and short enough for an environment variable.
    #[must_use]
    pub fn fits_env(&self, key: &str) -> bool {
        self.files
            .get(key)
            .is_some_and(|text| text.len() <= MAX_INLINE_BYTES)
    }
}

/// Gathers the inputs of a Task.
///
/// # Errors
/// [`InputError`] for names that can't be file names, duplicates, and incomplete MCP servers.
pub fn gather(
    task: &Task,
    workspace: Option<&Workspace>,
    config: Option<&AgentConfig>,
) -> Result<Inputs, InputError> {
    let mut files = BTreeMap::new();
    let mut put = |key: &str, text: String| files.insert(key.to_owned(), text);
    if axon_api::contract::escape_expansion(&task.spec.prompt).len() > MAX_INLINE_BYTES {
        put(input::PROMPT, task.spec.prompt.clone());
    }
    if let Some(workspace) = workspace.filter(|w| !w.spec.files.is_empty()) {
        put(input::FILES, json!(workspace.spec.files).to_string());
    }
    if let Some(config) = config {
        check_names(config)?;
        if let Some(text) = config.spec.agents_md.as_ref().filter(|text| !text.is_empty()) {
            put(input::AGENTS_MD, text.clone());
        }
        if !config.spec.plugins.is_empty() {
            put(input::PLUGINS, json!(config.spec.plugins).to_string());
        }
        if !config.spec.mcp_servers.is_empty() {
            put(input::MCP_SERVERS, mcp_json(config)?);
        }
    }
    Ok(Inputs { files })
}

fn name_of(config: &AgentConfig) -> String {
    config.metadata.name.clone().unwrap_or_default()
}

fn check_names(config: &AgentConfig) -> Result<(), InputError> {
    let spec = &config.spec;
    check(
        config,
        "plugins[].name",
        spec.plugins.iter().map(|p| p.name.as_str()),
    )?;
    check(
        config,
        "mcpServers[].name",
        spec.mcp_servers.iter().map(|m| m.name.as_str()),
    )?;
    for plugin in &spec.plugins {
        check(
            config,
            "plugins[].skills[].name",
            plugin.skills.iter().map(|s| s.name.as_str()),
        )?;
        check(
            config,
            "plugins[].agents[].name",
            plugin.agents.iter().map(|a| a.name.as_str()),
        )?;
    }
    Ok(())
}

fn check<'a>(
    config: &AgentConfig,
    field: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), InputError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
            return Err(InputError::BadName {
                config: name_of(config),
                field,
                name: name.to_owned(),
            });
        }
        if !seen.insert(name) {
            return Err(InputError::Duplicate {
                config: name_of(config),
                field,
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// Returns `{"mcpServers": {NAME: {...}}}` with sorted keys and without empty members.
fn mcp_json(config: &AgentConfig) -> Result<String, InputError> {
    let mut servers = Map::new();
    for server in &config.spec.mcp_servers {
        servers.insert(server.name.clone(), mcp_server(config, server)?);
    }
    Ok(json!({ "mcpServers": servers }).to_string())
}

fn mcp_server(config: &AgentConfig, server: &McpServer) -> Result<Value, InputError> {
    let filled = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty());
    let needs = match server.transport {
        McpTransport::Stdio if !filled(&server.command) => Some("command"),
        McpTransport::Http | McpTransport::Sse if !filled(&server.url) => Some("url"),
        _ => None,
    };
    if let Some(needs) = needs {
        let (name, transport) = (server.name.clone(), server.transport);
        return Err(InputError::IncompleteMcp {
            config: name_of(config),
            name,
            transport,
            needs,
        });
    }
    let mut value = json!(server);
    if let Value::Object(members) = &mut value {
        members.remove("name");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixtures::{task, workspace};

    fn config(spec: &Value) -> AgentConfig {
        serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": {"name": "c"}, "spec": spec
        }))
        .unwrap()
    }

    #[test]
    fn a_plain_task_needs_no_files() {
        assert_eq!(
            gather(&task("t"), Some(&workspace("https://h/x")), None).unwrap(),
            Inputs::default()
        );
    }

    #[test]
    fn a_long_prompt_goes_by_file() {
        let mut t = task("t");
        t.spec.prompt = "x".repeat(200 * 1024);
        let inputs = gather(&t, None, None).unwrap();
        assert_eq!(inputs.files[input::PROMPT].len(), 200 * 1024);
        assert!(!inputs.fits_env(input::PROMPT));
    }

    #[test]
    fn mcp_servers_are_sorted_and_without_empty_members() {
        let c = config(&json!({"mcpServers": [
            {"name": "z", "type": "stdio", "command": "npx", "args": ["-y"]},
            {"name": "a", "type": "http", "url": "https://x", "headers": {"Authorization": "Bearer t"}}]}));
        let text = gather(&task("t"), None, Some(&c)).unwrap().files[input::MCP_SERVERS].clone();
        assert_eq!(
            text,
            r#"{"mcpServers":{"a":{"headers":{"Authorization":"Bearer t"},"type":"http","url":"https://x"},"z":{"args":["-y"],"command":"npx","type":"stdio"}}}"#
        );
    }

    #[test]
    fn names_that_leave_their_folder_and_duplicates_are_refused() {
        for (spec, words) in [
            (json!({"plugins": [{"name": "../x"}]}), "plugins[].name"),
            (
                json!({"plugins": [{"name": "p", "skills": [{"name": "..", "content": ""}]}]}),
                "skills",
            ),
            (
                json!({"plugins": [{"name": "p", "agents": [{"name": "a\\b", "content": ""}]}]}),
                "agents",
            ),
            (
                json!({"mcpServers": [{"name": "m", "type": "stdio", "command": "x"}, {"name": "m", "type": "stdio", "command": "x"}]}),
                "twice",
            ),
            (
                json!({"mcpServers": [{"name": "m", "type": "stdio"}]}),
                "needs command",
            ),
            (json!({"mcpServers": [{"name": "m", "type": "sse"}]}), "needs url"),
        ] {
            let error = gather(&task("t"), None, Some(&config(&spec)))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(words) && error.contains("AgentConfig c"),
                "{error}"
            );
        }
    }
}
