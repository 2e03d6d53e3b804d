//! When an event happened: one that is counted names its last time, one of a series its first.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

/// Returns when an event was told last.
pub(crate) fn told_at(event: &Event) -> Option<Timestamp> {
    let times = [&event.last_timestamp, &event.metadata.creation_timestamp];
    let [newest, created] = times.map(|time| time.as_ref().map(|t| t.0));
    newest.or(event.event_time.as_ref().map(|t| t.0)).or(created)
}
