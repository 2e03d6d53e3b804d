//! What `axon-agent run` does with git in the clone once the agent has ended.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::server::{Server, cloned};
use support::{Pod, git};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn head(repo: &Path) -> String {
    git(repo, &["rev-parse", "HEAD"])
}

#[test]
fn a_stopped_run_saves_its_commits_on_the_task_s_branch_and_on_no_other() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    for (branch, saved) in [("elsewhere", false), ("feature/x", true)] {
        let pod = Pod::new(
            "cat >/dev/null; echo work > file; git add file; git commit -qm work; echo > ready; sleep 60",
        );
        let (repo, _) = cloned(&pod, &server, &[]);
        git(&repo, &["checkout", "-q", "-b", branch]);
        let child = pod
            .command()
            .args(["run", "x"])
            .current_dir(&repo)
            .env("AXON_REPO", server.url())
            .env("AXON_BRANCH", "feature/x")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until("commit", || repo.join("ready").exists());
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        child.wait_with_output().unwrap();
        let report = pod.report();
        let message = report.message.unwrap();
        assert_eq!(report.reason, Some(TaskReason::Stopped), "{message}");
        let branches = git(&remote, &["branch", "--format=%(refname:short)"]);
        assert_eq!(branches.contains("feature/x"), saved, "{branches}");
        assert_eq!(
            message.contains("; new commits pushed to feature/x: 1"),
            saved,
            "{message}"
        );
        if saved {
            let there = git(&remote, &["rev-parse", "feature/x"]);
            assert_eq!(there, head(&repo));
            assert!(
                report.outputs.contains(&format!("commit: {there}")),
                "{:?}",
                report.outputs
            );
        }
    }
}

/// What an agent can leave in its clone or its home directory so that git starts `$TRAP`, and a command of git that does.
const TRAPS: [(&str, &str, &str); 9] = [
    ("git proxy", "git config core.gitProxy \"$TRAP\"", "push"),
    (
        "git proxy of the user",
        "git config --global core.gitProxy \"$TRAP\"",
        "push",
    ),
    (
        "push URL",
        "git config protocol.ext.allow always; git config remote.origin.pushurl \"ext::$TRAP\"",
        "push",
    ),
    (
        "rewritten URL",
        "git config protocol.ext.allow always; git config \"url.ext::$TRAP .insteadOf\" git:",
        "push",
    ),
    (
        "SSH command",
        "git config core.sshCommand \"$TRAP\"; git config remote.origin.pushurl ssh://h/r",
        "push",
    ),
    (
        "hook",
        "mkdir -p hooks; cp \"$TRAP\" hooks/pre-push; cp \"$TRAP\" hooks/reference-transaction; git config core.hooksPath hooks",
        "push",
    ),
    (
        "missing objects",
        "git config core.repositoryFormatVersion 1; git config extensions.partialClone evil; \
         git config remote.evil.url \"ext::$TRAP\"; git config protocol.ext.allow always; \
         mkdir -p .git/refs/axon; git rev-parse HEAD^{tree} | tr 0-9a-f 1-9a-f0 > .git/refs/axon/gone",
        "count",
    ),
    ("monitor", "git config core.fsmonitor \"$TRAP\"", "status"),
    (
        "included file",
        "printf '[core]\\n\\tgitProxy = %s\\n' \"$TRAP\" > evil; git config include.path ../evil",
        "push",
    ),
];

#[test]
fn nothing_that_the_agent_left_in_the_clone_runs_after_its_end() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    for (n, (name, set, command)) in TRAPS.into_iter().enumerate() {
        let branch = format!("axon/{n}");
        let pod = Pod::new(&format!(
            "cat >/dev/null; git commit -q --allow-empty -m work; {set}; exit 3"
        ));
        let (sprung, trap) = (pod.root().join("sprung"), pod.root().join("trap"));
        fs::write(
            &trap,
            format!("#!/bin/sh\necho >> '{}'\nexit 1\n", sprung.display()),
        )
        .unwrap();
        fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
        let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", branch.as_str())]);
        let output = pod
            .command()
            .current_dir(&repo)
            .args(["run", "x"])
            .envs([("AXON_BRANCH", branch.as_str()), ("AXON_REPO", &server.url())])
            .env("TRAP", &trap)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        let message = pod.report().message.unwrap();
        assert!(!sprung.exists(), "{name}: {message}");
        // Who breaks the clone loses what is in it.
        let saved = command != "count";
        let words = format!("new commits pushed to {branch}: 1");
        assert_eq!(message.contains(&words), saved, "{name}: {message}");
        let mut plain = Command::new("git");
        plain.current_dir(&repo).env("HOME", pod.root().join("home"));
        match command {
            "push" => plain.args(["push", "origin", "HEAD:refs/heads/plain"]),
            "count" => plain.args(["rev-list", "--count", "HEAD", "--not", "--glob=refs/axon/*"]),
            command => plain.arg(command),
        };
        plain.output().unwrap();
        assert!(
            sprung.exists(),
            "{name}: plain git {command} does start it, or this shows nothing"
        );
        if saved {
            let there = git(&remote, &["rev-parse", &branch]);
            assert_eq!(there, git(&repo, &["rev-parse", "HEAD"]), "{name}");
        }
    }
}
