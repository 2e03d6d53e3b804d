//! A file of a Secret in all containers of a Job, and the variable that says where it is.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume, VolumeMount};

use crate::task::build::job::literal;

/// What to mount.
pub(crate) struct SecretFile<'a> {
    /// Name of the volume.
    pub volume: &'a str,
    /// The Secret.
    pub secret: SecretVolumeSource,
    /// Folder of the volume in the containers.
    pub folder: &'a str,
    /// Name of the file in that folder.
    pub file: &'a str,
    /// Variable with the file's path; it wins over one of that name.
    pub variable: &'a str,
}

impl SecretFile<'_> {
    /// Adds the volume to the Job's pod, and mount and variable to each of its containers.
    pub fn mount(self, job: &mut Job) {
        let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else {
            return;
        };
        pod.volumes.get_or_insert_default().push(Volume {
            name: self.volume.into(),
            secret: Some(self.secret),
            ..Volume::default()
        });
        let path = format!("{}/{}", self.folder, self.file);
        let init = pod.init_containers.iter_mut().flatten();
        for container in pod.containers.iter_mut().chain(init) {
            container.volume_mounts.get_or_insert_default().push(VolumeMount {
                name: self.volume.into(),
                mount_path: self.folder.into(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
            let variables = container.env.get_or_insert_default();
            variables.retain(|variable| variable.name != self.variable);
            variables.push(literal(self.variable, &path));
        }
    }
}
