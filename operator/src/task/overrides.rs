//! What `spec.podOverrides` changes about a Task's Job and pod.

use std::collections::BTreeMap;

use axon_api::contract;
use axon_api::v1alpha1::PodOverrides;
use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::input::InputError;

/// Directories of the pod that a mount may not cover.
const OWN: [&str; 6] = [
    contract::WORKSPACE_DIR,
    contract::REPO_DIR,
    contract::HOME_DIR,
    "/tmp",
    contract::PLUGIN_DIR,
    contract::INPUT_DIR,
];
/// Directories of which no part may be covered either: what is written there would not arrive.
const CLOSED: [&str; 2] = ["/axon", contract::REPO_DIR];

/// Checks what the CRD's schema can't.
///
/// # Errors
/// [`InputError::BadMount`] for a mount that names no volume or would hide a directory of the pod's own.
pub(super) fn check(overrides: &PodOverrides) -> Result<(), InputError> {
    for mount in &overrides.volume_mounts {
        let bad = |why: String| InputError::BadMount {
            path: mount.mount_path.clone(),
            why,
        };
        if !overrides.volumes.iter().any(|volume| volume.name == mount.name) {
            let name = &mount.name;
            return Err(bad(format!(
                "names volume {name:?}, which podOverrides.volumes does not have"
            )));
        }
        let path = mount.mount_path.trim_end_matches('/');
        if !mount.mount_path.starts_with('/')
            || path
                .split('/')
                .skip(1)
                .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(bad(
                "is not an absolute path without '.', '..' and empty parts".into()
            ));
        }
        let covers = OWN.iter().find(|own| **own == path || within(own, path));
        if let Some(own) = covers.or_else(|| {
            CLOSED
                .iter()
                .find(|closed| path == **closed || within(path, closed))
        }) {
            return Err(bad(format!("would cover {own}, which the pod needs itself")));
        }
    }
    Ok(())
}

/// Returns true if `path` lies below `directory`.
fn within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Changes the pod.
pub(super) fn change_pod(overrides: &PodOverrides, pod: &mut PodSpec) {
    let o = overrides.clone();
    pod.node_selector = some(o.node_selector);
    pod.tolerations = (!o.tolerations.is_empty()).then_some(o.tolerations);
    pod.affinity = o.affinity;
    pod.service_account_name = o.service_account_name;
    // The agent's code is as good as anybody's who writes an issue: it gets the API's token only on request.
    pod.automount_service_account_token = Some(o.automount_service_account_token.unwrap_or(false));
    pod.image_pull_secrets = (!o.image_pull_secrets.is_empty()).then_some(o.image_pull_secrets);
    pod.runtime_class_name = o.runtime_class_name;
    pod.priority_class_name = o.priority_class_name;
    pod.volumes
        .get_or_insert_default()
        .extend(o.volumes.into_iter().map(Volume::from));
}

/// Returns the user's labels or annotations under the built-in ones, which win.
pub(super) fn under(
    user: &BTreeMap<String, String>,
    built_in: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut all = user.clone();
    all.extend(built_in);
    some(all)
}

fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mounted(path: &str) -> Result<(), String> {
        let overrides = json!({"volumes": [{"name": "v", "emptyDir": {}}],
                               "volumeMounts": [{"name": "v", "mountPath": path}]});
        check(&serde_json::from_value(overrides).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn mounts_beside_the_pods_own_directories_are_fine() {
        for path in [
            "/cache",
            "/cache/",
            "/home/agent/.cache",
            "/workspace/cache",
            "/tmp/shared",
            "/workspaces",
            "/axonic",
            "/workspace/repository",
        ] {
            assert_eq!(mounted(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn mounts_over_the_pods_own_directories_are_refused() {
        for (path, what) in [
            ("/", "cover /workspace"),
            ("/workspace", "cover /workspace"),
            ("/workspace/", "cover /workspace"),
            ("/workspace/repo", "cover /workspace/repo"),
            ("/workspace/repo/target", "cover /workspace/repo"),
            ("/home", "cover /home/agent"),
            ("/tmp", "cover /tmp"),
            ("/axon", "cover /axon"),
            ("/axon/other", "cover /axon"),
            ("cache", "absolute path"),
            ("/a/../axon", "absolute path"),
            ("/a//b", "absolute path"),
        ] {
            let error = mounted(path).unwrap_err();
            assert!(error.contains(what) && error.contains(path), "{path}: {error}");
        }
    }

    #[test]
    fn a_mount_names_its_volume() {
        let overrides = json!({"volumeMounts": [{"name": "v", "mountPath": "/x"}]});
        let error = check(&serde_json::from_value(overrides).unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("volume \"v\""), "{error}");
    }

    #[test]
    fn built_in_labels_win() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(
            under(&map(&[("a", "user"), ("b", "user")]), map(&[("a", "built-in")])),
            Some(map(&[("a", "built-in"), ("b", "user")]))
        );
        assert_eq!(under(&BTreeMap::new(), BTreeMap::new()), None);
    }
}
