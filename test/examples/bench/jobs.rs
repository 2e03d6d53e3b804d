//! The time at which each Job of a namespace appears.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axon_test::namespace::Namespace;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt as _};
use kube_runtime::{WatchStreamExt as _, watcher};
use parking_lot::Mutex;

use crate::PATIENCE;

/// When each Job of a namespace was seen first.
pub type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// Watches the Jobs of a namespace.
pub fn watch_jobs(namespace: &Namespace) -> Seen {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let jobs: Api<PartialObjectMeta<Job>> = namespace.api();
    let events = watcher(jobs, watcher::Config::default())
        .default_backoff()
        .touched_objects();
    tokio::spawn(events.for_each(move |job| {
        if let Ok(job) = job {
            let mut seen = noted.lock();
            seen.entry(job.name_any()).or_insert_with(Instant::now);
        }
        futures::future::ready(())
    }));
    seen
}

pub async fn job_seen(seen: &Seen, name: &str) -> Result<Instant> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(at) = seen.lock().get(name) {
            return Ok(*at);
        }
        ensure!(Instant::now() < end, "no Job {name}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub async fn jobs_seen(seen: &Seen, count: usize) -> Result<Instant> {
    let end = Instant::now() + PATIENCE;
    loop {
        {
            let seen = seen.lock();
            if seen.len() >= count {
                return seen.values().max().copied().context("there are some");
            }
        }
        ensure!(Instant::now() < end, "fewer than {count} Jobs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
