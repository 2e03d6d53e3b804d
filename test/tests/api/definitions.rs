//! The definitions themselves: size, names, and what `kubectl get` shows.

use axon_api::crds;
use axon_test::control_plane;
use axon_test::namespace::Namespace;
use serde_json::{Value, json};

use super::manifest::{Manifest, send};

/// Longest annotation, which is where `kubectl apply` keeps a copy of what it applied.
const MAX_ANNOTATION: usize = 262_144;

#[test]
fn kubectl_apply_can_keep_a_copy_of_each_definition() {
    for (file, definition) in crds::all() {
        let size = serde_json::to_string(&definition).unwrap().len();
        assert!(size < MAX_ANNOTATION, "{file} has {size} bytes");
    }
}

#[tokio::test]
async fn kinds_have_short_names_and_a_category() {
    let namespace = control_plane::namespace().await.unwrap();
    let path = "/apis/axon.io/v1alpha1";
    let found = send(&namespace, "GET", path, "application/json", &Value::Null)
        .await
        .unwrap();
    for (plural, kind, short) in [
        ("tasks", "Task", "axt"),
        ("taskspawners", "TaskSpawner", "ts"),
        ("workspaces", "Workspace", "ws"),
        ("agentconfigs", "AgentConfig", "ac"),
    ] {
        let resources = found["resources"].as_array().unwrap();
        let resource = resources
            .iter()
            .find(|resource| resource["name"] == plural)
            .unwrap();
        assert_eq!(resource["kind"], kind);
        assert_eq!(resource["shortNames"], json!([short]));
        assert_eq!(resource["categories"], json!(["axon"]));
        assert_eq!(resource["namespaced"], true);
        let status = format!("{plural}/status");
        let has_status = resources
            .iter()
            .any(|resource| resource["name"] == status.as_str());
        assert_eq!(has_status, matches!(kind, "Task" | "TaskSpawner"), "{kind}");
    }
}

#[tokio::test]
async fn the_definitions_have_no_complaints() {
    let namespace = control_plane::namespace().await.unwrap();
    for (_, definition) in crds::all() {
        let name = definition.metadata.name.unwrap();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let found = send(&namespace, "GET", &path, "application/json", &Value::Null)
            .await
            .unwrap();
        for condition in found["status"]["conditions"].as_array().unwrap() {
            let is_good = matches!(
                condition["type"].as_str().unwrap(),
                "Established" | "NamesAccepted"
            );
            assert!(is_good && condition["status"] == "True", "{name}: {condition}");
        }
    }
}

/// Returns what `kubectl get` shows: headings with their priority, and the cells of the only object.
async fn table(namespace: &Namespace, manifest: &Manifest) -> Vec<(String, i64, Value)> {
    let request = http::Request::get(manifest.path(namespace))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = namespace.client().request(request).await.unwrap();
    assert_eq!(table["kind"], "Table");
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    let headings = table["columnDefinitions"].as_array().unwrap();
    let columns = headings.iter().zip(cells);
    columns
        .map(|(heading, cell)| {
            let name = heading["name"].as_str().unwrap().to_owned();
            (
                name,
                heading["priority"].as_i64().unwrap_or_default(),
                cell.clone(),
            )
        })
        .filter(|(name, ..)| name != "Age")
        .collect()
}

fn column(name: &str, priority: i64, cell: impl Into<Value>) -> (String, i64, Value) {
    (name.to_owned(), priority, cell.into())
}

#[tokio::test]
async fn kubectl_get_shows_what_matters_of_a_task() {
    let namespace = control_plane::namespace().await.unwrap();
    let manifest = Manifest::task()
        .named("t")
        .with("/spec/branch", "b")
        .with("/spec/dependsOn", json!(["x", "y"]));
    manifest.create(&namespace).await.unwrap();
    let status = json!({"status": {
        "phase": "Succeeded", "reason": "Completed", "message": "ended well",
        "results": {"branch": "result"}, "usage": {"costUSD": "0.0123", "estimatedCostUSD": "0.5"},
    }});
    let path = format!("{}/t/status", manifest.path(&namespace));
    send(
        &namespace,
        "PATCH",
        &path,
        "application/merge-patch+json",
        &status,
    )
    .await
    .unwrap();
    let expected = [
        column("Name", 0, "t"),
        column("Type", 0, "claude-code"),
        column("Phase", 0, "Succeeded"),
        column("Reason", 0, "Completed"),
        column("Cost", 0, "0.0123"),
        column("Estimate", 1, "0.5"),
        column("Result Branch", 1, "result"),
        column("Branch", 1, "b"),
        column("Depends On", 1, "[\"x\",\"y\"]"),
        column("Message", 1, "ended well"),
    ];
    assert_eq!(table(&namespace, &manifest).await, expected);
}

#[tokio::test]
async fn kubectl_get_shows_what_matters_of_a_spawner() {
    let namespace = control_plane::namespace().await.unwrap();
    let manifest = Manifest::cron()
        .named("s")
        .with("/spec/taskTemplate/workspaceRef/name", "w");
    manifest.create(&namespace).await.unwrap();
    let status = json!({"status": {
        "phase": "Running", "activeTasks": 1, "totalDiscovered": 0, "totalTasksCreated": 3,
        "lastDiscoveryTime": "2026-01-02T03:04:05Z", "source": "schedule",
        "nextRunTime": "2026-01-09T03:04:00Z", "runner": "axon-operator-0",
    }});
    let path = format!("{}/s/status?fieldValidation=Strict", manifest.path(&namespace));
    send(
        &namespace,
        "PATCH",
        &path,
        "application/merge-patch+json",
        &status,
    )
    .await
    .unwrap();
    let expected = [
        column("Name", 0, "s"),
        column("Workspace", 0, "w"),
        column("Schedule", 0, "0 9 * * 1"),
        column("Suspend", 0, false),
        column("Phase", 0, "Running"),
        column("Active", 0, 1),
        column("Discovered", 0, 0),
        column("Tasks", 0, 3),
        column("Source", 1, "schedule"),
        column("Last Run", 1, Value::Null),
        column("Next Run", 1, "2026-01-09T03:04:00Z"),
        column("Runner", 1, "axon-operator-0"),
    ];
    assert_eq!(table(&namespace, &manifest).await, expected);
}

#[tokio::test]
async fn kubectl_get_shows_what_matters_of_the_others() {
    let namespace = control_plane::namespace().await.unwrap();
    let workspace = Manifest::workspace("https://h/r")
        .named("w")
        .with("/spec/ref", "main");
    let workspace = workspace.with("/spec/secretRef/name", "s");
    workspace.create(&namespace).await.unwrap();
    let expected = [
        column("Name", 0, "w"),
        column("Repo", 0, "https://h/r"),
        column("Ref", 0, "main"),
        column("Secret", 1, "s"),
    ];
    assert_eq!(table(&namespace, &workspace).await, expected);

    // A column shows only the first of several names, so there are none for what an AgentConfig lists.
    let config = Manifest::agent_config(json!({"agentsMD": "x"})).named("c");
    config.create(&namespace).await.unwrap();
    assert_eq!(table(&namespace, &config).await, [column("Name", 0, "c")]);
}
