//! A replica of the operator as a process, which can be killed and stopped.

use std::path::PathBuf;
use std::process::Stdio;

use axon_test::control_plane::ControlPlane;
use axon_test::paths;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::process::{Child, Command};

pub async fn admin_config(control_plane: &ControlPlane) -> Config {
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

pub struct Replica {
    pub name: String,
    /// By how many seconds its clock is wrong.
    pub skew: i64,
    folder: tempfile::TempDir,
    child: Child,
}

impl Replica {
    /// Starts a replica that reaches the API server at `url`, says with `token` who it is, and whose clock is wrong by so many seconds.
    pub fn start(index: usize, url: &str, token: &str, skew: i64) -> Self {
        let mut folder = tempfile::tempdir().unwrap();
        // For whoever wants to know what happened.
        folder.disable_cleanup(std::env::var_os("AXON_CHAOS_KEEP").is_some());
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let name = format!("replica-{index}");
        let child = spawn(&folder, &name, skew);
        Self {
            name,
            skew,
            folder,
            child,
        }
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.name, self.skew);
    }

    pub fn halt(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), signal).unwrap();
        }
    }

    /// The last lines that it logged.
    pub fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(25)..].join("\n");
        format!("--- {}\n{end}\n", self.name)
    }
}

/// Returns the library that gives a process a wrong clock, of the package `faketime`.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .expect("libfaketimeMT.so.1 is missing: `make faketime` installs it")
}

fn spawn(folder: &tempfile::TempDir, name: &str, skew: i64) -> Child {
    let program = paths::operator_program().unwrap();
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    Command::new(program)
        .args([
            &format!("--identity={name}"),
            "--listen=127.0.0.1:0",
            "--image-registry=registry.test/axon",
            "--image-tag=v1",
            axon_test::operator_process::GITHUB_HOSTS,
        ])
        .env_clear()
        // The whole process has the wrong time, the libraries that it is made of included; intervals stay as they are.
        .env("LD_PRELOAD", faketime())
        .env("FAKETIME", format!("{skew:+}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("KUBECONFIG", folder.path().join("kubeconfig"))
        .env("AXON_LOG", "info")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
