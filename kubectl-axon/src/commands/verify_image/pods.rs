//! The pods that look at an image: shaped as a Task's, with credentials and prompts that mean nothing.

use axon_api::agents::{AgentType, CredentialType};
use axon_api::contract::{self, container, env, escape_expansion};
use axon_api::labels;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use crate::error::{CliError, Result};

/// Everything that a shell, the kubelet or a careless quotation would change.
pub const PROMPT: &str =
    "axon verify: it's \"quoted\" $(HOME) $$ ${HOME} `tick` \\ %s * -- \u{fc}n\u{ef}\n  second line";

const STUB: &str = include_str!("stub.sh");
const LOOK: &str = include_str!("look.sh");
const DIR: &str = "/axon/verify";
/// Where programs are in an image, behind the one that we put in.
const PATH: &str = "/axon/verify:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a pod is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// A shell that looks around.
    Look,
    /// A run whose agent succeeds.
    Success,
    /// A run whose agent fails.
    Failure,
    /// A run that is told to stop.
    Stop,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Look, Self::Success, Self::Failure, Self::Stop];

    /// Returns its name, as part of the pod's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Stop => "stop",
        }
    }
}

/// An image, and how its agent is started.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The image.
    pub image: String,
    /// Type of the Tasks that it is for.
    pub agent: AgentType,
    /// Name of the program that its entry point starts.
    pub program: String,
}

/// Returns what all pods of a run share.
///
/// # Errors
/// Never, unless the shape is no ConfigMap.
pub fn config_map() -> Result<ConfigMap> {
    read(json!({
        "metadata": {"generateName": "verify-image-", "labels": {labels::MANAGED_BY: labels::MANAGER}},
        "data": {"agent": STUB, "prompt": PROMPT},
    }))
}

/// Returns the pod for `probe`; it belongs to the ConfigMap `owner`.
///
/// # Errors
/// Never, unless the shape is no pod.
pub fn pod(owner: &ConfigMap, subject: &Subject, probe: Probe) -> Result<Pod> {
    let name = owner.metadata.name.clone().unwrap_or_default();
    let (command, args) = match probe {
        Probe::Look => (json!(["/bin/sh", "-c", LOOK]), json!([])),
        _ => (json!([contract::ENTRYPOINT]), json!([escape_expansion(PROMPT)])),
    };
    let scratch = [
        ("workspace", contract::WORKSPACE_DIR),
        ("home", contract::HOME_DIR),
        ("tmp", "/tmp"),
        ("axon-plugin", contract::PLUGIN_DIR),
    ];
    let mut volumes: Vec<Value> = scratch
        .iter()
        .map(|(name, _)| json!({"name": name, "emptyDir": {}}))
        .collect();
    volumes.push(
        json!({"name": "verify", "configMap": {"name": name, "defaultMode": 0o555, "items": [
        {"key": "agent", "path": subject.program}, {"key": "prompt", "path": "prompt"}]}}),
    );
    let mut mounts: Vec<Value> = scratch
        .iter()
        .map(|(name, path)| json!({"name": name, "mountPath": path}))
        .collect();
    mounts.push(json!({"name": "verify", "mountPath": DIR, "readOnly": true}));
    read(json!({
        "metadata": {
            "name": format!("{name}-{}", probe.name()),
            "labels": {labels::MANAGED_BY: labels::MANAGER},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": name,
                "uid": owner.metadata.uid.clone().unwrap_or_default()}],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {"runAsNonRoot": true, "runAsUser": contract::UID, "runAsGroup": contract::UID,
                "fsGroup": contract::UID, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": container::AGENT,
                "image": subject.image,
                "command": command,
                "args": args,
                "workingDir": contract::WORKSPACE_DIR,
                "env": variables(subject, probe),
                "volumeMounts": mounts,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}},
            }],
            "volumes": volumes,
        },
    }))
}

fn variables(subject: &Subject, probe: Probe) -> Vec<Value> {
    let agent = subject.agent.to_string();
    let key = subject
        .agent
        .credential_variable(CredentialType::ApiKey)
        .unwrap_or_default();
    [
        (env::MODEL, "verify"),
        (env::AGENT_TYPE, &agent),
        (key, "verify-image-no-key"),
        (env::AGENTS_MD, "Be brief."),
        (env::MCP_SERVERS, r#"{"mcpServers":{}}"#),
        ("HOME", contract::HOME_DIR),
        ("PATH", PATH),
        ("AXON_VERIFY", probe.name()),
    ]
    .map(|(name, value)| json!({"name": name, "value": value}))
    .into()
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| CliError::new(format!("cannot build a pod: {error}")))
}
