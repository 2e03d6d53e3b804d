//! Namespaces and objects other than Jobs that the operator's token can write.

use axon_api::network::{self, Allow};
use axon_api::{Task, TaskReason};
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{HOME, World, applied, refused, tried, with};
use crate::harness::PATIENCE;

#[tokio::test]
async fn the_operators_token_does_nothing_in_system_namespaces() {
    let w = World::new().await;
    let job = w.job().await;
    let closed = format!("{}-closed", w.name());
    let labelled: Namespace =
        serde_json::from_value(json!({"metadata": {"name": closed, "labels": {"axon.io/tasks": "denied"}}}))
            .unwrap();
    let namespaces = Api::<Namespace>::all(w.bench.namespace.client().clone());
    namespaces
        .create(&PostParams::default(), &labelled)
        .await
        .unwrap();
    for namespace in ["kube-system", "kube-public", HOME, &closed] {
        let mut job = job.clone();
        job["metadata"].as_object_mut().unwrap().remove("namespace");
        let answer = tried::<Job>(&w.own, namespace, &job).await;
        refused(namespace, answer, "operator-jobs", "no Task can run in namespace");
        let map = json!({"metadata": {"name": "m", "ownerReferences": job["metadata"]["ownerReferences"]}, "immutable": true});
        let answer = tried::<ConfigMap>(&w.own, namespace, &map).await;
        refused(
            namespace,
            answer,
            "operator-configmaps",
            "no Task can run in namespace",
        );
        let answer = applied::<ServiceAccount>(&w.own, namespace, &account()).await;
        refused(
            namespace,
            answer,
            "operator-serviceaccounts",
            "is not created in namespace",
        );
        let answer = applied::<RoleBinding>(&w.own, namespace, &binding(namespace)).await;
        refused(
            namespace,
            answer,
            "operator-rolebindings",
            "is not created in namespace",
        );
        let policy = network::policy(namespace, &Allow::default(), &[]);
        let policy = serde_json::to_value(policy).unwrap();
        let answer = applied::<NetworkPolicy>(&w.own, namespace, &policy).await;
        refused(
            namespace,
            answer,
            "operator-networkpolicies",
            "no Task can run in namespace",
        );
    }
    namespaces
        .delete(&closed, &DeleteParams::default())
        .await
        .unwrap();
}

fn account() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "axon-spawner"},
        "automountServiceAccountToken": false})
}

fn binding(subject_s: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "axon-spawner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "axon-spawner"},
        "subjects": [{"kind": "ServiceAccount", "name": "axon-spawner", "namespace": subject_s}]})
}

#[tokio::test]
async fn the_operators_token_grants_the_one_role_to_the_one_account() {
    let w = World::new().await;
    let name = w.name();
    applied::<RoleBinding>(&w.own, name, &binding(name))
        .await
        .unwrap();
    let user = json!([{"kind": "User", "name": "thief", "apiGroup": "rbac.authorization.k8s.io"}]);
    let mut two = binding(name);
    two["subjects"].as_array_mut().unwrap().push(user[0].clone());
    for (what, hostile) in [
        ("an account of another namespace", binding(HOME)),
        ("a person", with(&binding(name), "/subjects", user)),
        ("somebody more", two),
        ("nobody", with(&binding(name), "/subjects", json!([]))),
        (
            "another account",
            with(&binding(name), "/subjects/0/name", json!("default")),
        ),
    ] {
        let answer = applied::<RoleBinding>(&w.own, name, &hostile).await;
        refused(
            what,
            answer,
            "operator-rolebindings",
            "only RoleBinding axon-spawner",
        );
    }
    applied::<ServiceAccount>(&w.own, name, &account()).await.unwrap();
    for (pointer, value) in [
        ("/automountServiceAccountToken", json!(true)),
        ("/secrets", json!([{"name": "db"}])),
        ("/imagePullSecrets", json!([{"name": "db"}])),
    ] {
        let answer = applied::<ServiceAccount>(&w.own, name, &with(&account(), pointer, value)).await;
        refused(
            pointer,
            answer,
            "operator-serviceaccounts",
            "without token and without Secrets",
        );
    }
    let map = json!({"metadata": {"name": "m"}, "immutable": true});
    let answer = tried::<ConfigMap>(&w.own, name, &map).await;
    refused(
        "a ConfigMap without a Task",
        answer,
        "operator-configmaps",
        "that a Task owns",
    );
}

#[tokio::test]
async fn the_operators_token_deletes_only_jobs_of_tasks() {
    let w = World::new().await;
    let job = json!({"metadata": {"name": "backup"}, "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "i"}]}}}});
    let job: Job = serde_json::from_value(job).unwrap();
    let jobs = w.bench.namespace.api::<Job>();
    jobs.create(&PostParams::default(), &job).await.unwrap();
    let own = Api::<Job>::namespaced(w.own.clone(), w.name());
    let deleted = own.delete("backup", &DeleteParams::default()).await;
    let answer = deleted.map(drop).map_err(|error| error.to_string());
    refused(
        "another one's Job",
        answer,
        "operator-deletes",
        "only Jobs of Tasks",
    );
    w.job().await;
    own.delete("t", &DeleteParams::background().dry_run())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_task_in_the_operators_namespace_says_why_it_does_not_run() {
    let w = World::new().await;
    let tasks = Api::<Task>::namespaced(w.bench.namespace.client().clone(), HOME);
    let task: Task = serde_json::from_value(json!({"metadata": {"name": w.name()},
        "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}}}))
    .unwrap();
    tasks.create(&PostParams::default(), &task).await.unwrap();
    let refused = wait::until_object(&tasks, w.name(), "to be refused", PATIENCE, |task: &Task| {
        task.status.as_ref().and_then(|status| status.reason) == Some(TaskReason::PodRefused)
    });
    let message = refused.await.unwrap().status.unwrap().message.unwrap();
    tasks.delete(w.name(), &DeleteParams::default()).await.unwrap();
    assert!(
        message.contains("no Task can run in namespace axon-system"),
        "{message}"
    );
}
