//! TaskRecord: what a Task that has ended has consumed. It outlives the Task.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::task_status::{TaskPhase, TaskReason};
use crate::agents::AgentType;
use crate::limits::MAX_MODEL;
use crate::usage::Usage;

/// Result, usage and cost of one Task. Written once, by the operator, when the Task ends; never changed.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "TaskRecord",
    plural = "taskrecords",
    namespaced,
    shortname = "axr",
    derive = "PartialEq",
    doc = "A TaskRecord keeps what a finished Task has consumed, also after the Task is deleted.",
    printcolumn(json_path = ".spec.taskName", name = "Task", type_ = "string"),
    printcolumn(json_path = ".spec.type", name = "Type", type_ = "string"),
    printcolumn(json_path = ".spec.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".spec.usage.costUSD", name = "Cost", type_ = "string"),
    printcolumn(
        json_path = ".spec.usage.estimatedCostUSD",
        name = "Estimate",
        type_ = "string",
        priority = 1
    ),
    printcolumn(
        json_path = ".spec.usage.inputTokens",
        name = "In",
        type_ = "integer",
        priority = 1
    ),
    printcolumn(
        json_path = ".spec.usage.outputTokens",
        name = "Out",
        type_ = "integer",
        priority = 1
    ),
    printcolumn(json_path = ".spec.completionTime", name = "Ended", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a TaskRecord is never changed"))]
pub struct TaskRecordSpec {
    /// Name of the Task.
    #[schemars(length(min = 1, max = 63))]
    pub task_name: String,
    /// UID of the Task: another Task of the same name has another record.
    #[serde(rename = "taskUID")]
    #[schemars(length(min = 1, max = 63))]
    pub task_uid: String,
    /// Agent that ran.
    #[serde(rename = "type")]
    pub agent: AgentType,
    /// Model that the Task named; absent if it left the choice to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MODEL))]
    pub model: Option<String>,
    /// Workspace that the Task named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// TaskSpawner that created the Task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_spawner: Option<String>,
    /// Labels of the Task. They are not labels of the record: tools that own what bears their label would delete it.
    /// Of more labels than fit, the first by key are kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub task_labels: BTreeMap<String, String>,
    /// The Task's final phase: `Succeeded` or `Failed`.
    pub phase: TaskPhase,
    /// Why it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<TaskReason>,
    /// When the Task was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// When its agent started; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the Task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Number of pods that ran (a part of) the Task.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// The cap that was in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// True if a pod may have spent more than was reported: it was lost, or the Task was deleted while it ran. TaskBudgets count the
    /// cap instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Tokens and money of all attempts; absent if no agent reported any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}
