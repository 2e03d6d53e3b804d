//! Rules for the repository as a whole. The tests need neither cluster nor network.
#![cfg(test)]

mod bases;
mod layers;
mod nightly;
mod pins;
mod release;
mod rights;
mod signer;
mod threat_model;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::ByteString;
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

/// A Secret with the keys that the manual names is an App's, and none of them can be left out.
#[test]
fn the_keys_of_a_github_app_are_documented() {
    let keys = ["appID", "installationID", "privateKey"];
    let page = std::fs::read_to_string(root().join("docs/workspaces.md")).unwrap();
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")),
            "docs/workspaces.md lacks {key}"
        );
    }
    let data = keys.map(|key| (key.to_owned(), ByteString(b"1".to_vec())));
    let whole = BTreeMap::from(data);
    assert!(axon_github::is_app(&whole));
    for key in keys {
        let mut part = whole.clone();
        part.remove(key);
        assert!(!axon_github::is_app(&part), "without {key}");
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
        ("axon-fixtures", vec![]),
    ];
    for (name, may) in allowed {
        let package = packages(&metadata).find(|p| p["name"] == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            // Tests of every crate may use the fixture servers, which use none of ours.
            let in_tests = dependency["kind"] == "dev" && on == "axon-fixtures" && name != "axon-fixtures";
            assert!(
                !ours.contains(on) || may.contains(&on) || in_tests,
                "{name} depends on {on}, and may on {may:?} only"
            );
        }
    }
}

/// Two versions of the client or of the types do not fit each other, and two TLS providers would both be shipped.
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

/// The Go test of `Layout.Remove` shows that `down` removes the folder `data`, with a mark in it.
#[test]
fn marks_of_loaded_images_go_with_the_cluster_that_has_them() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let marks = makefile.lines().find_map(|line| line.strip_prefix("LOADED := "));
    assert_eq!(marks, Some("$(STATE)/data/loaded"));
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
    let own = jobs.as_object().unwrap().values();
    let own = own.filter_map(|job| job.get("runs-on"));
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
