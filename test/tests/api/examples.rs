//! The examples are accepted as they are, and the Secrets in them have the keys that the Tasks read.

use std::collections::BTreeSet;

use axon_api::{Task, yaml};
use axon_test::{control_plane, paths};

#[tokio::test]
async fn every_example_is_accepted_and_its_secrets_have_the_right_keys() {
    let mut seen = 0;
    for folder in std::fs::read_dir(paths::root().join("examples")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let namespace = control_plane::namespace().await.unwrap();
            namespace
                .apply(&text)
                .await
                .unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
            let documents = yaml::documents(&text).unwrap();
            let keys: BTreeSet<(&str, &str)> = documents
                .iter()
                .filter(|d| d["kind"] == "Secret")
                .flat_map(|d| {
                    let name = d["metadata"]["name"].as_str().unwrap();
                    d["stringData"]
                        .as_object()
                        .unwrap()
                        .keys()
                        .map(move |key| (name, key.as_str()))
                })
                .collect();
            for document in documents.iter().filter(|d| d["kind"] == "Task") {
                let task: Task = serde_json::from_value(document.clone()).unwrap();
                let credentials = &task.spec.credentials;
                let Some(variable) = task.spec.agent.credential_variable(credentials.kind) else {
                    continue;
                };
                let secret = credentials.secret_ref.clone().unwrap().name;
                assert!(
                    keys.contains(&(secret.as_str(), variable)),
                    "{}: {secret} has no {variable}",
                    path.display()
                );
            }
            for document in documents.iter().filter(|d| d["kind"] == "Workspace") {
                if let Some(secret) = document["spec"]["secretRef"]["name"].as_str() {
                    let is_ssh = document["spec"]["repo"].as_str().unwrap().starts_with("git@");
                    let needed = if is_ssh {
                        &["ssh-privatekey", "known_hosts"][..]
                    } else {
                        &["GITHUB_TOKEN"]
                    };
                    for key in needed {
                        assert!(
                            keys.contains(&(secret, key)),
                            "{}: {secret} has no {key}",
                            path.display()
                        );
                    }
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} examples");
}

#[tokio::test]
async fn self_development_is_accepted_and_its_references_fit_its_readme() {
    let folder = paths::root().join("self-development");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let namespace = control_plane::namespace().await.unwrap();
    let mut files = Vec::new();
    for folder in [folder.clone(), folder.join("tasks")] {
        for file in std::fs::read_dir(folder).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    assert_eq!(files.len(), 6);
    for path in files {
        // The server gives a generated name; an apply needs one.
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("generateName: ", "name: x");
        let text = text.replace("-\nspec:", "\nspec:");
        namespace
            .apply(&text)
            .await
            .unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
        for document in yaml::documents(&text).unwrap() {
            let spec = if document["kind"] == "TaskSpawner" {
                &document["spec"]["taskTemplate"]
            } else {
                &document["spec"]
            };
            for reference in [
                "/credentials/secretRef/name",
                "/workspaceRef/name",
                "/agentConfigRef/name",
            ] {
                if let Some(name) = spec.pointer(reference).and_then(|n| n.as_str()) {
                    assert!(readme.contains(name), "{}: {name} is not set up", path.display());
                }
            }
        }
    }
}
