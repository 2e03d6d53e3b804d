//! Decides by the words of the kubelet, the scheduler and the controllers whether a pod failed by its own fault.
//!
//! The table has the words of Kubernetes 1.28 to 1.36, and of containerd and cri-dockerd where the kubelet passes on theirs.
//! docs/pipelines.md shows it to users, and a test keeps both the same.

use axon_api::TaskReason;

/// The field in which Kubernetes writes a word. The same word means something else in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `status.reason` of a pod that has failed.
    Pod,
    /// Reason of a pod's condition `DisruptionTarget`.
    Disruption,
    /// Reason of a container that has terminated.
    Terminated,
    /// Reason of a container that waits.
    Waiting,
    /// Reason of a Job's condition `Failed`.
    Job,
}

/// The effect of a rule on the Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The cluster ended the run: it is repeated at once and costs no retry, up to the limit of disruptions.
    RunsAgain,
    /// The run itself has failed: only `spec.retryPolicy` repeats it.
    Fails,
    /// The Task is Pending until the cause is gone.
    Waits,
    /// The Task is Pending until the image is there, and fails after the operator's `--image-pull-limit`.
    WaitsForImage,
}

/// One row of the table: a word of Kubernetes, and its meaning for a Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it is written.
    pub origin: Origin,
    /// The word itself; one that ends in `*` stands for all that begin so.
    pub word: &'static str,
    /// The reason that the Task or its attempt gets.
    pub reason: TaskReason,
    /// The effect on the Task.
    pub then: Consequence,
}

const fn rule(origin: Origin, word: &'static str, reason: TaskReason, then: Consequence) -> Rule {
    Rule {
        origin,
        word,
        reason,
        then,
    }
}

use Consequence::{Fails, RunsAgain, Waits, WaitsForImage};
use Origin::{Disruption, Job, Pod, Terminated, Waiting};
use TaskReason as R;

/// All words that mean something for a Task. `Evicted` has an exception: see [`is_over_its_own_limit`].
pub const RULES: &[Rule] = &[
    // The kubelet ends a pod that runs.
    rule(Pod, "Evicted", R::Evicted, RunsAgain),
    rule(Pod, "Preempting", R::Evicted, RunsAgain),
    rule(Pod, "Terminated", R::Evicted, RunsAgain),
    // Written by the node lifecycle controller, not by the kubelet.
    rule(Pod, "NodeLost", R::PodLost, RunsAgain),
    // A deadline of the pod's own, which only a mutating webhook can have set.
    rule(Pod, "DeadlineExceeded", R::DeadlineExceeded, Fails),
    // The kubelet does not take a pod: nothing of it has run.
    rule(Pod, "NodeShutdown", R::PodLost, RunsAgain),
    rule(Pod, "OutOf*", R::PodLost, RunsAgain),
    rule(Pod, "UnexpectedAdmissionError", R::PodLost, RunsAgain),
    rule(Pod, "NodeAffinity", R::PodLost, RunsAgain),
    rule(Pod, "NodeName", R::PodLost, RunsAgain),
    rule(Pod, "NodePorts", R::PodLost, RunsAgain),
    rule(Pod, "TaintToleration", R::PodLost, RunsAgain),
    rule(Pod, "TopologyAffinityError", R::PodLost, RunsAgain),
    rule(Pod, "SMTAlignmentError", R::PodLost, RunsAgain),
    rule(Pod, "SysctlForbidden", R::PodLost, RunsAgain),
    rule(Pod, "InvalidNodeInfo", R::PodLost, RunsAgain),
    rule(Pod, "PodOSNotSupported", R::PodLost, RunsAgain),
    rule(Pod, "PodOSSelectorNodeLabelDoesNotMatch", R::PodLost, RunsAgain),
    rule(Pod, "InitContainerRestartPolicyForbidden", R::PodLost, RunsAgain),
    rule(Pod, "SupplementalGroupsPolicyNotSupported", R::PodLost, RunsAgain),
    rule(Pod, "UnexpectedPredicateFailureType", R::PodLost, RunsAgain),
    rule(Pod, "AppArmor", R::PodLost, RunsAgain),
    // Since 1.32.
    rule(Pod, "PodLevelResourcesNotSupported", R::PodLost, RunsAgain),
    // Since 1.34: a node's limit of attached volumes, which the scheduler did not know yet.
    rule(Pod, "VolumeAttachmentLimitExceeded", R::PodLost, RunsAgain),
    // Since 1.35.
    rule(Pod, "PodFeatureUnsupported", R::PodLost, RunsAgain),
    rule(Pod, "UnknownReason", R::PodLost, RunsAgain),
    rule(Disruption, "PreemptionByScheduler", R::Evicted, RunsAgain),
    rule(Disruption, "DeletionByTaintManager", R::Evicted, RunsAgain),
    rule(Disruption, "EvictionByEvictionAPI", R::Evicted, RunsAgain),
    rule(Disruption, "DeletionByPodGC", R::Evicted, RunsAgain),
    rule(Disruption, "TerminationByKubelet", R::Evicted, RunsAgain),
    // Since 1.33: a device of the pod, such as a GPU, was tainted.
    rule(Disruption, "DeletionByDeviceTaintManager", R::Evicted, RunsAgain),
    rule(Terminated, "OOMKilled", R::OOMKilled, Fails),
    rule(Terminated, "StartError", R::InvalidConfig, Fails),
    rule(Terminated, "ContainerCannotRun", R::InvalidConfig, Fails),
    // The runtime came back without the container's task, as after a quick reboot of the node; the exit code is 255.
    rule(Terminated, "Unknown", R::PodLost, RunsAgain),
    // The kubelet found no trace of the container; the exit code 137 is its own invention.
    rule(Terminated, "ContainerStatusUnknown", R::PodLost, RunsAgain),
    rule(Waiting, "ErrImagePull", R::ImagePull, WaitsForImage),
    rule(Waiting, "ImagePullBackOff", R::ImagePull, WaitsForImage),
    rule(Waiting, "RegistryUnavailable", R::ImagePull, WaitsForImage),
    rule(Waiting, "ErrImageNeverPull", R::ImagePull, WaitsForImage),
    rule(Waiting, "ImageInspectError", R::ImagePull, WaitsForImage),
    rule(Waiting, "SignatureValidationFailed", R::ImagePull, WaitsForImage),
    rule(Waiting, "InvalidImageName", R::ImagePull, Fails),
    rule(Waiting, "CreateContainerConfigError", R::Starting, Waits),
    rule(Waiting, "CreateContainerError", R::Starting, Waits),
    rule(Waiting, "PreCreateHookError", R::Starting, Waits),
    rule(Waiting, "PreStartHookError", R::Starting, Waits),
    rule(Waiting, "PostStartHookError", R::Starting, Waits),
    rule(Waiting, "RunContainerError", R::Starting, Waits),
    // Of injected init containers that the kubelet restarts; ours are never restarted.
    rule(Waiting, "CrashLoopBackOff", R::Starting, Waits),
    rule(Job, "DeadlineExceeded", R::DeadlineExceeded, Fails),
];

/// Returns the rule for a word; `None` if the table does not have it.
#[must_use]
pub fn rule_for(origin: Origin, said: &str) -> Option<&'static Rule> {
    let is = |word: &&Rule| {
        word.origin == origin
            && match word.word.strip_suffix('*') {
                Some(prefix) => said.starts_with(prefix),
                None => word.word == said,
            }
    };
    RULES.iter().find(is)
}

/// Returns true if a run that ended for this reason was ended by the cluster.
#[must_use]
pub fn is_lost(reason: TaskReason) -> bool {
    matches!(reason, TaskReason::Evicted | TaskReason::PodLost)
}

/// Returns true if these are the kubelet's words about a pod that wrote more than its own limit: a container, all of
/// them, or a volume. Another run would write as much again; a pod that a node had no room for runs elsewhere.
#[must_use]
pub fn is_over_its_own_limit(message: &str) -> bool {
    message.starts_with("Pod ephemeral local storage usage exceeds the total limit of containers ")
        || message.starts_with("Container ")
            && message.contains(" exceeded its local ephemeral storage limit ")
        || is_over_a_volumes_limit(message)
}

/// Returns true if a volume was the one that was too full.
#[must_use]
pub fn is_over_a_volumes_limit(message: &str) -> bool {
    message.starts_with("Usage of EmptyDir volume ") && message.contains(" exceeds the limit ")
}

#[cfg(test)]
mod tests;
