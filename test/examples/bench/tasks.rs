//! Tasks of the bench.

use anyhow::Result;
use axon_api::Task;
use axon_test::namespace::Namespace;
use futures::{TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::PARALLEL;

fn task(name: &str, more: &Value) -> Result<Task> {
    let mut task = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {"type": "claude-code", "prompt": "do it", "credentials": {"type": "none"}},
    });
    let spec = task.get_mut("spec").and_then(Value::as_object_mut);
    if let (Some(spec), Some(more)) = (spec, more.as_object()) {
        spec.extend(more.clone());
    }
    Ok(serde_json::from_value(task)?)
}

pub async fn create(namespace: &Namespace, name: &str, more: &Value) -> Result<()> {
    let tasks = namespace.api::<Task>();
    tasks.create(&PostParams::default(), &task(name, more)?).await?;
    Ok(())
}

pub async fn create_many(namespace: &Namespace, count: usize, more: &Value) -> Result<()> {
    let all = stream::iter((0..count).map(Ok));
    all.try_for_each_concurrent(PARALLEL, async |n| {
        create(namespace, &format!("t-{n}"), more).await
    })
    .await
}

/// Ends a Task as the operator would.
pub async fn finish(namespace: &Namespace, name: &str) -> Result<()> {
    let status = json!({"status": {"phase": "Succeeded", "reason": "Completed", "observedGeneration": 1,
        "completionTime": "2026-01-01T00:00:00Z", "outputs": ["branch: b", "commit: c"]}});
    let tasks = namespace.api::<Task>();
    tasks
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}
