//! The plugin against the real cluster.

use std::time::Duration;

use axon_api::TaskReason;
use axon_test::fixtures_client::{model_url, repository_url};
use serde_json::Value;

use crate::bench::{bench, commit_script};
use crate::cut_proxy::CutProxy;

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
async fn a_log_is_whole_although_its_connection_is_cut_again_and_again() {
    let b = bench().await;
    let namespace = b.namespace.name();
    let steps: String = (0..60).map(|i| format!("@bash echo {i}\n@sleep 100\n")).collect();
    b.task(
        "t",
        &format!("Count.\n{steps}@say all done"),
        serde_json::json!({}),
    )
    .await;
    let way = CutProxy::to(&b.cluster).await;
    let flags = way.flags.each_ref().map(String::as_str);
    let words = ["logs", "t", "--raw", "--timestamps", "-n", namespace];
    let follow = [&words[..], &["-f"], &flags].concat();
    let followed = tokio::select! {
        followed = b.cluster.kubectl_axon(&follow) => followed.unwrap(),
        () = way.cut_every(Duration::from_millis(700)) => unreachable!(),
    };
    let whole = b.cluster.kubectl_axon(&words).await.unwrap();
    assert!(whole.succeeded().unwrap().lines().count() > 180);
    assert!(
        followed.succeeded().unwrap() == whole.stdout,
        "{}",
        followed.stderr
    );
}

#[tokio::test]
async fn what_a_task_waits_for_is_said_once_and_a_deletion_ends_the_wait() {
    let b = bench().await;
    let namespace = b.namespace.name();
    b.task(
        "t",
        "hi",
        serde_json::json!({"workspaceRef": {"name": "nowhere"}}),
    )
    .await;
    let reason = Some(TaskReason::WorkspaceNotFound);
    b.until("t", "waits for its Workspace", |s| s.reason == reason)
        .await;
    let delete = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let words = ["delete", "task", "t", "-n", namespace];
        b.cluster.kubectl_axon(&words).await.unwrap()
    };
    let words = ["logs", "t", "-f", "-n", namespace];
    let (followed, deleted) = tokio::join!(b.cluster.kubectl_axon(&words), delete);
    deleted.succeeded().unwrap();
    let followed = followed.unwrap();
    assert_eq!(followed.code, Some(5), "{followed:?}");
    assert_eq!(
        followed.stderr.matches("WorkspaceNotFound").count(),
        1,
        "{followed:?}"
    );
    assert!(followed.stderr.contains("was deleted"), "{followed:?}");
}

#[tokio::test]
async fn a_run_needs_nothing_but_the_configuration_file() {
    let b = bench().await;
    let namespace = b.namespace.name();
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |key: &str| {
        let (repo, token) = (repository_url(&b.repository), &b.token);
        let text = format!("apiKey: {key}\nworkspace: {{repo: '{repo}', ref: main, token: {token}}}\n");
        std::fs::write(file.path(), text).unwrap();
    };
    let run = async |name: &str, more: &[&str]| {
        let url = format!("ANTHROPIC_BASE_URL={}", model_url(&b.run_id(name)));
        let config = file.path().to_str().unwrap();
        let words = [
            "run",
            "--name",
            name,
            "-p",
            "Say it.\n@say hi",
            "-n",
            namespace,
            "--env",
            &url,
            "--config",
            config,
        ];
        b.cluster
            .kubectl_axon(&[&words[..], more].concat())
            .await
            .unwrap()
    };
    write("sk-one");
    let first = run("first", &["-w"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first
            .stderr
            .contains("secret/axon-credentials-claude-code created"),
        "{first:?}"
    );
    assert!(
        first.stderr.contains("workspace/axon-workspace created"),
        "{first:?}"
    );
    let second = run("second", &[]).await;
    assert_eq!(
        (second.code, second.stderr.as_str()),
        (Some(0), ""),
        "nothing has changed"
    );
    write("sk-two");
    let refused = run("third", &[]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("pass -y"), "{refused:?}");
    let third = run("third", &["-y"]).await;
    assert!(
        third
            .stderr
            .contains("secret/axon-credentials-claude-code configured"),
        "{third:?}"
    );
    let all = [first, second, refused, third];
    assert!(
        all.iter()
            .all(|i| !i.stdout.contains("sk-") && !i.stderr.contains("sk-"))
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
    assert!(
        all.contains("fatal: repository") && all.contains("not found"),
        "{all}"
    );
    assert!(all.contains("CloneFailed"), "{all}");
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
