//! The tutorial, typed by a stranger: a machine with kubectl and krew, the archive of a release, and the commands of
//! docs/tutorial.md through the real kubectl. In a binary of its own: it ends by removing the product.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on panics"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use axon_test::clean_machine::{Machine, Release};
use axon_test::cluster::Cluster;
use axon_test::{paths, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

const PATIENCE: Duration = Duration::from_secs(120);

/// Returns what the tutorial tells readers to type, block by block.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(paths::root().join("docs/tutorial.md")).unwrap();
    let mut parts = page.split("```bash\n");
    parts.next().unwrap();
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

async fn fixtures(cluster: &Cluster) {
    let of = |variable: &str, default: &str| std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let image = format!(
        "{}/axon-fixtures:{}",
        of("REGISTRY", "localhost/axon"),
        of("TAG", "dev")
    );
    let manifests = std::fs::read_to_string(paths::root().join("test/manifests/fixtures.yaml")).unwrap();
    cluster
        .apply(&manifests.replace("FIXTURES_IMAGE", &image))
        .await
        .unwrap();
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().clone(), "axon-fixtures");
    wait::until_object(&deployments, "fixtures", "to run", PATIENCE, |d: &Deployment| {
        d.status.as_ref().is_some_and(|s| s.available_replicas == Some(1))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stranger_gets_from_krew_to_a_pipeline_and_back() {
    let cluster = Cluster::connect().await.unwrap();
    fixtures(&cluster).await;
    let (release, machine) = (Release::of_the_build().unwrap(), Machine::new().unwrap());
    machine.install(&release).unwrap();
    // The session notes a context of its own.
    std::fs::copy(cluster.kubeconfig(), machine.path("kubeconfig")).unwrap();
    let mut script = "set -euo pipefail\n".to_owned();
    for (n, block) in blocks().into_iter().enumerate() {
        writeln!(script, "echo '=== {n}'\n{block}").unwrap();
        if let (0, Ok(registry), Ok(tag)) = (n, std::env::var("REGISTRY"), std::env::var("TAG")) {
            writeln!(
                script,
                "INSTALL='--registry {registry} --tag {tag} --agent-network-allow 10.244.0.0/16'"
            )
            .unwrap();
        }
    }
    let mut bash = machine.command(Path::new("bash")).unwrap();
    bash.args(["-c", &format!("exec 2>&1\n{script}")])
        .env("KUBECONFIG", machine.path("kubeconfig"))
        .env("LANG", "C.UTF-8");
    let session = tokio::task::spawn_blocking(move || bash.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&session.stdout).into_owned();
    std::fs::write(paths::root().join("target/tutorial.txt"), &said).unwrap();
    assert!(session.status.success(), "{said}");

    let block = |n: usize| {
        let rest = said.split(&format!("=== {n}\n")).nth(1).unwrap();
        rest.split("\n=== ").next().unwrap()
    };
    let words = |n: usize, all: &[&str]| {
        for word in all {
            assert!(
                block(n).contains(word),
                "block {n} does not say {word:?}:\n{said}"
            );
        }
    };
    words(1, &["operator"]);
    words(2, &["namespace/axon-tutorial created", "config.yaml written"]);
    words(
        3,
        &[
            "task/hello created",
            "hello.txt is committed and pushed.",
            "task/hello Succeeded",
            "commit",
        ],
    );
    words(
        4,
        &[
            "Turn 1",
            "\"type\":\"result\",\"ok\":true",
            "hello   claude-code   Succeeded",
        ],
    );
    words(
        5,
        &["write", "└─ review", "review waits for write", "A fine story."],
    );
    words(6, &["Succeeded", "review succeeded", "TOTAL", "$0."]);
    words(
        7,
        &[
            "taskspawner/nightly created",
            "nightly is suspended.",
            "name: again",
        ],
    );
    let for_people = said.lines().filter(|line| !line.starts_with('{'));
    for line in for_people {
        assert!(line.chars().count() <= 110, "{line}");
    }
    let costs = std::fs::read_to_string(machine.path("costs.csv")).unwrap();
    assert!(costs.lines().count() > 1, "{costs}");
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client().clone());
    let left = definitions.list(&ListParams::default()).await.unwrap();
    let ours: Vec<String> = left
        .iter()
        .map(ResourceExt::name_any)
        .filter(|n| n.ends_with("axon.io"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}
