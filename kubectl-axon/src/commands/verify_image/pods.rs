//! The pods that look at an image: shaped as a Task's, with credentials and prompts that mean nothing.

use std::time::Duration;

use axon_api::agents::{AgentType, CredentialType};
use axon_api::contract::{self, container, env, escape_expansion};
use axon_api::labels;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::format;

/// Everything that a shell, the kubelet or a careless quotation would change.
pub const PROMPT: &str =
    "axon verify: it's \"quoted\" $(HOME) $$ ${HOME} `tick` \\ %s * -- \u{fc}n\u{ef}\n  second line";

/// Most that the API server takes.
const MAX_DEADLINE: u64 = i32::MAX as u64;

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

/// What a pod may still run when nobody looks at it any more: the one that deletes it may have been killed.
const GRACE: Duration = Duration::from_secs(60);

/// Returns the pod for `probe`; it belongs to the ConfigMap `owner`, and ends soon after `limit` by itself.
///
/// # Errors
/// Never, unless the shape is no pod.
pub fn pod(owner: &ConfigMap, subject: &Subject, probe: Probe, limit: Duration) -> Result<Pod> {
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
            "activeDeadlineSeconds": limit.saturating_add(GRACE).as_secs().min(MAX_DEADLINE),
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

/// Returns what a pod waits for whose container has not run.
#[must_use]
pub fn waits_for(pod: &Pod) -> String {
    let said = |reason: Option<&str>, message: Option<&str>| {
        let parts = [reason, message].into_iter().flatten();
        let parts: Vec<String> = parts
            .map(format::one_line)
            .filter(|part| !part.is_empty())
            .collect();
        Some(parts.join(": ")).filter(|words| !words.is_empty())
    };
    let status = pod.status.clone().unwrap_or_default();
    let of_the_pod = said(status.reason.as_deref(), status.message.as_deref());
    let containers = status.container_statuses.unwrap_or_default();
    let waiting = containers.into_iter().find_map(|c| c.state?.waiting);
    let of_the_container = waiting.and_then(|w| said(w.reason.as_deref(), w.message.as_deref()));
    let mut conditions = status.conditions.unwrap_or_default().into_iter();
    let unmet = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let of_the_scheduler = unmet.and_then(|c| said(c.reason.as_deref(), c.message.as_deref()));
    of_the_pod
        .or(of_the_container)
        .or(of_the_scheduler)
        .unwrap_or_else(|| "no node has been found for it, and nothing says why".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_with(status: &Value) -> Pod {
        serde_json::from_value(json!({"status": status})).unwrap()
    }

    #[test]
    fn what_a_pod_waits_for_is_said_by_whoever_knows() {
        let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        let creating = json!({"containerStatuses": [{"name": "agent", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}],
            "conditions": [{"type": "PodScheduled", "status": "True"}]});
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on\nmemory"});
        for (status, words) in [
            (unschedulable, "Unschedulable: 0/3 nodes are available"),
            (creating, "ContainerCreating"),
            (evicted, "Evicted: low on\\nmemory"),
        ] {
            assert_eq!(waits_for(&pod_with(&status)), words);
        }
        assert!(!waits_for(&Pod::default()).is_empty());
    }

    #[test]
    fn a_pod_that_nobody_deletes_ends_by_itself() {
        let mut map = config_map().unwrap();
        map.metadata.name = Some("m".into());
        let subject = Subject {
            image: "i".into(),
            agent: AgentType::Codex,
            program: "codex".into(),
        };
        let deadline = |limit: Duration| {
            let pod = pod(&map, &subject, Probe::Stop, limit).unwrap();
            pod.spec.unwrap().active_deadline_seconds
        };
        assert_eq!(deadline(Duration::from_secs(180)), Some(240));
        assert_eq!(deadline(Duration::MAX), Some(i64::from(i32::MAX)));
    }
}
