//! What travels into a Task's pod by ConfigMap: everything that is too long for an argument or an environment
//! variable, and everything that is written into files.

use std::collections::{BTreeMap, BTreeSet};

use axon_api::contract::{MAX_INLINE_BYTES, input};
use axon_api::file_path::components;
use axon_api::git::{InvalidRepository, PASSWORD_ADVICE, Repository, has_password};
use axon_api::gzip::pack;
use axon_api::v1alpha1::{McpServer, McpTransport};
use axon_api::{AgentConfig, SPAWNER_ACCOUNT, Task, Workspace, naming};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::task::build::volumes::mcp_secrets;
use crate::task::build::volumes::mcp_secrets::McpSecret;

/// Something in the objects that can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A URL that holds a password.
    #[error("Workspace {workspace}: repo {PASSWORD_ADVICE}")]
    Password {
        /// Name of the Workspace.
        workspace: String,
    },
    /// A URL in a form that git and the operator could read in different ways, or not at all.
    #[error("Workspace {workspace}: repo {source}")]
    Repository {
        /// Name of the Workspace.
        workspace: String,
        /// What is wrong with it.
        source: InvalidRepository,
    },
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
    /// An MCP server with a field that its transport can't use.
    #[error(
        "AgentConfig {config}: mcpServers {name:?} is of type {transport} and has no use for {field}: use {instead}"
    )]
    UselessMcp {
        /// Name of the AgentConfig.
        config: String,
        /// Name of the server.
        name: String,
        /// Its transport.
        transport: McpTransport,
        /// The field.
        field: &'static str,
        /// The field that was meant.
        instead: &'static str,
    },
    /// A text with which no container starts.
    #[error(
        "{field} has a NUL character (U+0000), with which no container starts: leave it out, and create the Task again"
    )]
    Nul {
        /// The field, after the name of its object.
        field: String,
    },
    /// A file that can't be written into the clone.
    #[error("Workspace {workspace}: files {path:?} {fault}: give a path inside the repository")]
    BadFile {
        /// Name of the Workspace.
        workspace: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The operator's own account.
    #[error(
        "podOverrides.serviceAccountName can't be {SPAWNER_ACCOUNT}: it is the operator's own account in the namespace, which may write every Secret there; name another ServiceAccount in a new Task"
    )]
    OperatorsAccount,
    /// A mount that can't be.
    #[error("podOverrides.volumeMounts: mountPath {path:?} {why}")]
    BadMount {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// More text than a ConfigMap takes, even packed.
    #[error(
        "prompt, instructions, MCP servers, plugins and files of the Task are {bytes} bytes together, plugins and files packed; a ConfigMap holds {MAX_CONFIG_MAP_BYTES}: shorten the largest, {largest}"
    )]
    TooLong {
        /// Bytes of all.
        bytes: usize,
        /// The largest file.
        largest: String,
    },
}

/// Most bytes of all values of a ConfigMap: the API server's limit of 1 MiB.
pub const MAX_CONFIG_MAP_BYTES: usize = 1024 * 1024;

/// The files of the ConfigMap, by key (see [`input`]), and the Secrets beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Name of the ConfigMap, which follows from the content.
    pub name: String,
    /// Content by key.
    pub files: BTreeMap<String, String>,
    /// Packed content by key; the key ends in [`input::PACKED`].
    pub packed: BTreeMap<String, Vec<u8>>,
    /// Secrets that are mounted into the agent container.
    pub secrets: Vec<McpSecret>,
}

impl Inputs {
    /// Returns true if there is a file of this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.files.contains_key(key) || self.packed.contains_key(&packed_key(key))
    }

    /// Returns true if there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.packed.is_empty()
    }

    fn bytes(&self) -> usize {
        self.files.values().map(String::len).sum::<usize>()
            + self.packed.values().map(Vec::len).sum::<usize>()
    }

    /// Packs what only our own program reads, if it must be; the rest is read by any image.
    fn fit(mut self) -> Result<Self, InputError> {
        for key in [input::PLUGINS, input::FILES] {
            if self.bytes() > MAX_CONFIG_MAP_BYTES
                && let Some(text) = self.files.remove(key)
            {
                match pack(&text) {
                    Ok(packed) => self.packed.insert(packed_key(key), packed).map(|_| ()),
                    Err(_) => self.files.insert(key.to_owned(), text).map(|_| ()),
                };
            }
        }
        let bytes = self.bytes();
        if bytes <= MAX_CONFIG_MAP_BYTES {
            return Ok(self);
        }
        let files = self.files.iter().map(|(key, text)| (text.len(), key));
        let packed = self.packed.iter().map(|(key, bytes)| (bytes.len(), key));
        let largest = files
            .chain(packed)
            .max()
            .map(|(_, key)| key.clone())
            .unwrap_or_default();
        Err(InputError::TooLong { bytes, largest })
    }

    fn named(self, task: &Task) -> Self {
        let files = self
            .files
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_bytes()));
        let packed = self
            .packed
            .iter()
            .map(|(key, bytes)| (key.as_str(), bytes.as_slice()));
        let name = naming::task_input(&task.name_any(), files.chain(packed));
        Self { name, ..self }
    }

    /// Returns true if the file of this key is there and short enough for an environment variable.
    #[must_use]
    pub fn fits_env(&self, key: &str) -> bool {
        self.files
            .get(key)
            .is_some_and(|text| text.len() <= MAX_INLINE_BYTES)
    }
}

fn packed_key(key: &str) -> String {
    format!("{key}{}", input::PACKED)
}

/// Gathers the inputs of a Task.
///
/// # Errors
/// [`InputError`] for names that can't be file names, duplicates, incomplete MCP servers, and more than fits.
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
    let overrides = task.spec.pod_overrides.iter();
    for variable in overrides.flat_map(|overrides| &overrides.env) {
        let is_in = |text: &str| text.contains('\0');
        if is_in(&variable.name) || variable.value.as_deref().is_some_and(is_in) {
            let field = format!("podOverrides.env {:?}", variable.name);
            return Err(InputError::Nul { field });
        }
    }
    if let Some(workspace) = workspace.filter(|workspace| has_password(&workspace.spec.repo)) {
        let workspace = workspace.metadata.name.clone().unwrap_or_default();
        return Err(InputError::Password { workspace });
    }
    if let Some(workspace) = workspace {
        // The schema refuses it, but a Workspace may be older than the schema.
        Repository::parse(&workspace.spec.repo).map_err(|source| InputError::Repository {
            workspace: workspace.metadata.name.clone().unwrap_or_default(),
            source,
        })?;
    }
    if let Some(workspace) = workspace.filter(|w| !w.spec.files.is_empty()) {
        for file in &workspace.spec.files {
            components(&file.path).map_err(|fault| InputError::BadFile {
                workspace: workspace.metadata.name.clone().unwrap_or_default(),
                path: file.path.clone(),
                fault,
            })?;
        }
        put(input::FILES, json!(workspace.spec.files).to_string());
    }
    if let Some(config) = config {
        check_names(config)?;
        if let Some(text) = config.spec.agents_md.as_ref().filter(|text| !text.is_empty()) {
            if text.contains('\0') {
                let field = format!("AgentConfig {}: agentsMD", name_of(config));
                return Err(InputError::Nul { field });
            }
            put(input::AGENTS_MD, text.clone());
        }
        if !config.spec.plugins.is_empty() {
            put(input::PLUGINS, json!(config.spec.plugins).to_string());
        }
        if !config.spec.mcp_servers.is_empty() {
            put(input::MCP_SERVERS, mcp_json(config)?);
        }
    }
    let inputs = Inputs {
        name: String::new(),
        files,
        packed: BTreeMap::new(),
        secrets: mcp_secrets::of(config),
    };
    Ok(inputs.fit()?.named(task))
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
    for (n, server) in config.spec.mcp_servers.iter().enumerate() {
        servers.insert(server.name.clone(), mcp_server(config, n, server)?);
    }
    Ok(json!({ "mcpServers": servers }).to_string())
}

fn mcp_server(config: &AgentConfig, n: usize, server: &McpServer) -> Result<Value, InputError> {
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
    let useless = match server.transport {
        McpTransport::Stdio if server.headers_from.is_some() => Some(("headersFrom", "envFrom")),
        McpTransport::Http | McpTransport::Sse if server.env_from.is_some() => {
            Some(("envFrom", "headersFrom"))
        }
        _ => None,
    };
    if let Some((field, instead)) = useless {
        return Err(InputError::UselessMcp {
            config: name_of(config),
            name: server.name.clone(),
            transport: server.transport,
            field,
            instead,
        });
    }
    let mut value = json!(server);
    if let Value::Object(members) = &mut value {
        members.remove("name");
        if members.remove("headersFrom").is_some() {
            members.insert("headersDir".into(), json!(mcp_secrets::headers_dir(n)));
        }
        if members.remove("envFrom").is_some() {
            members.insert("envDir".into(), json!(mcp_secrets::env_dir(n)));
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
