//! Metrics about spawners. Labelled by spawner is only who runs it.

use axon_api::TaskSpawner;
use axon_api::v1alpha1::SpawnerReason;
use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Spawner {
    namespace: String,
    taskspawner: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PollResult {
    result: &'static str,
}

/// The figures; clones share them.
#[derive(Clone)]
pub struct SpawnerMetrics {
    running: Family<Spawner, Gauge>,
    spawned: Family<Namespace, Counter>,
    polls: Family<PollResult, Counter>,
    writes: Counter,
    lateness: Histogram,
    /// Replicas that are at work.
    pub members: Gauge,
}

impl SpawnerMetrics {
    /// Returns the figures as part of a registry.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let figures = Self {
            running: Family::default(),
            spawned: Family::default(),
            polls: Family::default(),
            writes: Counter::default(),
            lateness: Histogram::new([0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0]),
            members: Gauge::default(),
        };
        registry.register(
            "taskspawner_running",
            "1 for each TaskSpawner that this replica runs",
            figures.running.clone(),
        );
        registry.register(
            "taskspawner_tasks_created",
            "Tasks that TaskSpawners created",
            figures.spawned.clone(),
        );
        registry.register(
            "taskspawner_polls",
            "Looks at GitHub for a TaskSpawner, by result",
            figures.polls.clone(),
        );
        registry.register(
            "taskspawner_status_writes",
            "Writes of TaskSpawners' status",
            figures.writes.clone(),
        );
        registry.register(
            "taskspawner_run_lateness_seconds",
            "Time from a scheduled run to its claim",
            figures.lateness.clone(),
        );
        registry.register(
            "members",
            "Replicas that are at work, as this one sees it",
            figures.members.clone(),
        );
        figures
    }

    /// Notes that this replica runs a spawner.
    pub fn owned(&self, spawner: &TaskSpawner) {
        self.running.get_or_create(&labels(spawner)).set(1);
    }

    /// Notes that it runs it no longer.
    pub fn lost(&self, namespace: &str, name: &str) {
        self.running.remove(&Spawner {
            namespace: namespace.to_owned(),
            taskspawner: name.to_owned(),
        });
    }

    /// Counts a Task.
    pub fn spawned(&self, spawner: &TaskSpawner) {
        let namespace = spawner.namespace().unwrap_or_default();
        self.spawned.get_or_create(&Namespace { namespace }).inc();
    }

    /// Counts a poll of GitHub, and why it failed.
    pub fn polled(&self, failure: Option<SpawnerReason>) {
        let result = failure.map_or("ok", Into::into);
        self.polls.get_or_create(&PollResult { result }).inc();
    }

    /// Counts a write of a status.
    pub fn written(&self) {
        self.writes.inc();
    }

    /// Notes by how many seconds a run was late.
    pub fn late(&self, seconds: f64) {
        self.lateness.observe(seconds.max(0.0));
    }
}

fn labels(spawner: &TaskSpawner) -> Spawner {
    Spawner {
        namespace: spawner.namespace().unwrap_or_default(),
        taskspawner: spawner.name_any(),
    }
}
