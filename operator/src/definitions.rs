//! Compares the definitions that the API server serves with the fields and reasons that this operator writes.
//!
//! Definitions are applied before the operator, so that they are older only after a mistake or half a rollback. The operator
//! goes on then, tells once, and repeats no run whose count would not be stored.

use std::sync::Arc;
use std::time::Duration;

use axon_api::fit::{Served, path};
use kube::Client;
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// How long an answer is good while nothing speaks against it.
const PERIOD: Duration = Duration::from_secs(600);
/// Shortest pause between two reads: a crowd of refused writes leads to one.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest that a read may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Most missing fields and reasons that are named in the log.
const MOST_NAMED: usize = 10;

/// Fields of a Task's status that count its runs. Without them, a run could be repeated without end.
const COUNTS: [&str; 4] = [
    "Task.status.attempts",
    "Task.status.attempts[].podName",
    "Task.status.nextRun",
    "Task.status.retries",
];

/// Knowledge of the served definitions; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Definitions(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    missing: RwLock<Vec<String>>,
    doubted: Notify,
}

impl Definitions {
    /// Returns true if the definitions lack a field that counts a Task's runs.
    #[must_use]
    pub fn cannot_count_runs(&self) -> bool {
        counts_are_missing(&self.0.missing.read())
    }

    /// Returns the fields of a kind that the definitions lack, such as `status.attempts[].jobUID`. A server-side apply with one of
    /// them is refused.
    #[must_use]
    pub fn lacks(&self, kind: &str) -> Vec<String> {
        let missing = self.0.missing.read();
        let fields = missing.iter().filter(|missing| !missing.contains(": "));
        let of_kind = fields.filter_map(|field| field.strip_prefix(kind)?.strip_prefix('.'));
        of_kind.map(str::to_owned).collect()
    }

    /// Has the definitions read again soon: a write went as if they lacked something.
    pub fn doubt(&self) {
        self.0.doubted.notify_one();
    }

    /// Reads the definitions at the start, every ten minutes and on doubt, and tells of each change.
    pub async fn watch(&self, client: Client, metrics: Metrics) {
        let mut told = Vec::new();
        loop {
            if let Some(missing) = read(&client).await {
                self.0.missing.write().clone_from(&missing);
                metrics
                    .definitions_missing
                    .set(i64::try_from(missing.len()).unwrap_or(i64::MAX));
                if missing != told {
                    tell(&missing);
                    told = missing;
                }
            }
            tokio::time::sleep(PAUSE).await;
            // A timeout is no doubt, and leads to a read all the same.
            let _ = tokio::time::timeout(PERIOD, self.0.doubted.notified()).await;
        }
    }
}

fn tell(missing: &[String]) {
    if missing.is_empty() {
        return tracing::info!("the definitions have all that this operator writes");
    }
    let first: Vec<&str> = missing.iter().take(MOST_NAMED).map(String::as_str).collect();
    tracing::error!(
        missing = first.join(", "),
        count = missing.len(),
        "the definitions are older than this operator, which goes on without what they lack: update them with \
         `kubectl axon install`, or apply config/crd of the operator's release"
    );
}

/// Returns what is missing; `None` if that can't be known.
async fn read(client: &Client) -> Option<Vec<String>> {
    let request = http::Request::get(path()).body(Vec::new()).ok()?;
    let answer = tokio::time::timeout(LIMIT, client.request::<Served>(request)).await;
    match answer {
        Ok(Ok(served)) => Some(served.missing()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the definitions can't be read: whether they fit is unknown");
            None
        }
        Err(_) => None,
    }
}

fn counts_are_missing(missing: &[String]) -> bool {
    missing
        .iter()
        .any(|missing| missing == "Task" || COUNTS.contains(&missing.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_count_runs_are_those_of_a_status() {
        let status = serde_json::json!({
            "attempts": [{"podName": "p"}], "retries": 1, "nextRun": {"after": "2026-11-30T06:00:00Z"},
        });
        for field in COUNTS {
            let pointer = field
                .trim_start_matches("Task.status")
                .replace("[]", ".0")
                .replace('.', "/");
            assert!(status.pointer(&pointer).is_some(), "{field}");
        }
        let read: axon_api::TaskStatus = serde_json::from_value(status).unwrap();
        assert!(read.retries.is_some() && read.next_run.is_some() && read.attempts.len() == 1);
    }

    #[test]
    fn fields_are_told_by_kind_and_values_are_no_fields() {
        let definitions = Definitions::default();
        *definitions.0.missing.write() = [
            "Task.status.attempts[].jobUID",
            "Task.status.reason: Queued",
            "TaskSpawner.status.answer",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(definitions.lacks("Task"), ["status.attempts[].jobUID"]);
        assert_eq!(definitions.lacks("TaskSpawner"), ["status.answer"]);
        assert!(!definitions.cannot_count_runs());
    }

    #[test]
    fn a_reason_that_is_missing_does_not_keep_runs_from_being_counted() {
        assert!(counts_are_missing(&["Task.status.nextRun".into()]));
        assert!(!counts_are_missing(&[
            "Task.status.reason: Queued".into(),
            "Task.spec.new".into()
        ]));
        assert!(!counts_are_missing(&[]));
    }
}
