//! What TaskBudgets say to a Task that is about to start, and the watch of them.

use std::time::Duration;

use axon_api::v1alpha1::{Budget, TaskBudget};
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use futures::StreamExt as _;
use kube::Client;
use kube_runtime::reflector::store::Writer;

use super::context::Context;
use super::decide::Decision;
use super::decide::budget::left;
use super::decide::failure::Failure;
use super::decide::status::enter;
use super::observe::stores::Filled;
use crate::budget::cap::Cap;
use crate::budget::keeper::Admission;
use crate::kube::call::CallError;
use crate::kube::watch::{Scope, is_served, watch_custom};

/// Pause before budgets are asked again that somebody else has written at the same time.
const AGAIN: Duration = Duration::from_millis(500);
/// Pause before it is asked again whether there are budgets, where the API server did not answer.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Pause before it is asked again whether there are budgets at all.
const NOT_SERVED: Duration = Duration::from_secs(60);

/// The budgets in which a Task's cap is reserved, and its cap where a budget gave it.
pub(super) type Admitted = (Vec<String>, Option<Budget>);

/// What to do after the budgets were asked.
pub(super) enum Step {
    /// This.
    Do(Decision),
    /// Nothing, for so long.
    Later(Duration),
}

/// Reserves what a Task may spend before its Job is made.
///
/// # Errors
/// If the API server does not answer.
pub(super) async fn step(
    task: &Task,
    decision: Decision,
    admitted: &mut Option<Admitted>,
    context: &Context,
) -> Result<Step, CallError> {
    let Decision::CreateJob(mut known) = decision else {
        // Whatever it waits for now, it holds up nobody who waits for room.
        context.keeper.forget(task);
        return Ok(Step::Do(decision));
    };
    let price = context.options.prices.price_of(task);
    let fail = |known: &TaskStatus, failure: Failure| {
        let (reason, message) = (failure.reason, failure.message);
        Ok(Step::Do(say(
            task,
            known,
            TaskPhase::Failed,
            reason,
            &message,
            Duration::ZERO,
            context,
        )))
    };
    let admission = match admitted.take() {
        Some((budgets, cap)) => Admission::Go(budgets, cap),
        None => {
            let own = Cap::of(known.budget.as_ref().or(task.spec.budget.as_ref()));
            let cost_is_known = task.spec.agent.reports_cost() || price.is_some();
            context.keeper.admit(task, own, cost_is_known).await?
        }
    };
    Ok(match admission {
        Admission::Go(budgets, given) => {
            if given.is_some() {
                known.budget.clone_from(&given);
            }
            if let Err(failure) = left(task, &known, price) {
                return fail(&known, failure);
            }
            known.budgets.clone_from(&budgets);
            *admitted = Some((budgets, given));
            Step::Do(Decision::CreateJob(known))
        }
        Admission::Wait(reason, message, wake) => {
            // The run is still to come: without this the Job would seem to be lost.
            known.next_run = task.status.as_ref().and_then(|status| status.next_run.clone());
            Step::Do(say(
                task,
                &known,
                TaskPhase::Waiting,
                reason,
                &message,
                wake,
                context,
            ))
        }
        Admission::Fail(reason, message) => Step::Do(say(
            task,
            &known,
            TaskPhase::Failed,
            reason,
            &message,
            Duration::ZERO,
            context,
        )),
        Admission::Again => Step::Later(AGAIN),
    })
}

/// Returns the write of what the budgets say; none if the Task says so already, with the sums of an earlier time.
fn say(
    task: &Task,
    known: &TaskStatus,
    phase: TaskPhase,
    reason: TaskReason,
    message: &str,
    wake: Duration,
    context: &Context,
) -> Decision {
    let told = task
        .status
        .as_ref()
        .filter(|told| told.phase == Some(phase) && told.reason == Some(reason));
    if told.is_some_and(|told| same_wait(told.message.as_deref().unwrap_or_default(), message)) {
        return Decision::Wait(Some(wake));
    }
    let status = enter(
        known,
        phase,
        reason,
        message,
        task.metadata.generation,
        context.clock.now(),
    );
    Decision::UpdateStatus(Box::new(status))
}

/// Returns true if both messages are about the same wait: they agree up to the first sum.
fn same_wait(told: &str, message: &str) -> bool {
    let head = |message: &str| message.split(':').next().unwrap_or_default().to_owned();
    head(told) == head(message)
}

/// Watches TaskBudgets. Where the API server does not serve the kind, as its definitions are older, there are none.
pub(super) async fn watch(
    client: Client,
    scope: &Scope,
    writer: Writer<TaskBudget>,
    filled: Filled,
    told: impl Fn(&TaskBudget) + Send + 'static,
) {
    let first = filled.on_first_list();
    loop {
        let pause = match is_served::<TaskBudget>(&client).await {
            Ok(true) => break,
            Ok(false) => {
                first(&kube_runtime::watcher::Event::<TaskBudget>::InitDone);
                NOT_SERVED
            }
            Err(error) => {
                tracing::warn!(%error, "whether there are TaskBudgets can't be read; no Task starts until then");
                UNKNOWN
            }
        };
        tokio::time::sleep(pause).await;
    }
    let events = watch_custom(client, scope, writer, first);
    let mut events = Box::pin(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(budget) => told(&budget),
            Err(error) => tracing::warn!(%error, "the watch of TaskBudgets is broken and is set up again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_once_although_its_sums_change() {
        let first = "waits for room in TaskBudget team: $80.00 of $100.00 spent";
        assert!(same_wait(
            first,
            "waits for room in TaskBudget team: $90.00 of $100.00 spent"
        ));
        assert!(!same_wait(
            first,
            "waits for room in TaskBudget other: $90.00 of $100.00 spent"
        ));
        assert!(!same_wait(
            first,
            "waits for room in TaskBudget team, for which older Tasks wait too"
        ));
    }
}
