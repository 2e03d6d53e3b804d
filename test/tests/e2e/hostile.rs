//! A stranger's pull request configures agents in every way that it can.

use axon_test::agents::SAMPLES;
use axon_test::fixtures_client::{model_url, repository_url};
use axon_test::hostile_tree::{self, BASE_MARK, EVIL_MARK, VARIABLE};
use serde_json::json;

use crate::bench::{Bench, bench};

/// The folder in a pod where the tree's programs leave their traces.
const RAN: &str = "/tmp/ran";

impl Bench {
    /// Returns all that a run's model was told.
    async fn told(&self, task: &str) -> String {
        let bodies = self.fixtures.bodies(&self.run_id(task)).await;
        bodies.map(|bodies| bodies.to_string()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_pull_request_configures_no_agent_unless_its_workspace_is_to_be_trusted() {
    let b = bench().await;
    let stolen = model_url(&b.run_id("stolen"));
    let script = hostile_tree::script(RAN, &stolen);
    let prompt = format!("Push it.\n@bash <<SCRIPT\n{script}SCRIPT\n@say pushed");
    b.task("mallory", &prompt, json!({})).await;
    b.until_succeeded("mallory").await;
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    assert!(refs.contains_key("refs/pull/7/head"), "{refs:?}");

    let url = repository_url(&b.repository);
    b.workspace("pr", &url, "ref: refs/pull/7/head\n  secretRef: {name: git}")
        .await;
    let look = format!("@bash ls {RAN} 2>/dev/null | sed 's/^/ran=/'; echo \"${VARIABLE}\"");
    let prompt = format!("Look around.\n{look}\n{look}\n@say fin");
    for sample in SAMPLES {
        let spec = json!({"workspaceRef": {"name": "pr"}});
        b.task_of(sample, sample.kind, &prompt, spec).await;
    }
    for sample in SAMPLES {
        b.until_succeeded(sample.kind).await;
        let told = b.told(sample.kind).await;
        assert_eq!(ran(&told), Vec::<String>::new(), "{}", sample.kind);
        assert!(!told.contains(EVIL_MARK), "{}: {told}", sample.kind);
        assert!(told.contains(BASE_MARK), "{}: {told}", sample.kind);
    }
    assert_eq!(b.told("stolen").await.matches("Look around").count(), 0);

    // The same tree, trusted: without this, the test could not fail.
    let spec = json!({"workspaceRef": {"name": "pr"}, "trust": "Ref"});
    b.task("trusting", &prompt, spec).await;
    b.until_ended("trusting").await;
    let told = b.told("stolen").await;
    assert!(told.contains(EVIL_MARK), "{told}");
    assert!(ran(&told).contains(&"claude-start".to_owned()), "{told}");
}

/// Returns what the agent's look has found. The command itself, which the model was told too, has no name after the mark.
fn ran(told: &str) -> Vec<String> {
    let found = told.split("ran=").skip(1);
    let name = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect::<String>()
    };
    found.map(name).filter(|name| !name.is_empty()).collect()
}
