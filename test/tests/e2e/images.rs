//! Images that are not ours.

use axon_test::fixtures_client::repository_url;
use serde_json::{Value, json};

use crate::bench::{Bench, bench, image};

impl Bench {
    async fn verify(&self, image: &str, more: &[&str]) -> (bool, Vec<Value>, String) {
        let args = [
            &["verify-image", image, "-n", self.namespace.name(), "-o", "json"],
            more,
        ]
        .concat();
        let output = self.cluster.kubectl_axon(&args).await.unwrap();
        let checks = serde_json::from_str(&output.stdout).unwrap_or_default();
        (output.code == Some(0), checks, format!("{output:?}"))
    }
}

fn failed(checks: &[Value]) -> Vec<&str> {
    let is = |check: &&Value| check["verdict"] == "failed";
    checks
        .iter()
        .filter(is)
        .filter_map(|check| check["rule"].as_str())
        .collect()
}

#[tokio::test]
async fn the_example_of_an_image_keeps_the_rules_and_runs_a_task() {
    let b = bench().await;
    let example = image("example");
    let (is_good, checks, output) = b.verify(&example, &["--program", "my-agent"]).await;
    assert!(is_good && failed(&checks).is_empty(), "{output}");
    let rules = [
        "entry point",
        "file system",
        "prompt",
        "exit code",
        "stop",
        "outputs",
    ];
    for rule in rules {
        assert!(
            checks
                .iter()
                .any(|check| check["rule"] == rule && check["verdict"] == "ok"),
            "{rule}: {output}"
        );
    }
    let rest = b.namespace.api::<k8s_openapi::api::core::v1::ConfigMap>();
    let rest = rest.list(&kube::api::ListParams::default()).await.unwrap();
    let is_left = rest
        .items
        .iter()
        .any(|map| map.metadata.name.as_ref().unwrap().starts_with("verify-image-"));
    assert!(!is_left, "it leaves nothing");

    let prompt = "Note it: \"$(HOME)\" `x`\n ünd $1";
    let spec =
        json!({"image": example, "branch": "custom", "credentials": {"type": "none", "secretRef": null}});
    b.workspace(
        "open",
        &repository_url(&b.repository),
        "ref: main\n  secretRef: {name: git}",
    )
    .await;
    b.task("t", prompt, spec).await;
    let status = b.until_succeeded("t").await;
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    assert_eq!(status.results["commit"], refs["refs/heads/custom"]);
    assert_eq!(status.results["agent"], "my-agent");
    let notes = b
        .fixtures
        .file(&b.repository, "custom", "notes.txt")
        .await
        .unwrap();
    assert_eq!(notes, format!("{prompt}\n"));
}

#[tokio::test]
async fn an_image_that_breaks_the_rules_is_told_which() {
    let b = bench().await;
    // It has no entry point at all.
    let (is_good, checks, output) = b.verify(&image("fixtures"), &[]).await;
    assert!(!is_good && failed(&checks) == ["entry point"], "{output}");
    // It starts another program than the one that is named.
    let (is_good, checks, output) = b
        .verify(&image("example"), &["--program", "other", "--timeout", "60s"])
        .await;
    assert!(!is_good && failed(&checks).contains(&"prompt"), "{output}");
    // One of ours, with the stub in place of its CLI.
    let (is_good, checks, output) = b.verify(&image("codex"), &["--type", "codex"]).await;
    assert!(is_good && failed(&checks).is_empty(), "{output}");
}
