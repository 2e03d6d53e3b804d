//! Tasks that can never run.

use axon_test::control_plane;
use serde_json::{Value, json};

use super::refuse;
use crate::manifest::{Manifest, send};

#[tokio::test]
async fn tasks_that_can_never_run() {
    let task = Manifest::task;
    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    let secret = "secretRef is required unless type is none";
    refuse(vec![
        (
            "R1",
            task().with("/spec/type", "foo"),
            &["spec.type: Unsupported value: \"foo\"", "\"opencode\""],
        ),
        (
            "R2 prompt",
            task().without("/spec/prompt"),
            &["spec.prompt: Required value"],
        ),
        (
            "R2 credentials",
            task().without("/spec/credentials"),
            &["spec.credentials: Required value"],
        ),
        (
            "R2 type",
            task().without("/spec/type"),
            &["spec.type: Required value"],
        ),
        ("R2 spec", task().without("/spec"), &["spec: Required value"]),
        (
            "a volume of no kind",
            task().with("/spec/podOverrides/volumes", json!([{"name": "v"}])),
            &["exactly one of configMap, secret"],
        ),
        (
            "a volume of two kinds",
            task().with(
                "/spec/podOverrides/volumes",
                json!([{"name": "v", "emptyDir": {}, "secret": {"secretName": "x"}}]),
            ),
            &["exactly one of configMap, secret"],
        ),
        (
            "a volume of the pod's own name",
            task().with(
                "/spec/podOverrides/volumes",
                json!([{"name": "axon-input", "emptyDir": {}}]),
            ),
            &["spec.podOverrides.volumes[0].name", "can't be used"],
        ),
        (
            "R3",
            task().with("/spec/credentials/type", "token"),
            &["spec.credentials.type: Unsupported value", "\"oauth\""],
        ),
        (
            "R4 api-key",
            task().without("/spec/credentials/secretRef"),
            &["spec.credentials", secret],
        ),
        (
            "R4 oauth",
            task().with("/spec/credentials", json!({"type": "oauth"})),
            &[secret],
        ),
        (
            "R4 null",
            task().with("/spec/credentials/secretRef", Value::Null),
            &[secret],
        ),
        (
            "R4 empty",
            task().with("/spec/credentials/secretRef", json!({})),
            &["secretRef.name: Required value"],
        ),
        (
            "empty secret name",
            task().with("/spec/credentials/secretRef/name", ""),
            &["spec.credentials.secretRef.name", "at least 1 char"],
        ),
        (
            "R5",
            task().with("/spec/ttlSecondsAfterFinished", -1),
            &["spec.ttlSecondsAfterFinished", "greater than or equal to 0"],
        ),
        (
            "R6",
            task().with(deadline, 0),
            &["activeDeadlineSeconds", "greater than or equal to 1"],
        ),
        (
            "empty prompt",
            task().with("/spec/prompt", ""),
            &["spec.prompt", "at least 1 char"],
        ),
        (
            "long name",
            task().named(&"n".repeat(64)),
            &["metadata.name is longer than 63 characters", "name of a Job"],
        ),
        (
            "quantity",
            task().with("/spec/podOverrides/resources/limits/memory", "2 GB"),
            &["spec.podOverrides.resources.limits.memory", "should match"],
        ),
        (
            "dependencies",
            task().with("/spec/dependsOn", vec!["a"; 101]),
            &["spec.dependsOn", "at most 100 items"],
        ),
        (
            "empty reference",
            task().with("/spec/workspaceRef/name", ""),
            &["spec.workspaceRef.name"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn tasks_that_would_run_as_the_operators_account() {
    let words = "serviceAccountName can't be axon-spawner";
    let task = "/spec/podOverrides/serviceAccountName";
    let template = "/spec/taskTemplate/podOverrides/serviceAccountName";
    refuse(vec![
        (
            "task",
            Manifest::task().with(task, "axon-spawner"),
            &["spec.podOverrides.serviceAccountName", words],
        ),
        (
            "task that brings a status along",
            Manifest::task()
                .with(task, "axon-spawner")
                .with("/status/phase", "Running"),
            &[words],
        ),
        (
            "template",
            Manifest::cron().with(template, "axon-spawner"),
            &["spec.taskTemplate.podOverrides.serviceAccountName", words],
        ),
    ])
    .await;
    // Nor by a change, whether the operator has written a status or not.
    let namespace = control_plane::namespace().await.unwrap();
    for has_status in [false, true] {
        let spawner = Manifest::cron().named(&format!("s-{has_status}"));
        spawner.create(&namespace).await.unwrap();
        let path = format!("{}/s-{has_status}", spawner.path(&namespace));
        let merge = "application/merge-patch+json";
        if has_status {
            let status = json!({"status": {"phase": "Running"}});
            send(&namespace, "PATCH", &format!("{path}/status"), merge, &status)
                .await
                .unwrap();
        }
        let change =
            json!({"spec": {"taskTemplate": {"podOverrides": {"serviceAccountName": "axon-spawner"}}}});
        let refused = send(&namespace, "PATCH", &path, merge, &change)
            .await
            .unwrap_err();
        assert!(
            refused.code == 422 && refused.message.contains(words),
            "{refused:?}"
        );
        let other =
            json!({"spec": {"taskTemplate": {"podOverrides": {"serviceAccountName": "axon-spawner-2"}}}});
        send(&namespace, "PATCH", &path, merge, &other).await.unwrap();
    }
}

#[tokio::test]
async fn retries_timeouts_and_trust_that_mean_nothing() {
    let policy = |policy: Value| Manifest::task().with("/spec/retryPolicy", policy);
    let spawned = Manifest::cron().with("/spec/taskTemplate/stallTimeout", "soon");
    refuse(vec![
        (
            "no limit",
            policy(json!({"on": ["AgentError"]})),
            &["spec.retryPolicy.limit: Required value"],
        ),
        (
            "limit 0",
            policy(json!({"limit": 0, "on": ["AgentError"]})),
            &["spec.retryPolicy.limit", "greater than or equal to 1"],
        ),
        (
            "limit 11",
            policy(json!({"limit": 11, "on": ["AgentError"]})),
            &["spec.retryPolicy.limit", "less than or equal to 10"],
        ),
        (
            "no reason",
            policy(json!({"limit": 1, "on": []})),
            &["spec.retryPolicy.on", "at least 1 item"],
        ),
        (
            "a reason that would come again",
            policy(json!({"limit": 1, "on": ["DependencyFailed"]})),
            &["spec.retryPolicy.on[0]: Unsupported value"],
        ),
        (
            "a reason twice",
            policy(json!({"limit": 1, "on": ["Stalled", "Stalled"]})),
            &["spec.retryPolicy.on[1]: Duplicate value"],
        ),
        (
            "no pause",
            policy(json!({"limit": 1, "on": ["Stalled"], "backoff": "0s"})),
            &["spec.retryPolicy.backoff", "such as 30s, 5m or 1h"],
        ),
        (
            "no duration",
            Manifest::task().with("/spec/stallTimeout", "5"),
            &["spec.stallTimeout", "such as 30s, 5m or 1h"],
        ),
        (
            "no duration in a template",
            spawned,
            &["spec.taskTemplate.stallTimeout", "such as 30s, 5m or 1h"],
        ),
        (
            "trust in nobody",
            Manifest::task().with("/spec/trust", "None"),
            &["spec.trust: Unsupported value: \"None\""],
        ),
        (
            "trust of a template in small letters",
            Manifest::cron().with("/spec/taskTemplate/trust", "base"),
            &["spec.taskTemplate.trust: Unsupported value"],
        ),
        (
            "no name",
            Manifest::task().with("/spec/retryOf", "A_b"),
            &["spec.retryOf"],
        ),
    ])
    .await;
}
