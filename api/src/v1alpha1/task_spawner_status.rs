//! The status of a TaskSpawner.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;

/// Condition types of a TaskSpawner.
pub mod spawner_condition {
    /// True while the spawner reads its source and creates Tasks.
    pub const READY: &str = "Ready";
    /// True while something that only a person can mend keeps the spawner from its work.
    pub const STALLED: &str = "Stalled";
    /// True while the spawner is paused on request.
    pub const SUSPENDED: &str = "Suspended";
    /// True once `maxTotalTasks` is reached.
    pub const TASK_BUDGET_EXHAUSTED: &str = "TaskBudgetExhausted";
    /// True while items wait because `maxConcurrency`, or the operator's default, is reached.
    pub const CONCURRENCY_LIMITED: &str = "ConcurrencyLimited";
    /// True while the source of issues can be read.
    pub const SOURCE_REACHABLE: &str = "SourceReachable";
    /// True if the schedule can be read and has a next run.
    pub const SCHEDULE_VALID: &str = "ScheduleValid";
    /// True if the templates of prompt and branch can be read.
    pub const TEMPLATE_VALID: &str = "TemplateValid";
    /// True while some items can't become Tasks; the message names them.
    pub const ITEMS_BLOCKED: &str = "ItemsBlocked";
    /// True if items of everybody become Tasks.
    pub const OPEN_TO_STRANGERS: &str = "OpenToStrangers";
    /// True while the credential may not ask who has write permission.
    pub const PERMISSION_UNKNOWN: &str = "PermissionUnknown";
    /// True if runs were left out before the latest one.
    pub const RUNS_SKIPPED: &str = "RunsSkipped";
}

/// Phase of a TaskSpawner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
pub enum TaskSpawnerPhase {
    /// Not looked at yet.
    Pending,
    /// Polling its source.
    Running,
    /// Paused on request.
    Suspended,
    /// Its source can't be read or its template not be used; conditions say why.
    Failed,
}

/// A Task that is counted and decided on but perhaps not created yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Name of the Task.
    pub name: String,
    /// The item that it is for.
    pub item: String,
}

/// An item that would become a Task if limits allowed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingItem {
    /// The item: the number of an issue or pull request, or the time of a run.
    pub item: String,
    /// Name that its Task would have.
    pub task: String,
    /// The item's title, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The observed state of a TaskSpawner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpawnerStatus {
    /// Current phase: `Pending`, `Running`, `Suspended` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<TaskSpawnerPhase>,
    /// Name of the Deployment that runs the spawner: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_name: Option<String>,
    /// Replica of the operator that runs the spawner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The source of the items, such as `github.com/org/repo` or `cron 0 9 * * 1-5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Items that the last poll found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_discovered: Option<i64>,
    /// Tasks that this spawner has created in its life, those that it is about to create included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tasks_created: Option<i64>,
    /// Tasks of this spawner that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_tasks: Option<i64>,
    /// Most Tasks that run at the same time: `spec.maxConcurrency`, or the operator's default. Absent if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<i64>,
    /// When the source was last polled; brought up to date every five minutes at most while nothing else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_discovery_time: Option<Time>,
    /// Cron: time of the latest run that became a Task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_time: Option<Time>,
    /// Cron: time of the next run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<Time>,
    /// Cron: all runs up to this time are dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_until: Option<Time>,
    /// Cron: the schedule and time zone that `handledUntil` is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_schedule: Option<String>,
    /// Tasks that are counted in `totalTasksCreated` and are being created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// The first twenty items that would become Tasks if limits or suspension did not keep them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitingItem>,
    /// The answer to the request that `kubectl axon preview` or `kubectl axon run --from` made; it goes when the request does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Explains the phase, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Details, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
