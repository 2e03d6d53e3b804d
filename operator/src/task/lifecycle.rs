//! What to do next for a Task: one decision from everything that was observed.
//!
//! Pure and total. Terminal is final: it is looked at first, and nothing below can leave it.

use std::time::Duration;

use axon_api::{AgentConfig, Task, TaskPhase, TaskReason, TaskStatus, Workspace};
use jiff::Timestamp;

use super::branch_lock::{Blocker, Rival};
use super::dependencies::Dependencies;
use super::outcome;
use super::status::{enter, record_attempt};
use super::view::{ContainerView, JobEnd, JobView, PodView};

/// An object that a Task may name.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a, K> {
    /// The Task names none.
    No,
    /// It is not there (yet).
    Missing(&'a str),
    /// It is there.
    Found(&'a K),
}

impl<'a, K> Named<'a, K> {
    /// Returns the object, if it is there.
    #[must_use]
    pub fn found(&self) -> Option<&'a K> {
        match self {
            Self::Found(object) => Some(object),
            _ => None,
        }
    }
}

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The Task.
    pub task: &'a Task,
    /// The Job of the Task's name, whoever owns it.
    pub job: Option<JobView>,
    /// The Job's pods, in any order.
    pub pods: Vec<PodView>,
    /// The Workspace.
    pub workspace: Named<'a, Workspace>,
    /// The AgentConfig.
    pub agent_config: Named<'a, AgentConfig>,
    /// The Tasks that must succeed first.
    pub dependencies: Dependencies,
    /// Other Tasks on the same branch of the same repository.
    pub rivals: Vec<Rival<'a>>,
    /// True if a Task that has not started yet depends on this one and has not recorded its success.
    pub awaited: bool,
    /// Lines of the marker block in the newest pod's log; read only for pods that left no report.
    pub log_outputs: Vec<String>,
    /// How long an image may fail to be pulled before the Task fails.
    pub image_pull_limit: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing, until an event or, if given, until that much time has passed.
    Wait(Option<Duration>),
    /// Create the Job (and the ConfigMap with its inputs).
    CreateJob,
    /// Write this status; an event will lead on.
    UpdateStatus(Box<TaskStatus>),
    /// Delete the Job of a Task that has ended without it.
    DeleteJob,
    /// Delete the Task: its time to live is over.
    Expire,
}

/// Longest that a Task which has not ended goes without another look. Events lead on long before; this is the net under
/// an event that a broken watch has lost.
const NET: Duration = Duration::from_secs(300);

/// Decides.
#[must_use]
pub fn decide(observed: &Observed<'_>) -> Decision {
    let over = observed
        .task
        .status
        .as_ref()
        .and_then(|s| s.phase)
        .is_some_and(TaskPhase::is_terminal);
    match step(observed) {
        Decision::Wait(None) if !over => Decision::Wait(Some(NET)),
        decision => decision,
    }
}

fn step(observed: &Observed<'_>) -> Decision {
    if observed.task.metadata.deletion_timestamp.is_some() {
        return Decision::Wait(None);
    }
    let status = observed.task.status.clone().unwrap_or_default();
    if status.phase.is_some_and(TaskPhase::is_terminal) {
        return after_the_end(observed, &status);
    }
    match &observed.job {
        // A Task of this name was deleted and its Job is not gone yet.
        Some(job) if !owned(observed.task, job) && job.made_by_us => move_to(
            observed,
            &status,
            TaskPhase::Waiting,
            TaskReason::PodRefused,
            "waits for the Job of the former Task of this name to be gone",
            Some(LEFTOVER_PAUSE),
        ),
        Some(job) if !owned(observed.task, job) => fail(
            observed,
            &status,
            TaskReason::InvalidConfig,
            "a Job of this name exists and does not belong to this Task: create the Task under another name",
        ),
        Some(job) => with_job(observed, &status, job),
        None if status.job_name.is_some() => without_its_job(observed, &status),
        None => before_the_job(observed, &status),
    }
}

/// Pause before another look at a leftover, which nobody watches for this Task.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(2);

fn owned(task: &Task, job: &JobView) -> bool {
    job.owner_uid.is_some() && job.owner_uid == task.metadata.uid
}

fn after_the_end(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    if let Some(job) = &observed.job
        && owned(observed.task, job)
        && job.finished.is_none()
        && !job.deleting
    {
        return Decision::DeleteJob;
    }
    let Some(ttl) = observed.task.spec.ttl_seconds_after_finished else {
        return Decision::Wait(None);
    };
    if observed.awaited {
        // Whoever waits for this Task's success must see it first; its start or end leads on.
        return Decision::Wait(Some(NET));
    }
    let Some(ended) = status.completion_time.as_ref() else {
        return Decision::Expire;
    };
    let left = ended
        .0
        .as_second()
        .saturating_add(i64::from(ttl))
        .saturating_sub(observed.now.as_second());
    match u64::try_from(left) {
        Ok(0) | Err(_) => Decision::Expire,
        Ok(seconds) => Decision::Wait(Some(Duration::from_secs(seconds))),
    }
}

fn before_the_job(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    let wait = |reason, message: &str| move_to(observed, status, TaskPhase::Waiting, reason, message, None);
    if let Named::Missing(name) = observed.workspace {
        return wait(
            TaskReason::WorkspaceNotFound,
            &format!("waits for Workspace {name}, which does not exist"),
        );
    }
    if let Named::Missing(name) = observed.agent_config {
        return wait(
            TaskReason::AgentConfigNotFound,
            &format!("waits for AgentConfig {name}, which does not exist"),
        );
    }
    match &observed.dependencies {
        Dependencies::Ready => {}
        Dependencies::Waiting { message, satisfied } => {
            let status = TaskStatus {
                satisfied_dependencies: satisfied.clone(),
                ..status.clone()
            };
            let reason = TaskReason::WaitingForDependencies;
            return move_to(observed, &status, TaskPhase::Waiting, reason, message, None);
        }
        Dependencies::Failed(failure) => return fail(observed, status, failure.reason, &failure.message),
    }
    if let Some(holder) = super::branch_lock::blocker(observed.task, &observed.rivals) {
        let branch = observed.task.spec.branch().unwrap_or_default();
        return wait(
            TaskReason::WaitingForBranch,
            &match holder {
                Blocker::Holder(name) => format!("waits for branch {branch}, which Task {name} works on"),
                // Not by name: every release would rewrite the message of the whole queue.
                Blocker::Queue => format!("waits for branch {branch}, for which older Tasks wait too"),
            },
        );
    }
    Decision::CreateJob
}

/// The Job is gone or going. Its pod may still run, and spend: its last words are waited for.
fn without_its_job(observed: &Observed<'_>, status: &TaskStatus) -> Decision {
    let mut status = status.clone();
    record(observed, &mut status, true);
    if let Some(pause) = ending(observed, None) {
        return stay(observed, &status, Some(pause));
    }
    let message = "the Task's Job was deleted before the agent ended";
    fail(observed, &status, TaskReason::PodLost, message)
}

/// Returns how long to wait at most for a pod that has not ended though its Job has; `None` once there is nothing to
/// wait for any more.
fn ending(observed: &Observed<'_>, job_ended: Option<Timestamp>) -> Option<Duration> {
    let pod = newest(&observed.pods).filter(|pod| !pod.is_over())?;
    // A pod that never started its agent has nothing to tell.
    if !matches!(pod.agent, ContainerView::Running { .. }) {
        return None;
    }
    let by = pod.gone_by.or(job_ended)?.as_second() + ENDING_MARGIN;
    let left = u64::try_from(by - observed.now.as_second())
        .ok()
        .filter(|left| *left > 0)?;
    Some(Duration::from_secs(left))
}

/// Seconds after a pod's grace period after which nobody waits for its last words any more.
const ENDING_MARGIN: i64 = 30;

/// Keeps phase, reason and message.
fn stay(observed: &Observed<'_>, status: &TaskStatus, wake: Option<Duration>) -> Decision {
    let phase = status.phase.unwrap_or(TaskPhase::Pending);
    let reason = status.reason.unwrap_or(TaskReason::Starting);
    let message = status.message.clone().unwrap_or_default();
    move_to(observed, status, phase, reason, &message, wake)
}

/// Records the pods that have ended. `final_look` says that the Job is over.
fn record(observed: &Observed<'_>, status: &mut TaskStatus, final_look: bool) {
    let newest = newest(&observed.pods);
    for pod in &observed.pods {
        // A pod that stays is recorded with the Job's end, in one write. One that is on its way out is recorded now: its
        // figures would go with it.
        let stays = !pod.deleting && pod.disruption.is_none() && newest.is_some_and(|n| n.name == pod.name);
        if stays && !final_look {
            continue;
        }
        let Some(ended) = pod.agent_ended().or_else(|| pod.workspace_failed()) else {
            continue;
        };
        let failure = outcome::of_pod(pod);
        let log_outputs: &[String] = if newest.is_some_and(|n| n.name == pod.name) {
            &observed.log_outputs
        } else {
            &[]
        };
        let known = status.attempts.iter().find(|a| a.pod_name == pod.name);
        // The log is read once; a later look must not wipe out what it gave.
        if known.is_some() && ended.report.is_none() && log_outputs.is_empty() {
            continue;
        }
        record_attempt(status, pod, ended, failure, log_outputs);
    }
}

fn with_job(observed: &Observed<'_>, status: &TaskStatus, job: &JobView) -> Decision {
    let mut status = status.clone();
    status.job_name = observed.task.metadata.name.clone();
    record(observed, &mut status, job.finished.is_some());
    let newest = newest(&observed.pods);
    if let Some(pod) = newest {
        status.pod_name = Some(pod.name.clone());
        if let Some(since) = agent_started(pod) {
            status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(since));
        }
    }
    match &job.finished {
        Some(JobEnd::Complete) => {
            let (phase, reason) = (TaskPhase::Succeeded, TaskReason::Completed);
            move_to(observed, &status, phase, reason, "", None)
        }
        Some(JobEnd::Failed { at, .. }) if ending(observed, *at).is_some() => {
            stay(observed, &status, ending(observed, *at))
        }
        Some(end) => {
            let failure = outcome::of_job(end, newest, status.attempts.last());
            fail(observed, &status, failure.reason, &failure.message)
        }
        None if job.deleting => without_its_job(observed, &status),
        None if disrupted_too_often(&status) => {
            let message = format!(
                "the pod was disrupted {MAX_DISRUPTIONS} times while its agent ran; the last time: {}",
                status
                    .attempts
                    .last()
                    .and_then(|a| a.message.as_deref())
                    .unwrap_or_default()
            );
            fail(observed, &status, TaskReason::Evicted, &message)
        }
        None => on_the_way(observed, &status, job, newest),
    }
}

/// Disrupted pods after which a Task fails. Each of them may have spent money from the start.
const MAX_DISRUPTIONS: usize = 3;

fn disrupted_too_often(status: &TaskStatus) -> bool {
    status
        .attempts
        .iter()
        .filter(|a| a.reason == Some(TaskReason::Evicted))
        .count()
        >= MAX_DISRUPTIONS
}

/// Returns the newest pod.
#[must_use]
pub fn newest(pods: &[PodView]) -> Option<&PodView> {
    pods.iter()
        .max_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)))
}

fn agent_started(pod: &PodView) -> Option<Timestamp> {
    match &pod.agent {
        ContainerView::Running { since } => *since,
        ContainerView::Terminated(ended) => ended.started,
        _ => None,
    }
}

fn on_the_way(
    observed: &Observed<'_>,
    status: &TaskStatus,
    job: &JobView,
    pod: Option<&PodView>,
) -> Decision {
    let pending =
        |reason, message: &str| move_to(observed, status, TaskPhase::Pending, reason, message, None);
    let Some(pod) = pod else {
        // A quota or a policy keeps the pod away: the Job controller says so only in events.
        let age = job
            .created
            .map_or(0, |created| observed.now.as_second() - created.as_second());
        if age < POD_EXPECTED_SECONDS {
            let wake = Duration::from_secs(u64::try_from(POD_EXPECTED_SECONDS - age).unwrap_or(1));
            let message = STARTING;
            return move_to(
                observed,
                status,
                TaskPhase::Pending,
                TaskReason::Starting,
                message,
                Some(wake),
            );
        }
        return pending(
            TaskReason::PodRefused,
            &format!(
                "the Job has no pod after {POD_EXPECTED_SECONDS} s: a quota or policy may refuse it, see `kubectl describe job {}`",
                status.job_name.as_deref().unwrap_or_default()
            ),
        );
    };
    if let Some(ContainerView::Waiting { reason, message }) = stuck_container(pod) {
        return match reason.as_str() {
            "CreateContainerConfigError" if message.to_lowercase().contains("secret") => pending(
                TaskReason::SecretNotFound,
                &format!("the pod can't start: {message}"),
            ),
            "CreateContainerConfigError" | "CreateContainerError" => {
                pending(TaskReason::Starting, &format!("the pod can't start: {message}"))
            }
            "InvalidImageName" => fail(observed, status, TaskReason::ImagePull, message),
            _ => image_pull(observed, status, pod, reason, message),
        };
    }
    match (&pod.agent, &pod.workspace) {
        (ContainerView::Running { .. }, _) => move_to(
            observed,
            status,
            TaskPhase::Running,
            TaskReason::AgentRunning,
            "",
            None,
        ),
        // The pod has ended and the Job has not taken note: what was recorded is kept, the phase stays.
        (ContainerView::Terminated(_), _) | (_, ContainerView::Terminated(_)) if pod.is_over() => {
            stay(observed, status, None)
        }
        (_, ContainerView::Running { .. }) => pending(TaskReason::Cloning, "the workspace is being prepared"),
        _ => match &pod.unschedulable {
            Some(why) => pending(
                TaskReason::Unschedulable,
                &format!("no node takes the pod: {why}"),
            ),
            None => pending(TaskReason::Starting, STARTING),
        },
    }
}

/// What is said from the Job's creation until the first container runs; one text, so that it is written once.
pub(super) const STARTING: &str = "the pod is starting";

/// Seconds after which a Job normally has a pod.
const POD_EXPECTED_SECONDS: i64 = 5;

fn stuck_container(pod: &PodView) -> Option<&ContainerView> {
    [&pod.workspace, &pod.agent].into_iter().find(|c| {
        matches!(c, ContainerView::Waiting { reason, .. } if matches!(
            reason.as_str(),
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
                | "CreateContainerConfigError" | "CreateContainerError"
        ))
    })
}

fn image_pull(
    observed: &Observed<'_>,
    status: &TaskStatus,
    pod: &PodView,
    reason: &str,
    message: &str,
) -> Decision {
    // Not from the pod's creation: it may have waited for a node, and its workspace may have taken long.
    let prepared = match &pod.workspace {
        ContainerView::Terminated(ended) => ended.finished,
        _ => None,
    };
    let since = prepared.max(pod.scheduled).or(pod.created);
    let age = since.map_or(0, |since| observed.now.as_second() - since.as_second());
    let limit = i64::try_from(observed.image_pull_limit.as_secs()).unwrap_or(i64::MAX);
    // The back-off message says only that it backs off; the pull error before it has the cause.
    let told = status
        .message
        .as_deref()
        .filter(|_| status.reason == Some(TaskReason::ImagePull));
    let message = match told {
        Some(told) if reason == "ImagePullBackOff" => told.to_owned(),
        _ => format!("an image can't be pulled: {message}"),
    };
    if age >= limit {
        return fail(observed, status, TaskReason::ImagePull, &message);
    }
    let wake = Duration::from_secs(u64::try_from(limit - age).unwrap_or(1));
    move_to(
        observed,
        status,
        TaskPhase::Pending,
        TaskReason::ImagePull,
        &message,
        Some(wake),
    )
}

fn fail(observed: &Observed<'_>, status: &TaskStatus, reason: TaskReason, message: &str) -> Decision {
    move_to(observed, status, TaskPhase::Failed, reason, message, None)
}

/// Returns the write that brings the Task there, or the wait if it is there already.
fn move_to(
    observed: &Observed<'_>,
    status: &TaskStatus,
    phase: TaskPhase,
    reason: TaskReason,
    message: &str,
    wake: Option<Duration>,
) -> Decision {
    let next = enter(
        status,
        phase,
        reason,
        message,
        observed.task.metadata.generation,
        observed.now,
    );
    if Some(&next) == observed.task.status.as_ref() {
        return Decision::Wait(wake);
    }
    Decision::UpdateStatus(Box::new(next))
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
