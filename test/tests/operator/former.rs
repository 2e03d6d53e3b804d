//! Objects that were stored before the limits and rules of today's definitions, on API servers that tolerate that and on those
//! before Kubernetes 1.30, which do not.

use std::time::Duration;

use axon_api::limits::MAX_PROMPT;
use axon_api::v1alpha1::{TaskRecord, TaskSpawner, TaskStatus};
use axon_api::{Task, TaskPhase, TaskReason, crds};
use axon_test::control_plane::{self, ControlPlane, WITHOUT_RATCHETING};
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{self, Operator};
use axon_test::{manifests, wait};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, status};

/// Takes limits and rules out of a schema.
fn loosen(schema: &mut Value) {
    if let Value::Object(members) = schema {
        for limit in [
            "maxLength",
            "maxItems",
            "maxProperties",
            "x-kubernetes-validations",
        ] {
            members.remove(limit);
        }
        members.values_mut().for_each(loosen);
    }
}

async fn define_without_limits(client: &Client) {
    for (_, definition) in crds::all() {
        let mut definition = serde_json::to_value(definition).unwrap();
        loosen(definition.pointer_mut("/spec/versions/0/schema").unwrap());
        manifests::apply(client, "default", &definition.to_string())
            .await
            .unwrap();
    }
}

fn task(name: &str, prompt: usize, more: &Value) -> Value {
    let mut task = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {"type": "claude-code", "prompt": "p".repeat(prompt), "credentials": {"type": "none"}},
    });
    task["spec"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    task
}

/// Creates an object once the API server has taken up the definitions.
async fn until_created(namespace: &Namespace, object: &Value) {
    wait::until("the object to be created", PATIENCE, async || {
        Ok(namespace.apply(&object.to_string()).await.ok())
    })
    .await
    .unwrap();
}

/// Waits until the API server refuses a new Task that is too long.
async fn until_limits_hold(namespace: &Namespace) {
    let new: Task = serde_json::from_value(task("new", MAX_PROMPT + 1, &json!({}))).unwrap();
    let trial = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("limits hold", PATIENCE, async || {
        let created = namespace.api::<Task>().create(&trial, &new).await;
        Ok(created.is_err().then_some(()))
    })
    .await
    .unwrap();
}

struct Former {
    control_plane: ControlPlane,
    namespace: Namespace,
    _operator: Operator,
}

/// Returns a namespace with the objects of the former definitions, today's definitions, and an operator.
async fn former(flags: &[&str]) -> Former {
    let control_plane = ControlPlane::start(flags).await.unwrap();
    let client = control_plane.client().await.unwrap();
    define_without_limits(&client).await;
    let namespace = control_plane.namespace().await.unwrap();
    let long = MAX_PROMPT + 10_000;
    for object in [
        task("long", long, &json!({"branch": "b"})),
        task("next", 10, &json!({"branch": "b", "dependsOn": ["long"]})),
        task("background", long, &json!({"dependsOn": ["never"]})),
        task("foreground", long, &json!({"dependsOn": ["never"]})),
        task(
            "thief",
            10,
            &json!({"podOverrides": {"serviceAccountName": "axon-spawner"}}),
        ),
        task("odd", 10, &json!({"workspaceRef": {"name": "odd"}})),
        // A rule of the whole spec, which an API server without ratcheting checks at every write of a status.
        task("stale", 10, &json!({"stallTimeout": "0s"})),
        json!({"apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "odd"},
            "spec": {"repo": "git@127.0.0.1/admin/x?y=:o/r"}}),
        json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "thief"}, "spec": {
            "when": {"cron": {"schedule": "0 9 * * 1"}}, "taskTemplate": {"type": "claude-code",
            "promptTemplate": "prompt", "credentials": {"type": "none"},
            "podOverrides": {"serviceAccountName": "axon-spawner"}}}}),
        json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "odd"}, "spec": {
            "when": {"githubIssues": {"labels": ["l".repeat(60)]}}, "taskTemplate": {"type": "claude-code",
            "credentials": {"type": "none"}, "workspaceRef": {"name": "odd"}}}}),
    ] {
        until_created(&namespace, &object).await;
    }
    control_plane::define_kinds(&client).await.unwrap();
    until_limits_hold(&namespace).await;
    operator_process::install_rights(&client).await.unwrap();
    let token = operator_process::token(&client).await.unwrap();
    let operator = Operator::start_beside(control_plane.kubeconfig(), &token, &[]).unwrap();
    Former {
        control_plane,
        namespace,
        _operator: operator,
    }
}

impl Former {
    async fn until(&self, name: &str, what: &str, is_wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let found = self
            .namespace
            .wait_for(name, what, PATIENCE, |task| is_wanted(&status(task)))
            .await;
        status(&found.unwrap())
    }

    async fn succeed(&self, name: &str) {
        let ended = PodState::AgentEnded {
            exit_code: 0,
            message: "{}".into(),
        };
        Kubelet::new(&self.namespace)
            .report_job(name, &ended)
            .await
            .unwrap();
        self.until(name, "succeeds", |s| s.phase == Some(TaskPhase::Succeeded))
            .await;
    }

    /// What holds on every API server.
    async fn all_end(&self) {
        // The branch and the dependent are let go of, and the record is there.
        self.succeed("long").await;
        self.succeed("next").await;
        let records = self
            .namespace
            .api::<TaskRecord>()
            .list(&ListParams::default())
            .await
            .unwrap();
        assert!(records.items.iter().any(|record| record.spec.task_name == "long"));
        for (name, words) in [
            ("thief", "serviceAccountName can't be axon-spawner"),
            (
                "odd",
                "Workspace odd: repo \"git@127.0.0.1/admin/x?<redacted>\" is not a repository URL",
            ),
        ] {
            let ended = self
                .until(name, "fails", |s| s.phase == Some(TaskPhase::Failed))
                .await;
            assert_eq!(ended.reason, Some(TaskReason::InvalidConfig), "{name}");
            assert!(
                ended.message.as_deref().unwrap_or_default().contains(words),
                "{ended:?}"
            );
            let job = self.namespace.api::<Job>().get_opt(name).await.unwrap();
            assert!(job.is_none(), "{name} has no Job");
        }
        let spawner = |name: &'static str, what: &'static str, words: &'static str| async move {
            let said = |spawner: &TaskSpawner| {
                let status = serde_json::to_string(&spawner.status).unwrap();
                status.contains(words)
            };
            self.namespace
                .wait_for_object(name, what, PATIENCE, said)
                .await
                .unwrap();
        };
        spawner("thief", "has a status", "\"phase\":\"Running\"").await;
        spawner("odd", "tells of its repository", "is not a repository URL").await;
    }

    async fn delete(&self, name: &str, how: &DeleteParams) {
        self.until(name, "waits", |s| s.phase == Some(TaskPhase::Waiting))
            .await;
        self.namespace.api::<Task>().delete(name, how).await.unwrap();
    }

    async fn until_gone(&self, name: &str) {
        let tasks = self.namespace.api::<Task>();
        wait::until(name, PATIENCE, async || {
            Ok(tasks.get_opt(name).await?.is_none().then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn what_is_older_than_its_limits_ends_and_goes() {
    let former = former(&[]).await;
    former.all_end().await;
    former.succeed("stale").await;
    former.delete("background", &DeleteParams::background()).await;
    former.until_gone("background").await;
    former.delete("foreground", &DeleteParams::foreground()).await;
    former.until_gone("foreground").await;
}

#[tokio::test]
async fn what_is_older_than_its_limits_ends_and_goes_before_kubernetes_1_30() {
    let former = former(&WITHOUT_RATCHETING).await;
    former.all_end().await;
    former.delete("background", &DeleteParams::background()).await;
    former.until_gone("background").await;

    // What can't get a status is told of, by the name of what to do, and not again and again.
    let told = wait::until("an event", PATIENCE, async || {
        let events = former
            .namespace
            .api::<Event>()
            .list(&ListParams::default())
            .await?;
        let refused = |event: &Event| event.reason.as_deref() == Some("StatusRefused");
        Ok(events.items.into_iter().find(refused))
    })
    .await
    .unwrap();
    let note = told.note.unwrap_or_default();
    for words in [
        "kubectl delete task stale",
        "stallTimeout must be a positive duration",
    ] {
        assert!(note.contains(words), "{note}");
    }
    former.delete_unseen("stale").await;

    // The garbage collector can't take its finalizer out: the documentation says so, and what to do.
    former.delete("foreground", &DeleteParams::foreground()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kept = former.namespace.api::<Task>().get("foreground").await.unwrap();
    assert_eq!(kept.finalizers(), ["foregroundDeletion"]);
    define_without_limits(&former.control_plane.client().await.unwrap()).await;
    former.until_gone("foreground").await;
}

impl Former {
    async fn delete_unseen(&self, name: &str) {
        let how = DeleteParams::background();
        self.namespace.api::<Task>().delete(name, &how).await.unwrap();
        self.until_gone(name).await;
    }
}
