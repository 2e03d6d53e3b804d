//! Access to a repository by SSH: key and known hosts of the Workspace's Secret, as files in both containers.
//!
//! All of it is optional for the kubelet, so that one field names a Secret with a token, with a key, or with both; what
//! is missing is told by the container that prepares the workspace.

use axon_api::Workspace;
use axon_api::contract::{self, env, ssh};
use axon_api::git::Repository;
use k8s_openapi::api::core::v1::{EnvVar, KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::task::build::job::literal;

const VOLUME: &str = "axon-ssh";
/// Readable for the owner; the kubelet adds the pod's group. `ssh` minds the mode of its own user's files only.
const MODE: i32 = 0o400;

/// Returns the volume, if the repository is reached by SSH with a Secret.
pub(crate) fn volume(workspace: Option<&Workspace>) -> Option<Volume> {
    let item = |key: &str| KeyToPath {
        key: key.into(),
        path: key.into(),
        mode: Some(MODE),
    };
    Some(Volume {
        name: VOLUME.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret_name(workspace?)?.to_owned()),
            items: Some([ssh::PRIVATE_KEY, ssh::KNOWN_HOSTS].map(item).into()),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    })
}

/// Returns where a container has the volume.
pub(crate) fn mount(workspace: Option<&Workspace>) -> Option<VolumeMount> {
    secret_name(workspace?).map(|_| VolumeMount {
        name: VOLUME.into(),
        mount_path: contract::SSH_DIR.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}

/// Returns what makes git use the files, in every repository and with every image.
pub(crate) fn variables(workspace: &Workspace) -> Vec<EnvVar> {
    let Some(secret) = secret_name(workspace) else {
        return Vec::new();
    };
    [
        (env::SSH_DIR, contract::SSH_DIR),
        (env::SSH_SECRET, secret),
        (env::GIT_SSH_COMMAND, ssh::COMMAND),
    ]
    .map(|(name, value)| literal(name, value))
    .into()
}

/// Returns true if the repository is reached by SSH.
pub(crate) fn is_ssh(workspace: &Workspace) -> bool {
    Repository::parse(&workspace.spec.repo).is_ok_and(|repository| repository.is_ssh)
}

fn secret_name(workspace: &Workspace) -> Option<&str> {
    let secret = workspace.spec.secret_ref.as_ref()?;
    is_ssh(workspace).then_some(secret.name.as_str())
}
