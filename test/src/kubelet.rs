//! A fake kubelet for control planes without nodes: the control plane's Job controller makes the pods, and a
//! test says what became of them.

use std::time::Duration;

use anyhow::{Context, Result};
use axon_api::contract::container;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const SIGKILLED: i32 = 137;
const SIGTERMED: i32 = 143;

/// A state of a Task's pod, as a kubelet would report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// No node fits.
    Unschedulable {
        /// The scheduler's message, such as `0/3 nodes are available`.
        message: String,
    },
    /// On a node, with images and volumes on their way.
    ContainerCreating,
    /// The workspace is being cloned.
    InitRunning,
    /// The workspace could not be cloned.
    InitFailed {
        /// Exit code of the init container.
        exit_code: i32,
        /// Its termination message.
        message: String,
    },
    /// The agent runs.
    AgentRunning,
    /// The agent has ended by itself.
    AgentEnded {
        /// Exit code of the agent container.
        exit_code: i32,
        /// Its termination message.
        message: String,
    },
    /// The agent has ended by itself, and a container of somebody else's in its pod goes on.
    AgentOutlived {
        /// Exit code of the agent container.
        exit_code: i32,
        /// Its termination message.
        message: String,
    },
    /// The node lost the agent container, as after a reboot: no condition says so.
    AgentLost {
        /// The exit code that the kubelet makes up.
        exit_code: i32,
        /// Its reason, such as `Unknown`.
        reason: String,
    },
    /// The kubelet ended the pod for a limit of its own.
    OverItsLimit {
        /// The kubelet's message.
        message: String,
        /// The termination message that the container had written until then.
        report: String,
    },
    /// The agent container was killed for its memory.
    OomKilled {
        /// The termination message that the container had written until then.
        message: String,
    },
    /// The pod was evicted while its agent ran.
    Evicted {
        /// Why, such as a drained node.
        message: String,
    },
    /// The pod was lost with its node while its agent ran: nobody tells of its containers any more.
    NodeLost,
    /// The kubelet does not take the pod.
    Rejected {
        /// Why, such as `OutOfcpu`.
        reason: String,
    },
    /// An image can't be pulled.
    ImagePullBackOff {
        /// Name of the container.
        container: String,
        /// The runtime's message.
        message: String,
    },
    /// The agent container can't be made, for example because its Secret is missing.
    CreateContainerConfigError {
        /// The kubelet's message, such as `secret "x" not found`.
        message: String,
    },
}

/// Speaks for the kubelets of a namespace's pods.
#[derive(Clone, Debug)]
pub struct Kubelet {
    pods: Api<Pod>,
}

impl Kubelet {
    /// Returns the kubelet of a namespace's pods.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            pods: namespace.api(),
        }
    }

    /// Waits for the newest pod of a Job that has not ended.
    ///
    /// # Errors
    /// If the Job controller makes none.
    pub async fn pod_of(&self, job: &str) -> Result<Pod> {
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        wait::until(&format!("a pod of job {job}"), PATIENCE, async || {
            let pods = self.pods.list(&of_job).await?;
            Ok(pods
                .into_iter()
                .filter(|pod| !has_ended(pod))
                .max_by_key(|pod| pod.metadata.creation_timestamp.clone()))
        })
        .await
    }

    /// Says what has become of a pod.
    ///
    /// # Errors
    /// If the API refuses it, as it refuses to let an ended container run again.
    pub async fn report(&self, pod: &Pod, state: &PodState) -> Result<Pod> {
        let name = pod.name_any();
        let status = json!({ "status": status(pod, state, Timestamp::now()) });
        self.pods
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .with_context(|| format!("failed to report {state:?} of pod {name}"))
    }

    /// Puts a pod on a node, which need not exist: from then on the pod has a grace period.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn bind(&self, pod: &Pod, node: &str) -> Result<()> {
        let name = pod.name_any();
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let params = PostParams::default();
        let bound = self
            .pods
            .create_subresource::<Value, Value>("binding", &name, &params, &binding);
        bound
            .await
            .with_context(|| format!("failed to bind pod {name}"))
            .map(drop)
    }

    /// Waits for a Job's pod and says what has become of it.
    ///
    /// # Errors
    /// As [`Kubelet::pod_of`] and [`Kubelet::report`].
    pub async fn report_job(&self, job: &str, state: &PodState) -> Result<Pod> {
        self.report(&self.pod_of(job).await?, state).await
    }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns the status that a kubelet reports.
fn status(pod: &Pod, state: &PodState, now: Timestamp) -> PodStatus {
    use PodState as S;
    let starting = || waiting("PodInitializing", None);
    let (init, main) = match state {
        S::Unschedulable { message } => return unschedulable(message, now),
        S::ContainerCreating => (starting(), starting()),
        S::InitRunning => (running(now), starting()),
        S::InitFailed { exit_code, message } => (ended(*exit_code, None, message, now), starting()),
        S::Rejected { reason } => return rejected(reason, now),
        S::AgentRunning | S::NodeLost => (ended(0, None, "", now), running(now)),
        S::AgentEnded { exit_code, message } => {
            (ended(0, None, "", now), ended(*exit_code, None, message, now))
        }
        S::AgentOutlived { exit_code, message } => {
            (ended(0, None, "", now), ended(*exit_code, None, message, now))
        }
        S::AgentLost { exit_code, reason } => {
            (ended(0, None, "", now), ended(*exit_code, Some(reason), "", now))
        }
        S::OverItsLimit { report, .. } => (ended(0, None, "", now), ended(SIGKILLED, None, report, now)),
        S::OomKilled { message } => (
            ended(0, None, "", now),
            ended(SIGKILLED, Some("OOMKilled"), message, now),
        ),
        S::Evicted { .. } => (ended(0, None, "", now), ended(SIGTERMED, None, "", now)),
        S::ImagePullBackOff { container, message } => {
            let stuck = waiting("ImagePullBackOff", Some(message));
            if container == container::WORKSPACE {
                (stuck, starting())
            } else {
                (ended(0, None, "", now), stuck)
            }
        }
        S::CreateContainerConfigError { message } => (
            ended(0, None, "", now),
            waiting("CreateContainerConfigError", Some(message)),
        ),
    };
    let main = as_started(pod, main);
    let phase = match state {
        S::AgentRunning | S::AgentOutlived { .. } => "Running",
        S::AgentEnded { exit_code: 0, .. } => "Succeeded",
        S::InitFailed { .. }
        | S::AgentEnded { .. }
        | S::AgentLost { .. }
        | S::OverItsLimit { .. }
        | S::OomKilled { .. }
        | S::Evicted { .. }
        | S::NodeLost => "Failed",
        _ => "Pending",
    };
    let mut conditions = vec![condition("PodScheduled", true, None, None, now)];
    let (mut reason, mut explanation) = (None, None);
    if let S::Evicted { message } = state {
        let why = Some("EvictionByEvictionAPI");
        conditions.push(condition("DisruptionTarget", true, why, Some(message), now));
        (reason, explanation) = (Some("Evicted".to_owned()), Some(message.clone()));
    }
    if let S::OverItsLimit { message, .. } = state {
        (reason, explanation) = (Some("Evicted".to_owned()), Some(message.clone()));
    }
    if *state == S::NodeLost {
        let (why, words) = (Some("DeletionByPodGC"), Some("PodGC: node no longer exists"));
        conditions.push(condition("DisruptionTarget", true, why, words, now));
    }
    let spec = pod.spec.as_ref();
    let init_containers = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let mut container_statuses = statuses(containers, &main);
    if matches!(state, S::AgentOutlived { .. }) {
        let proxy = Container {
            name: "proxy".into(),
            ..Container::default()
        };
        container_statuses.extend(statuses(&[proxy], &running(now)));
    }
    PodStatus {
        phase: Some(phase.to_owned()),
        reason,
        message: explanation,
        start_time: Some(Time(now)),
        conditions: Some(conditions),
        init_container_statuses: Some(statuses(init_containers, &init)),
        container_statuses: Some(container_statuses),
        ..PodStatus::default()
    }
}

fn rejected(reason: &str, now: Timestamp) -> PodStatus {
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some(reason.to_owned()),
        message: Some("Pod was rejected".to_owned()),
        start_time: Some(Time(now)),
        ..PodStatus::default()
    }
}

fn unschedulable(message: &str, now: Timestamp) -> PodStatus {
    let scheduled = condition("PodScheduled", false, Some("Unschedulable"), Some(message), now);
    PodStatus {
        phase: Some("Pending".to_owned()),
        conditions: Some(vec![scheduled]),
        ..PodStatus::default()
    }
}

fn statuses(containers: &[Container], state: &ContainerState) -> Vec<ContainerStatus> {
    let is_running = state.running.is_some();
    containers
        .iter()
        .map(|container| ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            ready: is_running,
            started: Some(is_running),
            state: Some(state.clone()),
            ..ContainerStatus::default()
        })
        .collect()
}

fn waiting(reason: &str, message: Option<&str>) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message: message.map(str::to_owned),
    };
    ContainerState {
        waiting: Some(waiting),
        ..ContainerState::default()
    }
}

fn running(now: Timestamp) -> ContainerState {
    let running = ContainerStateRunning {
        started_at: Some(Time(now)),
    };
    ContainerState {
        running: Some(running),
        ..ContainerState::default()
    }
}

/// A kubelet never forgets when a container has started.
fn as_started(pod: &Pod, mut agent: ContainerState) -> ContainerState {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    let before = statuses
        .into_iter()
        .flatten()
        .find(|c| c.name == container::AGENT);
    let running = before.and_then(|c| c.state.as_ref()?.running.as_ref());
    if let (Some(running), Some(ended)) = (running, &mut agent.terminated) {
        ended.started_at = running.started_at.clone();
    }
    agent
}

fn ended(exit_code: i32, reason: Option<&str>, message: &str, now: Timestamp) -> ContainerState {
    let usual = if exit_code == 0 { "Completed" } else { "Error" };
    let terminated = ContainerStateTerminated {
        exit_code,
        reason: Some(reason.unwrap_or(usual).to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
        started_at: Some(Time(now)),
        finished_at: Some(Time(now)),
        ..ContainerStateTerminated::default()
    };
    ContainerState {
        terminated: Some(terminated),
        ..ContainerState::default()
    }
}

fn condition(
    kind: &str,
    holds: bool,
    reason: Option<&str>,
    message: Option<&str>,
    now: Timestamp,
) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    }
}
