//! Adds up the books of a budget from TaskRecords and from the Tasks that run: for a new budget, and for other Tasks or another window.

use std::collections::BTreeMap;

use axon_api::Task;
use axon_api::labels;
use axon_api::v1alpha1::{TaskReason, TaskRecord, TaskRecordSpec};
use kube::{Resource as _, ResourceExt as _};
use serde::Deserialize;

use super::cap::{self, Cap, Consumed};
use super::keeper::{Keeper, Opened, effective, ended};
use super::ledger::Ledger;
use crate::kube::call::{CallError, timed};
use crate::kube::watch::Listing;

/// The part of a record that counts.
#[derive(Deserialize)]
struct Read {
    spec: TaskRecordSpec,
}

impl Keeper {
    /// Returns the books as records and Tasks have them. A record is there before its Task has ended, so that reading Tasks first and
    /// records afterwards misses none.
    pub(super) async fn add_up(&self, opened: &Opened) -> Result<Ledger, CallError> {
        let namespace = opened.budget.namespace().unwrap_or_default();
        self.tasks_are_known().await;
        let (name, now) = (opened.budget.name_any(), self.now());
        let tasks: Vec<_> = self
            .tasks_in(&namespace)
            .into_iter()
            .filter(|task| !ended(task))
            .collect();
        let running: BTreeMap<String, &Task> = tasks
            .iter()
            .filter_map(|task| Some((task.uid()?, &**task)))
            .collect();
        let mut ledger = Ledger::default();
        let path = TaskRecord::url_path(&(), Some(&namespace));
        let mut listing = Listing::new(self.client(), &path, None);
        while let Some(json) = timed("list task records", listing.next()).await? {
            let Ok(Read { spec }) = serde_json::from_slice(&json) else {
                continue;
            };
            let spawner = spec.task_spawner.as_deref();
            // Of a Task that was deleted while nobody watched, no label is known: it counts everywhere.
            let is_unknown = spec.reason == Some(TaskReason::Deleted) && spec.task_labels.is_empty();
            if !is_unknown && !cap::counts(&opened.budget.spec, &spec.task_labels, spawner) {
                continue;
            }
            let Some(completion) = &spec.completion_time else {
                continue;
            };
            let until = opened.window.until(completion.0);
            if until <= now {
                continue;
            }
            let amount = cap::spent(&Consumed {
                has_started: spec.start_time.is_some() || spec.incomplete,
                usage: spec.usage.as_ref(),
                is_incomplete: spec.incomplete,
                cap: Cap::of(spec.budget.as_ref()),
            });
            if running.contains_key(&spec.task_uid) {
                // About to end: the same is counted once more, and takes the place of this.
                ledger.settle(&spec.task_uid, &spec.task_name, spec.agent, amount, until);
            } else {
                ledger.add(amount, until);
            }
        }
        for (uid, task) in running {
            let status = task.status.clone().unwrap_or_default();
            let labels = task.labels();
            let is_of = cap::counts(
                &opened.budget.spec,
                labels,
                labels.get(labels::TASK_SPAWNER).map(String::as_str),
            );
            if status.job_name.is_some() && is_of && ledger.entry(&uid).is_none() {
                let per_task = Cap::of(opened.budget.spec.per_task.as_ref());
                ledger.hold(
                    &uid,
                    &task.name_any(),
                    task.spec.agent,
                    effective(task, &status, per_task).amount(),
                    "",
                );
            }
        }
        tracing::info!(%namespace, budget = %name, "added up a task budget from records");
        Ok(ledger)
    }
}
