//! Task: one agent run.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::common::{Credentials, NameRef, Trust, not_the_operators_account, positive_duration};
use super::pod_overrides::PodOverrides;
use super::retry::RetryPolicy;
use super::task_status::TaskStatus;
use crate::agents::AgentType;
use crate::limits::{MAX_IMAGE, MAX_MODEL, MAX_PROMPT};

/// An agent's run on a prompt. Immutable after creation, but for `stop`.
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
    printcolumn(
        json_path = ".status.usage.estimatedCostUSD",
        name = "Estimate",
        type_ = "string",
        priority = 1
    ),
    printcolumn(json_path = ".status.results.branch", name = "Result Branch", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.branch", name = "Branch", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.dependsOn", name = "Depends On", type_ = "string", priority = 1),
    printcolumn(json_path = ".status.message", name = "Message", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name is longer than 63 characters: it is also the name of a Job and a label value"),
    validation = not_the_operators_account("self.spec"),
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = super::immutable::but_for_stop)]
#[x_kube(validation = Rule::new("!has(oldSelf.stop) || !oldSelf.stop || (has(self.stop) && self.stop)")
    .message("stop can't be taken back: create a new Task instead, for example with `kubectl axon retry`"))]
pub struct TaskSpec {
    /// The agent that runs: `claude-code`, `codex`, `gemini` or `opencode`.
    #[serde(rename = "type")]
    pub agent: AgentType,

    /// The agent's instructions. Delivered byte for byte; with `dependsOn` it is a Go template first, with the
    /// results of the dependencies as `.Deps`. The length is counted in characters, not bytes, before and after
    /// rendering; a template may have 256 KiB. Refer to long material by its path in the repository.
    #[schemars(length(min = 1, max = MAX_PROMPT))]
    pub prompt: String,

    /// The agent's credentials for its model provider.
    pub credentials: Credentials,

    /// Model to use instead of the agent's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MODEL))]
    pub model: Option<String>,

    /// Image to use instead of the agent's own; it must follow the agent image interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_IMAGE))]
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
    // On the heap: it is large, few Tasks have one, and the operator keeps thousands of Tasks in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<Box<PodOverrides>>,

    /// Ends the Task for good, with reason `Stopped`. The agent is asked to end and has some seconds for it; outputs and
    /// usage of what it did until then are kept. The only field that may change, and only to true. Changes nothing once
    /// the Task has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<bool>,

    /// Name of the Task that this one repeats. For the record only: `kubectl axon retry` sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub retry_of: Option<String>,

    /// When a failed run is repeated by itself. Never if absent; a pod that was lost through no fault of its agent is
    /// replaced anyway, a few times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,

    /// Longest time for which the agent may print nothing, such as `15m`, before it is ended with reason `Stalled`. The
    /// operator's default if absent, which is 1h unless it was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = positive_duration("stallTimeout"))]
    pub stall_timeout: Option<String>,

    /// The files that configure the agent's CLI: `Ref`, those of the tree that is checked out, or `Base`, those of the
    /// repository's default branch. What the Workspace says, or its rule for the ref, if absent. TaskSpawners set `Base` for
    /// pull requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,

    /// The most that the Task may spend over all its attempts. The operator's default if absent, which is none unless it was
    /// configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

impl TaskSpec {
    /// Returns the branch, if one is named.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref().filter(|branch| !branch.is_empty())
    }

    /// Returns true once the Task was asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop == Some(true)
    }
}
