//! Small objects for the tests of this crate.

use axon_api::{Task, Workspace};
use kube::core::ObjectMeta;

/// A Task that could run.
pub(crate) fn task(name: &str) -> Task {
    let mut task: Task = axon_api::yaml::from_str(
        "{apiVersion: axon.io/v1alpha1, kind: Task, metadata: {name: x, namespace: team, uid: uid-1, generation: 1},
          spec: {type: claude-code, prompt: do it, credentials: {type: api-key, secretRef: {name: key}}}}",
    )
    .expect("the fixture is a Task");
    task.metadata.name = Some(name.to_owned());
    task
}

/// A Workspace with this repository.
pub(crate) fn workspace(repo: &str) -> Workspace {
    Workspace {
        metadata: ObjectMeta {
            name: Some("w".into()),
            namespace: Some("team".into()),
            ..ObjectMeta::default()
        },
        spec: axon_api::WorkspaceSpec {
            repo: repo.to_owned(),
            reference: None,
            secret_ref: None,
            github_app: None,
            trust: None,
            files: Vec::new(),
        },
    }
}
