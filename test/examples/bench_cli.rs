//! Part of `make bench`: how fast the plugin is, beside kubectl on the same machine in the same run.
//!
//! The plugin is the program of `AXON_BIN`; a real kube-apiserver and etcd hold the Tasks. Each value is the median
//! of some runs, from the start of the process to its end, its output thrown away.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axon_api::{Task, TaskStatus};
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::{clean_machine, paths};
use futures::{TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Calls that are under way at the same time when the bench fills the API server.
const PARALLEL: usize = 16;
/// Runs of each command.
const RUNS: usize = 9;

#[tokio::main]
async fn main() -> Result<()> {
    let (plugin, kubectl) = (paths::plugin_program()?, clean_machine::tool("kubectl")?);
    let control_plane = ControlPlane::shared().await?;
    let kubeconfig = control_plane.kubeconfig();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "load average before: {}",
        load.split(' ').next().unwrap_or_default()
    );
    println!("{} against {}\n", size(&plugin)?, size(&kubectl)?);
    println!("| command | kubectl axon | kubectl | ratio |\n| --- | --- | --- | --- |");
    let row = |what: &str, own: &[&str], other: &[&str]| -> Result<()> {
        let own = median(&plugin, kubeconfig, own)?;
        let other = median(&kubectl, kubeconfig, other)?;
        let ratio = own.as_secs_f64() / other.as_secs_f64();
        println!("| {what} | {} | {} | {ratio:.2} |", shown(own), shown(other));
        Ok(())
    };
    row(
        "version --client",
        &["version", "--client"],
        &["version", "--client"],
    )?;
    row("--help", &["--help"], &["--help"])?;
    for count in [1_000, 10_000] {
        let namespace = fill(control_plane, count).await?;
        let place = namespace.name();
        let listed = ["get", "tasks.axon.io", "-n", place];
        row(
            &format!("get tasks, {count}"),
            &["get", "tasks", "-n", place],
            &listed,
        )?;
        row(
            &format!("tree --all, {count}"),
            &["tree", "--all", "-n", place],
            &listed,
        )?;
        row(&format!("cost, {count}"), &["cost", "-n", place], &listed)?;
        row(&format!("why, {count}"), &["why", "t-7", "-n", place], &listed)?;
        let json = ["-n", place, "-o", "json"];
        let (own, other) = (
            [&["get", "tasks"][..], &json].concat(),
            [&["get", "tasks.axon.io"][..], &json].concat(),
        );
        row(&format!("get tasks -o json, {count}"), &own, &other)?;
    }
    Ok(())
}

fn size(program: &Path) -> Result<String> {
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let bytes = program.metadata()?.len() as f64;
    Ok(format!("{} ({:.1} MiB)", program.display(), bytes / 1_048_576.0))
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn median(program: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Duration> {
    let mut times = Vec::new();
    // The first run warms the caches of files and of discovery.
    for _ in 0..=RUNS {
        let begin = Instant::now();
        let status = Command::new(program)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("failed to start {}", program.display()))?;
        ensure!(status.success(), "{} {args:?}: {status}", program.display());
        times.push(begin.elapsed());
    }
    times.remove(0);
    times.sort_unstable();
    times.get(RUNS / 2).copied().context("there are some runs")
}

/// Makes Tasks that have ended, in chains of ten, with prompts as long as usual ones.
async fn fill(control_plane: &ControlPlane, count: usize) -> Result<Namespace> {
    let namespace = control_plane.namespace().await?;
    let prompt = "Fix the flaky test in the login module, and explain what was wrong. ".repeat(10);
    let tasks = namespace.api::<Task>();
    let status: TaskStatus = serde_json::from_value(json!({
        "phase": "Succeeded", "reason": "Completed", "message": "",
        "startTime": "2026-01-02T09:00:00Z", "completionTime": "2026-01-02T09:04:12Z",
        "jobName": "t", "podName": "t-x",
        "results": {"branch": "fix/login", "commit": "a4f3afbcc3398a4467982afab32f62adb29cf37d"},
        "usage": {"costUSD": "0.012224", "inputTokens": 2001, "outputTokens": 101},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Completed", "message": "",
            "lastTransitionTime": "2026-01-02T09:04:12Z"}],
    }))?;
    stream::iter((0..count).map(Ok::<_, anyhow::Error>))
        .try_for_each_concurrent(PARALLEL, async |n| {
            let before: Vec<String> = (n % 10 > 0).then(|| format!("t-{}", n - 1)).into_iter().collect();
            let task: Task = serde_json::from_value(json!({
                "metadata": {"name": format!("t-{n}"), "labels": {"team": "core"}},
                "spec": {"type": "claude-code", "prompt": prompt, "credentials": {"type": "none"},
                    "branch": format!("fix/{n}"), "dependsOn": before},
            }))?;
            tasks.create(&PostParams::default(), &task).await?;
            let patch = Patch::Merge(json!({ "status": status }));
            tasks
                .patch_status(&format!("t-{n}"), &PatchParams::default(), &patch)
                .await?;
            Ok(())
        })
        .await?;
    Ok(namespace)
}
