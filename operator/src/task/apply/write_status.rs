//! Writes what became of a Task: its record and its status, whole or in part.

use std::time::Duration;

use axon_api::shown::make_storable;
use axon_api::{API_VERSION, Task, TaskPhase, TaskStatus};
use kube::ResourceExt;
use kube_runtime::controller::Action;
use serde_json::json;

use super::record::{self, Recorded};
use crate::budget::cap::Cap;
use crate::kube::call::{CallError, timed};
use crate::kube::incomplete::{self, Write};
use crate::kube::watch;
use crate::metrics::Kept;
use crate::task::context::Context;
use crate::task::observe::has_ended;

/// Pause before another look at a Task whose status was written and has not changed by that.
const UNSTORED_PAUSE: Duration = Duration::from_secs(30);

/// A status that was written.
pub(super) struct WrittenStatus {
    /// True if it begins a phase.
    pub begins: bool,
    /// When to look again.
    pub next: Action,
}

/// Writes the status, and before an end the record. What the API server refuses is told, and stored in part if it can be.
///
/// # Errors
/// [`CallError`] if nothing of the status was stored.
pub(super) async fn write_status(
    task: &Task,
    status: &TaskStatus,
    context: &Context,
) -> Result<WrittenStatus, CallError> {
    // Once: what became of the record since is others' business.
    let mut status = status.clone();
    if !has_ended(task) && status.phase.is_some_and(TaskPhase::is_terminal) {
        if status.budget.is_none() && task.spec.budget.is_none() {
            status.budget = context.keeper.held_cap(task);
        }
        keep_record(task, &status, context).await?;
        // After the record and before the status: whoever repeats this finds what is counted already.
        let own = Cap::of(task.spec.budget.as_ref());
        status.budgets = context.keeper.settle(task, &status, own).await?;
    }
    let status = &status;
    let mut body = json!({
        "apiVersion": API_VERSION,
        "kind": "Task",
        // The version makes the write a compare-and-swap: a decision on an old state is not written.
        "metadata": { "resourceVersion": task.resource_version() },
        "status": status,
    });
    make_storable(&mut body);
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let mut write = Write::new("status", body).without(context.shared.definitions.lacks("Task"));
    let stored = loop {
        let call = watch::write_status_only::<Task>(&context.client, &namespace, &name, write.body());
        if let Some(stored) = write.end(timed("write task status", call).await) {
            break stored;
        }
    };
    let stored = match stored {
        Err(error) if incomplete::is_malformed(&error) => {
            context.metrics.refused("Task", &error, Kept::Nothing);
            tell_refused_status(task, &error, context).await;
            return Err(error);
        }
        stored => stored?,
    };
    if let Some((cut, said)) = &stored.cut {
        tracing::warn!(task = %name, %namespace, without = cut.what(), error = %said, "the API server stores the status in part only");
        context.metrics.refused("Task", said, Kept::Part);
        let note = cut.note("status", said);
        context.events.warn(task, "StatusIncomplete", &note).await;
        context.shared.definitions.doubt();
    }
    let new = stored.value;
    // Nothing has changed, although this status says more: the API server has dropped fields that its definitions lack. No
    // event comes, and the same would be decided again.
    let is_unchanged = new.is_some() && new == task.resource_version();
    if is_unchanged && stored.cut.is_none() {
        context.shared.definitions.doubt();
    }
    context.expectations.note(task, new.as_deref());
    context.metrics.created(task, status);
    let begins = status.phase != task.status.as_ref().and_then(|s| s.phase);
    if begins {
        tracing::info!(
            task = %name,
            %namespace,
            uid = %task.uid().unwrap_or_default(),
            phase = %status.phase.map(|p| p.to_string()).unwrap_or_default(),
            reason = %status.reason.map(|r| r.to_string()).unwrap_or_default(),
            message = status.message.as_deref().unwrap_or_default(),
            "task changed phase"
        );
    }
    let next = if is_unchanged {
        Action::requeue(UNSTORED_PAUSE)
    } else {
        Action::await_change()
    };
    Ok(WrittenStatus { begins, next })
}

/// Tells of a status that the API server refuses, in an event: nothing else can be seen of it. API servers before Kubernetes
/// 1.30 check all rules of the definition at each write, so a Task that was stored under other definitions, and breaks a rule
/// of these, can't get a status.
async fn tell_refused_status(task: &Task, error: &CallError, context: &Context) {
    let note = format!(
        "the API server does not store what became of the Task: delete it with `kubectl delete task {}`, and create it again with a \
         spec that is accepted; the operator tries again with growing pauses of up to 5 minutes: {error}",
        task.name_any()
    );
    context.events.warn(task, "StatusRefused", &note).await;
}

/// Makes sure of the record of a Task that is about to end, and tells of what the API server refuses.
async fn keep_record(task: &Task, status: &TaskStatus, context: &Context) -> Result<(), CallError> {
    let (name, namespace) = (task.name_any(), task.namespace().unwrap_or_default());
    match record::keep(task, status, &context.client).await? {
        Recorded::Whole => return Ok(()),
        Recorded::Part(cut, said) => {
            tracing::warn!(task = %name, %namespace, without = cut.what(), error = %said, "the API server stores the record in part only");
            context.metrics.refused("TaskRecord", &said, Kept::Part);
            let note = cut.note("TaskRecord", &said);
            context.events.warn(task, "RecordIncomplete", &note).await;
        }
        Recorded::Nothing(error) => {
            tracing::warn!(task = %name, %namespace, %error, "the task ends without a record of what it has consumed");
            context.metrics.refused("TaskRecord", &error, Kept::Nothing);
            let note = format!("the Task ends without a TaskRecord of what it has consumed: {error}");
            context.events.warn(task, "RecordRefused", &note).await;
        }
    }
    context.shared.definitions.doubt();
    Ok(())
}
