//! Counts what a Task has spent, when it ends.

use axon_api::v1alpha1::{Budget, TaskBudget};
use axon_api::{Task, TaskStatus};
use kube::ResourceExt as _;

use super::amount::Amount;
use super::cap::{self, Cap, Consumed};
use super::keeper::{Keeper, TRIES, effective, has_entry};
use super::ledger::Ledger;
use crate::kube::call::CallError;

impl Keeper {
    /// Counts what a Task has spent, in every budget that has reserved for it or counts it, before its status says that it has ended.
    /// Returns the names of these budgets.
    ///
    /// # Errors
    /// If the API server does not answer, or somebody else writes all the time.
    pub async fn settle(
        &self,
        task: &Task,
        status: &TaskStatus,
        default: Cap,
    ) -> Result<Vec<String>, CallError> {
        self.forget(task);
        let (uid, name) = (task.uid().unwrap_or_default(), task.name_any());
        let namespace = task.namespace().unwrap_or_default();
        let concerned = |budget: &TaskBudget| self.is_of(budget, task) || has_entry(budget, &uid);
        if !self.in_namespace(&namespace).iter().any(concerned) {
            return Ok(Vec::new());
        }
        let cap = effective(task, status, default);
        let is_incomplete = cap::is_incomplete(&status.attempts);
        let amount = cap::spent(&Consumed {
            has_started: status.start_time.is_some() || is_incomplete,
            usage: status.usage.as_ref(),
            is_incomplete,
            cap,
        });
        let at = status
            .completion_time
            .as_ref()
            .map_or_else(|| self.now(), |time| time.0);
        let gate = self.gate(&namespace);
        let _passes_one_by_one = gate.lock().await;
        let (mut names, mut skipped) = (Vec::new(), Vec::new());
        let mut left = TRIES;
        loop {
            let is_left = |budget: &TaskBudget| {
                let name = budget.name_any();
                concerned(budget) && !names.contains(&name) && !skipped.contains(&name)
            };
            let next = self.in_namespace(&namespace).into_iter().find(is_left);
            let Some(budget) = next else { return Ok(names) };
            let budget_name = budget.name_any();
            let Ok(mut opened) = self.open(budget).await? else {
                // Counted by the sweep, once the budget can be used: the Task does not say that it is counted here.
                skipped.push(budget_name);
                continue;
            };
            let entry = opened.ledger.entry(&uid);
            if entry.is_some_and(|entry| !entry.is_held() && entry.amount == amount) {
                names.push(budget_name);
                continue;
            }
            // After the version of the budget that this write is made on: it may be counted and forgotten already.
            if entry.is_none() && (amount.is_zero() || self.has_ended_meanwhile(task).await?) {
                names.push(budget_name);
                continue;
            }
            let until = opened.window.until(at);
            opened.ledger.settle(&uid, &name, task.spec.agent, amount, until);
            let ledger = opened.ledger.clone();
            let written = match self.write(&opened, ledger).await {
                // No reason for a Task not to end; the sweep tries again.
                Err(error) if error.is_refusal() => {
                    tracing::warn!(%namespace, budget = %budget_name, %error, "what a task has spent is not counted yet");
                    skipped.push(budget_name);
                    continue;
                }
                written => written?,
            };
            if written {
                names.push(budget_name);
            } else if left == 0 {
                return Err(CallError::Timeout {
                    what: "count what a task has spent",
                });
            } else {
                left -= 1;
            }
        }
    }

    /// Returns the cap that is reserved for a Task, if one is: it counts where neither its spec nor its status has one.
    #[must_use]
    pub fn held_cap(&self, task: &Task) -> Option<Budget> {
        let uid = task.uid()?;
        let budgets = self.in_namespace(&task.namespace().unwrap_or_default());
        let entries = budgets.iter().filter_map(|budget| {
            let ledger = Ledger::read(budget.status.as_ref()?);
            ledger
                .entry(&uid)
                .filter(|entry| entry.is_held())
                .map(|entry| entry.amount)
        });
        let amount = entries.reduce(|one, other| Amount {
            cost: one.cost.max(other.cost),
            tokens: one.tokens.max(other.tokens),
            runs: 1,
        })?;
        Cap {
            cost: Some(amount.cost).filter(|cost| cost.nanos() > 0),
            tokens: Some(amount.tokens).filter(|tokens| *tokens > 0),
        }
        .store()
    }
}
