//! Removing the product from a cluster, in a binary of its own: nothing else can run meanwhile.

#![cfg(test)]

use std::time::Duration;

use axon_api::{Task, labels};
use axon_test::cluster::Cluster;
use axon_test::namespace::Namespace as Namespaced;
use axon_test::wait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);

async fn install(cluster: &Cluster) {
    let of = |variable: &str, default: &str| std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let (registry, tag) = (of("REGISTRY", "localhost/axon"), of("TAG", "dev"));
    let args = ["install", "--registry", &registry, "--tag", &tag];
    cluster.kubectl_axon(&args).await.unwrap().succeeded().unwrap();
}

/// Makes what the operator makes in a namespace when it first acts there.
async fn identities(namespace: &Namespaced) {
    let metadata = json!({"name": "axon-spawner", "labels": {labels::MANAGED_BY: labels::MANAGER}});
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "axon-spawner"});
    let binding: RoleBinding =
        serde_json::from_value(json!({"metadata": metadata, "roleRef": role})).unwrap();
    let how = PostParams::default();
    namespace.api().create(&how, &account).await.unwrap();
    namespace.api().create(&how, &binding).await.unwrap();
}

#[tokio::test]
async fn uninstall_removes_everything_also_twice_and_install_brings_it_back() {
    let cluster = Cluster::connect().await.unwrap();
    let client = cluster.client().clone();
    install(&cluster).await;
    install(&cluster).await;
    let namespace = cluster.namespace().await.unwrap();
    let task: Task = axon_api::yaml::from_str(
        "{apiVersion: axon.io/v1alpha1, kind: Task, metadata: {name: t}, spec: {type: claude-code, prompt: hi, \
         credentials: {type: none}, image: localhost/axon/no-such-image:v0}}",
    )
    .unwrap();
    namespace
        .api::<Task>()
        .create(&PostParams::default(), &task)
        .await
        .unwrap();
    wait::until_object(&namespace.api::<Job>(), "t", "is there", PATIENCE, |_| true)
        .await
        .unwrap();

    identities(&namespace).await;

    for _ in 0..2 {
        let gone = cluster.kubectl_axon(&["uninstall", "-y"]).await.unwrap();
        gone.succeeded().unwrap();
    }
    let definitions = Api::<CustomResourceDefinition>::all(client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    let ours: Vec<String> = definitions
        .iter()
        .map(ResourceExt::name_any)
        .filter(|n| n.ends_with("axon.io"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    wait::until_gone(&namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
    let account = namespace.api::<ServiceAccount>().get_opt("axon-spawner").await;
    assert!(account.unwrap().is_none());
    let binding = namespace.api::<RoleBinding>().get_opt("axon-spawner").await;
    assert!(binding.unwrap().is_none());
    wait::until_gone(&Api::<Namespace>::all(client.clone()), "axon-system", PATIENCE)
        .await
        .unwrap();

    install(&cluster).await;
    let deployments: Api<Deployment> = Api::namespaced(client, "axon-system");
    let operator = deployments.get("axon-operator").await.unwrap();
    assert_eq!(operator.status.and_then(|s| s.available_replicas), Some(2));
}
