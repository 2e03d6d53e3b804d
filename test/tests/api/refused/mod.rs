//! Manifests that the API server refuses, with what to mend in the message.

mod budgets;
mod references;
mod sizes;
mod spawners;
mod tasks;

use axon_test::control_plane;

use crate::manifest::Manifest;

/// Creates each manifest and looks for the parts of the answer that tell a person what to mend.
async fn refuse(cases: Vec<(&str, Manifest, &[&str])>) {
    let namespace = control_plane::namespace().await.unwrap();
    for (case, manifest, parts) in cases {
        let message = manifest.refusal(&namespace).await;
        for part in parts {
            assert!(message.contains(part), "{case}: {part:?} is not in {message:?}");
        }
    }
}
