//! The plugin against the real cluster.

use axon_test::fixtures_client::model_url;
use serde_json::Value;

use crate::bench::{bench, commit_script};

#[tokio::test]
async fn run_watch_follows_to_the_end_and_exits_by_the_result() {
    let b = bench().await;
    let namespace = b.namespace.name();
    let url = |name: &str| format!("ANTHROPIC_BASE_URL={}", model_url(&b.run_id(name)));
    let good = commit_script("hello.txt");
    let usual = ["-n", namespace, "--workspace", "ws", "--secret", "key", "-w"];
    let run = async |name: &str, prompt: &str| {
        let env = url(name);
        let args = [&["run", "--name", name, "-p", prompt, "--env", &env], &usual[..]].concat();
        b.cluster.kubectl_axon(&args).await.unwrap()
    };
    let done = run("good", &good).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("task/good created"), "{}", done.stdout);
    assert!(
        done.stdout.contains("hello.txt is committed and pushed."),
        "{}",
        done.stdout
    );
    assert!(
        done.stderr.contains("git push"),
        "the tool calls are shown: {}",
        done.stderr
    );
    assert!(done.stderr.contains("Succeeded"), "{}", done.stderr);

    let failed = run("bad", "Try.\n@fail 400 out of order").await;
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("out of order"), "{}", failed.stderr);

    let logs = b
        .cluster
        .kubectl_axon(&["logs", "task/good", "-n", namespace])
        .await
        .unwrap();
    assert!(
        logs.succeeded()
            .unwrap()
            .contains("hello.txt is committed and pushed.")
    );
    assert!(!logs.stdout.contains("AXON_OUTPUTS"), "the block is for programs");
    let raw = b
        .cluster
        .kubectl_axon(&["logs", "good", "-n", namespace, "--raw"])
        .await
        .unwrap();
    assert!(raw.stdout.contains("---AXON_OUTPUTS_START---"));

    let table = b
        .cluster
        .kubectl_axon(&["get", "tasks", "-n", namespace])
        .await
        .unwrap();
    let table = table.succeeded().unwrap();
    assert!(
        table.contains("good") && table.contains("Succeeded") && table.contains("AgentError"),
        "{table}"
    );
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    let json = b
        .cluster
        .kubectl_axon(&["get", "task", "good", "-n", namespace, "-o", "json"])
        .await
        .unwrap();
    let object: Value = serde_json::from_str(json.succeeded().unwrap()).unwrap();
    assert_eq!(object["status"]["phase"], "Succeeded");

    let deleted = b
        .cluster
        .kubectl_axon(&["delete", "task", "good", "bad", "-n", namespace])
        .await
        .unwrap();
    assert!(deleted.succeeded().unwrap().contains("task/good deleted"));
    let missing = b
        .cluster
        .kubectl_axon(&["get", "task", "good", "-n", namespace])
        .await
        .unwrap();
    assert_eq!(missing.code, Some(5), "{missing:?}");
}

#[tokio::test]
async fn logs_follow_from_before_the_pod_exists() {
    let b = bench().await;
    let namespace = b.namespace.name();
    b.task("t", "@bash echo working\n@say all done", serde_json::json!({}))
        .await;
    let logs = b
        .cluster
        .kubectl_axon(&["logs", "t", "-f", "-n", namespace])
        .await
        .unwrap();
    assert_eq!(
        logs.succeeded().unwrap().matches("all done").count(),
        1,
        "neither lost nor doubled: {}",
        logs.stdout
    );
}

#[tokio::test]
async fn logs_of_a_failed_clone_are_gits() {
    let b = bench().await;
    let namespace = b.namespace.name();
    b.workspace("gone", "http://git.axon-fixtures.svc/gone.git", "")
        .await;
    b.task("t", "hi", serde_json::json!({"workspaceRef": {"name": "gone"}}))
        .await;
    let logs = b
        .cluster
        .kubectl_axon(&["logs", "t", "-f", "-n", namespace])
        .await
        .unwrap();
    let all = format!("{}{}", logs.stdout, logs.stderr);
    assert!(all.contains("gone"), "{all}");
}

#[tokio::test]
async fn versions_of_plugin_and_operator_are_shown() {
    let b = bench().await;
    let version = b.cluster.kubectl_axon(&["version"]).await.unwrap();
    assert!(
        version.succeeded().unwrap().contains(env!("CARGO_PKG_VERSION")),
        "{version:?}"
    );
}
