//! A CA of the Workspace's own: key `ca.crt` of its Secret, as a file in both containers. It is optional for the kubelet;
//! what is to be done with it is told by a variable.

use axon_api::Workspace;
use axon_api::contract::{self, env};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource};

use super::secret_file::SecretFile;

const VOLUME: &str = "axon-ca";

/// Mounts the CA into all containers of a Job, if the repository is reached by HTTPS with a Secret. `workspace` is as
/// people wrote it: a token that was made for a GitHub App is in another Secret.
pub(crate) fn mount(job: &mut Job, workspace: Option<&Workspace>) {
    let https = |w: &&Workspace| {
        let scheme = w.spec.repo.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    };
    let secret = workspace.filter(https).and_then(|w| w.spec.secret_ref.as_ref());
    let Some(secret) = secret else { return };
    SecretFile {
        volume: VOLUME,
        secret: SecretVolumeSource {
            secret_name: Some(secret.name.clone()),
            items: Some(vec![KeyToPath {
                key: contract::CA_KEY.into(),
                path: contract::CA_KEY.into(),
                mode: None,
            }]),
            optional: Some(true),
            ..SecretVolumeSource::default()
        },
        folder: contract::CA_DIR,
        file: contract::CA_KEY,
        variable: env::CA_FILE,
    }
    .mount(job);
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::NameRef;

    use super::*;
    use crate::images::Images;
    use crate::task::build::job;
    use crate::task::fixtures::{task, workspace};

    fn mounted(repo: &str, secret: Option<&str>) -> Vec<String> {
        let mut workspace = workspace(repo);
        workspace.spec.secret_ref = secret.map(NameRef::new);
        let images = Images::new("r", "v1");
        let mut job = job::build(&task("t"), Some(&workspace), None, &images)
            .unwrap()
            .job;
        mount(&mut job, Some(&workspace));
        let pod = job.spec.unwrap().template.spec.unwrap();
        let volumes: Vec<_> = pod
            .volumes
            .iter()
            .flatten()
            .filter(|v| v.name == VOLUME)
            .collect();
        for volume in &volumes {
            let source = volume.secret.as_ref().unwrap();
            assert_eq!(
                (source.secret_name.as_deref(), source.optional),
                (secret, Some(true))
            );
            assert_eq!(source.items.as_ref().unwrap().len(), 1, "and no other key");
        }
        let all = pod.containers.iter().chain(pod.init_containers.iter().flatten());
        let with = all.filter(|c| {
            let told = c
                .env
                .iter()
                .flatten()
                .any(|v| v.value.as_deref() == Some("/axon/ca/ca.crt"));
            let there = c
                .volume_mounts
                .iter()
                .flatten()
                .any(|m| m.mount_path == "/axon/ca");
            assert_eq!(told, there);
            there
        });
        let names: Vec<String> = with.map(|c| c.name.clone()).collect();
        assert_eq!(names.is_empty(), volumes.is_empty());
        names
    }

    #[test]
    fn both_containers_have_it_where_it_can_matter() {
        assert_eq!(
            mounted("https://git.example.com/o/r", Some("git")),
            ["agent", "workspace"]
        );
        for (repo, secret) in [
            ("https://git.example.com/o/r", None),
            ("http://git.example.com/o/r", Some("git")),
            ("git@git.example.com:o/r", Some("git")),
        ] {
            assert!(mounted(repo, secret).is_empty(), "{repo}");
        }
    }
}
