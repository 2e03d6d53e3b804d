//! `git daemon`, and `axon-agent workspace` against it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use tempfile::TempDir;

use super::{Pod, git};

/// `git daemon` with one repository: `main` has three commits, `topic` left it after the first, the annotated tag
/// `v1` is the second, and `lone` has no history in common.
pub struct Server {
    pub root: TempDir,
    daemon: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&["--enable=receive-pack"])
    }

    /// Returns a server that takes no pushes.
    pub fn read_only() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let seed = root.path().join("seed");
        fs::create_dir(&seed).unwrap();
        git(&seed, &["init", "-q", "-b", "main"]);
        let commit = |name: &str| {
            fs::write(seed.join("file"), name).unwrap();
            git(&seed, &["add", "."]);
            git(&seed, &["commit", "-q", "-m", name]);
        };
        commit("one");
        git(&seed, &["checkout", "-q", "-b", "topic"]);
        commit("topic one");
        commit("topic two");
        git(&seed, &["checkout", "-q", "main"]);
        commit("two");
        git(&seed, &["tag", "-a", "v1", "-m", "v1"]);
        commit("three");
        git(&seed, &["checkout", "-q", "--orphan", "lone"]);
        commit("alone");
        git(&seed, &["checkout", "-q", "main"]);
        git(root.path(), &["clone", "-q", "--bare", "seed", "repo.git"]);
        git(root.path(), &["init", "-q", "--bare", "-b", "main", "empty.git"]);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        // Not through `git`, which would only be its parent.
        let daemon = PathBuf::from(git(root.path(), &["--exec-path"])).join("git-daemon");
        let daemon = Command::new(daemon)
            .args(["--export-all", "--listen=127.0.0.1", "--reuseaddr"])
            .args(options)
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", root.path().display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "no git daemon");
            thread::sleep(Duration::from_millis(20));
        }
        Self { root, daemon, port }
    }

    pub fn url(&self) -> String {
        format!("git://127.0.0.1:{}/repo.git", self.port)
    }

    pub fn id(&self, name: &str) -> String {
        git(&self.root.path().join("seed"), &["rev-parse", name])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

pub fn workspace(pod: &Pod, url: &str, pairs: &[(&str, &str)]) -> Output {
    let mut command = pod.command();
    command.arg("workspace").env("AXON_REPO", url);
    command.envs(pairs.iter().copied()).output().unwrap()
}

pub fn cloned(pod: &Pod, server: &Server, pairs: &[(&str, &str)]) -> (PathBuf, String) {
    let output = workspace(pod, &server.url(), pairs);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{pairs:?}: {text}");
    assert_eq!(pod.message(), "");
    (pod.dir("repo"), text)
}

pub fn refused(pod: &Pod, url: &str, pairs: &[(&str, &str)]) -> (TaskReason, String) {
    let output = workspace(pod, url, pairs);
    assert_eq!(output.status.code(), Some(1));
    let report = pod.report();
    assert!(report.is_final);
    let message = report.message.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("error: {message}")), "{stderr}");
    (report.reason.unwrap(), message)
}
