//! Task: one agent run.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{Credentials, NameRef};
use super::pod_overrides::PodOverrides;
use super::task_status::TaskStatus;
use crate::agents::AgentType;

/// What to run. Immutable after creation.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "Task",
    plural = "tasks",
    namespaced,
    status = "TaskStatus",
    shortname = "axt",
    category = "axon",
    derive = "PartialEq",
    doc = "A Task is one run of an AI coding agent, executed as one Kubernetes Job.",
    printcolumn(json_path = ".spec.type", name = "Type", type_ = "string"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.usage.costUSD", name = "Cost", type_ = "string"),
    printcolumn(json_path = ".status.results.branch", name = "Result Branch", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.branch", name = "Branch", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.dependsOn", name = "Depends On", type_ = "string", priority = 1),
    printcolumn(json_path = ".status.message", name = "Message", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name is longer than 63 characters: it is also the name of a Job and a label value"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("Task spec is immutable after creation: create a new Task instead"))]
pub struct TaskSpec {
    /// Which agent runs: `claude-code`, `codex`, `gemini` or `opencode`.
    #[serde(rename = "type")]
    pub agent: AgentType,

    /// What the agent is asked to do. Delivered byte for byte.
    #[schemars(length(min = 1))]
    pub prompt: String,

    /// What the agent uses to talk to its model provider.
    pub credentials: Credentials,

    /// Model to use instead of the agent's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,

    /// Image to use instead of the agent's own; it must follow the agent image interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Workspace with the repository to work on. Without one the agent works in an empty directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_ref: Option<NameRef>,

    /// AgentConfig with instructions, plugins and MCP servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_config_ref: Option<NameRef>,

    /// Names of Tasks that must succeed before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        )
    )]
    pub depends_on: Vec<String>,

    /// Git branch to work on. Tasks with the same branch of the same repository run one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 244))]
    #[x_kube(
        validation = Rule::new(r"self == '' || !self.matches('^[-/]|^@$|^HEAD$|[ ~^:?*\\[\\\\\\x00-\\x1f\\x7f]|\\.\\.|@\\{|//|[/.]$|(^|/)\\.|\\.lock(/|$)')")
            .message("branch is not a name that git accepts (see git-check-ref-format)")
    )]
    pub branch: Option<String>,

    /// Seconds after which a finished Task is deleted; 0 deletes at once. Kept for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,

    /// Changes to the pod that runs the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<PodOverrides>,
}

impl TaskSpec {
    /// Returns the branch, if one is named.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref().filter(|branch| !branch.is_empty())
    }
}
