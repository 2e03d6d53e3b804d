//! The kinds of `axon.io/v1alpha1`, one file each. Fields are additive only; manifests written for axon apply
//! unchanged.

mod agent_config;
mod answer;
mod budget;
mod common;
mod immutable;
mod people;
mod pod_overrides;
mod retry;
mod spawner_reason;
mod task;
mod task_budget;
mod task_record;
mod task_spawner;
mod task_spawner_status;
mod task_status;
mod workspace;

pub use agent_config::{
    AgentConfig, AgentConfigSpec, McpServer, McpTransport, Plugin, PluginFile, ValuesFrom,
};
pub use answer::{Answer, NotARequest, PreviewItem, PreviewOutcome, Rendering, Request, Wanted};
pub use budget::{Budget, dollars};
pub use common::{Credentials, NameRef, Trust};
pub use people::{Association, People, Writer};
pub use pod_overrides::{PodOverrides, Quantity, Resources, SafeVolume};
pub use retry::{MAX_BACKOFF, MAX_RETRIES, RetryPolicy, RetryReason};
pub use spawner_reason::SpawnerReason;
pub use task::{Task, TaskSpec};
pub use task_budget::{
    BudgetAmount, BudgetBucket, BudgetLimit, BudgetWindow, MAX_BUCKETS, MAX_RESERVATIONS, OnExhausted,
    OnUnknownCost, Period, Reservation, TaskBudget, TaskBudgetSpec, TaskBudgetStatus, budget_condition,
};
pub use task_record::{TaskRecord, TaskRecordSpec};
pub use task_spawner::{
    Cron, GithubIssues, ITEM_FIELDS, ItemState, ItemType, TaskSpawner, TaskSpawnerSpec, TaskTemplate, When,
};
pub use task_spawner_status::{Claim, TaskSpawnerPhase, TaskSpawnerStatus, WaitingItem, spawner_condition};
pub use task_status::{Attempt, GithubToken, NextRun, TaskPhase, TaskReason, TaskStatus, condition};
pub use workspace::{GithubApp, GithubPermission, Workspace, WorkspaceFile, WorkspaceSpec};
