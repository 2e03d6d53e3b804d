//! What matters of a Pod, read once from the Kubernetes object. No rules here.

use std::collections::BTreeSet;

use axon_api::contract::container;
use axon_api::labels;
use axon_api::outputs::Report;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, Volume};
use kube::ResourceExt;

use crate::kube::watch::{Keep, LARGE, Seen, keep_metadata, prune};
use crate::task::decide::fault;
use crate::task::decide::fault::Origin;
pub use crate::task::observe::job::{Held, JobEnd, JobSeen, JobView, jobs};

impl Seen for Pod {
    const KIND: &'static str = "Pod";

    fn read(json: &str) -> serde_json::Result<Self> {
        let kept = prune(json, &|path, value| match path {
            ["metadata" | "spec"] | ["metadata", "labels"] => Keep::Each,
            ["metadata", "labels", label] => of_ours(label),
            ["metadata", "ownerReferences"] => Keep::All,
            ["metadata", member] => keep_metadata(member),
            ["spec", "containers"] => Keep::Instead("[]"),
            ["spec", "volumes"] if value.len() <= LARGE => Keep::All,
            ["spec", "nodeName"] => Keep::All,
            ["spec", _] => Keep::Nothing,
            _ => Keep::All,
        })?;
        serde_json::from_str(&kept)
    }

    fn revision(&self) -> Option<String> {
        self.resource_version()
    }
}

/// Of labels, which may be many, those are kept that say whose Job or pod it is.
pub(crate) fn of_ours(label: &str) -> Keep {
    if matches!(label, labels::TASK | labels::MANAGED_BY) {
        Keep::All
    } else {
        Keep::Nothing
    }
}

pub(crate) fn controller_uid(object: &impl ResourceExt) -> Option<String> {
    object
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.clone())
}

/// A Pod, as far as a Task's life depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodView {
    /// Name.
    pub name: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// UID of the Job that it belongs to.
    pub owner_uid: Option<String>,
    /// True once deletion has begun.
    pub deleting: bool,
    /// True once the object is gone; the rest is what was last seen of it.
    pub gone: bool,
    /// True if its phase is `Failed`: nothing runs in it any more, whatever is told of its containers. A kubelet that
    /// rejects a pod says nothing of them, and one that is lost with its node leaves them running.
    pub failed: bool,
    /// True if its phase is `Succeeded`.
    pub succeeded: bool,
    /// When its grace period ends, once deletion has begun.
    pub gone_by: Option<Timestamp>,
    /// When it got its node.
    pub scheduled: Option<Timestamp>,
    /// Node it runs on, if it has one.
    pub node: Option<String>,
    /// The scheduler's words, when it finds no node.
    pub unschedulable: Option<String>,
    /// Reason and message of condition `DisruptionTarget`, when it is true.
    pub disruption: Option<(String, String)>,
    /// `status.reason` and `status.message`, which the kubelet sets when it evicts or rejects a pod.
    pub failure: Option<(String, String)>,
    /// Secrets and ConfigMaps that its volumes can't do without.
    pub needs: Vec<Needed>,
    /// Whether volumes and network are ready, where the kubelet says so (Kubernetes 1.29 and newer).
    pub volumes_ready: Option<bool>,
    /// The container that prepares the workspace, if the pod has one.
    pub workspace: ContainerView,
    /// The container that runs the agent.
    pub agent: ContainerView,
    /// A container of somebody else's, such as a proxy, that can't be started.
    pub stuck: Option<Stuck>,
}

/// A container that can't be started, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub container: String,
    /// The kubelet's reason, such as `CrashLoopBackOff`.
    pub reason: String,
    /// The kubelet's message; may be empty.
    pub message: String,
}

/// An object that a volume is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    /// `Secret` or `ConfigMap`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Returns what a volume can't do without.
fn needs(volume: &Volume) -> Vec<Needed> {
    let needed = |kind, name: Option<&String>, optional: Option<bool>| {
        let name = name.filter(|_| optional != Some(true))?.clone();
        Some(Needed { kind, name })
    };
    let secret = volume.secret.as_ref();
    let map = volume.config_map.as_ref();
    let sources = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
    let projected = sources.flat_map(|source| {
        let (secret, map) = (source.secret.as_ref(), source.config_map.as_ref());
        [
            secret.and_then(|s| needed("Secret", Some(&s.name), s.optional)),
            map.and_then(|m| needed("ConfigMap", Some(&m.name), m.optional)),
        ]
    });
    [
        secret.and_then(|s| needed("Secret", s.secret_name.as_ref(), s.optional)),
        map.and_then(|m| needed("ConfigMap", Some(&m.name), m.optional)),
    ]
    .into_iter()
    .chain(projected)
    .flatten()
    .collect()
}

/// A container's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ContainerView {
    /// The kubelet has not said anything yet, or the pod has no such container.
    #[default]
    Unknown,
    /// Not started, with the reason and message, such as `ImagePullBackOff`.
    Waiting {
        /// CamelCase reason; empty when there is none.
        reason: String,
        /// Text for people; may be empty.
        message: String,
    },
    /// Running since.
    Running {
        /// When it started.
        since: Option<Timestamp>,
    },
    /// Ended.
    Terminated(Ended),
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// Exit code.
    pub exit_code: i32,
    /// The kubelet's reason: `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`…
    pub reason: String,
    /// Report in the termination message, when there is one.
    pub report: Option<Box<Report>>,
    /// The termination message, when it is no report: for failed containers the end of the log.
    pub message: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl From<&Pod> for PodView {
    fn from(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let condition = |kind: &str, value: &str| {
            conditions
                .iter()
                .find(|c| c.type_ == kind && c.status == value)
                .map(|c| {
                    (
                        c.reason.clone().unwrap_or_default(),
                        c.message.clone().unwrap_or_default(),
                    )
                })
        };
        let find = |statuses: &Option<Vec<ContainerStatus>>, name: &str| {
            statuses
                .iter()
                .flatten()
                .find(|c| c.name == name)
                .and_then(|c| c.state.as_ref())
                .map(ContainerView::from)
                .unwrap_or_default()
        };
        Self {
            name: pod.name_any(),
            created: pod.metadata.creation_timestamp.as_ref().map(|t| t.0),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            gone: false,
            failed: status.phase.as_deref() == Some("Failed"),
            succeeded: status.phase.as_deref() == Some("Succeeded"),
            owner_uid: controller_uid(pod),
            gone_by: pod.metadata.deletion_timestamp.as_ref().map(|t| t.0),
            scheduled: conditions
                .iter()
                .find(|c| c.type_ == "PodScheduled" && c.status == "True")
                .and_then(|c| c.last_transition_time.as_ref())
                .map(|t| t.0),
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            unschedulable: condition("PodScheduled", "False")
                .filter(|(reason, _)| reason == "Unschedulable")
                .map(|(_, message)| message),
            disruption: condition("DisruptionTarget", "True"),
            failure: status
                .reason
                .map(|reason| (reason, status.message.unwrap_or_default())),
            needs: {
                let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
                let all: BTreeSet<Needed> = volumes.flat_map(needs).collect();
                all.into_iter().collect()
            },
            volumes_ready: match condition("PodReadyToStartContainers", "True") {
                Some(_) => Some(true),
                None => condition("PodReadyToStartContainers", "False").map(|_| false),
            },
            workspace: find(&status.init_container_statuses, container::WORKSPACE),
            agent: find(&status.container_statuses, container::AGENT),
            stuck: [&status.init_container_statuses, &status.container_statuses]
                .into_iter()
                .flat_map(|statuses| statuses.iter().flatten())
                .filter(|c| c.name != container::WORKSPACE && c.name != container::AGENT)
                .find_map(stuck),
        }
    }
}

fn stuck(status: &ContainerStatus) -> Option<Stuck> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    fault::rule_for(Origin::Waiting, &reason)?;
    Some(Stuck {
        container: status.name.clone(),
        reason,
        message: waiting.message.clone().unwrap_or_default(),
    })
}

impl From<&ContainerState> for ContainerView {
    fn from(state: &ContainerState) -> Self {
        if let Some(terminated) = &state.terminated {
            let text = terminated.message.clone().unwrap_or_default();
            let report = Report::parse(&text).map(Box::new);
            return Self::Terminated(Ended {
                exit_code: terminated.exit_code,
                reason: terminated.reason.clone().unwrap_or_default(),
                message: if report.is_some() { String::new() } else { text },
                report,
                started: terminated.started_at.as_ref().map(|t| t.0),
                finished: terminated.finished_at.as_ref().map(|t| t.0),
            });
        }
        if let Some(running) = &state.running {
            return Self::Running {
                since: running.started_at.as_ref().map(|t| t.0),
            };
        }
        match &state.waiting {
            Some(waiting) => Self::Waiting {
                reason: waiting.reason.clone().unwrap_or_default(),
                message: waiting.message.clone().unwrap_or_default(),
            },
            None => Self::Unknown,
        }
    }
}

impl PodView {
    /// Returns how the agent container ended, if it has.
    #[must_use]
    pub fn agent_ended(&self) -> Option<&Ended> {
        match &self.agent {
            ContainerView::Terminated(ended) => Some(ended),
            _ => None,
        }
    }

    /// Returns true when nothing more will run in the pod.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.failed || self.agent_ended().is_some() || self.workspace_failed().is_some()
    }

    /// Returns true if the agent has ended and other containers of the pod go on, or the kubelet has not told of their end yet.
    #[must_use]
    pub fn outlives_its_agent(&self) -> bool {
        self.agent_ended().is_some() && !self.failed && !self.succeeded && !self.gone
    }

    /// Returns true if one of its containers runs or has run: it may have spent money.
    #[must_use]
    pub fn has_started(&self) -> bool {
        let has_run =
            |c: &ContainerView| matches!(c, ContainerView::Running { .. } | ContainerView::Terminated(_));
        has_run(&self.workspace) || has_run(&self.agent)
    }

    /// Returns how the workspace container failed, if it has.
    #[must_use]
    pub fn workspace_failed(&self) -> Option<&Ended> {
        match &self.workspace {
            ContainerView::Terminated(ended) if ended.exit_code != 0 => Some(ended),
            _ => None,
        }
    }
}
