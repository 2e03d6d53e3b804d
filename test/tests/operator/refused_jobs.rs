//! Jobs that the API server refuses for a quota or a policy.

use axon_api::{TaskPhase, TaskReason};
use axon_test::wait;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, bench};

/// Forbids any Job in the namespace until the returned quota is deleted.
async fn no_jobs(b: &Bench) -> Api<ResourceQuota> {
    b.namespace
        .apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {count/jobs.batch: '0'}}")
        .await
        .unwrap();
    // The quota counts only once its controller has seen it.
    let quotas = b.namespace.api::<ResourceQuota>();
    wait::until_object(&quotas, "none", "is in force", PATIENCE, |q| {
        q.status.as_ref().is_some_and(|s| s.hard.is_some())
    })
    .await
    .unwrap();
    quotas
}

#[tokio::test]
async fn a_job_that_was_refused_gets_the_inputs_of_the_day_it_is_made() {
    let b = bench().await;
    let config = |more: &str| {
        format!(
            "apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {{name: ac}}\nspec: {{agentsMD: Be kind.{more}}}"
        )
    };
    b.namespace.apply(&config("")).await.unwrap();
    let quotas = no_jobs(&b).await;
    b.create("t", "agentConfigRef: {name: ac}").await;
    b.until_reason("t", TaskReason::PodRefused).await;
    let server = ", mcpServers: [{name: m, type: stdio, command: npx}]";
    b.namespace.apply(&config(server)).await.unwrap();
    // Another try is made with it, whose Job is refused as well; one from before may have been under way.
    wait::until("the new inputs to be tried", PATIENCE, async || {
        let all = b.namespace.api::<ConfigMap>().list(&Default::default()).await?;
        let has_servers = |map: &ConfigMap| {
            map.data
                .as_ref()
                .is_some_and(|data| data.contains_key("mcp.json"))
        };
        Ok(all.iter().any(has_servers).then_some(()))
    })
    .await
    .unwrap();
    quotas.delete("none", &DeleteParams::default()).await.unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
    let input = b.input("t").await;
    let keys: Vec<String> = input.data.unwrap().into_keys().collect();
    assert_eq!(keys, ["agents.md", "mcp.json"]);
}

#[tokio::test]
async fn a_policy_that_denies_the_job_is_waited_for() {
    let b = bench().await;
    let name = format!("no-jobs-{}", b.namespace.name());
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]},
            ]},
            "validations": [{"expression": "false", "message": "no Jobs today"}],
        },
    });
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": b.namespace.name()}});
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}},
    });
    for object in [policy, binding] {
        b.namespace.apply(&object.to_string()).await.unwrap();
    }
    let jobs = b.namespace.api::<Job>();
    let probe: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}},
    }))
    .unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the policy to be in force", PATIENCE, async || {
        Ok(jobs.create(&dry, &probe).await.is_err().then_some(()))
    })
    .await
    .unwrap();
    b.create("t", "").await;
    let waiting = b.until_reason("t", TaskReason::PodRefused).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    let message = waiting.message.unwrap();
    assert!(message.contains("no Jobs today"), "{message}");
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(b.namespace.client().clone());
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_quota_that_refuses_the_job_is_waited_for() {
    let b = bench().await;
    let quotas = no_jobs(&b).await;
    b.create("t", "").await;
    let waiting = b.until_reason("t", TaskReason::PodRefused).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("quota"));
    quotas.delete("none", &DeleteParams::default()).await.unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_quota_on_cpu_and_memory_admits_a_pod_that_names_its_resources() {
    let b = bench().await;
    b.namespace
        .apply(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: share}\n\
             spec: {hard: {limits.memory: 1Gi, requests.cpu: 100m}}\n---\n\
             apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}",
        )
        .await
        .unwrap();
    let quotas = b.namespace.api::<ResourceQuota>();
    wait::until_object(&quotas, "share", "is in force", PATIENCE, |q| {
        q.status.as_ref().is_some_and(|s| s.hard.is_some())
    })
    .await
    .unwrap();
    b.create("bare", "workspaceRef: {name: ws}").await;
    b.until_reason("bare", TaskReason::PodRefused).await;
    // As much as the quota has, though two containers name it.
    b.create(
        "named",
        "workspaceRef: {name: ws}\npodOverrides: {resources: {requests: {cpu: 100m}, limits: {memory: 1Gi}}}",
    )
    .await;
    let pod = b.kubelet.pod_of("named").await.unwrap();
    let spec = pod.spec.unwrap();
    assert_eq!(spec.init_containers.unwrap().len() + spec.containers.len(), 2);
}
