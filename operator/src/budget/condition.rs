//! What a budget's conditions say. Pure.

use axon_api::v1alpha1::budget_condition::{EXHAUSTED, READY};
use axon_api::v1alpha1::{TaskBudget, TaskBudgetStatus};
use jiff::Timestamp;

use crate::kube::conditions::ConditionState;

/// Why a budget can't be enforced as it is written. Its Tasks wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// One word for programs.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Sets the conditions: `Ready` by what is wrong, `Exhausted` by the Tasks that wait for room.
pub fn set(
    budget: &TaskBudget,
    status: &mut TaskBudgetStatus,
    wrong: Option<&Unusable>,
    waiting: usize,
    now: Timestamp,
) {
    let is_full = waiting > 0;
    let (reason, message) = wrong.map_or(("Enforced", "the budget is enforced"), |wrong| {
        (wrong.reason, wrong.message.as_str())
    });
    let ready = ConditionState {
        kind: READY,
        status: wrong.is_none(),
        reason,
        message,
    };
    let (reason, message) = if is_full {
        ("TasksWait", "Tasks wait for room")
    } else {
        ("NoTaskWaits", "no Task waits for room")
    };
    let exhausted = ConditionState {
        kind: EXHAUSTED,
        status: is_full,
        reason,
        message,
    };
    let generation = budget.metadata.generation;
    status.conditions = [ready, exhausted]
        .map(|state| state.after(&status.conditions, generation, now))
        .to_vec();
    status.observed_generation = generation;
}
