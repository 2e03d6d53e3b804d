//! Reasons that older definitions did not let into a status, read from where else the status has them.
//!
//! Such a reason is stored as `Unknown` (see [`crate::kube::incomplete`]). Rules that count by reasons would otherwise stop a Task
//! twice, or repeat a run without end.

use axon_api::{TaskReason, TaskStatus};

/// Puts the true reasons in place of `Unknown`, as far as conditions and messages have them.
pub fn restore_reasons(status: &mut TaskStatus) {
    if status.reason == Some(TaskReason::Unknown) {
        let told = status
            .conditions
            .iter()
            .find_map(|condition| known(&condition.reason));
        status.reason = told.or(status.reason);
    }
    for attempt in &mut status.attempts {
        if attempt.reason != Some(TaskReason::Unknown) {
            continue;
        }
        let message = attempt.message.as_deref().unwrap_or_default();
        if let Some((reason, rest)) = message
            .split_once(": ")
            .and_then(|(word, rest)| Some((known(word)?, rest)))
        {
            attempt.reason = Some(reason);
            attempt.message = (!rest.is_empty()).then(|| rest.to_owned());
        }
    }
}

fn known(word: &str) -> Option<TaskReason> {
    let reason = word.parse().ok()?;
    (reason != TaskReason::Unknown).then_some(reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};
    use proptest::prelude::*;
    use serde_json::json;
    use strum::IntoEnumIterator as _;

    use super::*;
    use crate::kube::incomplete::Cut;

    /// Returns a status as an API server stores it whose definitions lack these reasons.
    fn stored(status: &TaskStatus, lacks: &BTreeSet<String>) -> TaskStatus {
        let body = json!({"status": status});
        let places = (0..status.attempts.len()).map(|n| {
            let place = format!("status.attempts[{n}].reason");
            (status.attempts[n].reason, place)
        });
        let refused = places
            .chain([(status.reason, "status.reason".to_owned())])
            .filter(|(reason, _)| reason.is_some_and(|reason| lacks.contains(&reason.to_string())));
        let causes = refused.map(|(_, field)| StatusCause {
            reason: "FieldValueNotSupported".into(),
            message: String::new(),
            field,
        });
        let causes: Vec<_> = causes.collect();
        if causes.is_empty() {
            return status.clone();
        }
        let said = Status {
            code: 422,
            details: Some(StatusDetails {
                causes,
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                retry_after_seconds: 0,
            }),
            ..Status::default()
        };
        let mut cut = Cut::default();
        assert!(cut.deepen("status", &said));
        serde_json::from_value(cut.of("status", &body)["status"].clone()).unwrap()
    }

    fn status(reason: TaskReason, attempts: &[(TaskReason, Option<&str>)]) -> TaskStatus {
        let attempts: Vec<_> = attempts
            .iter()
            .map(|(reason, message)| json!({"podName": "p", "reason": reason, "message": message}))
            .collect();
        serde_json::from_value(json!({
            "phase": "Running", "reason": reason, "attempts": attempts,
            "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "m",
                "lastTransitionTime": "2026-11-30T06:00:00Z"}],
        }))
        .unwrap()
    }

    proptest! {
        #[test]
        fn whatever_reasons_the_definitions_lack_all_are_recalled(
            lacks in proptest::sample::subsequence(TaskReason::iter().collect::<Vec<_>>(), 0..30),
            reasons in proptest::collection::vec((0..33_usize, proptest::option::of(any::<String>())), 1..8),
        ) {
            let lacks = lacks.iter().filter(|r| **r != TaskReason::Unknown).map(ToString::to_string).collect();
            let all: Vec<TaskReason> = TaskReason::iter().filter(|r| *r != TaskReason::Unknown).collect();
            let attempts: Vec<_> = reasons.iter().map(|(n, m)| (all[n % all.len()], m.as_deref().filter(|m| !m.is_empty()))).collect();
            let whole = status(attempts[0].0, &attempts);
            let mut recalled = stored(&whole, &lacks);
            restore_reasons(&mut recalled);
            prop_assert_eq!(recalled, whole);
        }
    }

    #[test]
    fn what_nobody_has_written_stays_unknown() {
        let mut odd = status(
            TaskReason::Unknown,
            &[
                (TaskReason::Unknown, Some("Evicted of course")),
                (TaskReason::AgentError, Some("Evicted: no")),
            ],
        );
        let before = odd.clone();
        restore_reasons(&mut odd);
        assert_eq!(odd, before);
    }
}
