//! TaskSpawner: makes Tasks from GitHub issues and pull requests, or by the clock.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::common::{
    Credentials, NameRef, Trust, not_the_operators_account, positive_duration,
    still_not_the_operators_account,
};
use super::people::People;
use super::pod_overrides::PodOverrides;
use super::retry::RetryPolicy;
use super::task::TaskSpec;
use super::task_spawner_status::TaskSpawnerStatus;
use crate::agents::AgentType;
use crate::limits::{MAX_ELEMENTS, MAX_GITHUB_LABEL, MAX_IMAGE, MAX_MODEL, MAX_PROMPT_TEMPLATE};

/// The fields that prompt and branch of a TaskSpawner see of an item.
pub const ITEM_FIELDS: [&str; 14] = [
    "Body",
    "Comments",
    "ID",
    "Kind",
    "Labels",
    "Number",
    "Raw.Body",
    "Raw.Comments",
    "Raw.Labels",
    "Raw.Title",
    "Schedule",
    "Time",
    "Title",
    "URL",
];

/// When to make Tasks, and which.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "TaskSpawner",
    plural = "taskspawners",
    namespaced,
    status = "TaskSpawnerStatus",
    shortname = "ts",
    category = "axon",
    derive = "PartialEq",
    doc = "A TaskSpawner creates Tasks from GitHub issues and pull requests, or on a schedule.",
    printcolumn(
        json_path = ".spec.taskTemplate.workspaceRef.name",
        name = "Workspace",
        type_ = "string"
    ),
    printcolumn(json_path = ".spec.when.cron.schedule", name = "Schedule", type_ = "string"),
    printcolumn(json_path = ".spec.suspend", name = "Suspend", type_ = "boolean"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.activeTasks", name = "Active", type_ = "integer"),
    printcolumn(json_path = ".status.totalDiscovered", name = "Discovered", type_ = "integer"),
    printcolumn(json_path = ".status.totalTasksCreated", name = "Tasks", type_ = "integer"),
    printcolumn(json_path = ".status.source", name = "Source", type_ = "string", priority = 1),
    printcolumn(
        json_path = ".status.lastRunTime",
        name = "Last Run",
        type_ = "date",
        priority = 1
    ),
    printcolumn(
        json_path = ".status.nextRunTime",
        name = "Next Run",
        type_ = "string",
        priority = 1
    ),
    printcolumn(json_path = ".status.runner", name = "Runner", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = not_the_operators_account("self.spec.taskTemplate"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = still_not_the_operators_account("self.taskTemplate"))]
#[x_kube(validation = Rule::new("!has(self.when.githubIssues) || has(self.taskTemplate.workspaceRef)")
    .message("taskTemplate.workspaceRef is required with when.githubIssues: its Workspace names the repository to watch"))]
pub struct TaskSpawnerSpec {
    /// The source of work; exactly one.
    pub when: When,
    /// The Task to make of each item.
    pub task_template: TaskTemplate,
    /// Time between two polls of the source, such as `30s`, `5m` or `1h`.
    #[serde(default = "default_poll_interval")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = positive_duration("pollInterval"))]
    pub poll_interval: String,
    /// Most Tasks of this spawner that run at the same time; 0 means no limit. Without it the operator's default is the limit: 10,
    /// if its administrator has not changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_concurrency: Option<i32>,
    /// Most Tasks that this spawner makes in its life; 0 or absent means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_total_tasks: Option<i32>,
    /// Pauses the spawner; running Tasks go on.
    #[serde(default)]
    pub suspend: bool,
}

fn default_poll_interval() -> String {
    "5m".to_owned()
}

/// A source of work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.githubIssues) != has(self.cron)")
    .message("exactly one source is needed: set either githubIssues or cron"))]
pub struct When {
    /// Issues and pull requests of the Workspace's repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_issues: Option<GithubIssues>,
    /// A schedule; each run that is due becomes a Task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
}

/// A repository's issues and pull requests, and the filters that pick some of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.commentsFrom) || !self.commentsFrom.associations.exists(a, a == 'WRITER')")
    .message("commentsFrom can't name WRITER: use OWNER, MEMBER, COLLABORATOR, AUTHOR or users"))]
pub struct GithubIssues {
    /// Kinds of items: `issues`, `pulls`.
    #[serde(default = "default_types")]
    #[schemars(length(max = 2))]
    pub types: Vec<ItemType>,
    /// Labels that an item must have, all of them. GitHub's own names have at most 50 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS), inner(length(max = MAX_GITHUB_LABEL)))]
    pub labels: Vec<String>,
    /// Labels that an item must not have, none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_ELEMENTS), inner(length(max = MAX_GITHUB_LABEL)))]
    pub exclude_labels: Vec<String>,
    /// State of the items: `open`, `closed` or `all`.
    #[serde(default)]
    pub state: ItemState,
    /// Authors whose items become Tasks. If absent, those of users with write permission to the repository, and items that such a user
    /// has approved by setting one of `labels`; `associations: [ALL]` takes everybody's. With `WRITER` among the associations
    /// the rule of absence holds, and the others named here count as well; without it items of all others are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authors: Option<People>,
    /// Authors whose comments templates see. If absent, those of OWNER, MEMBER, COLLABORATOR and AUTHOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments_from: Option<People>,
}

impl GithubIssues {
    /// Returns whom the spawner trusts without asking GitHub, if all others have to be able to write or be approved by somebody
    /// who is; nothing if `authors` decides alone.
    #[must_use]
    pub fn trusted_besides_writers(&self) -> Option<People> {
        match &self.authors {
            None => Some(People::default()),
            Some(people) => people.include_writers().then(|| people.clone()),
        }
    }

    /// Returns whether items of people whom nobody has given anything become Tasks without anybody's approval.
    #[must_use]
    pub fn is_open_to_strangers(&self) -> bool {
        self.authors.as_ref().is_some_and(People::include_strangers)
    }

    /// Returns whose comments templates see.
    #[must_use]
    pub fn trusted_with_comments(&self) -> People {
        self.comments_from
            .clone()
            .unwrap_or_else(People::trusted_with_comments)
    }
}

fn default_types() -> Vec<ItemType> {
    vec![ItemType::Issues]
}

/// A kind of item on GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemType {
    /// Issues.
    Issues,
    /// Pull requests.
    Pulls,
}

/// State of an item on GitHub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// Open items.
    #[default]
    Open,
    /// Closed items.
    Closed,
    /// Both.
    All,
}

/// A schedule in the syntax of cron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// Five fields: minute, hour, day of month, month, day of week. `CRON_TZ=ZONE` may stand before them.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(r"self.matches('^((CRON_)?TZ=[^ ]+ +)?[ \\t]*[^ \\t@]+([ \\t]+[^ \\t]+){4}[ \\t]*$')")
        .message("schedule must have exactly five fields: minute, hour, day of month, month, day of week, such as 0 9 * * 1-5"))]
    pub schedule: String,
    /// IANA name of the time zone that the schedule is in; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
}

/// The Task that a spawner makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskTemplate {
    /// The agent that runs.
    #[serde(rename = "type")]
    pub agent: AgentType,
    /// The agent's credentials for its model provider.
    pub credentials: Credentials,
    /// Model to use instead of the agent's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MODEL))]
    pub model: Option<String>,
    /// Image to use instead of the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_IMAGE))]
    pub image: Option<String>,
    /// Workspace of the Tasks; for GitHub sources also the repository to watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_ref: Option<NameRef>,
    /// AgentConfig of the Tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_config_ref: Option<NameRef>,
    /// Names of Tasks that must succeed before a spawned one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        )
    )]
    pub depends_on: Vec<String>,
    /// Branch as a Go template, such as `axon-task-{{.Number}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub branch: Option<String>,
    /// Prompt as a Go template; the item's title, body and comments if absent. What it renders to may have as many
    /// characters as a Task's prompt: an item that makes it longer is blocked with reason `PromptTooLong`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PROMPT_TEMPLATE))]
    pub prompt_template: Option<String>,
    /// Seconds after which a finished Task is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Changes to the pods of the Tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<Box<PodOverrides>>,
    /// When a failed run of the Tasks is repeated by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Longest time for which an agent of the Tasks may print nothing, such as `15m`, before it is ended with reason `Stalled`.
    /// The operator's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = positive_duration("stallTimeout"))]
    pub stall_timeout: Option<String>,
    /// The files that configure the agent's CLI: `Ref`, those of the tree that is checked out, or `Base`, those of the
    /// repository's default branch. If absent, `Base` for pull requests; for all else what the Workspace says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// The most that each Task may spend over all its attempts. The operator's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

impl TaskTemplate {
    /// Returns the spec of the Task that the template makes, with prompt and branch as they were rendered.
    #[must_use]
    pub fn task(&self, prompt: String, branch: Option<String>) -> TaskSpec {
        TaskSpec {
            agent: self.agent,
            prompt,
            credentials: self.credentials.clone(),
            model: self.model.clone(),
            image: self.image.clone(),
            workspace_ref: self.workspace_ref.clone(),
            agent_config_ref: self.agent_config_ref.clone(),
            depends_on: self.depends_on.clone(),
            branch,
            ttl_seconds_after_finished: self.ttl_seconds_after_finished,
            pod_overrides: self.pod_overrides.clone(),
            stop: None,
            retry_of: None,
            retry_policy: self.retry_policy.clone(),
            stall_timeout: self.stall_timeout.clone(),
            trust: self.trust,
            budget: self.budget.clone(),
        }
    }
}
