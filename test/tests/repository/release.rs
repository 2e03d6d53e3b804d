//! A release has every image that an installation runs, for both architectures, before anybody can install it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use axon_operator::args::Args;
use clap::Parser as _;
use serde_json::Value;

use super::root;

pub const DIGEST: &str = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

pub fn workflow() -> Value {
    let text = std::fs::read_to_string(root().join(".github/workflows/release.yaml")).unwrap();
    axon_api::yaml::from_str(&text).unwrap()
}

pub fn words(text: &Value) -> BTreeSet<String> {
    text.as_str()
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Returns the texts of all YAML files below a folder.
fn manifests(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.extension().and_then(|e| e.to_str()) {
        _ if path.is_dir() => manifests(&path),
        Some("yaml") => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}

#[test]
fn every_image_that_can_be_named_is_in_the_release() {
    let workflow = workflow();
    let released = words(&workflow["env"]["IMAGES"]);
    let known: BTreeSet<String> = axon_api::images::all().map(str::to_owned).collect();
    assert_eq!(released, known);

    let registry = workflow["env"]["REGISTRY"].as_str().unwrap();
    let args = Args::try_parse_from(["axon-operator", "--identity=a"]).unwrap();
    assert_eq!(registry, args.image_registry);
    let config = manifests(&root().join("config"));
    let images = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: "));
    let named: Vec<&str> = images.filter_map(|image| image.strip_prefix(registry)).collect();
    assert!(!named.is_empty());
    for image in named {
        let name = image.strip_prefix("/axon-").unwrap().split(':').next().unwrap();
        assert!(released.contains(name), "{image}");
    }
    assert!(config.contains(&format!("value: {registry}\n")));
}

#[test]
fn every_image_can_be_built() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for name in axon_api::images::all() {
        let prefix = format!("dockerfile_{name} := ");
        let dockerfile = makefile
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap();
        assert!(root().join(dockerfile).is_file(), "{dockerfile}");
    }
}

#[test]
fn images_are_there_before_the_release() {
    let jobs = &workflow()["jobs"];
    assert_eq!(jobs["images"]["needs"], "image");
    let matrix = jobs["image"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let machines: BTreeSet<_> = matrix
        .iter()
        .map(|entry| (entry["arch"].as_str().unwrap(), entry["runner"].as_str().unwrap()))
        .collect();
    assert_eq!(
        machines,
        BTreeSet::from([("amd64", "ubuntu-24.04"), ("arm64", "ubuntu-24.04-arm")])
    );
    for job in ["image", "images"] {
        assert_eq!(jobs[job]["permissions"]["packages"], "write", "{job}");
    }
}

/// Puts programs into a folder that note how they were called in `log` beside it: `docker` answers with [`DIGEST`]. Returns a PATH
/// that has them first.
pub fn fakes(folder: &Path, machine: &str) -> String {
    let programs = folder.join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    let log = folder.join("log");
    let log = log.display();
    let docker = format!(
        "echo docker \"$@\" >>{log}\ncase \"$*\" in *inspect*--format*) echo {DIGEST} ;; *axon-hidden@*) exit 1 ;; *) echo noise ;; esac\n"
    );
    let make = format!("printf '%s\\n' make \"$@\" >>{log}\n");
    for (name, text) in [
        ("docker", docker),
        ("make", make),
        ("uname", format!("echo {machine}\n")),
    ] {
        program(&programs.join(name), &text);
    }
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap())
}

/// Writes a program of bash.
pub fn program(file: &Path, text: &str) {
    std::fs::write(file, format!("#!/usr/bin/env bash\n{text}")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs `hack/images.sh` where `docker`, `make` and `uname` only note how they were called.
pub fn script(folder: &Path, machine: &str, words: &[&str]) -> (bool, String, String) {
    let output = Command::new(root().join("hack/images.sh"))
        .args(words)
        .env("PATH", fakes(folder, machine))
        .output()
        .unwrap();
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), log, said)
}

#[test]
fn images_are_built_of_the_release_and_for_the_machine() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    for (machine, arch) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        assert!(script(folder.path(), machine, &["bases", out]).0);
        let words = ["build", out, "r.example/axon", version, "operator", "codex"];
        let (done, log, said) = script(folder.path(), machine, &words);
        assert!(done, "{said}");
        for word in [
            "images",
            "CLUSTER=existing",
            "PROFILE=release",
            "REGISTRY=r.example/axon",
            &format!("TAG={version}-{arch}"),
            "IMAGES=operator codex",
            &format!("BASES={}", folder.path().canonicalize().unwrap().display()),
        ] {
            assert!(log.lines().any(|line| line == word), "{word}: {log}");
        }
        // The compiler is that of the release's bases, and the programs carry the list of their dependencies.
        let cargo = log.lines().find(|line| line.starts_with("CARGO=")).unwrap();
        assert!(
            cargo.contains(&format!("bookworm@{DIGEST} cargo auditable")),
            "{cargo}"
        );
        let install = "cargo install --locked --version ";
        assert!(log.contains(install), "{log}");
    }
    let folder = tempfile::tempdir().unwrap();
    let words = ["build", "bases", "r", "v99.0.0", "operator"];
    let (done, log, said) = script(folder.path(), "x86_64", &words);
    assert!(
        !done && log.is_empty(),
        "a tag of another version builds nothing: {log}"
    );
    assert!(
        said.contains("the tag is v99.0.0, but Cargo.toml says v"),
        "{said}"
    );
}

#[test]
fn images_of_both_architectures_are_joined_told_and_tried() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dist");
    let out = out.to_str().unwrap();
    let join = ["join", "r.example:5000/axon", "v1", out, "operator", "codex"];
    let (done, log, said) = script(folder.path(), "x86_64", &join);
    assert!(done, "{said}");
    let name = "r.example:5000/axon/axon-codex:v1";
    assert!(
        log.contains(&format!(
            "imagetools create --tag {name} {name}-amd64 {name}-arm64\n"
        )),
        "{log}"
    );
    let list = std::fs::read_to_string(folder.path().join("dist/images.txt")).unwrap();
    assert_eq!(
        list,
        format!(
            "{} {DIGEST}\n{name} {DIGEST}\n",
            name.replace("codex", "operator")
        )
    );

    let (done, log, said) = script(folder.path(), "x86_64", &["public", out]);
    assert!(done, "{said}");
    assert!(
        log.ends_with(&format!(
            "manifest inspect r.example:5000/axon/axon-codex@{DIGEST}\n"
        )),
        "{log}"
    );
    let (done, _, digests) = script(folder.path(), "x86_64", &["digests", out]);
    assert!(done);
    assert_eq!(digests, format!("operator={DIGEST},codex={DIGEST}\n"));
    assert!(axon_api::images::Digests::parse(digests.trim()).is_ok());
    let (done, _, notes) = script(folder.path(), "x86_64", &["notes", out]);
    assert!(
        done && notes.contains(&format!("| `{name}` | `{DIGEST}` |")),
        "{notes}"
    );

    std::fs::write(
        folder.path().join("dist/images.txt"),
        list.replace("axon-codex", "axon-hidden"),
    )
    .unwrap();
    let (done, _, said) = script(folder.path(), "x86_64", &["public", out]);
    assert!(!done, "a private image is no release");
    assert!(
        said.contains("without a login: r.example:5000/axon/axon-hidden:v1. Make"),
        "{said}"
    );
}

/// Returns a call of `make` without the variables that a `make` above has exported.
pub fn make() -> Command {
    let mut command = Command::new("make");
    for variable in [
        "MAKEFLAGS",
        "MAKELEVEL",
        "REGISTRY",
        "TAG",
        "IMAGE_ARCH",
        "CLUSTER",
        "PROFILE",
    ] {
        command.env_remove(variable);
    }
    command
}

fn dry_make(words: &[&str]) -> String {
    let output = make().arg("-n").args(words).current_dir(root()).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn programs_of_agents_are_those_of_the_architecture() {
    // Folders that no machine has filled.
    let versions = "CLAUDE_CODE_VERSION=0 CODEX_VERSION=0 GEMINI_VERSION=0 OPENCODE_VERSION=0 NODE_VERSION=0";
    let common: Vec<&str> = ["images", "CLUSTER=existing", "REGISTRY=r", "TAG=t"]
        .into_iter()
        .chain(versions.split(' '))
        .collect();
    for (arch, npm, other) in [("amd64", "x64", "linux-arm64"), ("arm64", "arm64", "linux-x64")] {
        let choice = format!("IMAGE_ARCH={arch}");
        let commands = dry_make(&[&common[..], &[&choice]].concat());
        for package in [
            format!("@anthropic-ai/claude-code-linux-{npm}@0"),
            format!("@openai/codex@0-linux-{npm}"),
            format!("node-linux-{npm}@0"),
            format!("opencode-linux-{npm}@0"),
        ] {
            assert!(commands.contains(&package), "{package}: {commands}");
        }
        assert!(!commands.contains(other), "{commands}");
    }
    let refused = dry_make(&[&common[..], &["IMAGE_ARCH=s390x"]].concat());
    assert!(
        refused.contains("IMAGE_ARCH is amd64 or arm64, not s390x"),
        "{refused}"
    );
}

#[test]
fn samples_name_this_release() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    for (file, before) in [
        ("config/gitops/argocd.yaml", "targetRevision: "),
        ("config/gitops/flux.yaml", "tag: "),
        ("docs/operations.md", "config/default?ref="),
        ("docs/operations.md", "config/components/without-admission?ref="),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let named: Vec<&str> = text
            .split(before)
            .skip(1)
            .map(|rest| rest.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(named, [version], "{file}");
    }
}
