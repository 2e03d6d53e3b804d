//! What runs have consumed, added up. Pure.
//!
//! A run is a Task whose agent has started. What no agent reported is unknown: it is counted as such, never as zero.

use std::collections::{BTreeMap, BTreeSet};

use axon_api::TaskPhase;
use axon_api::money::Money;
use axon_api::usage::{Usage, stored_tokens};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::cluster::task_summary::{Brief, Meta};

/// What of a TaskRecord is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its namespace.
    pub metadata: Meta,
    /// Its content.
    pub spec: RecordSpec,
}

/// Content of a TaskRecord.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordSpec {
    /// Name of the Task.
    pub task_name: String,
    /// UID of the Task.
    #[serde(rename = "taskUID")]
    pub task_uid: String,
    /// Agent.
    #[serde(rename = "type")]
    pub agent: String,
    /// Model.
    pub model: Option<String>,
    /// Workspace.
    pub workspace: Option<String>,
    /// Spawner.
    pub task_spawner: Option<String>,
    /// Labels of the Task.
    pub task_labels: BTreeMap<String, String>,
    /// How it ended.
    pub phase: Option<TaskPhase>,
    /// When the agent started.
    pub start_time: Option<Time>,
    /// When it ended.
    pub completion_time: Option<Time>,
    /// Pods.
    pub attempts: i32,
    /// What it has consumed.
    pub usage: Option<Usage>,
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Namespace.
    pub namespace: String,
    /// Name of the Task.
    pub task: String,
    /// Agent.
    pub agent: String,
    /// Model, if the Task named one.
    pub model: Option<String>,
    /// Workspace.
    pub workspace: Option<String>,
    /// Spawner.
    pub spawner: Option<String>,
    /// Labels of the Task.
    pub labels: BTreeMap<String, String>,
    /// `Some(true)` for success, `None` if it has not ended.
    pub succeeded: Option<bool>,
    /// When it ended, else when it started.
    pub at: Option<Timestamp>,
    /// What it has consumed, as far as reported.
    pub usage: Usage,
}

/// Returns all runs: of records, and of Tasks that have none, because they go on or ended before there were records.
#[must_use]
pub fn runs(records: Vec<Record>, tasks: Vec<Brief>) -> Vec<Run> {
    let recorded: BTreeSet<String> = records.iter().map(|r| r.spec.task_uid.clone()).collect();
    let of_records = records.into_iter().filter_map(|record| {
        let spec = record.spec;
        let ran = spec.start_time.is_some() || spec.attempts > 0 || spec.usage.is_some();
        let at = spec.completion_time.or(spec.start_time).map(|time| time.0);
        ran.then(|| Run {
            namespace: record.metadata.namespace,
            task: spec.task_name,
            agent: spec.agent,
            model: spec.model,
            workspace: spec.workspace,
            spawner: spec.task_spawner,
            labels: spec.task_labels,
            succeeded: Some(spec.phase == Some(TaskPhase::Succeeded)),
            at: at.or(record.metadata.creation_timestamp.map(|time| time.0)),
            usage: spec.usage.unwrap_or_default(),
        })
    });
    let of_tasks = tasks.into_iter().filter_map(|task| {
        let ran = task.status.start_time.is_some() || task.status.usage.is_some();
        if !ran || recorded.contains(&task.metadata.uid) {
            return None;
        }
        let succeeded = task
            .has_ended()
            .then_some(task.status.phase == Some(TaskPhase::Succeeded));
        Some(Run {
            at: task.ended().or(task.started()).or(task.metadata.created()),
            spawner: task.spawner().map(str::to_owned),
            succeeded,
            namespace: task.metadata.namespace,
            task: task.metadata.name,
            agent: task.spec.agent,
            model: task.spec.model,
            workspace: task.spec.workspace_ref.map(|w| w.name),
            labels: task.metadata.labels,
            usage: task.status.usage.unwrap_or_default(),
        })
    });
    of_records.chain(of_tasks).collect()
}

/// What runs are grouped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The Task.
    Task,
    /// What made the Task.
    Spawner,
    /// The agent.
    Agent,
    /// The model.
    Model,
    /// The repository.
    Workspace,
    /// The namespace.
    Namespace,
    /// The value of a label.
    Label(String),
    /// The day (UTC) on which it ended.
    Day,
}

impl std::str::FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "task" => Self::Task,
            "spawner" | "taskspawner" => Self::Spawner,
            "agent" | "type" => Self::Agent,
            "model" => Self::Model,
            "workspace" => Self::Workspace,
            "namespace" => Self::Namespace,
            "day" => Self::Day,
            _ => match text.strip_prefix("label=") {
                Some(key) if !key.is_empty() => Self::Label(key.to_owned()),
                _ => {
                    return Err(
                        "use task, spawner, agent, model, workspace, namespace, day or label=KEY".to_owned(),
                    );
                }
            },
        })
    }
}

impl By {
    /// Returns the header of the first column.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Task => "TASK".to_owned(),
            Self::Spawner => "SPAWNER".to_owned(),
            Self::Agent => "AGENT".to_owned(),
            Self::Model => "MODEL".to_owned(),
            Self::Workspace => "WORKSPACE".to_owned(),
            Self::Namespace => "NAMESPACE".to_owned(),
            Self::Day => "DAY".to_owned(),
            Self::Label(key) => key.to_ascii_uppercase(),
        }
    }

    fn key(&self, run: &Run, namespaces: bool) -> String {
        let or_none = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let placed = |name: String| {
            if namespaces {
                format!("{}/{name}", run.namespace)
            } else {
                name
            }
        };
        match self {
            Self::Task => placed(run.task.clone()),
            Self::Spawner if run.spawner.is_none() => "(none)".to_owned(),
            Self::Spawner => placed(or_none(&run.spawner, "")),
            Self::Agent => run.agent.clone(),
            Self::Model => or_none(&run.model, "(agent's default)"),
            Self::Workspace if run.workspace.is_none() => "(none)".to_owned(),
            Self::Workspace => placed(or_none(&run.workspace, "")),
            Self::Namespace => run.namespace.clone(),
            Self::Label(key) => or_none(&run.labels.get(key).cloned(), "(none)"),
            Self::Day => run
                .at
                .map(|at| at.to_zoned(TimeZone::UTC).date().to_string())
                .unwrap_or_else(|| "(unknown)".to_owned()),
        }
    }
}

/// A number of tokens, and in how many runs it was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The sum.
    pub count: u64,
    /// Runs that reported it.
    pub runs: usize,
}

impl Tokens {
    fn add(&mut self, tokens: Option<i64>) {
        // Records of earlier operators may have any number: one that can't be is unknown.
        if let Some(tokens) = tokens.and_then(stored_tokens) {
            self.count = self.count.saturating_add(tokens);
            self.runs += 1;
        }
    }
}

/// Runs of one kind, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of runs.
    pub runs: usize,
    /// Runs that ended well.
    pub succeeded: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Costs that are known, ascending once all runs are in.
    costs: Vec<Money>,
    /// Sum of the estimates of what no agent reported a cost for.
    estimated: Money,
    /// Runs with an estimate.
    pub estimated_runs: usize,
    /// Runs with neither cost nor estimate.
    pub unknown: usize,
    /// Input tokens.
    pub input: Tokens,
    /// Output tokens.
    pub output: Tokens,
    /// Tokens read from a cache.
    pub cache_read: Tokens,
    /// Tokens written to a cache.
    pub cache_write: Tokens,
}

impl Sum {
    fn add(&mut self, run: &Run) {
        self.runs += 1;
        match run.succeeded {
            Some(true) => self.succeeded += 1,
            Some(false) => self.failed += 1,
            None => {}
        }
        let usage = &run.usage;
        let (cost, estimate) = (usage.cost(), usage.estimated_cost());
        self.costs.extend(cost);
        if let Some(estimate) = estimate {
            self.estimated = self.estimated.plus(estimate);
            self.estimated_runs += 1;
        }
        self.unknown += usize::from(cost.is_none() && estimate.is_none());
        self.input.add(usage.input_tokens);
        self.output.add(usage.output_tokens);
        self.cache_read.add(usage.cache_read_tokens);
        self.cache_write.add(usage.cache_write_tokens);
    }

    /// Returns the sum of the known costs; `None` if none is known.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.costs.iter().copied().reduce(Money::plus)
    }

    /// Returns the average of the known costs.
    #[must_use]
    pub fn average(&self) -> Option<Money> {
        self.cost()?.divided(self.costs.len())
    }

    /// Returns the cost that nine of ten runs with a known cost do not exceed.
    #[must_use]
    pub fn p90(&self) -> Option<Money> {
        let rank = (self.costs.len() * 9).div_ceil(10);
        self.costs.get(rank.checked_sub(1)?).copied()
    }

    /// Returns the sum of the estimates; `None` if nothing is estimated.
    #[must_use]
    pub fn estimate(&self) -> Option<Money> {
        (self.estimated_runs > 0).then_some(self.estimated)
    }

    /// Returns everything that is known or estimated, which is what groups are sorted by.
    fn weight(&self) -> Option<Money> {
        let both = [self.cost(), self.estimate()];
        both.into_iter().flatten().reduce(Money::plus)
    }

    /// Returns the number of runs that have not ended.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.runs - self.succeeded - self.failed
    }

    /// Returns the share of ended runs that ended well, in percent.
    #[must_use]
    pub fn success_percent(&self) -> Option<usize> {
        let ended = self.succeeded + self.failed;
        (self.succeeded * 100 + ended / 2).checked_div(ended)
    }
}

/// Groups, and everything together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Name and sum of each group: days in their order, others by cost and estimate, the dearest first.
    pub groups: Vec<(String, Sum)>,
    /// All runs.
    pub total: Sum,
}

/// Adds up the runs that ended, or have not ended, since `since`.
#[must_use]
pub fn report(runs: &[Run], by: &By, namespaces: bool, since: Option<Timestamp>) -> Report {
    let mut groups: BTreeMap<String, Sum> = BTreeMap::new();
    let mut total = Sum::default();
    let recent = |run: &&Run| {
        let late = |since: Timestamp| run.at.is_some_and(|at| at >= since);
        run.succeeded.is_none() || since.is_none_or(late)
    };
    for run in runs.iter().filter(recent) {
        groups.entry(by.key(run, namespaces)).or_default().add(run);
        total.add(run);
    }
    let mut groups: Vec<(String, Sum)> = groups.into_iter().collect();
    for (_, sum) in &mut groups {
        sum.costs.sort_unstable();
    }
    total.costs.sort_unstable();
    if *by != By::Day {
        groups.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.weight()));
    }
    Report { groups, total }
}

#[cfg(test)]
mod tests;
