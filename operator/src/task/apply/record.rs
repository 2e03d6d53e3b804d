//! The record that a Task leaves behind when it ends.
//!
//! It is written before the terminal status. A crash between the two writes leaves a Task that has not ended, so that
//! both are done again; the record's name follows from the Task's UID, so that there is never a second one.

use axon_api::limits::{MAX_MODEL, MAX_RECORDED_LABELS};
use axon_api::v1alpha1::{TaskRecord, TaskRecordSpec};
use axon_api::{Task, TaskPhase, TaskStatus, labels, naming};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize as _;

use crate::budget::cap;
use crate::kube::call::{CallError, timed};
use crate::kube::incomplete::{Cut, Stored, Write};

/// Returns the record of a Task whose status becomes `status`; `None` as long as it has not ended.
#[must_use]
pub fn record_of(task: &Task, status: &TaskStatus) -> Option<TaskRecord> {
    let phase = status.phase.filter(|phase| TaskPhase::is_terminal(*phase))?;
    let (name, uid) = (task.metadata.name.as_ref()?, task.metadata.uid.as_ref()?);
    let own = task.metadata.labels.clone().unwrap_or_default();
    let spec = TaskRecordSpec {
        task_name: name.clone(),
        task_uid: uid.clone(),
        agent: task.spec.agent,
        model: model(task),
        workspace: task.spec.workspace_ref.as_ref().map(|w| w.name.clone()),
        task_spawner: own.get(labels::TASK_SPAWNER).cloned(),
        task_labels: own.into_iter().take(MAX_RECORDED_LABELS).collect(),
        phase,
        reason: status.reason,
        creation_time: task.metadata.creation_timestamp.clone(),
        start_time: status.start_time.clone(),
        completion_time: status.completion_time.clone(),
        attempts: i32::try_from(status.attempts.len()).unwrap_or(i32::MAX),
        budget: status.budget.clone().or_else(|| task.spec.budget.clone()),
        incomplete: cap::is_incomplete(&status.attempts),
        usage: status.usage.clone(),
    };
    let mut record = TaskRecord::new(&naming::task_record(name, uid), spec);
    record.metadata.namespace.clone_from(&task.metadata.namespace);
    record.metadata.labels = Some(
        [
            (labels::NAME, labels::APP_NAME),
            (labels::MANAGED_BY, labels::MANAGER),
            (labels::TASK, name.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    );
    Some(record)
}

/// Returns the model that a Task names. A Task that is older than the limit may name a longer one, and still gets a record.
fn model(task: &Task) -> Option<String> {
    let model = task.spec.model.as_deref().filter(|model| !model.is_empty())?;
    Some(model.chars().take(MAX_MODEL).collect())
}

/// The part of a record that the API server has stored.
#[derive(Debug)]
pub enum Recorded {
    /// All of it, or there is none to store yet.
    Whole,
    /// All but this, for what it said about the whole.
    Part(Cut, CallError),
    /// Nothing, for this reason.
    Nothing(CallError),
}

/// Makes sure that the record of a Task that is about to end is there and agrees with `status`.
///
/// # Errors
/// If the API server does not answer. What it refuses is no reason for a Task not to end.
pub async fn keep(task: &Task, status: &TaskStatus, client: &Client) -> Result<Recorded, CallError> {
    let Some(record) = record_of(task, status) else {
        return Ok(Recorded::Whole);
    };
    let in_json = |error| CallError::Call {
        what: "create task record",
        source: Box::new(kube::Error::SerdeError(error)),
    };
    let whole = match serde_json::to_value(&record) {
        Ok(whole) => whole,
        Err(error) => return Ok(Recorded::Nothing(in_json(error))),
    };
    let mut record = Write::new("spec", whole);
    let written = loop {
        let call = match TaskRecord::deserialize(record.body()) {
            Ok(record) => write(&record, client).await,
            Err(error) => return Ok(Recorded::Nothing(in_json(error))),
        };
        if let Some(written) = record.end(call) {
            break written;
        }
    };
    match written {
        Ok(Stored {
            cut: Some((cut, said)),
            ..
        }) => Ok(Recorded::Part(cut, said)),
        Err(error) if error.is_refusal() => Ok(Recorded::Nothing(error)),
        written => written.map(|_| Recorded::Whole),
    }
}

async fn write(record: &TaskRecord, client: &Client) -> Result<(), CallError> {
    let api = Api::<TaskRecord>::namespaced(
        client.clone(),
        record.metadata.namespace.as_deref().unwrap_or_default(),
    );
    let params = PostParams {
        field_manager: Some(labels::MANAGER.into()),
        ..PostParams::default()
    };
    let name = record.name_any();
    match timed("create task record", api.create(&params, record)).await {
        Err(error) if error.is_already_exists() => {}
        result => return result.map(drop),
    }
    // From an earlier try whose status was not written. What became of the Task may look different by now.
    let Some(existing) = timed("get task record", api.get_opt(&name)).await? else {
        return timed("create task record", api.create(&params, record))
            .await
            .map(drop);
    };
    if existing.spec == record.spec {
        return Ok(());
    }
    let exactly = DeleteParams {
        preconditions: Some(Preconditions {
            uid: existing.metadata.uid,
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    timed("delete task record", api.delete(&name, &exactly)).await?;
    timed("create task record", api.create(&params, record))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use axon_api::TaskReason;
    use axon_api::usage::Usage;
    use axon_api::v1alpha1::{Attempt, NameRef};

    use super::*;
    use crate::task::fixtures::task;

    #[test]
    fn only_a_task_that_has_ended_has_a_record() {
        let running = TaskStatus {
            phase: Some(TaskPhase::Running),
            ..TaskStatus::default()
        };
        assert_eq!(record_of(&task("t"), &TaskStatus::default()), None);
        assert_eq!(record_of(&task("t"), &running), None);
    }

    #[test]
    fn a_record_keeps_what_was_asked_for_and_what_it_took() {
        let mut task = task("fix");
        task.metadata.labels = Some(
            [("team", "a"), (labels::TASK_SPAWNER, "bugs")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        );
        task.spec.model = Some("m".into());
        task.spec.workspace_ref = Some(NameRef::new("w"));
        let usage = Usage {
            cost_usd: Some("0.5".into()),
            input_tokens: Some(7),
            ..Usage::default()
        };
        let status = TaskStatus {
            phase: Some(TaskPhase::Failed),
            reason: Some(TaskReason::AgentError),
            attempts: vec![Attempt::default(), Attempt::default()],
            usage: Some(usage.clone()),
            ..TaskStatus::default()
        };
        let record = record_of(&task, &status).unwrap();
        assert_eq!(record.metadata.name.as_deref(), Some("fix-uid-1"));
        assert_eq!(record.metadata.namespace.as_deref(), Some("team"));
        assert_eq!(record.metadata.owner_references, None, "it outlives the Task");
        let spec = record.spec;
        assert_eq!(
            (spec.task_name.as_str(), spec.task_uid.as_str()),
            ("fix", "uid-1")
        );
        assert_eq!(spec.task_spawner.as_deref(), Some("bugs"));
        assert_eq!(spec.task_labels.get("team").map(String::as_str), Some("a"));
        assert_eq!(
            (spec.model.as_deref(), spec.workspace.as_deref()),
            (Some("m"), Some("w"))
        );
        assert_eq!((spec.phase, spec.attempts), (TaskPhase::Failed, 2));
        assert_eq!(spec.usage, Some(usage));
        let mut large = task.clone();
        large.spec.model = Some("é".repeat(MAX_MODEL + 1));
        large.metadata.labels = Some((0..1000).map(|n| (format!("l{n}"), String::new())).collect());
        let large = record_of(&large, &status).unwrap().spec;
        assert_eq!(
            (large.model.unwrap().chars().count(), large.task_labels.len()),
            (MAX_MODEL, MAX_RECORDED_LABELS),
            "a record fits its own limits"
        );
        let again = record_of(&task, &status).unwrap();
        assert_eq!(again.metadata.name.as_deref(), Some("fix-uid-1"));
    }
}
