//! Conditions of a status, and the precision of its times. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The state that a condition is to have.
#[derive(Clone, Copy, Debug)]
pub struct ConditionState<'a> {
    /// Type, such as `Ready`.
    pub kind: &'a str,
    /// `status`, as a boolean: no condition of ours is `Unknown`.
    pub status: bool,
    /// CamelCase word for programs.
    pub reason: &'a str,
    /// Sentence for people.
    pub message: &'a str,
}

impl ConditionState<'_> {
    /// Returns the condition that follows the one of the same type in `old`.
    #[must_use]
    pub fn after(&self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = if self.status { "True" } else { "False" };
        // A transition is a change of `status` alone: `kubectl wait` and alerts count from it, whatever the reason.
        let since = old
            .iter()
            .find(|c| c.type_ == self.kind && c.status == status)
            .map(|c| c.last_transition_time.clone());
        Condition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.to_owned(),
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| Time(whole_second(now))),
        }
    }
}

/// Returns the time without its fraction of a second.
///
/// Kubernetes stores times by the second; a finer one would make every comparison with a stored status differ.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_is_kept_until_the_status_changes() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let state = |status, reason| ConditionState {
            kind: "Ready",
            status,
            reason,
            message: "m",
        };
        let first = state(false, "Starting").after(&[], Some(1), at(10_900));
        assert_eq!(first.last_transition_time.0, at(10_000), "stored by the second");
        let other = Condition {
            type_: "Stalled".into(),
            ..first.clone()
        };
        let old = [other, first];
        let same = state(false, "AgentRunning").after(&old, Some(2), at(20_000));
        assert_eq!(
            (
                same.reason.as_str(),
                same.observed_generation,
                same.last_transition_time.0
            ),
            ("AgentRunning", Some(2), at(10_000))
        );
        let changed = state(true, "Succeeded").after(&old, Some(2), at(20_000));
        assert_eq!(
            (changed.status.as_str(), changed.last_transition_time.0),
            ("True", at(20_000))
        );
    }
}
