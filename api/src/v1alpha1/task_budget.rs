//! TaskBudget: the most that a set of Tasks may spend within a window of time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::{Budget, amount, dollars};
use super::common::positive_duration;
use crate::agents::AgentType;
use crate::money::Money;

/// Most Tasks that may hold a reservation in one TaskBudget at the same time. A Task beyond it waits.
pub const MAX_RESERVATIONS: usize = 1000;
/// Most amounts of the past that a TaskBudget keeps: twice the steps of a rolling window, and some.
pub const MAX_BUCKETS: usize = 128;

/// Condition types of a TaskBudget.
pub mod budget_condition {
    /// True while the budget is enforced.
    pub const READY: &str = "Ready";
    /// True while Tasks wait for room, or no Task could start.
    pub const EXHAUSTED: &str = "Exhausted";
}

/// The spending limit of a set of Tasks. The operator reserves the cap of a Task before it creates the Job, so Tasks that start at the
/// same time cannot exceed the limit together.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "TaskBudget",
    plural = "taskbudgets",
    namespaced,
    status = "TaskBudgetStatus",
    shortname = "tb",
    category = "axon",
    derive = "PartialEq",
    doc = "A TaskBudget bounds what a set of Tasks may spend within a window of time.",
    printcolumn(json_path = ".spec.limit.costUSD", name = "Limit", type_ = "string"),
    printcolumn(json_path = ".status.spent.costUSD", name = "Spent", type_ = "string"),
    printcolumn(json_path = ".status.reserved.costUSD", name = "Reserved", type_ = "string"),
    printcolumn(
        json_path = ".status.conditions[?(@.type=='Exhausted')].status",
        name = "Exhausted",
        type_ = "string"
    ),
    printcolumn(
        json_path = ".spec.limit.tokens",
        name = "Token Limit",
        type_ = "integer",
        priority = 1
    ),
    printcolumn(json_path = ".status.spent.tokens", name = "Tokens", type_ = "integer", priority = 1),
    printcolumn(json_path = ".status.spent.runs", name = "Runs", type_ = "integer", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name is longer than 63 characters"),
)]
#[serde(rename_all = "camelCase")]
pub struct TaskBudgetSpec {
    /// Labels of the Tasks that the budget counts; all Tasks of the namespace if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_selector: Option<LabelSelector>,
    /// TaskSpawners whose Tasks the budget counts; all Tasks if absent. A Task must match both this and
    /// `taskSelector`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63)))]
    pub task_spawners: Vec<String>,
    /// The most that may be spent within the window.
    pub limit: BudgetLimit,
    /// The time over which spending is added up.
    pub window: BudgetWindow,
    /// Cap of Tasks that have none of their own. Without it, such a Task waits with reason `BudgetNeedsCap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_task: Option<Budget>,
    /// Treatment of Tasks of unknown cost.
    #[serde(default)]
    pub on_unknown_cost: OnUnknownCost,
    /// Treatment of a Task that does not fit.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
}

/// The most that may be spent within the window. Each limit holds by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.costUSD) || has(self.tokens) || has(self.runs)")
    .message("a limit needs costUSD, tokens or runs"))]
pub struct BudgetLimit {
    /// Most US dollars, such as `500` or `"99.50"`.
    #[serde(default, rename = "costUSD", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = amount("costUSD"))]
    pub cost_usd: Option<IntOrString>,
    /// Most tokens of all kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_i64))]
    pub tokens: Option<i64>,
    /// Most Tasks whose agent may start. A Task counts once, however often its run is repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub runs: Option<i64>,
}

impl BudgetLimit {
    /// Returns the most dollars.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        dollars(self.cost_usd.as_ref()?)
    }
}

/// The time over which spending is added up: a period of the calendar, or the time before now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.every) != has(self.rolling)")
    .message("a window is either every (Day, Week or Month) or rolling (a duration such as 24h)"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.every)")
    .message("timeZone goes with every: a rolling window has none"))]
pub struct BudgetWindow {
    /// A period of the calendar: spending starts again from zero when the next one begins. Weeks begin on Monday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Time zone of the period, such as `Europe/Berlin`; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// A duration such as `24h` or `720h`: spending leaves the window when it is that old. Ages are counted in steps of a
    /// sixtieth of the window, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = positive_duration("rolling"))]
    pub rolling: Option<String>,
}

/// A period of the calendar.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::EnumString,
)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the first of the next.
    Month,
}

/// Treatment of Tasks of unknown cost: the agent reports no cost, and the operator has no price for the model.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
)]
pub enum OnUnknownCost {
    /// Their cap counts as spent.
    #[default]
    Cap,
    /// They do not start.
    Refuse,
}

/// Treatment of a Task that does not fit.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
)]
pub enum OnExhausted {
    /// It waits until there is room.
    #[default]
    Wait,
    /// It fails.
    Fail,
}

/// An amount of what a TaskBudget counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAmount {
    /// US dollars, as a decimal number.
    #[serde(default, rename = "costUSD")]
    #[schemars(length(max = 32))]
    pub cost_usd: String,
    /// Tokens of all kinds.
    #[serde(default)]
    pub tokens: i64,
    /// Tasks.
    #[serde(default)]
    pub runs: i64,
}

/// What was spent in one step of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetBucket {
    /// When it leaves the window.
    pub until: Time,
    /// The amount.
    #[serde(flatten)]
    pub amount: BudgetAmount,
}

/// What one Task may spend, held for it; or what it has spent, until the Task is known to have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Name of the Task.
    #[schemars(length(max = 63))]
    pub task: String,
    /// UID of the Task.
    #[serde(rename = "taskUID")]
    #[schemars(length(max = 63))]
    pub task_uid: String,
    /// Agent of the Task.
    #[serde(rename = "type")]
    pub agent: AgentType,
    /// The Task's cap. Runs are one.
    #[serde(flatten)]
    pub amount: BudgetAmount,
    /// A word for the TaskBudgets in which the amount was reserved together.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub set: String,
    /// Set once the amount is what the Task has spent, and counts as such until then. The entry stays until the Task is known to
    /// have ended, so that it is counted once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_until: Option<Time>,
}

/// What was spent and is reserved. Only the operator writes it, each time on the version it has read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskBudgetStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Spent within the window, when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<BudgetAmount>,
    /// Reserved for Tasks that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<BudgetAmount>,
    /// When the period of the calendar ends; for a rolling window, when the oldest amount leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_time: Option<Time>,
    /// Which Tasks and which window the amounts were added up for. Others are added up anew from TaskRecords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub basis: Option<String>,
    /// Number of writes of the amounts. Each write has another number, so that a decision made on an older version can't be
    /// written.
    #[serde(default)]
    pub revision: i64,
    /// Amounts of the past, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_BUCKETS))]
    pub buckets: Vec<BudgetBucket>,
    /// Amounts of Tasks that have not ended, by UID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2 * MAX_RESERVATIONS))]
    pub reservations: Vec<Reservation>,
    /// `Ready` and `Exhausted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}
