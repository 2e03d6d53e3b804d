//! Puts the books in order where no Task does: Tasks that are gone, that ran before their budget was there, or that nobody counted.

use std::time::Duration;

use axon_api::v1alpha1::{TaskBudget, TaskReason, TaskRecord, TaskRecordSpec};
use axon_api::{Task, TaskPhase, labels, naming};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use kube_runtime::reflector::ObjectRef;

use super::cap::{self, Cap, Consumed};
use super::keeper::{Keeper, Opened, effective, ended};
use super::ledger::{Entry, Ledger};
use crate::kube::call::{CallError, timed};

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(15);

/// Goes through all budgets from time to time, until the returned future is dropped.
pub async fn run(keeper: Keeper) {
    keeper.tasks_are_known().await;
    loop {
        for budget in keeper.all() {
            if let Err(error) = keeper.put_in_order(&budget).await {
                let (namespace, name) = (budget.namespace().unwrap_or_default(), budget.name_any());
                tracing::warn!(%namespace, budget = %name, %error, "a task budget is not put in order; will try again");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Keeper {
    async fn put_in_order(&self, budget: &TaskBudget) -> Result<(), CallError> {
        let namespace = budget.namespace().unwrap_or_default();
        let gate = self.gate(&namespace);
        let _passes_one_by_one = gate.lock().await;
        let Some(budget) = self.newest(&namespace, &budget.name_any()) else {
            return Ok(());
        };
        let opened = match self.open(budget).await? {
            Ok(opened) => opened,
            Err(unusable) => return self.tell_unusable(&unusable).await,
        };
        let mut ledger = opened.ledger.clone();
        for (uid, entry) in opened.ledger.entries() {
            self.check(&opened, &mut ledger, uid, entry).await?;
        }
        self.adopt(&opened, &mut ledger).await?;
        if self.says_more(&opened, &ledger) {
            self.write(&opened, ledger).await?;
        }
        Ok(())
    }

    /// Looks after one entry: nobody else will, if its Task is gone or has ended without being counted.
    async fn check(
        &self,
        opened: &Opened,
        ledger: &mut Ledger,
        uid: &str,
        entry: &Entry,
    ) -> Result<(), CallError> {
        let namespace = opened.budget.namespace().unwrap_or_default();
        let kept = self.task(&ObjectRef::new(&entry.task).within(&namespace));
        if let Some(task) = kept.filter(|task| task.uid().as_deref() == Some(uid)) {
            if ended(&task) && entry.is_held() {
                self.count_ended(opened, ledger, &task).await?;
            }
            // One that was counted is forgotten at the next write.
            return Ok(());
        }
        // The store may not have heard of a Task that another replica has started.
        let api = Api::<Task>::namespaced(self.client(), &namespace);
        let live = timed("get task", api.get_opt(&entry.task)).await?;
        if live.is_some_and(|live| live.uid().as_deref() == Some(uid)) {
            return Ok(());
        }
        if !entry.is_held() {
            ledger.forget(uid);
            return Ok(());
        }
        let record = self.record_of_gone(&namespace, uid, entry).await?;
        let at = record
            .completion_time
            .as_ref()
            .map_or_else(|| self.now(), |time| time.0);
        let amount = cap::spent(&Consumed {
            has_started: record.start_time.is_some() || record.incomplete,
            usage: record.usage.as_ref(),
            is_incomplete: record.incomplete,
            cap: Cap::of(record.budget.as_ref()),
        });
        ledger.settle(uid, &entry.task, entry.agent, amount, opened.window.until(at));
        ledger.forget(uid);
        Ok(())
    }

    /// Counts a Task that has ended and is held: an operator that knows no budgets has ended it, or two have led at the same time.
    async fn count_ended(&self, opened: &Opened, ledger: &mut Ledger, kept: &Task) -> Result<(), CallError> {
        let (name, uid) = (kept.name_any(), kept.uid().unwrap_or_default());
        let api = Api::<Task>::namespaced(self.client(), &opened.budget.namespace().unwrap_or_default());
        let live = timed("get task", api.get_opt(&name))
            .await?
            .filter(|live| live.metadata.uid == kept.metadata.uid);
        let Some(status) = live.as_ref().and_then(|live| live.status.as_ref()) else {
            return Ok(());
        };
        if status.budgets.contains(&opened.budget.name_any()) {
            ledger.release(&uid);
            return Ok(());
        }
        let is_incomplete = cap::is_incomplete(&status.attempts);
        let amount = cap::spent(&Consumed {
            has_started: status.start_time.is_some() || is_incomplete,
            usage: status.usage.as_ref(),
            is_incomplete,
            cap: effective(kept, status, Cap::of(opened.budget.spec.per_task.as_ref())),
        });
        let at = status
            .completion_time
            .as_ref()
            .map_or_else(|| self.now(), |time| time.0);
        ledger.settle(&uid, &name, kept.spec.agent, amount, opened.window.until(at));
        ledger.forget(&uid);
        Ok(())
    }

    /// Returns the record of a Task that is gone; writes one if there is none: of what it has spent no more is known than its cap.
    async fn record_of_gone(
        &self,
        namespace: &str,
        uid: &str,
        entry: &Entry,
    ) -> Result<TaskRecordSpec, CallError> {
        let api = Api::<TaskRecord>::namespaced(self.client(), namespace);
        let name = naming::task_record(&entry.task, uid);
        if let Some(record) = timed("get task record", api.get_opt(&name)).await? {
            return Ok(record.spec);
        }
        let cap = Cap {
            cost: Some(entry.amount.cost).filter(|cost| cost.nanos() > 0),
            tokens: Some(entry.amount.tokens).filter(|tokens| *tokens > 0),
        };
        let now = Timestamp::from_second(self.now().as_second()).unwrap_or_default();
        let spec = TaskRecordSpec {
            task_name: entry.task.clone(),
            task_uid: uid.to_owned(),
            agent: entry.agent,
            model: None,
            workspace: None,
            task_spawner: None,
            task_labels: std::collections::BTreeMap::new(),
            phase: TaskPhase::Failed,
            reason: Some(TaskReason::Deleted),
            creation_time: None,
            start_time: None,
            completion_time: Some(Time(now)),
            attempts: 1,
            budget: cap.store(),
            incomplete: true,
            usage: None,
        };
        let mut record = TaskRecord::new(&name, spec.clone());
        record.metadata.labels = Some(
            [
                (labels::NAME, labels::APP_NAME),
                (labels::MANAGED_BY, labels::MANAGER),
                (labels::TASK, entry.task.as_str()),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        );
        let params = PostParams {
            field_manager: Some(labels::MANAGER.into()),
            ..PostParams::default()
        };
        match timed("create task record", api.create(&params, &record)).await {
            Err(error) if !error.is_already_exists() => Err(error),
            _ => Ok(spec),
        }
    }

    /// Holds what Tasks may spend that run and are not in the books: the budget is newer, or their labels have changed.
    async fn adopt(&self, opened: &Opened, ledger: &mut Ledger) -> Result<(), CallError> {
        let namespace = opened.budget.namespace().unwrap_or_default();
        for task in self.tasks_in(&namespace) {
            let Some(uid) = task.uid() else { continue };
            let runs = task
                .status
                .as_ref()
                .is_some_and(|status| status.job_name.is_some());
            if ended(&task) || !runs || ledger.entry(&uid).is_some() || !self.is_of(&opened.budget, &task) {
                continue;
            }
            // After the version of the budget that this is written on: it may have ended, and be counted, by now.
            let api = Api::<Task>::namespaced(self.client(), &namespace);
            let live = timed("get task", api.get_opt(&task.name_any())).await?;
            if let Some(live) = live.filter(|live| live.metadata.uid == task.metadata.uid && !ended(live)) {
                let status = live.status.clone().unwrap_or_default();
                let per_task = Cap::of(opened.budget.spec.per_task.as_ref());
                ledger.hold(
                    &uid,
                    &live.name_any(),
                    live.spec.agent,
                    effective(&live, &status, per_task).amount(),
                    "",
                );
            }
        }
        Ok(())
    }
}
