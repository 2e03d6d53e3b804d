//! Repositories over SSH, with OpenSSH at both ends.

use axon_api::TaskReason;
use axon_test::agents::SAMPLES;
use serde_json::json;

use crate::bench::{Bench, bench, commit_script};

const HOST: &str = "git.axon-fixtures.svc";

impl Bench {
    /// Creates a Secret, a Workspace that names it, and a Task there, all of one name.
    async fn ssh_task(&self, name: &str, kind: &str, entries: &[(&str, &str)]) {
        self.secret_of(name, entries.iter().copied()).await;
        let url = format!("ssh://git@{HOST}/{}.git", self.repository);
        self.workspace(name, &url, &format!("ref: main\n  secretRef: {{name: {name}}}"))
            .await;
        let sample = SAMPLES.iter().find(|sample| sample.kind == kind).unwrap();
        let spec = json!({"workspaceRef": {"name": name}, "branch": format!("ssh/{name}")});
        self.task_of(sample, name, &commit_script(&format!("{name}.txt")), spec)
            .await;
    }
}

#[tokio::test]
async fn a_repository_is_cloned_and_pushed_with_a_key() {
    let b = bench().await;
    let key = b.fixtures.ssh_key(true, "").await.unwrap();
    let known = format!("{HOST} {}\n", b.fixtures.ssh_host_key().await.unwrap());
    let secret = [("ssh-privatekey", key.as_str()), ("known_hosts", known.as_str())];
    // Gemini isolates the git of its commands.
    for kind in ["claude-code", "gemini"] {
        b.ssh_task(kind, kind, &secret).await;
    }
    // The form without a scheme, and a token for `gh` beside the key.
    let with_token = [secret[0], secret[1], ("GITHUB_TOKEN", b.token.as_str())];
    b.secret_of("both", with_token).await;
    b.workspace(
        "both",
        &format!("git@{HOST}:{}.git", b.repository),
        "secretRef: {name: both}",
    )
    .await;
    let script = "@bash git push -q origin HEAD:refs/heads/both && gh auth token --hostname $GH_HOST | wc -c\n@say done";
    b.task("both", script, json!({"workspaceRef": {"name": "both"}}))
        .await;

    for kind in ["claude-code", "gemini"] {
        let status = b.until_succeeded(kind).await;
        let refs = b.fixtures.refs(&b.repository).await.unwrap();
        assert_eq!(status.results["commit"], refs[&format!("refs/heads/ssh/{kind}")]);
    }
    b.until_succeeded("both").await;
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    assert_eq!(refs["refs/heads/both"], refs["refs/heads/main"]);
    let https = b.fixtures.git_requests(&b.repository).await.unwrap();
    assert!(https.is_empty(), "{https:?}");
}

#[tokio::test]
async fn what_the_secret_lacks_for_ssh_is_told_with_advice() {
    let b = bench().await;
    let key = b.fixtures.ssh_key(true, "").await.unwrap();
    let stranger = b.fixtures.ssh_key(false, "").await.unwrap();
    let closed = b.fixtures.ssh_key(true, "open-sesame").await.unwrap();
    let known = format!("{HOST} {}\n", b.fixtures.ssh_host_key().await.unwrap());
    // Another host's key under the host's name.
    let other =
        format!("{HOST} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n");
    let cut = &key[..key.len() / 2];
    let (known, other) = (("known_hosts", known.as_str()), ("known_hosts", other.as_str()));
    fn private(key: &str) -> (&str, &str) {
        ("ssh-privatekey", key)
    }
    let cases = [
        (
            "stranger",
            vec![private(&stranger), known],
            TaskReason::AuthFailed,
            "does not accept",
        ),
        (
            "unknown",
            vec![private(&key)],
            TaskReason::CloneFailed,
            "ssh-keyscan git.axon-fixtures.svc",
        ),
        (
            "changed",
            vec![private(&key), other],
            TaskReason::CloneFailed,
            "known_hosts of Secret",
        ),
        (
            "closed",
            vec![private(&closed), known],
            TaskReason::InvalidConfig,
            "passphrase",
        ),
        (
            "cut",
            vec![private(cut), known],
            TaskReason::InvalidConfig,
            "is no private key",
        ),
        (
            "token",
            vec![("GITHUB_TOKEN", "x")],
            TaskReason::InvalidConfig,
            "has no ssh-privatekey",
        ),
    ];
    for (name, entries, ..) in &cases {
        b.ssh_task(name, "claude-code", entries).await;
    }
    for (name, _, reason, words) in cases {
        let status = b.until_failed(name, reason).await;
        let message = status.message.unwrap();
        assert!(message.contains(words), "{name}: {message}");
        assert!(!message.contains("PRIVATE KEY"), "{name}: {message}");
    }
    b.workspace("none", &format!("git@{HOST}:{}.git", b.repository), "ref: main")
        .await;
    b.task("none", "@say x", json!({"workspaceRef": {"name": "none"}}))
        .await;
    let status = b.until_failed("none", TaskReason::CloneFailed).await;
    assert!(status.message.unwrap().contains("Workspace.spec.secretRef"));
}

#[tokio::test]
async fn a_missing_secret_is_waited_for() {
    let b = bench().await;
    let key = b.fixtures.ssh_key(true, "").await.unwrap();
    let known = format!("{HOST} {}\n", b.fixtures.ssh_host_key().await.unwrap());
    let url = format!("ssh://git@{HOST}/{}.git", b.repository);
    b.workspace("late", &url, "secretRef: {name: late}").await;
    b.task("t", "@say done", json!({"workspaceRef": {"name": "late"}}))
        .await;
    let waits = |s: &axon_api::TaskStatus| s.reason == Some(TaskReason::SecretNotFound);
    let status = b.until("t", "waits for the Secret", waits).await;
    assert!(status.message.unwrap().contains("Secret late of Workspace late"));
    b.secret_of(
        "late",
        [("ssh-privatekey", key.as_str()), ("known_hosts", known.as_str())],
    )
    .await;
    b.until_succeeded("t").await;
}
