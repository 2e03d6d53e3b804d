//! Deletes records whose time is over.

use std::time::Duration;

use axon_api::v1alpha1::TaskRecord;
use jiff::Timestamp;
use kube::api::{DeleteParams, ObjectMeta, Preconditions};
use kube::{Api, Client, Resource as _};
use serde::Deserialize;

use crate::kube::call::{CallError, timed};
use crate::kube::watch::{Guarded, Keep, Listing, Scope, Seen, keep_metadata, prune};
use axon_github::clock::Clock;

/// Pause between two looks. Records are kept for days.
const PAUSE: Duration = Duration::from_secs(3600);
/// Pause after a look that failed.
const RETRY: Duration = Duration::from_secs(60);

/// Deletes old records from time to time, until the returned future is dropped. A `retention` of zero keeps all.
pub async fn run(client: Client, scope: &Scope, retention: Duration, clock: Clock) {
    if retention.is_zero() {
        return std::future::pending().await;
    }
    loop {
        let pause = match sweep(&client, scope, retention, clock.now()).await {
            Ok(0) => PAUSE,
            Ok(deleted) => {
                tracing::info!(deleted, "deleted old task records");
                PAUSE
            }
            Err(error) => {
                tracing::warn!(%error, "old task records are not deleted; will try again");
                RETRY
            }
        };
        tokio::time::sleep(pause.min(retention.max(RETRY))).await;
    }
}

/// Deletes the records that are older than `retention` and returns how many they were.
///
/// # Errors
/// The first call that failed, after the other namespaces were looked at.
pub async fn sweep(
    client: &Client,
    scope: &Scope,
    retention: Duration,
    now: Timestamp,
) -> Result<usize, CallError> {
    let (mut deleted, mut failed) = (0, None);
    for namespace in scope.namespaces() {
        match sweep_in(client, namespace, retention, now).await {
            Ok(more) => deleted += more,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(deleted), Err)
}

/// Does the same in one namespace, or in all.
///
/// # Errors
/// As [`sweep`].
pub async fn sweep_in(
    client: &Client,
    namespace: Option<&str>,
    retention: Duration,
    now: Timestamp,
) -> Result<usize, CallError> {
    let path = TaskRecord::url_path(&(), namespace);
    let (mut listing, mut deleted) = (Listing::new(client.clone(), &path, None), 0);
    while let Some(json) = timed("list task records", listing.next()).await? {
        let Ok(record) = Guarded::<Written>::of_bytes(&json).0 else {
            continue;
        };
        if is_over(&record.metadata, retention, now) && delete(client, &record.metadata).await? {
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// When a record was written, and what names it.
#[derive(Clone, Deserialize)]
struct Written {
    metadata: ObjectMeta,
}

impl Seen for Written {
    const KIND: &'static str = "TaskRecord";

    fn read(json: &str) -> serde_json::Result<Self> {
        // A record may have as many labels as its Task had.
        serde_json::from_str(&prune(json, &|path, _| match path {
            ["metadata"] => Keep::Each,
            ["metadata", "labels"] => Keep::Nothing,
            ["metadata", member] => keep_metadata(member),
            _ => Keep::Nothing,
        })?)
    }

    fn revision(&self) -> Option<String> {
        self.metadata.resource_version.clone()
    }
}

fn is_over(record: &ObjectMeta, retention: Duration, now: Timestamp) -> bool {
    let created = record.creation_timestamp.as_ref().map(|time| time.0);
    let age = created.and_then(|created| Duration::try_from(now.duration_since(created)).ok());
    age.is_some_and(|age| age > retention)
}

async fn delete(client: &Client, record: &ObjectMeta) -> Result<bool, CallError> {
    let (Some(namespace), Some(name)) = (&record.namespace, &record.name) else {
        return Ok(false);
    };
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: record.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let api = Api::<TaskRecord>::namespaced(client.clone(), namespace);
    match timed("delete task record", api.delete(name, &params)).await {
        Ok(_) => Ok(true),
        // Somebody else was faster.
        Err(error) if error.is_missing_or_replaced() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn only_what_is_older_than_the_retention_goes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let record = |created: Option<i64>| ObjectMeta {
            creation_timestamp: created.map(|second| Time(at(second))),
            ..ObjectMeta::default()
        };
        let day = Duration::from_secs(86_400);
        for (created, is) in [
            (Some(0), true),
            (Some(13_599), true),
            (Some(13_600), false),
            (Some(200_000), false),
            (None, false),
        ] {
            assert_eq!(is_over(&record(created), day, at(100_000)), is, "{created:?}");
        }
    }
}
