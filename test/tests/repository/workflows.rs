//! Workflows call targets of the Makefile, and the end-to-end tests run on the Kubernetes versions that are promised.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

use super::release::program;
use super::{pins, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn workflow(name: &str) -> Value {
    axon_api::yaml::from_str(&read(&format!(".github/workflows/{name}"))).unwrap()
}

/// Returns the targets that a job's matrix has.
fn matrix(job: &Value) -> Vec<&str> {
    let targets = job["strategy"]["matrix"]["target"].as_array();
    targets.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Returns the targets that a job's commands name, those of its matrix included.
fn targets(job: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for step in job["steps"].as_array().into_iter().flatten() {
        for line in step["run"].as_str().unwrap_or_default().lines() {
            let (_, word) = match line.split_once(".ci/run ") {
                Some(parts) => parts,
                None => match line.strip_prefix("make ") {
                    Some(word) => ("", word),
                    None => continue,
                },
            };
            if word == "\"$TARGET\"" {
                assert_eq!(step["env"]["TARGET"], "${{ matrix.target }}", "{line}");
                found.extend(matrix(job).into_iter().map(str::to_owned));
            } else {
                found.push(word.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_target_that_a_workflow_calls_is_in_the_makefile() {
    let makefile = read("Makefile");
    let known: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut called = 0;
    for path in pins::workflows() {
        let text = std::fs::read_to_string(&path).unwrap();
        let workflow: Value = axon_api::yaml::from_str(&text).unwrap();
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            for target in targets(job) {
                called += 1;
                assert!(
                    known.contains(&*target),
                    "{}: {name}: the Makefile has no target {target:?}",
                    path.display()
                );
            }
        }
    }
    assert!(called >= 7, "only {called} targets are found");
    assert!(read(".ci/run").ends_with("make \"${1:-test}\"\n"));
}

#[test]
fn every_change_runs_the_parts_of_make_test_side_by_side() {
    let workflow = workflow("ci.yaml");
    let makefile = read("Makefile");
    let test = makefile
        .lines()
        .find_map(|line| line.strip_prefix("test: "))
        .unwrap();
    let parts: Vec<&str> = test.split(" ##").next().unwrap().split_whitespace().collect();
    let jobs = &workflow["jobs"];
    assert_eq!(matrix(&jobs["test"]), parts);
    assert_eq!(targets(&jobs["test"]), parts);
    assert_eq!(targets(&jobs["kind"]), ["e2e-oldest", "e2e-newest"]);
    for job in ["test", "kind"] {
        assert!(jobs[job]["needs"].is_null(), "{job} waits for another job");
        assert_eq!(jobs[job]["strategy"]["fail-fast"], false, "{job}");
    }
    assert!(workflow["on"].as_object().unwrap().contains_key("pull_request"));
}

#[test]
fn a_release_runs_the_tests_of_a_change_before_it_pushes_an_image() {
    let ci = workflow("ci.yaml");
    assert!(ci["on"].as_object().unwrap().contains_key("workflow_call"));
    let jobs = &workflow("release.yaml")["jobs"];
    assert_eq!(jobs["test"]["uses"], "./.github/workflows/ci.yaml");
    assert_eq!(
        jobs["test"]["permissions"],
        serde_json::json!({"contents": "read"})
    );
    assert_eq!(jobs["image"]["needs"], serde_json::json!(["test", "bases"]));
}

/// Returns the node images of kind, by their name in hack/kind/nodes.env.
fn nodes() -> Vec<(String, String)> {
    let file = read("hack/kind/nodes.env");
    let lines = file.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, image)| (name.to_owned(), image.to_owned()))
        .collect()
}

/// The readme, the manual and the tests promise the same oldest version.
#[test]
fn the_oldest_cluster_of_the_tests_is_the_oldest_that_is_promised() {
    let nodes = nodes();
    let names: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["OLDEST", "NEWEST"]);
    let mut minors = Vec::new();
    for (name, image) in &nodes {
        let version = image.strip_prefix("kindest/node:v1.").unwrap();
        let (version, digest) = version.split_once("@sha256:").unwrap();
        assert!(
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()),
            "{name}: {image}: a tag can be moved"
        );
        minors.push(version.split('.').next().unwrap().parse::<u32>().unwrap());
    }
    assert!(minors[0] < minors[1], "{minors:?}");
    let promise = format!("Kubernetes 1.{} or newer", minors[0]);
    for page in ["README.md", "docs/operations.md"] {
        assert!(read(page).contains(&promise), "{page} does not say {promise:?}");
    }
}

/// Runs hack/kind/e2e.sh where `make` only notes how it was called, and fails for `e2e` if `fails`.
fn on_kind(which: &[&str], fails: bool) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let end = if fails {
        "case \"$*\" in *' e2e '*) exit 1 ;; esac\n"
    } else {
        ""
    };
    program(
        &folder.path().join("make"),
        &format!("echo \"$@\" >>{}\n{end}", log.display()),
    );
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let done = Command::new(root().join("hack/kind/e2e.sh"))
        .args(which)
        .env("PATH", path)
        .output()
        .unwrap();
    (done, std::fs::read_to_string(log).unwrap_or_default())
}

#[test]
fn a_kind_cluster_is_new_has_the_version_that_is_named_and_goes_also_after_a_failure() {
    let down = "--no-print-directory cluster-down CLUSTER=kind\n";
    for ((name, image), which) in nodes().into_iter().zip(["oldest", "newest"]) {
        for fails in [false, true] {
            let (done, log) = on_kind(&[which], fails);
            let test = format!("--no-print-directory e2e CLUSTER=kind KIND_NODE={image}\n");
            assert_eq!(log, format!("{down}{test}{down}"), "{name}");
            assert_eq!(done.status.success(), !fails, "{name}: {done:?}");
        }
    }
    for which in [&["1.28"][..], &[]] {
        let (done, log) = on_kind(which, false);
        assert_eq!((done.status.code(), log.as_str()), (Some(2), ""), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("oldest or newest"));
    }
}

/// Returns what make would do, without doing it.
fn dry_make(words: &[&str]) -> String {
    let output = Command::new("make")
        .arg("--dry-run")
        .args(words)
        .current_dir(root())
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tests_alone_run_on_a_cluster_that_is_there() {
    for cluster in ["local", "kind", "existing"] {
        let commands = dry_make(&["e2e-tests", &format!("CLUSTER={cluster}"), "REGISTRY=r.example"]);
        for word in ["axon-cluster up", "create cluster", "buildah", "docker", "load"] {
            assert!(!commands.contains(word), "{cluster}: {word}: {commands}");
        }
        for test in ["--test e2e ", "--test tutorial", "--test uninstall"] {
            assert!(commands.contains(test), "{cluster}: {test}: {commands}");
        }
    }
}

/// A cluster that kind has made is reached by a kubeconfig of its own, so that no test meets the cluster of its user.
#[test]
fn a_kind_cluster_has_a_kubeconfig_of_its_own() {
    let commands = dry_make(&["cluster-up", "CLUSTER=kind", "KIND_NODE=kindest/node:x"]);
    let file = root().join(".cluster/kind.kubeconfig");
    let file = file.to_str().unwrap();
    assert!(
        commands.contains(&format!("--image kindest/node:x --kubeconfig {file} ")),
        "{commands}"
    );
    assert!(
        commands.contains(&format!("export kubeconfig --name axon --kubeconfig {file}")),
        "{commands}"
    );
}

#[test]
fn every_script_is_valid_bash() {
    let mut scripts = vec![root().join(".ci/run")];
    for folder in ["hack", "hack/kind"] {
        let files = std::fs::read_dir(root().join(folder)).unwrap();
        let files = files.map(|file| file.unwrap().path());
        scripts.extend(files.filter(|file| file.extension().is_some_and(|e| e == "sh")));
    }
    assert!(scripts.len() > 8, "{scripts:?}");
    for script in scripts {
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", script.display());
    }
}
