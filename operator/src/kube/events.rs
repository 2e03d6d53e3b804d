//! Events for people: few, and only after the status that they tell of is written.

use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

/// Longest that publishing may take; the client itself would wait for ever.
const LIMIT: Duration = Duration::from_secs(5);

/// Publishes events about Tasks.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(Event, ObjectReference)>,
    /// Counts what repeats itself.
    recorder: Recorder,
}

/// Events that wait to be sent; more are left out.
const QUEUE: usize = 10_000;
/// Of them, those that are on their way at the same time: work on Tasks comes first.
const AT_ONCE: usize = 4;

impl Events {
    /// Returns a publisher in the name of this replica. Within a runtime only.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "axon-operator".into(),
            instance: Some(instance.to_owned()),
        };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        let (queue, queued) = mpsc::channel(QUEUE);
        let queued = stream::unfold(queued, async |mut queued: mpsc::Receiver<_>| {
            Some((queued.recv().await?, queued))
        });
        tokio::spawn(
            queued.for_each_concurrent(AT_ONCE, move |(event, about): (Event, ObjectReference)| {
                // A phase begins once. A recorder keeps what it has sent for minutes, and looks through it each time.
                let once = Recorder::new(client.clone(), reporter.clone());
                async move { publish(&once, &event, &about).await }
            }),
        );
        Self { queue, recorder }
    }

    /// Tells soon that a Task has entered the phase of `status`. An event that can't be written is only logged: the
    /// status has it all.
    pub fn phase(&self, task: &Task, status: &TaskStatus) {
        if let Some(event) = event_of(status) {
            self.soon(event, task.object_ref(&()));
        }
    }

    /// Publishes an event that happens once, after those that wait.
    pub(crate) fn soon(&self, event: Event, about: ObjectReference) {
        if self.queue.clone().try_send((event, about)).is_err() {
            tracing::debug!("left out an event: too many wait");
        }
    }

    /// Warns about a Task that goes on all the same.
    pub async fn warn(&self, task: &Task, reason: &str, note: &str) {
        let event = event(EventType::Warning, "Run", reason, note);
        self.send(&event, &task.object_ref(&())).await;
    }

    /// Publishes an event, if that goes well.
    pub(crate) async fn send(&self, event: &Event, about: &ObjectReference) {
        publish(&self.recorder, event, about).await;
    }
}

async fn publish(recorder: &Recorder, event: &Event, about: &ObjectReference) {
    match tokio::time::timeout(LIMIT, recorder.publish(event, about)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "failed to publish an event"),
        Err(_) => tracing::debug!("failed to publish an event in time"),
    }
}

fn event_of(status: &TaskStatus) -> Option<Event> {
    let (type_, reason, note) = match status.phase? {
        TaskPhase::Waiting => return None,
        TaskPhase::Pending if status.reason == Some(TaskReason::Retrying) => (
            EventType::Warning,
            "TaskRetrying",
            status.message.clone().unwrap_or_default(),
        ),
        // From the phase Running: a new Job is told of as created.
        TaskPhase::Pending if status.reason == Some(TaskReason::Queued) => (
            EventType::Normal,
            "TaskQueued",
            status.message.clone().unwrap_or_default(),
        ),
        TaskPhase::Pending => (
            EventType::Normal,
            "TaskCreated",
            format!("created Job {}", status.job_name.as_deref().unwrap_or_default()),
        ),
        TaskPhase::Running => (
            EventType::Normal,
            "TaskRunning",
            format!(
                "agent runs in pod {}",
                status.pod_name.as_deref().unwrap_or_default()
            ),
        ),
        TaskPhase::Succeeded => (
            EventType::Normal,
            "TaskSucceeded",
            // What was left out of its report, if anything was.
            match status
                .attempts
                .last()
                .and_then(|attempt| attempt.message.as_deref())
            {
                Some(message) => format!("agent has finished; {message}"),
                None => "agent has finished".to_owned(),
            },
        ),
        TaskPhase::Failed => {
            let reason = status.reason.map(|r| r.to_string()).unwrap_or_default();
            (
                EventType::Warning,
                "TaskFailed",
                format!("{reason}: {}", status.message.as_deref().unwrap_or_default()),
            )
        }
    };
    Some(event(type_, "Run", reason, &note))
}

/// Bytes of a note that the API takes.
const MAX_NOTE: usize = 1024;

/// Returns an event with as much of the note as the API takes.
pub(crate) fn event(type_: EventType, action: &str, reason: &str, note: &str) -> Event {
    let end = (0..=MAX_NOTE.min(note.len())).rfind(|at| note.is_char_boundary(*at));
    Event {
        type_,
        reason: reason.to_owned(),
        note: end.and_then(|end| note.get(..end)).map(str::to_owned),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_warning_that_names_its_reason() {
        let status = TaskStatus {
            phase: Some(TaskPhase::Failed),
            reason: Some(TaskReason::OOMKilled),
            message: Some("x".repeat(5000)),
            ..TaskStatus::default()
        };
        let event = event_of(&status).unwrap();
        assert_eq!(
            (event.reason.as_str(), event.type_ == EventType::Warning),
            ("TaskFailed", true)
        );
        let note = event.note.unwrap();
        assert!(note.starts_with("OOMKilled: x") && note.len() == MAX_NOTE);
    }

    #[test]
    fn a_note_of_any_language_fits() {
        let note = |text: &str| event(EventType::Warning, "Run", "R", text).note.unwrap();
        for letter in ["é", "漢", "🦀"] {
            let cut = note(&letter.repeat(5000));
            assert!(cut.len() <= MAX_NOTE && cut.len() > MAX_NOTE - 4, "{}", cut.len());
            assert!(cut.ends_with(letter));
        }
        assert_eq!(note("short: é"), "short: é");
        assert_eq!(note(""), "");
    }
}
