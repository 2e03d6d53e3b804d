//! What must hold for the repository as a whole; needs neither cluster nor network.
#![cfg(test)]

mod bases;
mod layers;
mod nightly;
mod pins;
mod release;
mod rights;
mod signer;
mod threat_model;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().unwrap().iter()
}

#[test]
fn generated_definitions_are_what_the_kinds_say() {
    for (file, crd) in axon_api::crds::all() {
        let committed = std::fs::read_to_string(root().join("config/crd").join(file)).unwrap();
        assert!(
            committed == axon_api::crds::to_yaml(&crd).unwrap(),
            "config/crd/{file} is old: run `make generate`"
        );
    }
}

#[test]
fn the_reference_of_fields_is_what_the_kinds_say() {
    let committed = std::fs::read_to_string(root().join("docs/reference.md")).unwrap();
    assert!(
        committed == axon_api::crd_docs::markdown().unwrap(),
        "docs/reference.md is old: run `make generate`"
    );
}

/// The keys by which the operator knows a GitHub App are found by people who look for them.
#[test]
fn the_keys_of_a_github_app_are_documented() {
    let source = std::fs::read_to_string(root().join("operator/github/src/credential.rs")).unwrap();
    let own = source.split("#[cfg(test)]").next().unwrap();
    let constants = own.lines().filter(|line| line.contains(": &str = \""));
    let keys: Vec<&str> = constants
        .filter_map(|line| line.split('"').nth(1))
        .filter(|value| {
            value.chars().all(|c| c.is_ascii_alphanumeric()) && value.starts_with(char::is_lowercase)
        })
        .collect();
    assert_eq!(
        keys,
        ["appID", "installationID", "privateKey"],
        "the test reads the keys"
    );
    let page = std::fs::read_to_string(root().join("docs/workspaces.md")).unwrap();
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")),
            "docs/workspaces.md lacks {key}"
        );
    }
}

#[test]
fn dependencies_between_crates_point_one_way() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = packages(&metadata)
        .filter(|p| p["source"].is_null())
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    let allowed = [
        ("axon-go-template", vec![]),
        ("axon-go-cron", vec![]),
        ("axon-api", vec![]),
        ("axon-github", vec!["axon-api"]),
        (
            "axon-operator",
            vec!["axon-api", "axon-github", "axon-go-cron", "axon-go-template"],
        ),
        (
            "kubectl-axon",
            vec!["axon-api", "axon-go-cron", "axon-go-template"],
        ),
        ("axon-agent", vec!["axon-api"]),
    ];
    for (name, may) in allowed {
        let package = packages(&metadata).find(|p| p["name"] == name).unwrap();
        let uses: Vec<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["name"].as_str().unwrap())
            .filter(|d| ours.contains(d))
            .collect();
        assert!(
            uses.iter().all(|d| may.contains(d)),
            "{name} depends on {uses:?}, and may on {may:?} only"
        );
    }
}

/// kube 4 and kube-leader-election meet only on k8s-openapi 0.28; two versions of either split every type.
#[test]
fn there_is_one_kubernetes_client_and_one_set_of_types() {
    let metadata = metadata();
    for name in ["k8s-openapi", "kube", "kube-client", "rustls", "ring"] {
        let versions: Vec<_> = packages(&metadata)
            .filter(|p| p["name"] == name)
            .map(|p| &p["version"])
            .collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
    for banned in ["openssl-sys", "aws-lc-sys", "native-tls", "serde_yaml"] {
        assert!(
            !packages(&metadata).any(|p| p["name"] == banned),
            "{banned} is not to be linked"
        );
    }
}

#[test]
fn every_dependency_is_from_the_registry_under_a_licence_that_fits_apache_2() {
    const FITTING: [&str; 13] = [
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "0BSD",
        "Unlicense",
        "CC0-1.0",
        "Unicode-3.0",
        "BSL-1.0",
        "CDLA-Permissive-2.0",
    ];
    let metadata = metadata();
    for package in packages(&metadata).filter(|p| !p["source"].is_null()) {
        let name = &package["name"];
        assert!(
            package["source"].as_str().unwrap().starts_with("registry+"),
            "{name} is not from the registry"
        );
        let licence = package["license"]
            .as_str()
            .unwrap_or_default()
            .replace('/', " OR ")
            .replace(['(', ')'], "");
        let fits = licence
            .split(" OR ")
            .any(|choice| choice.split(" AND ").all(|part| FITTING.contains(&part.trim())));
        assert!(fits, "{name} has licence {licence:?}");
    }
}

#[test]
fn what_install_applies_pins_every_image() {
    let deployment = std::fs::read_to_string(root().join("config/operator/deployment.yaml")).unwrap();
    assert!(!deployment.contains(":latest"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        deployment.contains(&format!("axon-operator:v{version}")),
        "the operator's image is not of version {version}"
    );
    assert!(
        deployment.contains(&format!("value: v{version}")),
        "AXON_IMAGE_TAG is not of version {version}"
    );
}

#[test]
fn the_operator_has_no_verb_on_secrets_and_no_wildcard() {
    let text = std::fs::read_to_string(root().join("config/rbac/operator_role.yaml")).unwrap();
    let role: Value = axon_api::yaml::from_str(&text).unwrap();
    for rule in role["rules"].as_array().unwrap() {
        for field in ["apiGroups", "resources", "verbs"] {
            for value in rule[field].as_array().unwrap() {
                assert!(value != "*" && value != "secrets", "{rule}");
            }
        }
        let verbs = rule["verbs"].as_array().unwrap();
        assert!(!verbs.iter().any(|v| v == "escalate"), "{rule}");
        // It can make and take one identity, and grant that one no more than one role.
        if verbs.iter().any(|v| v == "bind" || v == "impersonate")
            || rule["resources"].to_string().contains("rolebindings")
        {
            assert_eq!(
                rule["resourceNames"],
                serde_json::json!(["axon-spawner"]),
                "{rule}"
            );
        }
    }
}

#[test]
fn marks_of_loaded_images_go_with_the_cluster_that_has_them() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let marks = makefile
        .lines()
        .find_map(|line| line.strip_prefix("LOADED := "))
        .unwrap();
    let layout = root().join("hack/cluster/internal/layout/layout.go");
    let layout = std::fs::read_to_string(layout).unwrap();
    let removed = layout.split("func (l Layout) Remove()").nth(1).unwrap();
    let removed = removed
        .lines()
        .find(|line| line.contains("range []string{"))
        .unwrap();
    let folder = marks
        .strip_prefix("$(STATE)/")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    assert!(
        removed.contains(&format!("{folder:?}")),
        "`down` leaves {marks}: {removed}"
    );
}

/// A job that asks for an image that GitHub has retired waits for ever, and with it the release.
#[test]
fn the_release_is_built_on_images_that_exist() {
    // actions/runner-images, "Available Images", and the announcements of what goes.
    const RETIRED: [&str; 8] = [
        "macos-11",
        "macos-12",
        "macos-13",
        "macos-14",
        "ubuntu-18.04",
        "ubuntu-20.04",
        "windows-2016",
        "windows-2019",
    ];
    let text = std::fs::read_to_string(root().join(".github/workflows/release.yaml")).unwrap();
    let workflow: Value = axon_api::yaml::from_str(&text).unwrap();
    let jobs = &workflow["jobs"];
    let matrix = |job: &str| jobs[job]["strategy"]["matrix"]["include"].as_array().unwrap();
    let of_the_matrix = matrix("archive").iter().chain(matrix("image"));
    let of_the_matrix = of_the_matrix.map(|entry| &entry["runner"]);
    let own = jobs.as_object().unwrap().values().map(|job| &job["runs-on"]);
    let runners: Vec<&str> = of_the_matrix.chain(own).map(|r| r.as_str().unwrap()).collect();
    assert!(runners.len() >= 11, "{runners:?}");
    for runner in runners {
        let retired = RETIRED
            .iter()
            .any(|name| runner == *name || runner.starts_with(&format!("{name}-")));
        assert!(!retired, "{runner} is retired");
    }
}

/// Returns the text of all Rust files below a folder.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.extension().and_then(|e| e.to_str()) {
        _ if path.is_dir() => sources(&path),
        Some("rs") => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}

#[test]
fn tests_that_the_documentation_names_are_there() {
    let page = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let all = ["api/src", "kubectl-axon", "test/tests"].map(|folder| sources(&root().join(folder)));
    let all = all.concat();
    let names = page.split('`').skip(1).step_by(2);
    let names: BTreeSet<&str> = names.filter(|name| name.matches('_').count() > 2).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(all.contains(&format!("fn {name}(")), "{name} is no test");
    }
}
