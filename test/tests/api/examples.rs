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
                    assert!(
                        keys.contains(&(secret, "GITHUB_TOKEN")),
                        "{}: {secret}",
                        path.display()
                    );
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} examples");
}
