//! The status of a Task.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use crate::usage::Usage;

/// Condition types, by kstatus' names, so that GitOps tools read a Task's progress.
pub mod condition {
    /// True once the Task has succeeded.
    pub const READY: &str = "Ready";
    /// True while the Task is on its way.
    pub const RECONCILING: &str = "Reconciling";
    /// True once the Task has failed for good.
    pub const STALLED: &str = "Stalled";
}

/// Phase of a Task's life. `Succeeded` and `Failed` are final.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
pub enum TaskPhase {
    /// A Job exists (or is about to); its agent has not started.
    Pending,
    /// Something outside the Task must happen first; `message` names it.
    Waiting,
    /// The agent runs.
    Running,
    /// The agent ended well.
    Succeeded,
    /// The Task failed; `reason` and `message` say why.
    Failed,
}

impl TaskPhase {
    /// Returns true for the phases that never change again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// Why a Task is in its phase, for programs; `message` says it for people.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
pub enum TaskReason {
    /// The Workspace that the Task names does not exist (yet).
    WorkspaceNotFound,
    /// The AgentConfig that the Task names does not exist (yet).
    AgentConfigNotFound,
    /// A Secret, or a key of it, that the pod needs does not exist (yet).
    SecretNotFound,
    /// Dependencies have not succeeded yet.
    WaitingForDependencies,
    /// Another Task works on the same branch of the same repository.
    WaitingForBranch,
    /// The namespace's quota, a policy or the API server refuses the Job or its pod for now.
    PodRefused,
    /// GitHub gives no token for the Workspace's App for now.
    WaitingForToken,
    /// The Job is suspended, by a queue or by hand. Of an attempt: the Job was suspended while its pod ran.
    Queued,
    /// The pod waits for a node.
    Unschedulable,
    /// The pod's images are pulled, or its volumes made ready.
    Starting,
    /// The workspace is being cloned.
    Cloning,
    /// The agent runs.
    AgentRunning,
    /// The Task was asked to stop, and its agent has some seconds to end.
    Stopping,
    /// The last run failed, and another one is about to start.
    Retrying,
    /// The agent ended well.
    Completed,
    /// The agent failed or ended without a final result.
    AgentError,
    /// The model provider or the git host refused the credential.
    AuthFailed,
    /// The model provider's rate limit ended the run.
    RateLimited,
    /// The model provider failed or had no capacity.
    ProviderUnavailable,
    /// The prompt, or the session, is longer than the model can read.
    ContextLengthExceeded,
    /// The agent was not allowed to use any tool.
    ToolsDenied,
    /// The container was killed for its memory limit.
    OOMKilled,
    /// The pod wrote more to disk than its limit.
    StorageExceeded,
    /// The pod was evicted from its node.
    Evicted,
    /// The run took longer than `activeDeadlineSeconds`, or the operator's default for it.
    DeadlineExceeded,
    /// An image can't be pulled.
    ImagePull,
    /// The repository could not be cloned, or the branch not be set up.
    CloneFailed,
    /// The Task can never run as it is written.
    InvalidConfig,
    /// A dependency failed.
    DependencyFailed,
    /// The Task depends on itself.
    DependencyCycle,
    /// The pod, its node or its Job vanished before the agent ended, or the node rejected the pod.
    PodLost,
    /// Something was stopped on request.
    Stopped,
    /// The agent was silent for too long.
    Stalled,
    /// The Task has spent what `spec.budget` allows.
    BudgetExceeded,
    /// A TaskBudget has no room for what the Task may spend.
    BudgetExhausted,
    /// A TaskBudget counts the Task, and nothing caps what the Task may spend.
    BudgetNeedsCap,
    /// The Task was deleted before it had ended. Only in TaskRecords.
    Deleted,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One pod that ran (a part of) the Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Name of the pod.
    pub pod_name: String,
    /// UID of the Job that the pod belonged to.
    #[serde(default, rename = "jobUID", skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Exit code of the agent container, when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why the attempt failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<TaskReason>,
    /// Explains the failure, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Tokens and money of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// A token that was made for the Workspace's GitHub App.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GithubToken {
    /// Name of the Secret that holds it, which the Task owns.
    pub secret_name: String,
    /// When it ends.
    pub expiration_time: Time,
    /// When it is replaced, if the Task has not ended by then.
    pub renew_time: Time,
}

/// A run that is about to replace one that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextRun {
    /// When it may start.
    pub after: Time,
    /// UID of the Job that failed, which has to be gone by then; absent if it is gone already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// The observed state of a Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Current phase: `Pending`, `Waiting`, `Running`, `Succeeded` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<TaskPhase>,
    /// Why the Task is in this phase, as one word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<TaskReason>,
    /// Why the Task is in this phase, with the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Name of the Job created for the Task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// Name of the newest pod of that Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// When the agent started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the Task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Outputs of the run as `key: value` lines: `branch`, `pr`, `commit`, `base-branch`, `cost-usd`, `input-tokens`, `output-tokens`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// The outputs as a map; of equal keys the last one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, String>,
    /// Tokens and money of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Pods that ended or were lost, oldest first; at most sixteen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub attempts: Vec<Attempt>,
    /// The number of times that `retryPolicy` has repeated the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    /// The next run, while one is about to replace a run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<NextRun>,
    /// The token that was made for the Workspace's GitHub App. The operator revokes it and deletes its Secret when the Task
    /// has ended, and then takes this away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_token: Option<GithubToken>,
    /// The cap in effect, where it is not that of `spec.budget`: the operator's default, or that of a TaskBudget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// TaskBudgets that count the Task: its cap is reserved there while it runs, and what it has spent is counted there since it
    /// has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub budgets: Vec<String>,
    /// Dependencies that have succeeded. They count as such also when they are deleted later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub satisfied_dependencies: Vec<String>,
    /// Outputs of the dependencies that have succeeded, by name: kept for the prompt until the Task has ended, so that
    /// the dependencies may be deleted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependency_outputs: BTreeMap<String, Vec<String>>,
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling` and `Stalled`, in kstatus' meaning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_a_later_version_does_not_break_reading() {
        let status: TaskStatus =
            serde_json::from_value(serde_json::json!({"reason": "FromTheFuture"})).unwrap();
        assert_eq!(status.reason, Some(TaskReason::Unknown));
    }

    #[test]
    fn only_the_two_last_phases_are_final() {
        use strum::IntoEnumIterator;
        let terminal: Vec<_> = TaskPhase::iter().filter(|p| p.is_terminal()).collect();
        assert_eq!(terminal, [TaskPhase::Succeeded, TaskPhase::Failed]);
    }

    #[test]
    fn the_page_of_pipelines_says_what_each_reason_means() {
        use strum::IntoEnumIterator;
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pipelines.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
        for reason in TaskReason::iter().filter(|reason| *reason != TaskReason::Unknown) {
            let name = format!("`{reason}`");
            assert!(rows.iter().any(|row| row.contains(&name)), "{name} is not there");
        }
    }
}
