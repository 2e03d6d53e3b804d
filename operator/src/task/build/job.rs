//! Builds the Job of a Task. Pure; every rule of the pod contract (`axon_api::contract`) is applied here.

use std::collections::BTreeMap;

use axon_api::contract::{self, container, env, escape_expansion, input};
use axon_api::{AgentConfig, Task, Workspace, labels};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::env as environment;
use super::overrides;
use crate::images::Images;
use crate::task::build::config_map::{InputError, Inputs, gather};
use crate::task::build::volumes::mcp_secrets::McpSecret;
use crate::task::build::volumes::ssh;

/// What a prompt that is too long for an argument is replaced by; agents that can read files can act on it.
const PROMPT_IN_FILE: &str = "Your task is in the file /axon/input/prompt. Read it and carry it out.";

/// What to create for a Task.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// Long inputs, if there are any. Created before the Job.
    pub config_map: Option<ConfigMap>,
    /// The Job.
    pub job: Job,
}

/// Builds what runs `task`.
///
/// # Errors
/// [`InputError`] if the AgentConfig can never work.
pub fn build(
    task: &Task,
    workspace: Option<&Workspace>,
    config: Option<&AgentConfig>,
    images: &Images,
) -> Result<Manifests, InputError> {
    let overrides = task.spec.pod_overrides.clone().unwrap_or_default();
    overrides::check(&overrides)?;
    let inputs = gather(task, workspace, config)?;
    let name = task.name_any();
    let metadata = |name: String| ObjectMeta {
        name: Some(name),
        namespace: task.namespace(),
        labels: Some(child_labels(task)),
        owner_references: owner(task).map(|o| vec![o]),
        ..ObjectMeta::default()
    };
    let config_map = (!inputs.is_empty()).then(|| ConfigMap {
        metadata: metadata(inputs.name.clone()),
        data: (!inputs.files.is_empty()).then(|| inputs.files.clone()),
        binary_data: (!inputs.packed.is_empty()).then(|| {
            let packed = inputs.packed.iter();
            packed
                .map(|(key, bytes)| (key.clone(), ByteString(bytes.clone())))
                .collect()
        }),
        immutable: Some(true),
    });
    let user_labels = overrides::under(&overrides.labels, child_labels(task));
    // Of the Job alone: the labels of pods are what Services and NetworkPolicies select.
    let mut job_labels = user_labels.clone().unwrap_or_default();
    for key in [labels::QUEUE, labels::QUEUE_PRIORITY] {
        if let Some(value) = task.labels().get(key) {
            job_labels.entry(key.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let user_annotations = overrides::under(&overrides.annotations, BTreeMap::new());
    let job = Job {
        metadata: ObjectMeta {
            labels: Some(job_labels),
            annotations: user_annotations.clone(),
            ..metadata(name)
        },
        spec: Some(JobSpec {
            active_deadline_seconds: overrides.active_deadline_seconds,
            // A failed agent is never run again on its own: that would spend money twice. A pod that its node
            // or the scheduler gave up is not the agent's failure and is replaced.
            backoff_limit: Some(0),
            pod_failure_policy: Some(PodFailurePolicy {
                rules: vec![PodFailurePolicyRule {
                    action: "Ignore".into(),
                    on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                        type_: "DisruptionTarget".into(),
                        status: "True".into(),
                    }]),
                    on_exit_codes: None,
                }],
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: user_labels,
                    annotations: user_annotations,
                    ..ObjectMeta::default()
                }),
                spec: Some(pod_spec(task, workspace, &inputs, images)),
            },
            ..JobSpec::default()
        }),
        status: None,
    };
    Ok(Manifests { config_map, job })
}

fn child_labels(task: &Task) -> BTreeMap<String, String> {
    [
        (labels::NAME, labels::APP_NAME),
        (labels::COMPONENT, labels::COMPONENT_TASK),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::TASK, &task.name_any()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn owner(task: &Task) -> Option<OwnerReference> {
    let reference = task.controller_owner_ref(&())?;
    Some(OwnerReference {
        block_owner_deletion: Some(true),
        ..reference
    })
}

fn pod_spec(task: &Task, workspace: Option<&Workspace>, inputs: &Inputs, images: &Images) -> PodSpec {
    let overrides = task.spec.pod_overrides.clone().unwrap_or_default();
    let needs_preparation = workspace.is_some() || inputs.has(input::PLUGINS);
    let mut agent = agent_container(task, workspace, inputs, images);
    let mounts = agent.volume_mounts.get_or_insert_default();
    mounts.extend(inputs.secrets.iter().map(McpSecret::mount));
    mounts.extend(overrides.volume_mounts.iter().cloned());
    let mut volumes = volumes(inputs);
    volumes.extend(ssh::volume(workspace));
    volumes.extend(inputs.secrets.iter().map(McpSecret::volume));
    let mut pod = PodSpec {
        restart_policy: Some("Never".into()),
        enable_service_links: Some(false),
        // axon-agent gives the agent 20 s and then gathers the outcome.
        termination_grace_period_seconds: Some(45),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(contract::UID),
            run_as_group: Some(contract::UID),
            fs_group: Some(contract::UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        init_containers: needs_preparation
            .then(|| vec![workspace_container(task, workspace, inputs, images)]),
        containers: vec![agent],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    overrides::change_pod(&overrides, &mut pod);
    pod
}

fn agent_container(
    task: &Task,
    workspace: Option<&Workspace>,
    inputs: &Inputs,
    images: &Images,
) -> Container {
    let prompt = if inputs.has(input::PROMPT) {
        PROMPT_IN_FILE.to_owned()
    } else {
        escape_expansion(&task.spec.prompt)
    };
    let directory = if workspace.is_some() {
        contract::REPO_DIR
    } else {
        contract::WORKSPACE_DIR
    };
    let overrides = task.spec.pod_overrides.clone().unwrap_or_default();
    Container {
        name: container::AGENT.into(),
        image: Some(
            task.spec
                .image
                .clone()
                .filter(|i| !i.is_empty())
                .unwrap_or_else(|| images.agent(task.spec.agent)),
        ),
        command: Some(vec![contract::ENTRYPOINT.into()]),
        args: Some(vec![prompt]),
        working_dir: Some(directory.into()),
        env: Some(environment::agent(task, workspace, inputs)),
        resources: overrides.resources.map(Into::into),
        volume_mounts: Some(mounts(workspace, inputs)),
        // Images that write no report leave the end of their log as evidence.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(restricted()),
        ..Container::default()
    }
}

fn workspace_container(
    task: &Task,
    workspace: Option<&Workspace>,
    inputs: &Inputs,
    images: &Images,
) -> Container {
    let overrides = task.spec.pod_overrides.clone().unwrap_or_default();
    Container {
        name: container::WORKSPACE.into(),
        image: Some(images.workspace()),
        args: Some(vec!["workspace".into()]),
        env: Some(environment::workspace(task, workspace, inputs)),
        // A quota on cpu or memory asks every container for its share. Of those that run one after the other a pod
        // counts the largest, so this one costs nothing.
        resources: overrides.resources.map(Into::into),
        volume_mounts: Some(mounts(workspace, inputs)),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(restricted()),
        ..Container::default()
    }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

/// Name and mount path of the volumes that every pod of a Task has.
const SCRATCH: [(&str, &str); 4] = [
    ("workspace", contract::WORKSPACE_DIR),
    ("home", contract::HOME_DIR),
    ("tmp", "/tmp"),
    ("axon-plugin", contract::PLUGIN_DIR),
];
const INPUT_VOLUME: &str = "axon-input";

fn volumes(inputs: &Inputs) -> Vec<Volume> {
    let scratch = SCRATCH.map(|(name, _)| Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    });
    let input = (!inputs.is_empty()).then(|| Volume {
        name: INPUT_VOLUME.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: inputs.name.clone(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    });
    scratch.into_iter().chain(input).collect()
}

fn mounts(workspace: Option<&Workspace>, inputs: &Inputs) -> Vec<VolumeMount> {
    let scratch = SCRATCH.map(|(name, path)| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        ..VolumeMount::default()
    });
    let input = (!inputs.is_empty()).then(|| VolumeMount {
        name: INPUT_VOLUME.into(),
        mount_path: contract::INPUT_DIR.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    scratch
        .into_iter()
        .chain(input)
        .chain(ssh::mount(workspace))
        .collect()
}

/// Returns a variable with a literal value that the kubelet leaves as it is.
pub(crate) fn literal(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(escape_expansion(value)),
        value_from: None,
    }
}

/// Returns where a file of the ConfigMap is in the pod.
pub(crate) fn input_path(key: &str) -> String {
    format!("{}/{key}", contract::INPUT_DIR)
}

/// Returns the variables that tell where long inputs are.
pub(crate) fn input_variables(inputs: &Inputs) -> Vec<EnvVar> {
    [
        (env::PROMPT_FILE, input::PROMPT),
        (env::AGENTS_MD_FILE, input::AGENTS_MD),
        (env::MCP_SERVERS_FILE, input::MCP_SERVERS),
    ]
    .into_iter()
    .filter(|(_, key)| inputs.has(key))
    .map(|(name, key)| literal(name, &input_path(key)))
    .collect()
}

#[cfg(test)]
mod tests;
