//! Fields that may change after creation.

use axon_api::{Task, TaskPhase};
use axon_test::control_plane;
use axon_test::namespace::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::manifest::{Manifest, send};

const MERGE: &str = "application/merge-patch+json";

async fn stored_task(namespace: &Namespace) -> String {
    let manifest = Manifest::task()
        .named("t")
        .with("/spec/model", "opus")
        .with("/spec/dependsOn", json!(["a"]));
    manifest.create(namespace).await.unwrap();
    format!("{}/t", manifest.path(namespace))
}

#[tokio::test]
async fn the_spec_of_a_task_never_changes() {
    let namespace = control_plane::namespace().await.unwrap();
    let path = stored_task(&namespace).await;
    for change in [
        json!({"prompt": "other"}),
        json!({"model": "sonnet"}),
        json!({"model": null}),
        json!({"branch": "added"}),
        json!({"ttlSecondsAfterFinished": 0}),
        json!({"dependsOn": ["a", "b"]}),
        json!({"dependsOn": null}),
        json!({"credentials": {"secretRef": {"name": "other"}}}),
        json!({"podOverrides": {"env": [{"name": "A", "value": "b"}]}}),
        json!({"workspaceRef": {"name": "w"}}),
        json!({"retryOf": "other"}),
        json!({"retryPolicy": {"limit": 1, "on": ["AgentError"]}}),
        json!({"stallTimeout": "5m"}),
        json!({"trust": "Base"}),
        json!({"stop": true, "prompt": "other"}),
        json!({"stop": true, "model": null}),
    ] {
        let refused = send(&namespace, "PATCH", &path, MERGE, &json!({ "spec": change }))
            .await
            .unwrap_err();
        assert_eq!(refused.code, 422, "{change}: {refused:?}");
        let expected = "Task spec is immutable after creation: create a new Task instead";
        assert!(
            refused.message.contains(expected),
            "{change}: {}",
            refused.message
        );
    }
    let replaced = send(&namespace, "GET", &path, MERGE, &Value::Null).await.unwrap();
    let replaced = with_prompt(replaced, "other");
    let refused = send(&namespace, "PUT", &path, "application/json", &replaced)
        .await
        .unwrap_err();
    assert!(refused.message.contains("immutable"), "{}", refused.message);
}

#[tokio::test]
async fn a_task_can_be_stopped_and_not_be_started_again() {
    let namespace = control_plane::namespace().await.unwrap();
    let full = Manifest::task()
        .named("full")
        .with("/spec/prompt", "p".repeat(axon_api::limits::MAX_PROMPT))
        .with("/spec/branch", "b")
        .with("/spec/stop", false)
        .with("/spec/retryPolicy", json!({"limit": 1, "on": ["AgentError"]}))
        .with("/spec/stallTimeout", "5m")
        .with("/spec/trust", "Base")
        .with("/spec/podOverrides/env", json!([{"name": "A", "value": "b"}]));
    full.create(&namespace).await.unwrap();
    let full = format!("{}/full", full.path(&namespace));
    for path in [stored_task(&namespace).await, full] {
        let set = |stop: Value| json!({"spec": {"stop": stop}});
        let patch = async |change: Value| send(&namespace, "PATCH", &path, MERGE, &change).await;
        patch(set(json!(false))).await.unwrap();
        let stopped = patch(set(json!(true))).await.unwrap();
        assert_eq!(stopped["spec"]["stop"], true);
        for back in [json!(false), Value::Null] {
            let refused = patch(set(back)).await.unwrap_err();
            assert!(
                refused.message.contains("stop can't be taken back"),
                "{}",
                refused.message
            );
        }
        let refused = patch(json!({"spec": {"model": "other"}})).await.unwrap_err();
        assert!(refused.message.contains("immutable"), "{}", refused.message);
        patch(json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    }
}

fn with_prompt(mut task: Value, prompt: &str) -> Value {
    task["spec"]["prompt"] = prompt.into();
    task
}

#[tokio::test]
async fn metadata_and_status_of_a_task_may_change() {
    let namespace = control_plane::namespace().await.unwrap();
    let path = stored_task(&namespace).await;
    let labels = json!({"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}, "finalizers": ["axon.io/x"]}});
    let changed = send(&namespace, "PATCH", &path, MERGE, &labels).await.unwrap();
    assert_eq!(changed["metadata"]["labels"]["team"], "a");
    assert_eq!(changed["metadata"]["generation"], 1);

    let status = json!({"status": {
        "phase": "Failed", "reason": "OOMKilled", "message": "killed", "jobName": "t", "podName": "t-x",
        "startTime": "2026-01-02T03:04:05Z", "outputs": ["branch: x"], "results": {"branch": "x"},
        "usage": {"costUSD": "0.5", "inputTokens": 1}, "observedGeneration": 1,
        "attempts": [{"podName": "t-x", "exitCode": 137, "reason": "OOMKilled"}],
        "conditions": [{"type": "Stalled", "status": "True", "reason": "OOMKilled", "message": "m",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}],
    }});
    let ignored = send(&namespace, "PATCH", &path, MERGE, &status).await.unwrap();
    assert_eq!(
        ignored.get("status"),
        None,
        "status changes only through its own path"
    );
    let subresource = format!("{path}/status?fieldValidation=Strict");
    let changed = send(&namespace, "PATCH", &subresource, MERGE, &status)
        .await
        .unwrap();
    assert_eq!(changed["status"], status["status"]);
    let task: Task = serde_json::from_value(changed).unwrap();
    assert_eq!(task.status.unwrap().phase, Some(TaskPhase::Failed));

    let unknown = json!({"status": {"phase": "Paused"}});
    let refused = send(&namespace, "PATCH", &subresource, MERGE, &unknown)
        .await
        .unwrap_err();
    assert!(
        refused.message.contains("status.phase: Unsupported value"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_manifest_may_be_applied_again() {
    let namespace = control_plane::namespace().await.unwrap();
    let tasks: Api<Task> = namespace.api();
    let mut manifest = Manifest::task()
        .named("again")
        .with(
            "/spec/podOverrides/resources/limits",
            json!({"cpu": 2, "memory": "1Gi"}),
        )
        .with("/spec/workspaceRef/name", "w");
    for expected in [1, 1] {
        let applied = tasks
            .patch(
                "again",
                &PatchParams::apply("user"),
                &Patch::Apply(manifest.value()),
            )
            .await;
        assert_eq!(applied.unwrap().metadata.generation, Some(expected));
    }
    manifest = manifest.with("/metadata/labels", json!({"a": "b"}));
    let applied = tasks
        .patch(
            "again",
            &PatchParams::apply("user"),
            &Patch::Apply(manifest.value()),
        )
        .await;
    assert_eq!(applied.unwrap().metadata.labels.unwrap()["a"], "b");
}

#[tokio::test]
async fn the_other_kinds_may_change() {
    let namespace = control_plane::namespace().await.unwrap();
    for (manifest, change) in [
        (
            Manifest::workspace("https://h/a"),
            json!({"repo": "https://h/b", "ref": "x"}),
        ),
        (Manifest::agent_config(json!({})), json!({"agentsMD": "x"})),
        (
            Manifest::cron(),
            json!({"suspend": true, "maxConcurrency": 2, "when": {"cron": {"schedule": "30 4 * * *"}}}),
        ),
    ] {
        let stored = manifest.create(&namespace).await.unwrap();
        let path = format!(
            "{}/{}",
            manifest.path(&namespace),
            stored["metadata"]["name"].as_str().unwrap()
        );
        let changed = send(&namespace, "PATCH", &path, MERGE, &json!({ "spec": change }))
            .await
            .unwrap();
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(&changed["spec"][field], value);
        }
        assert_eq!(changed["metadata"]["generation"], 2);
    }
}
