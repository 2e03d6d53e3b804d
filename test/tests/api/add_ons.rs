//! Add-ons of an installation, built as GitOps tools do: with the kustomize of kubectl.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use axon_test::{clean_machine, control_plane, paths};
use serde_json::{Value, json};

/// Returns the objects that `kubectl kustomize` builds of a folder.
pub fn build(folder: &Path) -> Vec<Value> {
    let kubectl = clean_machine::tool("kubectl").unwrap();
    let output = Command::new(kubectl)
        .arg("kustomize")
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    axon_api::yaml::documents(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

/// Builds `config/default` with this on top of it.
fn overlay(mut kustomization: Value) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(config(""))
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    kustomization["resources"] = json!(["config/default"]);
    std::fs::write(
        folder.path().join("kustomization.yaml"),
        kustomization.to_string(),
    )
    .unwrap();
    build(folder.path())
}

fn config(path: &str) -> std::path::PathBuf {
    paths::root().join("config").join(path)
}

fn documents(path: &Path) -> Vec<Value> {
    axon_api::yaml::documents(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> &'a Value {
    all.iter().find(|object| object["kind"] == kind).unwrap()
}

#[tokio::test]
async fn monitoring_finds_the_operators_port() {
    let mut all = build(&config("monitoring"));
    let kinds: BTreeSet<&str> = all
        .iter()
        .map(|object| object["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        BTreeSet::from(["ConfigMap", "PodMonitor", "PrometheusRule", "Service"])
    );
    all.extend(documents(&config("operator/network_policy.yaml")));
    let deployment = &documents(&config("operator/deployment.yaml"))[0];
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let port = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0];
    let monitor = of_kind(&all, "PodMonitor");
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], port["name"]);
    let service = of_kind(&all, "Service");
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    let policy = of_kind(&all, "NetworkPolicy");
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port["name"]);
    let dashboard = of_kind(&all, "ConfigMap")["data"]["axon.json"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(dashboard).unwrap()["panels"].is_array());

    // The API server knows the kinds of its own.
    let namespace = control_plane::namespace().await.unwrap();
    for kind in ["Service", "ConfigMap", "NetworkPolicy"] {
        let mut object = of_kind(&all, kind).clone();
        object["metadata"]["namespace"] = json!(namespace.name());
        namespace.apply(&object.to_string()).await.unwrap();
    }
}

#[test]
fn the_operator_can_be_in_another_namespace_and_keeps_its_variables() {
    let page = std::fs::read_to_string(paths::root().join("docs/operations.md")).unwrap();
    let sample = page
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let mut sample: Value = axon_api::yaml::from_str(sample).unwrap();
    sample["namespace"] = json!("tools");
    let all = overlay(sample);
    for object in &all {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "tools", "{object}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["namespace"], "tools", "{object}");
        }
    }
    let container = &of_kind(&all, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap();
    let names: BTreeSet<&str> = variables.iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert!(names.contains("AXON_RECORD_RETENTION"), "{names:?}");
    assert!(
        names.contains("AXON_IMAGE_TAG") && names.contains("POD_NAME"),
        "{names:?}"
    );
}

#[test]
fn the_admission_policies_can_be_left_out() {
    let count = |all: &[Value]| {
        let admission = all.iter().filter(|o| {
            o["kind"]
                .as_str()
                .unwrap()
                .starts_with("ValidatingAdmissionPolicy")
        });
        admission.count()
    };
    let whole = overlay(json!({}));
    let without = overlay(json!({"components": ["config/components/without-admission"]}));
    assert!(count(&whole) >= 16, "policies and bindings: {}", count(&whole));
    assert_eq!(count(&without), 0);
    assert_eq!(
        without.len(),
        whole.len() - count(&whole),
        "nothing else is left out"
    );
}

#[test]
fn gitops_samples_keep_the_definitions() {
    let argo = documents(&config("gitops/argocd.yaml"));
    let flux = documents(&config("gitops/flux.yaml"));
    let argo_source = &of_kind(&argo, "Application")["spec"]["source"];
    let flux_spec = &of_kind(&flux, "Kustomization")["spec"];
    for (patches, path, annotation) in [
        (
            &argo_source["kustomize"]["patches"],
            &argo_source["path"],
            "argocd.argoproj.io/sync-options",
        ),
        (
            &flux_spec["patches"],
            &flux_spec["path"],
            "kustomize.toolkit.fluxcd.io/prune",
        ),
    ] {
        let path = path.as_str().unwrap().trim_start_matches("./");
        assert_eq!(path, "config/default");
        let all = overlay(json!({ "patches": patches }));
        let definitions = all.iter().filter(|o| o["kind"] == "CustomResourceDefinition");
        let kept: Vec<bool> = definitions
            .map(|d| d["metadata"]["annotations"][annotation].is_string())
            .collect();
        assert_eq!(kept, [true; 6], "{annotation}");
    }
    let check = &flux_spec["healthChecks"][0];
    let deployment = &documents(&config("operator/deployment.yaml"))[0];
    assert_eq!(check["name"], deployment["metadata"]["name"]);
    assert_eq!(check["namespace"], deployment["metadata"]["namespace"]);
}
