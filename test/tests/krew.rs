//! The plugin's krew manifest: what krew's index asks for, and an installation by a real krew from a local archive.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on panics"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use axon_test::paths;
use serde_json::Value;

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// A folder with an archive of the plugin and the manifest that names it.
struct Release {
    folder: tempfile::TempDir,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// krew's name of this machine's architecture.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

impl Release {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = paths::root().join("hack/release.sh");
        let plugin = paths::plugin_program().unwrap();
        // The development build, and without symbols: what is tested is the packing.
        let stripped = folder.path().join("kubectl-axon");
        run(Command::new("strip").arg("-o").arg(&stripped).arg(&plugin));
        let release = Self { folder };
        let out = release.folder.path().join("out");
        run(Command::new(&script)
            .args(["pack", out.to_str().unwrap(), VERSION, "linux", arch()])
            .arg(&stripped));
        // Platforms that can't be built here: the manifest does not care what is inside.
        std::fs::write(release.folder.path().join("other"), "x").unwrap();
        for (os, arch) in [("darwin", "arm64"), ("windows", "amd64")] {
            run(Command::new(&script)
                .args(["pack", out.to_str().unwrap(), VERSION, os, arch])
                .arg(release.folder.path().join("other")));
        }
        run(Command::new(&script).args(["manifest", out.to_str().unwrap(), VERSION]));
        release
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn archive(&self) -> PathBuf {
        self.file(&format!("kubectl-axon_{VERSION}_linux_{}.tar.gz", arch()))
    }

    fn manifest(&self) -> Value {
        axon_api::yaml::from_str(&std::fs::read_to_string(self.file("axon.yaml")).unwrap()).unwrap()
    }
}

/// The rules of krew's index (internal/index/validation) and of its developer guide.
#[test]
fn the_manifest_is_what_the_index_asks_for() {
    let release = Release::new();
    let manifest = release.manifest();
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(
        (&manifest["kind"], &manifest["metadata"]["name"]),
        (&"Plugin".into(), &"axon".into())
    );
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], VERSION);
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(
        short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'),
        "{short}"
    );
    assert!(!short.to_lowercase().contains("kubectl"), "{short}");
    assert!(spec["homepage"].as_str().unwrap().starts_with("https://"));
    assert!(spec["description"].as_str().unwrap().lines().count() > 1);
    let platforms = spec["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 3);
    for platform in platforms {
        let labels = platform["selector"]["matchLabels"].as_object().unwrap();
        let windows = labels["os"] == "windows";
        assert_eq!(
            platform["bin"],
            if windows {
                "kubectl-axon.exe"
            } else {
                "kubectl-axon"
            }
        );
        let (uri, sum) = (
            platform["uri"].as_str().unwrap(),
            platform["sha256"].as_str().unwrap(),
        );
        assert!(
            uri.starts_with("https://") && uri.ends_with(".tar.gz") && uri.contains(VERSION),
            "{uri}"
        );
        assert!(
            sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit()),
            "{sum}"
        );
    }
}

#[test]
fn an_archive_holds_the_plugin_and_its_licence_and_is_the_same_each_time() {
    let release = Release::new();
    let listed = run(Command::new("tar").arg("-tzf").arg(release.archive()));
    assert_eq!(text(&listed.stdout), "kubectl-axon\nLICENSE\n");
    let again = Release::new();
    assert_eq!(
        std::fs::read(release.archive()).unwrap(),
        std::fs::read(again.archive()).unwrap()
    );
}

fn tool(name: &str) -> PathBuf {
    let tool = paths::root().join(".cluster/bin").join(name);
    assert!(
        tool.is_file(),
        "{} is missing: run `make control-plane`",
        tool.display()
    );
    tool
}

/// A machine with kubectl and krew, and nothing else.
struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let bin = tool("kubectl").parent().unwrap().to_owned();
        let path = format!(
            "{}:{}:/usr/bin:/bin",
            self.path("krew/bin").display(),
            bin.display()
        );
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("KREW_ROOT", self.path("krew"))
            .env("PATH", path)
            .current_dir(self.home.path());
        command
    }
}

#[test]
fn a_real_krew_installs_it_and_a_real_kubectl_runs_it() {
    let release = Release::new();
    let machine = Machine {
        home: tempfile::tempdir().unwrap(),
    };
    // krew looks for its own index before anything else; an empty one will do.
    let index = machine.path("krew/index/default");
    std::fs::create_dir_all(index.join("plugins")).unwrap();
    for words in [
        &["init", "--quiet"][..],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "x",
        ],
    ] {
        run(machine.command(Path::new("git")).args(words).current_dir(&index));
    }
    let manifest = format!("--manifest={}", release.file("axon.yaml").display());
    let archive = format!("--archive={}", release.archive().display());
    run(machine
        .command(&tool("krew"))
        .args(["install", &manifest, &archive]));

    let version = run(machine
        .command(&tool("kubectl"))
        .args(["axon", "version", "--client"]));
    assert_eq!(text(&version.stdout), format!("client    {VERSION}\n"));
    let listed = run(machine.command(&tool("kubectl")).args(["plugin", "list"]));
    let (out, err) = (text(&listed.stdout), text(&listed.stderr));
    assert!(out.contains("/krew/bin/kubectl-axon\n"), "{out}");
    assert!(!(out + &err).contains("warning"), "{err}");
    let help = run(machine.command(&tool("kubectl")).args(["axon", "run", "--help"]));
    assert!(
        text(&help.stdout).contains("Usage: kubectl axon run"),
        "{}",
        text(&help.stdout)
    );

    // kubectl's own completion finds the helper that one command writes.
    run(machine
        .command(&tool("kubectl"))
        .args(["axon", "completion", "install"]));
    let helper = machine.path("krew/bin/kubectl_complete-axon");
    assert_eq!(helper.metadata().unwrap().permissions().mode() & 0o111, 0o111);
    let completed = run(machine
        .command(&tool("kubectl"))
        .args(["__complete", "axon", "un"]));
    assert!(
        text(&completed.stdout).starts_with("uninstall\t"),
        "{}",
        text(&completed.stdout)
    );

    run(machine.command(&tool("krew")).args(["uninstall", "axon"]));
    assert!(!machine.path("krew/bin/kubectl-axon").exists());
}
