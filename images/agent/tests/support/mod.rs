//! A stand-in for a Task's pod.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::panic, reason = "a failed test stops at the fault")]

pub mod server;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use axon_api::outputs::Report;
use tempfile::TempDir;

/// Directories, a termination message, and programs that come first in `PATH`.
pub struct Pod {
    root: TempDir,
    kind: &'static str,
}

impl Pod {
    /// Returns a pod whose `claude` is a shell script; it runs in the directory `work`.
    pub fn new(claude: &str) -> Self {
        Self::of("claude-code", "claude", claude)
    }

    /// Returns a pod of any type of agent, whose program is a shell script.
    pub fn of(kind: &'static str, program: &str, script: &str) -> Self {
        let pod = Self {
            root: tempfile::tempdir().unwrap(),
            kind,
        };
        for dir in ["bin", "home", "work"] {
            fs::create_dir(pod.dir(dir)).unwrap();
        }
        pod.program(program, script);
        pod
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        // A script writes into the directory it runs in.
        let work = self.root.path().join("work").join(name);
        if work.exists() { work } else { path }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn program(&self, name: &str, script: &str) {
        let path = self.root.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn command(&self) -> Command {
        self.dress(Command::new(env!("CARGO_BIN_EXE_axon-agent")))
    }

    pub fn dress(&self, mut command: Command) -> Command {
        let bin = self.root.path().join("bin");
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .env("HOME", self.root.path().join("home"))
            .env("AXON_AGENT_TYPE", self.kind)
            .env("AXON_TERMINATION_LOG", self.root.path().join("termination-log"))
            .env("AXON_REPO_DIR", self.root.path().join("repo"))
            .env("AXON_PLUGIN_DIR", self.plugin_dir())
            .envs(identity());
        command
    }

    pub fn plugin_dir(&self) -> PathBuf {
        let dir = self.root.path().join("plugin");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    pub fn message(&self) -> String {
        fs::read_to_string(self.root.path().join("termination-log")).unwrap_or_default()
    }

    pub fn report(&self) -> Report {
        let message = self.message();
        Report::parse(&message).unwrap_or_else(|| panic!("no report: {message:?}"))
    }
}

fn identity() -> [(&'static str, &'static str); 4] {
    [
        ("GIT_AUTHOR_NAME", "Tester"),
        ("GIT_AUTHOR_EMAIL", "tester@example.invalid"),
        ("GIT_COMMITTER_NAME", "Tester"),
        ("GIT_COMMITTER_EMAIL", "tester@example.invalid"),
    ]
}

/// Runs git and returns what it prints.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(args)
        .envs(identity())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the path of a recorded stream, such as `.killed`.
pub fn stream(name: &str) -> String {
    recorded(&format!("claude-code{name}.jsonl"))
}

/// Returns the path of a recorded file.
pub fn recorded(name: &str) -> String {
    format!("{}/tests/streams/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Returns what git's credential helper of this configuration answers for a URL, on standard output and on standard error. `dressed`
/// is git in the pod's environment.
pub fn credential_fill(mut dressed: Command, configuration: &[(String, String)], url: &str) -> [String; 2] {
    for (key, value) in configuration {
        dressed.args(["-c", &format!("{key}={value}")]);
    }
    let mut child = dressed
        .args(["credential", "fill"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "url={url}\n\n").unwrap();
    let output = child.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
}
