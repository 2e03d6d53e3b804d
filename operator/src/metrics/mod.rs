//! Metrics about the operator's work, in OpenMetrics form. Labels are bounded: no names of Tasks.

pub mod spawners;
pub mod task_count;

use std::sync::atomic::AtomicU64;

use axon_api::usage::stored_tokens;
use axon_api::{Task, TaskStatus};
use kube::ResourceExt;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::kube::call::CallError;
use crate::metrics::spawners::SpawnerMetrics;
use crate::metrics::task_count::Backlog;
use axon_github::GithubMetrics;

/// Labels of a started Task.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    namespace: String,
    r#type: String,
}

/// Labels of a finished Task.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct End {
    namespace: String,
    r#type: String,
    phase: String,
    reason: String,
}

/// Labels of a write that the API server refused for its content.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    kind: &'static str,
    reason: &'static str,
    stored: Kept,
}

/// The part of an object that was stored.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum Kept {
    /// All but texts, or words that the definitions lack.
    Part,
    /// Nothing.
    Nothing,
}

/// All figures; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    created: Family<Kind, Counter>,
    completed: Family<End, Counter>,
    duration: Family<Kind, Histogram>,
    cost: Family<Kind, Counter<f64, AtomicU64>>,
    estimated_cost: Family<Kind, Counter<f64, AtomicU64>>,
    input_tokens: Family<Kind, Counter>,
    output_tokens: Family<Kind, Counter>,
    /// Reconciliations that ended in an error.
    pub reconcile_errors: Counter,
    refused_writes: Family<Refused, Counter>,
    /// Number of fields and reasons that the operator writes and the served definitions lack.
    pub definitions_missing: Gauge,
    reconcile_duration: Histogram,
    reconciling: Gauge,
    /// Tasks of the moment.
    pub backlog: Backlog,
    /// 1 while this replica leads.
    pub leader: Gauge,
    /// Metrics about spawners.
    pub spawners: SpawnerMetrics,
    /// Metrics about the talk with GitHub.
    pub github: GithubMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns figures that all start at zero.
    #[must_use]
    pub fn new() -> Self {
        let created = Family::default();
        let completed = Family::default();
        let duration = Family::new_with_constructor(durations as fn() -> Histogram);
        let (cost, input_tokens, output_tokens) = (Family::default(), Family::default(), Family::default());
        let estimated_cost = Family::default();
        let (reconcile_errors, leader) = (Counter::default(), Gauge::default());
        let (refused_writes, definitions_missing) = (Family::default(), Gauge::default());
        let (reconcile_duration, reconciling) = (reconciliations(), Gauge::default());
        let backlog = Backlog::default();
        let mut registry = Registry::with_prefix("axon");
        registry.register(
            "task_created",
            "Tasks whose Job was created",
            Family::clone(&created),
        );
        registry.register(
            "task_completed",
            "Tasks that ended, by phase and reason",
            Family::clone(&completed),
        );
        registry.register_with_unit(
            "task_duration",
            "Time from the agent's start to the Task's end",
            Unit::Seconds,
            Family::clone(&duration),
        );
        registry.register(
            "task_cost_usd",
            "Cost that agents reported, in US dollars",
            Family::clone(&cost),
        );
        registry.register(
            "task_estimated_cost_usd",
            "Estimated cost, in US dollars, of what no agent reported a cost for",
            Family::clone(&estimated_cost),
        );
        registry.register(
            "task_input_tokens",
            "Input tokens that agents reported",
            Family::clone(&input_tokens),
        );
        registry.register(
            "task_output_tokens",
            "Output tokens that agents reported",
            Family::clone(&output_tokens),
        );
        registry.register(
            "reconcile_errors",
            "Reconciliations that ended in an error",
            reconcile_errors.clone(),
        );
        registry.register(
            "refused_writes",
            "Writes that the API server refused for their content, by kind, reason and what was stored without it",
            Family::clone(&refused_writes),
        );
        registry.register(
            "definitions_missing",
            "Fields and reasons that the served definitions lack: they are older than the operator",
            definitions_missing.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time that a look at a Task took, with all its calls",
            Unit::Seconds,
            reconcile_duration.clone(),
        );
        registry.register(
            "reconciles_in_progress",
            "Tasks that are being looked at; 32 at most",
            reconciling.clone(),
        );
        registry.register_collector(Box::new(backlog.clone()));
        registry.register("leader", "1 while this replica leads", leader.clone());
        let (spawners, github) = (SpawnerMetrics::new(&mut registry), GithubMetrics::default());
        github.register(&mut registry);
        let registry = std::sync::Arc::new(registry);
        Self {
            registry,
            created,
            completed,
            duration,
            cost,
            estimated_cost,
            input_tokens,
            output_tokens,
            reconcile_errors,
            refused_writes,
            definitions_missing,
            reconcile_duration,
            reconciling,
            backlog,
            leader,
            spawners,
            github,
        }
    }

    /// Counts a Task whose Job `status`, which was written, is the first to tell of. Later Jobs of it don't count.
    pub fn created(&self, task: &Task, status: &TaskStatus) {
        let had_job = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
        if !had_job && status.job_name.is_some() {
            let kind = kind(task);
            self.created.get_or_create(&kind).inc();
            // A counter that is first seen with its first sum has not grown, for Prometheus.
            for family in [&self.cost, &self.estimated_cost] {
                drop(family.get_or_create(&kind));
            }
            for family in [&self.input_tokens, &self.output_tokens] {
                drop(family.get_or_create(&kind));
            }
        }
    }

    /// Counts a write of an object that the API server refused for its content.
    pub fn refused(&self, kind: &'static str, said: &CallError, stored: Kept) {
        let reason = match said.said().map(|said| said.code) {
            Some(400) => "BadRequest",
            _ => "Invalid",
        };
        let labels = Refused { kind, reason, stored };
        self.refused_writes.get_or_create(&labels).inc();
    }

    /// Measures a look at a Task, until the returned value is dropped.
    #[must_use]
    pub fn reconcile(&self) -> Reconcile {
        self.reconciling.inc();
        Reconcile {
            duration: self.reconcile_duration.clone(),
            in_progress: self.reconciling.clone(),
            start: Instant::now(),
        }
    }

    /// Counts a Task that entered the phase of `status`; only ends count.
    pub fn entered(&self, task: &Task, status: &TaskStatus) {
        let Some(phase) = status.phase.filter(|p| p.is_terminal()) else {
            return;
        };
        let kind = kind(task);
        let reason = status.reason.map(|r| r.to_string()).unwrap_or_default();
        let end = End {
            namespace: kind.namespace.clone(),
            r#type: kind.r#type.clone(),
            phase: phase.to_string(),
            reason,
        };
        self.completed.get_or_create(&end).inc();
        if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) {
            let seconds = end.0.duration_since(start.0).as_secs_f64();
            self.duration.get_or_create(&kind).observe(seconds.max(0.0));
        }
        let Some(usage) = &status.usage else { return };
        // A status of an earlier operator may have any figure: what can't be is not counted.
        for (family, amount) in [
            (&self.cost, usage.cost()),
            (&self.estimated_cost, usage.estimated_cost()),
        ] {
            if let Some(amount) = amount {
                family.get_or_create(&kind).inc_by(amount.dollars());
            }
        }
        for (family, tokens) in [
            (&self.input_tokens, usage.input_tokens),
            (&self.output_tokens, usage.output_tokens),
        ] {
            let counter = family.get_or_create(&kind);
            let tokens = tokens.and_then(stored_tokens).unwrap_or_default();
            // It would begin at zero again, which is a fall.
            counter.inc_by(tokens.min(u64::MAX - counter.get()));
        }
    }

    /// Returns all figures as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// A look at a Task that is going on.
#[derive(Debug)]
pub struct Reconcile {
    duration: Histogram,
    in_progress: Gauge,
    start: Instant,
}

impl Drop for Reconcile {
    fn drop(&mut self) {
        self.duration.observe(self.start.elapsed().as_secs_f64());
        self.in_progress.dec();
    }
}

fn reconciliations() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0])
}

fn durations() -> Histogram {
    Histogram::new([30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0])
}

fn kind(task: &Task) -> Kind {
    Kind {
        namespace: task.namespace().unwrap_or_default(),
        r#type: task.spec.agent.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axon_api::usage::Usage;
    use axon_api::{TaskPhase, TaskReason};

    use super::*;
    use crate::task::fixtures::task;

    #[test]
    fn an_end_is_counted_with_its_money() {
        let metrics = Metrics::new();
        let status = TaskStatus {
            phase: Some(TaskPhase::Failed),
            reason: Some(TaskReason::OOMKilled),
            usage: Some(Usage {
                cost_usd: Some("0.5".into()),
                estimated_cost_usd: Some("0.25".into()),
                input_tokens: Some(7),
                ..Usage::default()
            }),
            ..TaskStatus::default()
        };
        metrics.entered(
            &task("t"),
            &TaskStatus {
                phase: Some(TaskPhase::Running),
                ..TaskStatus::default()
            },
        );
        metrics.entered(&task("t"), &status);
        let text = metrics.text();
        for line in [
            r#"axon_task_completed_total{namespace="team",type="claude-code",phase="Failed",reason="OOMKilled"} 1"#,
            r#"axon_task_cost_usd_total{namespace="team",type="claude-code"} 0.5"#,
            r#"axon_task_estimated_cost_usd_total{namespace="team",type="claude-code"} 0.25"#,
            r#"axon_task_input_tokens_total{namespace="team",type="claude-code"} 7"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn no_figure_makes_a_counter_fall_or_infinite() {
        let metrics = Metrics::new();
        let lines = || -> Vec<(String, f64)> {
            let text = metrics.text();
            let counted = text.lines().filter(|line| line.contains("_total{"));
            let pairs = counted.map(|line| line.rsplit_once(' ').unwrap());
            pairs
                .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
                .collect()
        };
        let mut before = lines();
        for (cost, tokens) in [
            ("0.5", 7),
            ("inf", -5),
            ("-1000000", i64::MIN),
            ("NaN", 1),
            ("1e308", i64::MAX),
            ("1e308", i64::MAX),
            ("16000000", 16_000_000_000_000),
        ] {
            let status = TaskStatus {
                phase: Some(TaskPhase::Succeeded),
                usage: Some(Usage {
                    cost_usd: Some(cost.into()),
                    estimated_cost_usd: Some(cost.into()),
                    input_tokens: Some(tokens),
                    output_tokens: Some(tokens),
                    ..Usage::default()
                }),
                ..TaskStatus::default()
            };
            metrics.entered(&task("t"), &status);
            let now = lines();
            for (name, value) in &before {
                let (_, next) = now.iter().find(|(other, _)| other == name).unwrap();
                assert!(
                    next.is_finite() && next >= value,
                    "{name}: {value}, then {next} with {cost}"
                );
            }
            before = now;
        }
        let line = r#"axon_task_cost_usd_total{namespace="team",type="claude-code"} 16000000.5"#;
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }

    #[test]
    fn a_task_counts_once_however_often_its_job_is_created() {
        let metrics = Metrics::new();
        let status = |job: Option<&str>| TaskStatus {
            job_name: job.map(str::to_owned),
            ..TaskStatus::default()
        };
        let mut task = task("t");
        metrics.created(&task, &status(None));
        assert!(!metrics.text().contains("axon_task_created_total{"));
        metrics.created(&task, &status(Some("t")));
        task.status = Some(status(Some("t")));
        metrics.created(&task, &status(Some("t")));
        let line = r#"axon_task_created_total{namespace="team",type="claude-code"} 1"#;
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
}

#[cfg(test)]
mod documented_tests;
