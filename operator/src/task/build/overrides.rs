//! What `spec.podOverrides` changes about a Task's Job and pod.

use std::collections::BTreeMap;

use axon_api::SPAWNER_ACCOUNT;
use axon_api::contract;
use axon_api::v1alpha1::PodOverrides;
use k8s_openapi::api::core::v1::{PodSpec, Volume};

use crate::task::build::config_map::InputError;

/// Directories and files of the pod that a mount may not cover.
const OWN: [&str; 7] = [
    contract::WORKSPACE_DIR,
    contract::REPO_DIR,
    contract::HOME_DIR,
    "/tmp",
    contract::PLUGIN_DIR,
    contract::INPUT_DIR,
    contract::TERMINATION_LOG,
];
/// Directories of which no part may be covered either: what is written there would not arrive.
const CLOSED: [&str; 2] = ["/axon", contract::REPO_DIR];
/// Programs and libraries of the images: who may use an image may not put other programs into it. Neither these nor what is
/// in them can be covered.
///
/// Of `/etc` only what decides which programs and users there are is closed. Certificates and configuration below it, such
/// as `/etc/ssl/private-ca` or `/etc/gitconfig`, are what people mount with good reason.
const PROGRAMS: [&str; 18] = [
    contract::ENTRYPOINT,
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt/codex",
    "/opt/gemini",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/passwd",
    "/etc/shadow",
];

/// Checks what the CRD's schema can't.
///
/// # Errors
/// [`InputError::OperatorsAccount`]; [`InputError::BadMount`] for a mount that names no volume, would hide a directory of
/// the pod's own, or would replace programs of the image.
pub(crate) fn check(overrides: &PodOverrides) -> Result<(), InputError> {
    // The schema refuses it, but a Task may be older than the schema.
    if overrides.service_account_name.as_deref() == Some(SPAWNER_ACCOUNT) {
        return Err(InputError::OperatorsAccount);
    }
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
        let covered = |own: &&&str| path == **own || within(path, own) || within(own, path);
        if let Some(own) = PROGRAMS.iter().find(covered) {
            return Err(bad(format!(
                "would cover {own}, which belongs to the image: mount elsewhere, or build an image"
            )));
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
pub(crate) fn change_pod(overrides: &PodOverrides, pod: &mut PodSpec) {
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
pub(crate) fn under(
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
            "/etc/ssl/private-ca",
            "/etc/gitconfig",
            "/etc/claude-code",
            "/etc/hosts",
            "/dev/shm",
            "/opt/tools",
            "/var/lib/cache",
            "/srv/usr",
            "/usrlocal",
            "/axon_entrypoint.sh.d",
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
            ("/dev", "cover /dev/termination-log"),
            ("/dev/termination-log", "cover /dev/termination-log"),
        ] {
            let error = mounted(path).unwrap_err();
            assert!(error.contains(what) && error.contains(path), "{path}: {error}");
        }
    }

    #[test]
    fn no_mount_replaces_programs_of_the_image() {
        for (path, what) in [
            ("/axon_entrypoint.sh", "/axon_entrypoint.sh"),
            ("/axon_entrypoint.sh/", "/axon_entrypoint.sh"),
            ("/usr", "/usr"),
            ("/usr/local/bin/claude", "/usr"),
            ("/bin/sh", "/bin"),
            ("/sbin", "/sbin"),
            ("/lib/x86_64-linux-gnu/libc.so.6", "/lib"),
            ("/lib64", "/lib64"),
            ("/opt", "/opt/codex"),
            ("/opt/gemini/bundle", "/opt/gemini"),
            ("/etc", "/etc/alternatives"),
            ("/etc/passwd", "/etc/passwd"),
            ("/etc/ld.so.preload", "/etc/ld.so.preload"),
            ("/etc/ld.so.conf.d/x.conf", "/etc/ld.so.conf.d"),
        ] {
            let error = mounted(path).unwrap_err();
            let expected = format!("would cover {what}, which belongs to the image");
            assert!(
                error.contains(&expected) && error.contains(path),
                "{path}: {error}"
            );
        }
    }

    #[test]
    fn no_task_runs_as_the_operators_account() {
        let of = |account: &str| {
            let overrides = serde_json::from_value(json!({ "serviceAccountName": account })).unwrap();
            check(&overrides).map_err(|error| error.to_string())
        };
        let error = of("axon-spawner").unwrap_err();
        assert!(
            error.contains("serviceAccountName can't be axon-spawner"),
            "{error}"
        );
        assert_eq!(of("axon-spawner-2"), Ok(()));
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
