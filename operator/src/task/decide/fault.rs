//! Whose fault the end of a pod is: what the kubelet, the scheduler and the controllers write, and what follows from it.
//!
//! The table has the words of Kubernetes 1.28 to 1.36, and of containerd and cri-dockerd where the kubelet passes on theirs.
//! docs/pipelines.md shows it to users, and a test keeps both the same.

use axon_api::TaskReason;

/// Where Kubernetes writes a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
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

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The cluster ended the run: it is repeated at once and costs no retry, up to the limit of disruptions.
    RunsAgain,
    /// The run itself has failed: only `spec.retryPolicy` repeats it.
    Fails,
    /// The Task is Pending until the cause is gone.
    Waits,
    /// The Task is Pending until the image is there, and fails after the operator's `--image-pull-limit`.
    WaitsForImage,
}

/// A word, and what it means for a Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is written.
    pub place: Place,
    /// The word itself; one that ends in `*` stands for all that begin so.
    pub word: &'static str,
    /// The reason that the Task or its attempt gets.
    pub reason: TaskReason,
    /// What follows.
    pub then: Then,
}

const fn word(place: Place, word: &'static str, reason: TaskReason, then: Then) -> Word {
    Word {
        place,
        word,
        reason,
        then,
    }
}

use Place::{Disruption, Job, Pod, Terminated, Waiting};
use TaskReason as R;
use Then::{Fails, RunsAgain, Waits, WaitsForImage};

/// All words that mean something for a Task. `Evicted` has an exception: see [`is_over_its_own_limit`].
pub const WORDS: &[Word] = &[
    // The kubelet ends a pod that runs.
    word(Pod, "Evicted", R::Evicted, RunsAgain),
    word(Pod, "Preempting", R::Evicted, RunsAgain),
    word(Pod, "Terminated", R::Evicted, RunsAgain),
    // Written by the node lifecycle controller, not by the kubelet.
    word(Pod, "NodeLost", R::PodLost, RunsAgain),
    // A deadline of the pod's own, which only a mutating webhook can have set.
    word(Pod, "DeadlineExceeded", R::DeadlineExceeded, Fails),
    // The kubelet does not take a pod: nothing of it has run.
    word(Pod, "NodeShutdown", R::PodLost, RunsAgain),
    word(Pod, "OutOf*", R::PodLost, RunsAgain),
    word(Pod, "UnexpectedAdmissionError", R::PodLost, RunsAgain),
    word(Pod, "NodeAffinity", R::PodLost, RunsAgain),
    word(Pod, "NodeName", R::PodLost, RunsAgain),
    word(Pod, "NodePorts", R::PodLost, RunsAgain),
    word(Pod, "TaintToleration", R::PodLost, RunsAgain),
    word(Pod, "TopologyAffinityError", R::PodLost, RunsAgain),
    word(Pod, "SMTAlignmentError", R::PodLost, RunsAgain),
    word(Pod, "SysctlForbidden", R::PodLost, RunsAgain),
    word(Pod, "InvalidNodeInfo", R::PodLost, RunsAgain),
    word(Pod, "PodOSNotSupported", R::PodLost, RunsAgain),
    word(Pod, "PodOSSelectorNodeLabelDoesNotMatch", R::PodLost, RunsAgain),
    word(Pod, "InitContainerRestartPolicyForbidden", R::PodLost, RunsAgain),
    word(Pod, "SupplementalGroupsPolicyNotSupported", R::PodLost, RunsAgain),
    word(Pod, "UnexpectedPredicateFailureType", R::PodLost, RunsAgain),
    word(Pod, "AppArmor", R::PodLost, RunsAgain),
    // Since 1.32.
    word(Pod, "PodLevelResourcesNotSupported", R::PodLost, RunsAgain),
    // Since 1.34: a node's limit of attached volumes, which the scheduler did not know yet.
    word(Pod, "VolumeAttachmentLimitExceeded", R::PodLost, RunsAgain),
    // Since 1.35.
    word(Pod, "PodFeatureUnsupported", R::PodLost, RunsAgain),
    word(Pod, "UnknownReason", R::PodLost, RunsAgain),
    word(Disruption, "PreemptionByScheduler", R::Evicted, RunsAgain),
    word(Disruption, "DeletionByTaintManager", R::Evicted, RunsAgain),
    word(Disruption, "EvictionByEvictionAPI", R::Evicted, RunsAgain),
    word(Disruption, "DeletionByPodGC", R::Evicted, RunsAgain),
    word(Disruption, "TerminationByKubelet", R::Evicted, RunsAgain),
    // Since 1.33: a device of the pod, such as a GPU, was tainted.
    word(Disruption, "DeletionByDeviceTaintManager", R::Evicted, RunsAgain),
    word(Terminated, "OOMKilled", R::OOMKilled, Fails),
    word(Terminated, "StartError", R::InvalidConfig, Fails),
    word(Terminated, "ContainerCannotRun", R::InvalidConfig, Fails),
    // The runtime came back without the container's task, as after a quick reboot of the node; the exit code is 255.
    word(Terminated, "Unknown", R::PodLost, RunsAgain),
    // The kubelet found no trace of the container; the exit code 137 is its own invention.
    word(Terminated, "ContainerStatusUnknown", R::PodLost, RunsAgain),
    word(Waiting, "ErrImagePull", R::ImagePull, WaitsForImage),
    word(Waiting, "ImagePullBackOff", R::ImagePull, WaitsForImage),
    word(Waiting, "RegistryUnavailable", R::ImagePull, WaitsForImage),
    word(Waiting, "ErrImageNeverPull", R::ImagePull, WaitsForImage),
    word(Waiting, "ImageInspectError", R::ImagePull, WaitsForImage),
    word(Waiting, "SignatureValidationFailed", R::ImagePull, WaitsForImage),
    word(Waiting, "InvalidImageName", R::ImagePull, Fails),
    word(Waiting, "CreateContainerConfigError", R::Starting, Waits),
    word(Waiting, "CreateContainerError", R::Starting, Waits),
    word(Waiting, "PreCreateHookError", R::Starting, Waits),
    word(Waiting, "PreStartHookError", R::Starting, Waits),
    word(Waiting, "PostStartHookError", R::Starting, Waits),
    word(Waiting, "RunContainerError", R::Starting, Waits),
    // Of injected init containers that the kubelet restarts; ours are never restarted.
    word(Waiting, "CrashLoopBackOff", R::Starting, Waits),
    word(Job, "DeadlineExceeded", R::DeadlineExceeded, Fails),
];

/// Returns what a word means; `None` if the table does not have it.
#[must_use]
pub fn of(place: Place, said: &str) -> Option<&'static Word> {
    let is = |word: &&Word| {
        word.place == place
            && match word.word.strip_suffix('*') {
                Some(prefix) => said.starts_with(prefix),
                None => word.word == said,
            }
    };
    WORDS.iter().find(is)
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
