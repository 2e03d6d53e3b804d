//! scratch
use anyhow::Result;
use axon_api::Task;
use axon_test::control_plane::ControlPlane;
use futures::{TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::Instant;

const N: usize = 1000;
#[tokio::main]
async fn main() -> Result<()> {
    let cp = ControlPlane::shared().await?;
    let ns = cp.namespace().await?;
    let tasks = ns.api::<Task>();
    let jobs = ns.api::<Job>();
    let run = |what: &'static str, which: u8| {
        let (tasks, jobs) = (tasks.clone(), jobs.clone());
        async move {
            let start = Instant::now();
            stream::iter((0..N).map(Ok::<_, anyhow::Error>))
                .try_for_each_concurrent(32, |n| {
                    let (tasks, jobs) = (tasks.clone(), jobs.clone());
                    async move {
                        let name = format!("t-{n}");
                        let status = json!({"phase": "Pending", "reason": "Starting", "message": format!("m{which}"), "jobName": name,
                            "observedGeneration": 1, "conditions": [
                            {"type":"Ready","status":"False","reason":"Starting","message":format!("m{which}"),"lastTransitionTime":"2026-01-02T09:04:12Z","observedGeneration":1},
                            {"type":"Stalled","status":"False","reason":"Starting","message":"","lastTransitionTime":"2026-01-02T09:04:12Z","observedGeneration":1},
                            {"type":"Reconciling","status":"True","reason":"Starting","message":"","lastTransitionTime":"2026-01-02T09:04:12Z","observedGeneration":1}]});
                        match which {
                            0 => { let t: Task = serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"type": "claude-code", "prompt": "do it", "credentials": {"type": "none"}, "dependsOn": ["gate"]}}))?; tasks.create(&PostParams::default(), &t).await?; }
                            1 | 2 => { let b = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "status": status}); tasks.patch_status(&name, &PatchParams::apply("axon").force(), &Patch::Apply(&b)).await?; }
                            3 | 4 => { let b = json!({"status": status}); tasks.patch_status(&name, &PatchParams { field_manager: Some("axon".into()), ..Default::default() }, &Patch::Merge(&b)).await?; }
                            5 => { let mut t = tasks.get(&name).await?; t.status = Some(serde_json::from_value(status)?); tasks.replace_status(&name, &PostParams { field_manager: Some("axon".into()), ..Default::default() }, &t).await?; }
                            6 => { tasks.get(&name).await?; }
                            7 => { let j: Job = serde_json::from_value(json!({"metadata": {"name": format!("j-{n}")}, "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}}))?; jobs.create(&PostParams::default(), &j).await?; }
                            _ => {}
                        }
                        Ok(())
                    }
                })
                .await?;
            println!("{what}: {:.0}/s", N as f64 / start.elapsed().as_secs_f64());
            Ok::<_, anyhow::Error>(())
        }
    };
    for (what, which) in [
        ("job post", 7),
        ("task post", 0),
        ("apply 1st", 1),
        ("apply again", 2),
        ("merge", 3),
        ("merge again", 4),
        ("apply back", 1),
        ("get", 6),
        ("get+put", 5),
    ] {
        run(what, which).await?;
    }
    Ok(())
}
