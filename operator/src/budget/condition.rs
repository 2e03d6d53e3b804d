//! What a budget's conditions say. Pure.

use axon_api::v1alpha1::budget_condition::{EXHAUSTED, READY};
use axon_api::v1alpha1::{TaskBudget, TaskBudgetStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

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
    let old = status.conditions.clone();
    let is_full = waiting > 0;
    let ready = wrong.map_or(("Enforced", "the budget is enforced".to_owned()), |wrong| {
        (wrong.reason, wrong.message.clone())
    });
    let room = if is_full {
        ("TasksWait", "Tasks wait for room".to_owned())
    } else {
        ("NoTaskWaits", "no Task waits for room".to_owned())
    };
    let generation = budget.metadata.generation;
    let condition = |kind: &str, is: bool, (reason, message): (&str, String)| {
        let status = if is { "True" } else { "False" };
        let since = old.iter().find(|old| old.type_ == kind && old.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: since.map_or_else(
                || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
                |old| old.last_transition_time.clone(),
            ),
        }
    };
    status.conditions = vec![
        condition(READY, wrong.is_none(), ready),
        condition(EXHAUSTED, is_full, room),
    ];
    status.observed_generation = generation;
}
