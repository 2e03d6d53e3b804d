//! The program as people call it: whole commands, and what they print. No cluster is needed; where one answers, it
//! is a fake of one closure.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on panics"
)]

mod completion;
mod conventions;
mod cost;
mod doctor;
mod fake;
mod follow;
mod get;
mod hostile;
mod install;
mod manage;
mod offline;
mod refusals;
mod run;
mod tree;
mod verify_image;
mod version;
mod wait;
mod why;
mod world;

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

use fake::{Fake, Reply, Request};

/// A home directory, and the program in it.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

/// What a command left behind.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn with_config(text: &str) -> Self {
        let home = Self::new();
        let dir = home.path().join(".axon");
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("config.yaml");
        std::fs::write(&file, text).unwrap();
        private(&file);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-axon"));
        command
            .env_clear()
            .env("HOME", self.path())
            .current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        done(self.command().args(words))
    }

    /// Runs a command against a fake.
    pub(crate) fn against(&self, fake: &Fake, words: &[&str]) -> Done {
        done(self.command().args(words).args(["--server", &fake.url()]))
    }

    /// Runs a command against a fake, and presses Ctrl-C once it has said `said`: not before it listens.
    #[cfg(unix)]
    pub(crate) fn interrupted(&self, fake: &Fake, words: &[&str], said: &str) -> Done {
        use std::io::{BufRead as _, Read as _};
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-axon"))
            .args(words)
            .args(["--server", &fake.url()])
            .env_clear()
            .env("HOME", self.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut err = String::new();
        while !err.contains(said) {
            assert!(
                stderr.read_line(&mut err).unwrap() > 0,
                "never said {said:?}: {err}"
            );
        }
        let pid = child.id().to_string();
        let kill = std::process::Command::new("kill").args(["-INT", &pid]).status();
        assert!(kill.unwrap().success());
        stderr.read_to_string(&mut err).unwrap();
        let output = child.wait_with_output().unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err,
        }
    }
}

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[cfg(unix)]
pub(crate) fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
pub(crate) fn private(_: &Path) {}

/// A Task as the API server returns it.
pub(crate) fn task(name: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T09:00:00Z", "managedFields": [{"manager": "x"}]},
        "spec": {"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}},
        "status": status,
    })
}

/// A list of anything.
pub(crate) fn list(items: &[Value]) -> Reply {
    Reply::Json(
        200,
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "9"}, "items": items}),
    )
}

/// Answers a POST with what was posted.
pub(crate) fn accepted(request: &Request) -> Reply {
    Reply::Json(201, request.body.clone())
}
