//! How many Tasks are in which state, counted when the figures are asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axon_api::Task;
use futures::FutureExt as _;
use kube::ResourceExt;
use kube_runtime::reflector::Store;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Phase of a Task that nobody has looked at yet.
pub(crate) const UNSEEN: &str = "New";

/// What Tasks are counted by: namespaces, phases and reasons are few.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct State {
    namespace: String,
    phase: String,
    reason: String,
}

/// The Tasks that this replica sees while it leads; clones share them.
#[derive(Clone, Default)]
pub struct Backlog(Arc<Mutex<Option<Store<Task>>>>);

impl Backlog {
    /// Counts the Tasks of `store` until the returned value is dropped.
    #[must_use]
    pub fn show(&self, store: Store<Task>) -> Shown {
        self.set(Some(store));
        Shown(self.clone())
    }

    fn set(&self, store: Option<Store<Task>>) {
        *self.0.lock() = store;
    }

    /// Returns the Tasks, if this replica leads and has seen them all.
    fn tasks(&self) -> Option<Vec<Arc<Task>>> {
        let store = self.0.lock().clone()?;
        let is_filled = matches!(store.wait_until_ready().now_or_never(), Some(Ok(())));
        is_filled.then(|| store.state())
    }
}

/// Ends the counting.
#[derive(Debug)]
pub struct Shown(Backlog);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backlog")
    }
}

impl Collector for Backlog {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tasks = self.tasks().unwrap_or_default();
        if tasks.is_empty() {
            return Ok(());
        }
        let mut all = encoder.encode_descriptor(
            "tasks",
            "Tasks that are there, by phase and reason; told by the leader.",
            None,
            MetricType::Gauge,
        )?;
        for (state, number) in count(tasks.iter().map(AsRef::as_ref)) {
            ConstGauge::new(number).encode(all.encode_family(&state)?)?;
        }
        Ok(())
    }
}

fn count<'a>(tasks: impl Iterator<Item = &'a Task>) -> BTreeMap<State, i64> {
    let mut all = BTreeMap::new();
    for task in tasks {
        let status = task.status.as_ref();
        let phase = status.and_then(|s| s.phase);
        let reason = status.and_then(|s| s.reason);
        let state = State {
            namespace: task.namespace().unwrap_or_default(),
            phase: phase.map_or_else(|| UNSEEN.to_owned(), |phase| phase.to_string()),
            reason: reason.map(|reason| reason.to_string()).unwrap_or_default(),
        };
        *all.entry(state).or_insert(0) += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use axon_api::{TaskPhase, TaskReason, TaskStatus};
    use kube_runtime::reflector::store;
    use kube_runtime::watcher::Event;

    use super::*;
    use crate::metrics::Metrics;
    use crate::task::fixtures::task;

    fn in_state(name: &str, state: Option<(TaskPhase, TaskReason)>) -> Task {
        let mut task = task(name);
        task.status = state.map(|(phase, reason)| TaskStatus {
            phase: Some(phase),
            reason: Some(reason),
            ..TaskStatus::default()
        });
        task
    }

    #[test]
    fn the_leader_counts_what_is_there_and_others_nothing() {
        let metrics = Metrics::new();
        let lines = || -> Vec<String> {
            let text = metrics.text();
            text.lines()
                .filter(|l| l.starts_with("axon_tasks{"))
                .map(str::to_owned)
                .collect()
        };
        let (reader, mut writer) = store::store();
        let refused = Some((TaskPhase::Waiting, TaskReason::PodRefused));
        let mut see = |event| writer.apply_watcher_event(&event);
        let shown = metrics.backlog.show(reader);
        see(Event::Init);
        see(Event::InitApply(in_state("a", refused)));
        assert!(lines().is_empty(), "a list that is not complete is no count");
        see(Event::InitApply(in_state("b", None)));
        see(Event::InitDone);
        see(Event::Apply(in_state("c", refused)));
        assert_eq!(
            lines(),
            [
                r#"axon_tasks{namespace="team",phase="New",reason=""} 1"#,
                r#"axon_tasks{namespace="team",phase="Waiting",reason="PodRefused"} 2"#,
            ]
        );
        see(Event::Apply(in_state(
            "c",
            Some((TaskPhase::Succeeded, TaskReason::Completed)),
        )));
        see(Event::Delete(in_state("a", refused)));
        assert!(
            !lines().iter().any(|line| line.contains("PodRefused")),
            "{:?}",
            lines()
        );
        drop(shown);
        assert!(lines().is_empty());
    }
}
