//! The main job.

use axon_api::TaskReason;
use axon_api::v1alpha1::TaskStatus;
use axon_test::fixtures_client::repository_url;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::api::ListParams;
use serde_json::json;

use crate::bench::{Bench, CANARY, bench, commit_script};

#[tokio::test]
async fn a_real_agent_commits_and_pushes_and_the_status_has_all_of_it() {
    let b = bench().await;
    b.task(
        "hello",
        &commit_script("hello.txt"),
        json!({"branch": "agent/hello"}),
    )
    .await;
    let status = b.until_succeeded("hello").await;
    assert_eq!(status.reason, Some(TaskReason::Completed));
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    let pushed = &refs["refs/heads/agent/hello"];
    assert_eq!(&status.results["commit"], pushed);
    assert_eq!(status.results["branch"], "agent/hello");
    assert_eq!(status.results["base-branch"], "main");
    assert_eq!(
        b.fixtures
            .file(&b.repository, "agent/hello", "hello.txt")
            .await
            .unwrap(),
        "made by an agent\n"
    );
    b.assert_usage_is_the_models("hello", &status).await;
    let usage = status.usage.clone().unwrap();
    assert!(usage.cost_usd.as_ref().unwrap().parse::<f64>().unwrap() > 0.0);
    assert_eq!(status.results["cost-usd"], usage.cost_usd.unwrap());
    assert_eq!(
        status.results["input-tokens"],
        usage.input_tokens.unwrap().to_string()
    );
    assert_eq!(
        status.results["output-tokens"],
        usage.output_tokens.unwrap().to_string()
    );
    print_stages(&b, "hello", &status).await;
}

/// Prints how long each stage took; figures for people, not for judgement.
pub async fn print_stages(b: &Bench, name: &str, status: &TaskStatus) {
    let task = b.namespace.api::<axon_api::Task>().get(name).await.unwrap();
    let job = b.namespace.api::<Job>().get(name).await.unwrap();
    let pods = b
        .namespace
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let pod = pods.items[0].clone();
    let pod_status = pod.status.unwrap();
    let ended = |all: &Option<Vec<_>>| -> ContainerStateTerminated {
        let first: &k8s_openapi::api::core::v1::ContainerStatus = &all.as_ref().unwrap()[0];
        first.state.clone().unwrap().terminated.unwrap()
    };
    let (init, agent) = (
        ended(&pod_status.init_container_statuses),
        ended(&pod_status.container_statuses),
    );
    let time = |t: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| t.unwrap().0;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    let stages: [(&str, Timestamp); 7] = [
        ("job created", time(job.metadata.creation_timestamp)),
        ("pod created", time(pod.metadata.creation_timestamp)),
        ("clone started", time(init.started_at)),
        ("clone done", time(init.finished_at)),
        ("agent started", time(agent.started_at)),
        ("agent done", time(agent.finished_at)),
        ("status final", ready.last_transition_time.0),
    ];
    let start = time(task.metadata.creation_timestamp);
    let figures: Vec<String> = stages
        .iter()
        .map(|(name, at)| format!("{name} +{} s", at.as_second() - start.as_second()))
        .collect();
    println!("stages of task {name}: {}", figures.join(", "));
}

#[tokio::test]
async fn branches_tags_and_commits_are_checked_out() {
    let b = bench().await;
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    let (tag, head) = (refs["refs/tags/v1"].clone(), refs["refs/heads/main"].clone());
    let url = repository_url(&b.repository);
    for (name, reference) in [("tag", "v1"), ("sha", tag.as_str()), ("head", "main")] {
        b.workspace(
            name,
            &url,
            &format!("ref: '{reference}'\n  secretRef: {{name: git}}"),
        )
        .await;
        b.task(
            name,
            "@bash git rev-parse HEAD\n@say done",
            json!({"workspaceRef": {"name": name}}),
        )
        .await;
    }
    for (name, commit) in [("tag", &tag), ("sha", &tag), ("head", &head)] {
        let status = b.until_succeeded(name).await;
        assert_eq!(&status.results["commit"], commit, "{name}");
    }
}

#[tokio::test]
async fn work_goes_on_where_the_branch_is() {
    let b = bench().await;
    b.task("first", &commit_script("one.txt"), json!({"branch": "shared"}))
        .await;
    b.task(
        "second",
        &commit_script("two.txt"),
        json!({"branch": "shared", "dependsOn": ["first"]}),
    )
    .await;
    b.until_succeeded("second").await;
    let log = b.fixtures.log(&b.repository, "shared").await.unwrap();
    let messages: Vec<&str> = log
        .iter()
        .filter_map(|c| c["message"].as_str())
        .map(str::trim)
        .collect();
    assert_eq!(messages[..2], ["Add two.txt", "Add one.txt"]);
}

#[tokio::test]
async fn an_agent_config_reaches_the_agent() {
    let b = bench().await;
    b.namespace
        .apply(
            "apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {name: ac}\nspec:\n  agentsMD: Always mention the \
             word zebrafish.\n  plugins: [{name: team, skills: [{name: deploy, content: \"---\\nname: deploy\\ndescription: \
             Ships quokkas to production\\n---\\nDo it.\"}]}]",
        )
        .await
        .unwrap();
    b.task(
        "t",
        "@bash git status --short\n@say done",
        json!({"agentConfigRef": {"name": "ac"}}),
    )
    .await;
    let status = b.until_succeeded("t").await;
    let text = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(
        text.contains("zebrafish"),
        "the instructions are not in the request"
    );
    assert!(text.contains("quokkas"), "the skill is not in the request");
    assert!(status.results.contains_key("commit"));
    assert!(!text.contains(CANARY), "a credential is in the request");
}
