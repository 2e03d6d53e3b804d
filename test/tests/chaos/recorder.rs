//! Records every Task and Job of a namespace from its watch events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axon_api::{Task, TaskPhase};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, Client, ResourceExt};
use kube_runtime::{WatchStreamExt as _, watcher};

/// What the events said about a Task.
#[derive(Clone, Debug)]
pub struct Seen {
    pub spawner: String,
    pub item: String,
    pub uids: BTreeSet<String>,
    pub ended: bool,
    /// It has a Job and has not ended.
    pub running: bool,
    pub created: Timestamp,
}

/// All Tasks and Jobs since the start, those that are gone included.
#[derive(Default)]
pub struct Sight {
    pub tasks: BTreeMap<String, Seen>,
    /// UIDs by name.
    pub jobs: BTreeMap<String, BTreeSet<String>>,
    /// Most Tasks of a spawner that had not ended at one moment.
    pub most_active: BTreeMap<String, usize>,
}

#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Sight>>);

impl Recorder {
    /// Watches a namespace, not through the proxy.
    pub async fn start(client: Client, namespace: &str) -> Self {
        let recorder = Self::default();
        let tasks = Api::<Task>::namespaced(client.clone(), namespace);
        let jobs = Api::<Job>::namespaced(client, namespace);
        let of_tasks = recorder.clone();
        tokio::spawn(async move {
            let events = watcher(tasks, watcher::Config::default())
                .default_backoff()
                .touched_objects();
            events
                .for_each(|seen| {
                    seen.iter().for_each(|object| of_tasks.task(object));
                    std::future::ready(())
                })
                .await;
        });
        let of_jobs = recorder.clone();
        tokio::spawn(async move {
            let events = watcher(jobs, watcher::Config::default())
                .default_backoff()
                .touched_objects();
            events
                .for_each(|seen| {
                    seen.iter().for_each(|object| of_jobs.job(object));
                    std::future::ready(())
                })
                .await;
        });
        recorder
    }

    /// Returns the Tasks that have a Job and have not ended.
    pub fn running(&self) -> Vec<String> {
        let running = |sight: &Sight| {
            let of = sight.tasks.iter().filter(|(_, t)| t.running);
            of.map(|(name, _)| name.clone()).collect()
        };
        self.sight(running)
    }

    pub fn sight<T>(&self, look: impl FnOnce(&Sight) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    fn task(&self, task: &Task) {
        let label = |key: &str| task.labels().get(key).cloned().unwrap_or_default();
        let spawner = label(axon_api::labels::TASK_SPAWNER);
        let status = task.status.as_ref();
        let ended = status.and_then(|s| s.phase).is_some_and(TaskPhase::is_terminal);
        let mut sight = self.0.lock().unwrap();
        let seen = sight.tasks.entry(task.name_any()).or_insert_with(|| Seen {
            spawner: spawner.clone(),
            item: label(axon_api::labels::ITEM),
            uids: BTreeSet::new(),
            ended: false,
            running: false,
            created: task.metadata.creation_timestamp.clone().unwrap().0,
        });
        seen.uids.insert(task.uid().unwrap());
        seen.ended = ended;
        seen.running = !ended && status.is_some_and(|s| s.job_name.is_some());
        let active = sight
            .tasks
            .values()
            .filter(|t| t.spawner == spawner && !t.ended)
            .count();
        let most = sight.most_active.entry(spawner).or_default();
        *most = (*most).max(active);
    }

    fn job(&self, job: &Job) {
        let mut sight = self.0.lock().unwrap();
        sight
            .jobs
            .entry(job.name_any())
            .or_default()
            .insert(job.uid().unwrap());
    }
}
