//! What an administrator tells the operator at its start reaches the pods of Tasks, and what it counts its figures.

use axon_api::Task;
use axon_test::{plain_http, wait};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, bench_with, task};

#[tokio::test]
async fn images_secrets_and_proxies_of_the_administrator_are_in_every_pod() {
    let exact = "registry.test/exact@sha256:0f";
    let bench = bench_with(&[
        &format!("--images=claude-code={exact}"),
        "--image-pull-secrets=mirror",
        "--pod-https-proxy=http://proxy.test:3128",
    ])
    .await;
    let stage = bench.stage().await;
    let workspace = "apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: w}\n\
                     spec: {repo: 'https://git.test/o/r.git'}\n";
    stage.namespace.apply(workspace).await.unwrap();
    let more = "workspaceRef: {name: w}\npodOverrides: {imagePullSecrets: [{name: own}]}";
    stage.namespace.apply(&task("t", more)).await.unwrap();
    let jobs = stage.namespace.api::<Job>();
    let job = wait::until("the Job", PATIENCE, async || Ok(jobs.get_opt("t").await?))
        .await
        .unwrap();
    let pod = serde_json::to_value(job.spec.unwrap().template.spec.unwrap()).unwrap();
    assert_eq!(pod["containers"][0]["image"], exact);
    assert_eq!(
        pod["initContainers"][0]["image"],
        "registry.test/axon/axon-workspace:v1"
    );
    assert_eq!(
        pod["imagePullSecrets"],
        json!([{"name": "own"}, {"name": "mirror"}])
    );
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        let value = |name: &str| -> &Value {
            let all = container["env"].as_array().unwrap();
            &all.iter().find(|variable| variable["name"] == name).unwrap()["value"]
        };
        assert_eq!(value("HTTPS_PROXY"), "http://proxy.test:3128");
        assert_eq!(value("https_proxy"), "http://proxy.test:3128");
    }

    let url = bench.operator.url().unwrap();
    let waiting = "dependsOn: [nobody]";
    stage.namespace.apply(&task("waits", waiting)).await.unwrap();
    let line = format!(
        "axon_tasks{{namespace=\"{}\",phase=\"Waiting\",reason=\"WaitingForDependencies\"}} 1",
        stage.namespace.name()
    );
    wait::until("the Task to be counted", PATIENCE, async || {
        let request = plain_http::Request::new("GET", &format!("{url}/metrics"))?;
        let text = request.send().await?.text();
        Ok(text.lines().any(|found| found == line).then_some(()))
    })
    .await
    .unwrap();
    // The next test's operator must find no other one's Tasks half done.
    let tasks = stage.namespace.api::<Task>();
    for name in ["t", "waits"] {
        tasks
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }
}
