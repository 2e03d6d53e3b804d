//! Events about spawners: what people would ask about, once per change.

use axon_api::TaskSpawner;
use axon_api::v1alpha1::SpawnerReason;
use axon_api::v1alpha1::TaskSpawnerStatus;
use axon_api::v1alpha1::spawner_condition as kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube_runtime::events::{Event, EventType};

use crate::kube::events;
use crate::kube::events::Events;

/// Conditions that are news when they come to have this status.
const BAD: [(&str, &str); 8] = [
    (kind::SOURCE_REACHABLE, "False"),
    (kind::SCHEDULE_VALID, "False"),
    (kind::TEMPLATE_VALID, "False"),
    (kind::ITEMS_BLOCKED, "True"),
    (kind::TASK_BUDGET_EXHAUSTED, "True"),
    (kind::RUNS_SKIPPED, "True"),
    (kind::OPEN_TO_STRANGERS, "True"),
    (kind::PERMISSION_UNKNOWN, "True"),
];

impl Events {
    /// Tells that a Task was created.
    pub fn spawned(&self, spawner: &TaskSpawner, task: &str) {
        let event = event(
            EventType::Normal,
            SpawnerReason::TaskCreated.as_ref(),
            &format!("created Task {task}"),
        );
        self.soon(event, spawner.object_ref(&()));
    }

    /// Warns about a TaskSpawner that goes on all the same. The same warning again is counted, not repeated.
    pub(crate) async fn warn_of_spawner(&self, spawner: &TaskSpawner, reason: SpawnerReason, note: &str) {
        let event = event(EventType::Warning, reason.as_ref(), note);
        self.send(&event, &spawner.object_ref(&())).await;
    }

    /// Tells what has gone wrong, or right again, between two statuses.
    pub fn spawner(&self, spawner: &TaskSpawner, old: Option<&TaskSpawnerStatus>, new: &TaskSpawnerStatus) {
        for event in events_of(old, new) {
            self.soon(event, spawner.object_ref(&()));
        }
    }
}

fn events_of(old: Option<&TaskSpawnerStatus>, new: &TaskSpawnerStatus) -> Vec<Event> {
    let find =
        |status: &TaskSpawnerStatus, of: &str| status.conditions.iter().find(|c| c.type_ == of).cloned();
    let mut events = Vec::new();
    for (of, bad) in BAD {
        let (before, after) = (old.and_then(|old| find(old, of)), find(new, of));
        let is_bad = |c: &Option<Condition>| c.as_ref().is_some_and(|c| c.status == bad);
        let Some(now) = &after else { continue };
        match (is_bad(&before), is_bad(&after)) {
            (false, true) => events.push(event(EventType::Warning, &now.reason, &now.message)),
            (true, true) if before.as_ref().is_some_and(|b| b.reason != now.reason) => {
                events.push(event(EventType::Warning, &now.reason, &now.message));
            }
            (true, false) => events.push(event(
                EventType::Normal,
                SpawnerReason::Recovered.as_ref(),
                &format!("{of} is {} again", now.status),
            )),
            _ => {}
        }
    }
    events
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    events::event(type_, "Spawn", reason, note)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(of: &str, is: &str, reason: &str) -> TaskSpawnerStatus {
        let condition = Condition {
            type_: of.into(),
            status: is.into(),
            reason: reason.into(),
            message: "m".into(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        TaskSpawnerStatus {
            conditions: vec![condition],
            ..TaskSpawnerStatus::default()
        }
    }

    #[test]
    fn a_change_for_the_worse_is_told_once_and_its_end_too() {
        let good = status("SourceReachable", "True", "Read");
        let bad = status("SourceReachable", "False", "Unauthorized");
        let worse = status("SourceReachable", "False", "RateLimited");
        let reasons = |old, new| {
            events_of(old, new)
                .into_iter()
                .map(|e| e.reason)
                .collect::<Vec<_>>()
        };
        assert_eq!(reasons(None, &good), [""; 0]);
        assert_eq!(reasons(Some(&good), &bad), ["Unauthorized"]);
        assert_eq!(reasons(Some(&bad), &bad), [""; 0]);
        assert_eq!(reasons(Some(&bad), &worse), ["RateLimited"]);
        assert_eq!(reasons(Some(&worse), &good), ["Recovered"]);
    }
}
