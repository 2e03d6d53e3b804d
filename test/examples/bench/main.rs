//! `make bench`: how fast the operator is, as shares of what the same API server does in the same run.
//!
//! A real kube-apiserver and etcd, the operator's release build as a process of its own, and no node. The controller
//! manager sleeps unless a section needs it: what is measured is the operator, not the making of pods.

mod jobs;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axon_api::{Task, TaskPhase};
use axon_test::bench_table::{BenchTable, load, round, rss, spread};
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use axon_test::wait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::PostParams;
use kube::core::PartialObjectMeta;
use kube_runtime::{WatchStreamExt as _, watcher};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use jobs::{Seen, job_seen, jobs_seen, watch_jobs};
use tasks::{create, create_many, finish};

const PATIENCE: Duration = Duration::from_secs(600);
/// Calls that are under way at the same time when the bench fills the API server.
const PARALLEL: usize = 32;
/// Samples of each latency.
const SAMPLES: usize = 120;

#[tokio::main]
async fn main() -> Result<()> {
    let large = std::env::var("AXON_BENCH_TASKS")
        .ok()
        .and_then(|n| n.parse().ok());
    let large = large.unwrap_or(10_000);
    let control_plane = ControlPlane::shared().await?;
    let mut bench = Bench::start(control_plane).await?;
    bench.table.note("load average before", load(), "");
    bench.sleeping_managers(Signal::SIGSTOP)?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    bench
        .table
        .note("RSS idle", json!(rss(&bench.operator)?), "MiB, aim 25");

    if wanted("small") {
        let raw = bench.raw_rate(1000).await?;
        bench
            .table
            .note("suspended Jobs posted by the bench", json!(round(raw)), "1/s");
        bench.throughput(1000, raw, 35).await?;
    }
    if wanted("latency") {
        bench.latency_at_ten_a_second().await?;
        bench.chain().await?;
        bench.branch().await?;
        bench.sleeping_managers(Signal::SIGCONT)?;
        bench.ends().await?;
        bench.sleeping_managers(Signal::SIGSTOP)?;
    }
    if wanted("large") {
        let raw = bench.raw_rate(1000).await?;
        let what = "suspended Jobs posted by the bench, again";
        bench.table.note(what, json!(round(raw)), "1/s");
        let namespace = bench.throughput(large, raw, 64).await?;
        bench.start_up(&namespace, large).await?;
    }
    bench.sleeping_managers(Signal::SIGCONT)?;
    bench.table.note("load average after", load(), "");
    bench.table.print("bench")
}

struct Bench {
    control_plane: &'static ControlPlane,
    operator: Operator,
    table: BenchTable,
}

/// Returns true unless `AXON_BENCH_SECTIONS` names others.
fn wanted(section: &str) -> bool {
    std::env::var("AXON_BENCH_SECTIONS").map_or(true, |names| names.split(',').any(|name| name == section))
}

fn milliseconds(samples: &[Duration]) -> Value {
    spread(
        samples
            .iter()
            .map(|sample| sample.as_secs_f64() * 1000.0)
            .collect(),
    )
}

impl Bench {
    async fn start(control_plane: &'static ControlPlane) -> Result<Self> {
        let client = control_plane.client().await?;
        install_rights(&client).await?;
        let token = token(&client).await?;
        let operator = Operator::start_beside(control_plane.kubeconfig(), &token, &[])?;
        Ok(Self {
            control_plane,
            operator,
            table: BenchTable::default(),
        })
    }

    /// Stops or continues the controller managers that this bench has started.
    fn sleeping_managers(&self, signal: Signal) -> Result<()> {
        let folder = self
            .control_plane
            .kubeconfig()
            .parent()
            .context("it is in a folder")?;
        let folder = folder.to_string_lossy().into_owned();
        let mut found = 0;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            // Its own files are in the arguments: nobody else's control plane is meant.
            if words.contains("controller-manager") && words.contains(&folder) {
                kill(Pid::from_raw(pid), signal)?;
                found += 1;
            }
        }
        ensure!(found == 1, "{found} controller managers instead of one");
        Ok(())
    }

    async fn namespace(&self) -> Result<Namespace> {
        // Somebody has to make its ServiceAccount.
        self.sleeping_managers(Signal::SIGCONT)?;
        let namespace = self.control_plane.namespace().await?;
        self.sleeping_managers(Signal::SIGSTOP)?;
        Ok(namespace)
    }

    async fn raw_rate(&self, count: usize) -> Result<f64> {
        let namespace = self.namespace().await?;
        let jobs = namespace.api::<Job>();
        let job = |n: usize| -> Result<Job> {
            Ok(serde_json::from_value(json!({
                "metadata": {"name": format!("j-{n}")},
                "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
                    "containers": [{"name": "c", "image": "x"}]}}},
            }))?)
        };
        let started = Instant::now();
        stream::iter((0..count).map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(PARALLEL, async |n| {
                jobs.create(&PostParams::default(), &job(n)?).await?;
                Ok(())
            })
            .await?;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    /// Tasks that wait for one other become Jobs.
    async fn throughput(&mut self, count: usize, raw: f64, aim: u32) -> Result<Namespace> {
        let namespace = self.namespace().await?;
        create(&namespace, "gate", &json!({"dependsOn": ["never"]})).await?;
        create_many(&namespace, count, &json!({"dependsOn": ["gate"]})).await?;
        let waits = |task: &Task| task.status.as_ref().and_then(|s| s.phase) == Some(TaskPhase::Waiting);
        wait::until("all Tasks to wait", PATIENCE, async || {
            let all = namespace.api::<Task>().list(&Default::default()).await?;
            Ok((all.iter().filter(|task| waits(task)).count() > count).then_some(()))
        })
        .await?;
        let seen = watch_jobs(&namespace);
        let started = Instant::now();
        finish(&namespace, "gate").await?;
        let took = jobs_seen(&seen, count).await? - started;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = count as f64 / took.as_secs_f64();
        self.table.note(
            &format!("{count} waiting Tasks turned into Jobs"),
            json!(round(rate)),
            "1/s",
        );
        let share = json!(round(rate / raw));
        self.table.note(
            &format!("{count} waiting Tasks, share of the raw rate"),
            share,
            "aim 0.25",
        );
        let told = |task: &Task| task.status.as_ref().and_then(|s| s.phase) == Some(TaskPhase::Pending);
        wait::until("all statuses to tell of the Jobs", PATIENCE, async || {
            // A look at all of them is work for the API server too.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let all = namespace.api::<Task>().list(&Default::default()).await?;
            Ok((all.iter().filter(|task| told(task)).count() >= count).then_some(()))
        })
        .await?;
        let took = started.elapsed();
        self.table.note(
            &format!("{count} waiting Tasks, until their statuses say so"),
            json!(round(took.as_secs_f64())),
            "s",
        );
        let rss = json!(rss(&self.operator)?);
        self.table.note(
            &format!("RSS at {count} Tasks with Jobs"),
            rss,
            &format!("MiB, aim {aim}"),
        );
        Ok(namespace)
    }

    async fn latency_at_ten_a_second(&mut self) -> Result<()> {
        let namespace = self.namespace().await?;
        let seen = watch_jobs(&namespace);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut calls = Vec::new();
        for n in 0..SAMPLES {
            ticks.tick().await;
            let (namespace, name) = (namespace.clone(), format!("t-{n}"));
            calls.push(tokio::spawn(async move {
                let sent = Instant::now();
                create(&namespace, &name, &json!({})).await.map(|()| (name, sent))
            }));
        }
        let mut samples = Vec::new();
        for call in calls {
            let (name, sent) = call.await??;
            samples.push(job_seen(&seen, &name).await? - sent);
        }
        self.table.note(
            "apply to Job at 10/s",
            milliseconds(&samples),
            "ms, aim 50 and 250",
        );
        Ok(())
    }

    async fn chain(&mut self) -> Result<()> {
        let namespace = self.namespace().await?;
        for n in 0..=SAMPLES {
            let before = format!("t-{}", n.wrapping_sub(1));
            let more = if n == 0 {
                json!({})
            } else {
                json!({"dependsOn": [before]})
            };
            create(&namespace, &format!("t-{n}"), &more).await?;
        }
        self.one_after_the_other(&namespace, "dependency done to next Job")
            .await
    }

    async fn branch(&mut self) -> Result<()> {
        let namespace = self.namespace().await?;
        for n in 0..=SAMPLES {
            // By creation and then by name.
            create(&namespace, &format!("t-{n}"), &json!({"branch": "b"})).await?;
            if n % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(1100)).await;
            }
        }
        self.one_after_the_other(&namespace, "branch freed to next Job")
            .await
    }

    /// Ends the Task that has a Job, and waits for the next one's.
    async fn one_after_the_other(&mut self, namespace: &Namespace, what: &str) -> Result<()> {
        let seen = watch_jobs(namespace);
        let mut ended = std::collections::HashSet::new();
        let mut samples = Vec::new();
        let mut since: Option<Instant> = None;
        for n in 0..=SAMPLES {
            let at = jobs_seen(&seen, n + 1).await?;
            samples.extend(since.map(|since| at.saturating_duration_since(since)));
            let next = {
                let seen = seen.lock();
                seen.keys().find(|name| !ended.contains(*name)).cloned()
            };
            let next = next.context("there is a new one")?;
            // Its Job is there a moment before it says so; what is wanted is the time from an end that counts.
            let tasks = namespace.api::<Task>();
            wait::until_object(&tasks, &next, "has its Job", PATIENCE, |task: &Task| {
                task.status.as_ref().is_some_and(|s| s.job_name.is_some())
            })
            .await?;
            since = Some(Instant::now());
            finish(namespace, &next).await?;
            ended.insert(next);
        }
        self.table.note(what, milliseconds(&samples), "ms, aim p99 500");
        Ok(())
    }

    /// From a Job's end, which its controller says, to the Task's.
    async fn ends(&mut self) -> Result<()> {
        let namespace = self.control_plane.namespace().await?;
        let kubelet = Kubelet::new(&namespace);
        create_many(&namespace, SAMPLES, &json!({})).await?;
        let done = Seen::default();
        let finished = Seen::default();
        let (noted, jobs) = (Arc::clone(&done), namespace.api::<Job>());
        let events = watcher(jobs, watcher::Config::default())
            .default_backoff()
            .touched_objects();
        tokio::spawn(events.for_each(move |job| {
            if let Ok(job) = job
                && job.status.as_ref().is_some_and(|s| s.completion_time.is_some())
            {
                let mut seen = noted.lock();
                seen.entry(job.name_any()).or_insert_with(Instant::now);
            }
            futures::future::ready(())
        }));
        let (noted, tasks) = (Arc::clone(&finished), namespace.api::<Task>());
        let events = watcher(tasks, watcher::Config::default())
            .default_backoff()
            .touched_objects();
        tokio::spawn(events.for_each(move |task| {
            if let Ok(task) = task
                && task.status.as_ref().and_then(|s| s.phase) == Some(TaskPhase::Succeeded)
            {
                let mut seen = noted.lock();
                seen.entry(task.name_any()).or_insert_with(Instant::now);
            }
            futures::future::ready(())
        }));
        let state = PodState::AgentEnded {
            exit_code: 0,
            message: r#"{"axon":1,"final":true,"outputs":["branch: b"]}"#.to_owned(),
        };
        stream::iter((0..SAMPLES).map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(4, async |n| {
                kubelet.report_job(&format!("t-{n}"), &state).await?;
                Ok(())
            })
            .await?;
        let mut samples = Vec::new();
        for n in 0..SAMPLES {
            let name = format!("t-{n}");
            let end = job_seen(&finished, &name).await?;
            samples.push(end.saturating_duration_since(job_seen(&done, &name).await?));
        }
        self.table.note(
            "Job done to Task ended",
            milliseconds(&samples),
            "ms, aim p99 1000",
        );
        Ok(())
    }

    /// The operator starts among many Tasks that have ended.
    async fn start_up(&mut self, namespace: &Namespace, count: usize) -> Result<()> {
        let all = stream::iter((0..count).map(Ok));
        all.try_for_each_concurrent(PARALLEL, async |n| finish(namespace, &format!("t-{n}")).await)
            .await?;
        // Jobs of Tasks that were ended from outside are deleted: that work is not the start's.
        wait::until("the Jobs to be deleted", PATIENCE, async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let jobs = namespace.api::<Job>().list_metadata(&Default::default()).await?;
            let stays = |job: &PartialObjectMeta<Job>| job.metadata.deletion_timestamp.is_none();
            Ok((!jobs.iter().any(stays)).then_some(()))
        })
        .await?;
        let live = self.namespace().await?;
        let seen = watch_jobs(&live);
        create(&live, "before", &json!({})).await?;
        job_seen(&seen, "before").await?;
        let started = Instant::now();
        self.operator.kill_and_restart().await?;
        create(&live, "live", &json!({})).await?;
        let took = job_seen(&seen, "live").await? - started;
        let what = format!("start among {count} finished Tasks to the first live Job, election included");
        self.table
            .note(&what, json!(round(took.as_secs_f64())), "s, aim 3");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let rss = json!(rss(&self.operator)?);
        self.table.note(
            &format!("RSS at {count} finished Tasks after a start"),
            rss,
            "MiB, aim 64",
        );
        Ok(())
    }
}
