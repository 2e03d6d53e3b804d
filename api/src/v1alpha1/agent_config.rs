//! AgentConfig: instructions, plugins and MCP servers that Tasks share.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::NameRef;
use crate::limits::{MAX_CONTENT, MAX_ELEMENTS, MAX_FILE_NAME, MAX_SKILLS, MAX_URL, MAX_VALUE};

/// Instructions, plugins and MCP servers of an agent, in addition to its prompt.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "AgentConfig",
    plural = "agentconfigs",
    namespaced,
    shortname = "ac",
    category = "axon",
    derive = "PartialEq",
    doc = "An AgentConfig is a reusable bundle of agent instructions, plugins and MCP servers.",
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentConfigSpec {
    /// Instructions at user level, in addition to the repository's own (`AGENTS.md`, `CLAUDE.md`).
    #[serde(default, rename = "agentsMD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CONTENT))]
    pub agents_md: Option<String>,
    /// Bundles of skills and sub-agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS))]
    pub plugins: Vec<Plugin>,
    /// MCP servers that the agent may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS))]
    pub mcp_servers: Vec<McpServer>,
}

/// A bundle of skills and sub-agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// Name: the plugin's directory and the namespace of what it holds.
    #[schemars(length(min = 1, max = MAX_FILE_NAME))]
    pub name: String,
    /// Skills; each becomes `skills/<name>/SKILL.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_SKILLS))]
    pub skills: Vec<PluginFile>,
    /// Sub-agents; each becomes `agents/<name>.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_SKILLS))]
    pub agents: Vec<PluginFile>,
}

/// A skill or a sub-agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginFile {
    /// Name of the skill or sub-agent.
    #[schemars(length(min = 1, max = MAX_FILE_NAME))]
    pub name: String,
    /// Markdown with front matter.
    #[schemars(length(max = MAX_CONTENT))]
    pub content: String,
}

/// An MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServer {
    /// Name: the key in the agent's own configuration.
    #[schemars(length(min = 1, max = MAX_FILE_NAME))]
    pub name: String,
    /// Transport: `stdio`, `http` or `sse`.
    #[serde(rename = "type")]
    pub transport: McpTransport,
    /// Program to start (stdio only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_VALUE))]
    pub command: Option<String>,
    /// Arguments of the program (stdio only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS), inner(length(max = MAX_VALUE)))]
    pub args: Vec<String>,
    /// Address of the server (http and sse only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_URL))]
    pub url: Option<String>,
    /// HTTP headers (http and sse only).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// HTTP headers out of a Secret, one per key; they win over `headers` (http and sse only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_from: Option<ValuesFrom>,
    /// Environment of the program (stdio only).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment of the program out of a Secret, one variable per key; it wins over `env` (stdio only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_from: Option<ValuesFrom>,
}

/// Values that are not in the object itself. They go from the Secret to the agent's pod; the operator never reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFrom {
    /// The Secret, in the same namespace.
    pub secret_ref: NameRef,
}

/// Transport of an MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum McpTransport {
    /// A program in the agent's container, over its standard input and output.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// Server-sent events.
    Sse,
}
