//! Why a pod failed: typed, with the evidence.
//!
//! The order of the rules is the order of trust: what the kubelet knows (memory, eviction) before what the
//! container said, and both before the bare exit code.

use axon_api::TaskReason;
use axon_api::outputs::tail;
use axon_api::v1alpha1::Attempt;

use super::view::{Ended, JobEnd, PodView};

/// A reason and its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// For programs.
    pub reason: TaskReason,
    /// For people: what happened, with exit code, node, limit or the last words of the container.
    pub message: String,
}

impl Failure {
    fn new(reason: TaskReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// The Job controller's reason for a Job that took too long.
pub const DEADLINE: &str = "DeadlineExceeded";

/// Longest evidence (bytes) that goes into a message.
const EVIDENCE: usize = 1500;

/// Returns why `pod` failed, or `None` if nothing of it has failed.
#[must_use]
pub fn of_pod(pod: &PodView) -> Option<Failure> {
    let on_node = pod
        .node
        .as_deref()
        .map(|node| format!(" on node {node}"))
        .unwrap_or_default();
    if let Some(ended) = pod.workspace_failed() {
        return Some(of_container(
            pod,
            ended,
            TaskReason::CloneFailed,
            "preparing the workspace",
            &on_node,
        ));
    }
    match pod.agent_ended() {
        Some(ended) if ended.exit_code == 0 => None,
        Some(ended) => Some(of_container(
            pod,
            ended,
            TaskReason::AgentError,
            "the agent",
            &on_node,
        )),
        // The agent did not end by itself, or never started: only the kubelet and the cluster can say why.
        None => disrupted(pod, &on_node).or_else(|| {
            let (reason, message) = pod.failure.as_ref()?;
            let message = format!("pod {} could not run{on_node} ({reason}): {message}", pod.name);
            Some(Failure::new(TaskReason::PodLost, message))
        }),
    }
}

/// Returns why a Job that failed did so. `last` is what was recorded of the last pod, which may be gone by now.
#[must_use]
pub fn of_job(end: &JobEnd, pod: Option<&PodView>, last: Option<&Attempt>) -> Failure {
    let of_pod = pod.and_then(of_pod);
    let JobEnd::Failed { reason, message, .. } = end else {
        return of_pod.unwrap_or_else(|| Failure::new(TaskReason::Unknown, "the Job has not failed"));
    };
    if reason == DEADLINE {
        return Failure::new(
            TaskReason::DeadlineExceeded,
            "the run took longer than its deadline (podOverrides.activeDeadlineSeconds, or the operator's default) and was terminated",
        );
    }
    let recorded = || {
        let last = last?;
        Some(Failure::new(
            last.reason?,
            last.message.clone().unwrap_or_default(),
        ))
    };
    of_pod.or_else(recorded).unwrap_or_else(|| {
        Failure::new(
            TaskReason::PodLost,
            format!("the Job failed and its pod is gone: {message} ({reason})"),
        )
    })
}

fn of_container(pod: &PodView, ended: &Ended, default: TaskReason, what: &str, on_node: &str) -> Failure {
    if ended.reason == "OOMKilled" {
        return Failure::new(
            TaskReason::OOMKilled,
            format!(
                "{what} was killed{on_node} because it used more memory than its limit (exit code {}): \
                     raise podOverrides.resources.limits.memory",
                ended.exit_code
            ),
        );
    }
    if let Some(failure) = disrupted(pod, on_node) {
        return failure;
    }
    if matches!(ended.reason.as_str(), "StartError" | "ContainerCannotRun") {
        return Failure::new(
            TaskReason::InvalidConfig,
            format!(
                "{what} can't be started, so the image does not follow the agent image interface: {}",
                evidence(&ended.message)
            ),
        );
    }
    let said = ended.report.as_ref();
    let reason = said.and_then(|report| report.reason);
    if pod.deleting && matches!(reason, None | Some(TaskReason::Stopped)) {
        // Among the last words may be what became of the work.
        let words = said.and_then(|report| report.message.as_deref());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        return Failure::new(
            TaskReason::PodLost,
            format!(
                "pod {} was deleted{on_node} while {what} ran (exit code {}){words}",
                pod.name, ended.exit_code
            ),
        );
    }
    let words = said
        .and_then(|report| report.message.clone())
        .unwrap_or_else(|| evidence(&ended.message));
    let message = if words.is_empty() {
        format!(
            "{what} ended with exit code {}{}",
            ended.exit_code,
            signal_name(ended.exit_code)
        )
    } else {
        words
    };
    Failure::new(reason.unwrap_or(default), message)
}

fn disrupted(pod: &PodView, on_node: &str) -> Option<Failure> {
    if let Some((reason, message)) = &pod.failure
        && reason == "Evicted"
    {
        if is_over_its_own_limit(message) {
            return Some(Failure::new(
                TaskReason::StorageExceeded,
                format!(
                    "the kubelet ended pod {}{on_node}: {}; raise podOverrides.resources.limits.ephemeral-storage, or \
                     the sizeLimit of the volume",
                    pod.name,
                    message.trim().trim_end_matches('.')
                ),
            ));
        }
        return Some(Failure::new(
            TaskReason::Evicted,
            format!("pod {} was evicted{on_node}: {message}", pod.name),
        ));
    }
    pod.disruption.as_ref().map(|(reason, message)| {
        Failure::new(
            TaskReason::Evicted,
            format!("pod {} was disrupted{on_node} ({reason}): {message}", pod.name),
        )
    })
}

/// Returns whether these are the kubelet's words about a pod that wrote more than its own limit: a container, all of
/// them, or a volume. Another run would write as much again; a pod that a node had no room for runs elsewhere.
fn is_over_its_own_limit(message: &str) -> bool {
    let of_volume =
        message.starts_with("Usage of EmptyDir volume ") && message.contains(" exceeds the limit ");
    of_volume
        || message.starts_with("Pod ephemeral local storage usage exceeds the total limit of containers ")
        || message.starts_with("Container ")
            && message.contains(" exceeded its local ephemeral storage limit ")
}

fn evidence(log: &str) -> String {
    tail(log.trim(), EVIDENCE).trim().to_owned()
}

fn signal_name(exit_code: i32) -> &'static str {
    match exit_code {
        130 => " (interrupted)",
        137 => " (killed, SIGKILL)",
        143 => " (terminated, SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use axon_api::outputs::Report;

    use super::super::view::ContainerView;
    use super::*;

    fn pod(agent: Ended) -> PodView {
        PodView {
            name: "t-abc".into(),
            node: Some("n1".into()),
            agent: ContainerView::Terminated(agent),
            ..PodView::default()
        }
    }

    fn ended(exit_code: i32, reason: &str) -> Ended {
        Ended {
            exit_code,
            reason: reason.into(),
            ..Ended::default()
        }
    }

    fn report(reason: TaskReason, message: &str) -> Option<Box<Report>> {
        Some(Box::new(Report {
            is_final: true,
            reason: Some(reason),
            message: Some(message.into()),
            ..Report::new()
        }))
    }

    #[test]
    fn success_is_no_failure() {
        assert_eq!(of_pod(&pod(ended(0, "Completed"))), None);
        assert_eq!(of_pod(&PodView::default()), None);
    }

    #[test]
    fn memory_wins_over_what_the_agent_said() {
        let failure = of_pod(&pod(Ended {
            report: report(TaskReason::AgentError, "x"),
            ..ended(137, "OOMKilled")
        }))
        .unwrap();
        assert_eq!(failure.reason, TaskReason::OOMKilled);
        assert!(
            failure.message.contains("limits.memory") && failure.message.contains("n1"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn the_report_names_the_reason() {
        let failure = of_pod(&pod(Ended {
            report: report(TaskReason::AuthFailed, "invalid x-api-key"),
            ..ended(1, "Error")
        }));
        assert_eq!(
            failure,
            Some(Failure::new(TaskReason::AuthFailed, "invalid x-api-key"))
        );
    }

    #[test]
    fn without_a_report_the_log_and_then_the_exit_code_speak() {
        let log = of_pod(&pod(Ended {
            message: "\nboom\n".into(),
            ..ended(2, "Error")
        }))
        .unwrap();
        assert_eq!(log, Failure::new(TaskReason::AgentError, "boom"));
        let bare = of_pod(&pod(ended(137, "Error"))).unwrap();
        assert_eq!(
            bare.message,
            "the agent ended with exit code 137 (killed, SIGKILL)"
        );
    }

    #[test]
    fn a_deleted_pod_is_lost_unless_the_agent_itself_failed() {
        let mut lost = pod(Ended {
            report: report(TaskReason::Stopped, "SIGTERM"),
            ..ended(143, "Error")
        });
        lost.deleting = true;
        let failure = of_pod(&lost).unwrap();
        assert_eq!(failure.reason, TaskReason::PodLost);
        assert!(failure.message.ends_with(": SIGTERM"), "{}", failure.message);
        let mut failed = pod(Ended {
            report: report(TaskReason::AgentError, "x"),
            ..ended(1, "Error")
        });
        failed.deleting = true;
        assert_eq!(of_pod(&failed).unwrap().reason, TaskReason::AgentError);
    }

    #[test]
    fn a_pod_that_wrote_too_much_is_not_disrupted() {
        for said in [
            "Usage of EmptyDir volume \"tmp\" exceeds the limit \"10Gi\". ",
            "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
            "Container agent exceeded its local ephemeral storage limit \"10Gi\". ",
        ] {
            let mut full = pod(ended(137, "Error"));
            full.failure = Some(("Evicted".into(), said.into()));
            let failure = of_pod(&full).unwrap();
            assert_eq!(failure.reason, TaskReason::StorageExceeded, "{said}");
            assert!(
                failure.message.contains(said.trim().trim_end_matches('.')),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn eviction_and_disruption_are_not_the_agents_fault() {
        let mut evicted = pod(ended(137, "Error"));
        evicted.failure = Some(("Evicted".into(), "The node was low on resource: memory.".into()));
        assert_eq!(of_pod(&evicted).unwrap().reason, TaskReason::Evicted);
        for said in [
            "Pod was rejected: The node had condition: [DiskPressure]. ",
            "The node had condition: [MemoryPressure]. ",
            "In words of another release",
        ] {
            evicted.failure = Some(("Evicted".into(), said.into()));
            assert_eq!(of_pod(&evicted).unwrap().reason, TaskReason::Evicted, "{said}");
        }
        let mut drained = PodView {
            name: "p".into(),
            ..PodView::default()
        };
        drained.disruption = Some(("EvictionByEvictionAPI".into(), "Eviction API: evicting".into()));
        assert!(
            of_pod(&drained)
                .unwrap()
                .message
                .contains("EvictionByEvictionAPI")
        );
    }

    #[test]
    fn a_failed_clone_has_gits_words() {
        let ended = Ended {
            report: report(TaskReason::CloneFailed, "fatal: repository not found"),
            ..ended(1, "Error")
        };
        let view = PodView {
            workspace: ContainerView::Terminated(ended),
            ..PodView::default()
        };
        assert_eq!(
            of_pod(&view),
            Some(Failure::new(
                TaskReason::CloneFailed,
                "fatal: repository not found"
            ))
        );
    }

    #[test]
    fn a_job_past_its_deadline_says_so_whatever_the_pod_says() {
        let end = JobEnd::Failed {
            reason: "DeadlineExceeded".into(),
            message: String::new(),
            at: None,
        };
        assert_eq!(
            of_job(&end, Some(&pod(ended(143, "Error"))), None).reason,
            TaskReason::DeadlineExceeded
        );
    }

    #[test]
    fn a_job_without_a_pod_lost_it() {
        let end = JobEnd::Failed {
            reason: "BackoffLimitExceeded".into(),
            message: "limit".into(),
            at: None,
        };
        assert_eq!(of_job(&end, None, None).reason, TaskReason::PodLost);
        let known = Attempt {
            reason: Some(TaskReason::AgentError),
            message: Some("boom".into()),
            ..Attempt::default()
        };
        assert_eq!(
            of_job(&end, None, Some(&known)),
            Failure::new(TaskReason::AgentError, "boom")
        );
    }
}
