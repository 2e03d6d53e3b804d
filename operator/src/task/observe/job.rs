//! What matters of a Job, read once from the Kubernetes object. No rules here.

use axon_api::labels;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use kube::ResourceExt;
use kube::core::{ApiResource, Object};
use serde::{Deserialize, Serialize};

use crate::kube::watch::{Keep, Seen, keep_metadata, prune};
use crate::task::observe::pod::{controller_uid, of_ours};

/// A Job, as far as a Task's life depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Its own UID.
    pub uid: Option<String>,
    /// UID of the controlling owner.
    pub owner_uid: Option<String>,
    /// True if its labels say that the operator made it for a Task of its name.
    pub made_by_us: bool,
    /// How it ended, if it has.
    pub finished: Option<JobEnd>,
    /// How it is going to end, once that is certain; its pod may still run, on an unreachable node for ever.
    pub ending: Option<JobEnd>,
    /// True once deletion has begun.
    pub deleting: bool,
    /// When deletion began, if it has.
    pub deleting_since: Option<Timestamp>,
    /// When the Job controller took it up and began to make its pod.
    pub started: Option<Timestamp>,
    /// Why it has no pod for now, if somebody keeps it from having one.
    pub held: Option<Held>,
    /// Name of the queue that it waits in, as Kueue's label has it.
    pub queue: Option<String>,
    /// When it was resumed the last time, if it ever was suspended.
    pub resumed: Option<Timestamp>,
}

/// What keeps a Job from having a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// `spec.suspend` is true.
    Suspended,
    /// `spec.parallelism` is 0.
    NoParallelism,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEnd {
    /// Condition `Complete`.
    Complete,
    /// Condition `Failed`, with its reason and message.
    Failed {
        /// Reason of the condition, such as `DeadlineExceeded` or `BackoffLimitExceeded`.
        reason: String,
        /// Message of the condition.
        message: String,
        /// Since when.
        at: Option<Timestamp>,
    },
}

/// What is kept of a Job's spec.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct JobSpecSeen {
    #[serde(default)]
    suspend: Option<bool>,
    #[serde(default)]
    parallelism: Option<i32>,
}

/// A Job without the pod that it describes: thousands come in one list.
pub type JobSeen = Object<JobSpecSeen, JobStatus>;

impl Seen for JobSeen {
    const KIND: &'static str = "Job";

    fn read(json: &str) -> serde_json::Result<Self> {
        let kept = prune(json, &|path, _| match path {
            ["metadata" | "spec"] | ["metadata", "labels"] => Keep::Each,
            ["metadata", "labels", labels::QUEUE] | ["spec", "suspend" | "parallelism"] => Keep::All,
            ["metadata", "labels", label] => of_ours(label),
            ["metadata", "ownerReferences"] => Keep::All,
            ["metadata", member] => keep_metadata(member),
            ["spec", _] => Keep::Nothing,
            _ => Keep::All,
        })?;
        serde_json::from_str(&kept)
    }

    fn revision(&self) -> Option<String> {
        self.resource_version()
    }
}

/// Returns where the API has Jobs.
#[must_use]
pub fn jobs() -> ApiResource {
    ApiResource::erase::<Job>(&())
}

impl From<&JobSeen> for JobView {
    fn from(job: &JobSeen) -> Self {
        let conditions = job
            .status
            .as_ref()
            .and_then(|s| s.conditions.as_deref())
            .unwrap_or_default();
        let is_true = |kind: &str| conditions.iter().find(|c| c.status == "True" && c.type_ == kind);
        let failed = |c: &JobCondition| JobEnd::Failed {
            reason: c.reason.clone().unwrap_or_default(),
            message: c.message.clone().unwrap_or_default(),
            at: c.last_transition_time.as_ref().map(|t| t.0),
        };
        let complete = is_true("Complete").map(|_| JobEnd::Complete);
        let label = |name: &str| job.labels().get(name).map(String::as_str);
        Self {
            uid: job.uid(),
            owner_uid: controller_uid(job),
            made_by_us: label(labels::MANAGED_BY) == Some(labels::MANAGER)
                && label(labels::TASK) == job.metadata.name.as_deref(),
            finished: complete.or_else(|| is_true("Failed").map(failed)),
            ending: is_true("FailureTarget").map(failed),
            deleting: job.metadata.deletion_timestamp.is_some(),
            // A Job has no grace period of its own: this is when its deletion was asked for.
            deleting_since: job.metadata.deletion_timestamp.as_ref().map(|t| t.0),
            started: job
                .status
                .as_ref()
                .and_then(|status| Some(status.start_time.as_ref()?.0)),
            held: match (job.spec.suspend, job.spec.parallelism) {
                (Some(true), _) => Some(Held::Suspended),
                (_, Some(0)) => Some(Held::NoParallelism),
                _ => None,
            },
            queue: label(labels::QUEUE)
                .filter(|queue| !queue.is_empty())
                .map(str::to_owned),
            resumed: conditions
                .iter()
                .find(|c| c.type_ == "Suspended" && c.status == "False")
                .and_then(|c| Some(c.last_transition_time.as_ref()?.0)),
        }
    }
}

/// Seconds between a pod's creation and a resumption of its Job below which the two may be the same moment: the clocks of
/// the API server and of the Job controller need not agree.
const CLOCKS_APART: i64 = 5;

impl JobView {
    /// Returns true if a pod that was created then and has ended was ended because the Job was suspended.
    #[must_use]
    pub fn has_suspended(&self, created: Option<Timestamp>) -> bool {
        let before = |resumed: Timestamp| {
            created.is_some_and(|created| created.as_second() + CLOCKS_APART < resumed.as_second())
        };
        self.held.is_some() || self.resumed.is_some_and(before)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(spec: &Value, status: &Value) -> JobView {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": spec, "status": status,
            "metadata": {"name": "t", "labels": {"kueue.x-k8s.io/queue-name": "agents", "other": "x"}},
        });
        JobView::from(&JobSeen::read(&job.to_string()).unwrap())
    }

    #[test]
    fn a_job_that_is_kept_from_having_a_pod_says_by_what() {
        let template = json!({"spec": {"containers": [{"name": "agent"}]}});
        for (spec, held) in [
            (
                json!({"suspend": true, "parallelism": 1, "template": template}),
                Some(Held::Suspended),
            ),
            (
                json!({"suspend": false, "parallelism": 0}),
                Some(Held::NoParallelism),
            ),
            (json!({"suspend": false, "parallelism": 1}), None),
            (json!({"template": template}), None),
        ] {
            let job = view(&spec, &json!({}));
            assert_eq!((job.held, job.queue.as_deref()), (held, Some("agents")), "{spec}");
        }
    }

    #[test]
    fn pods_from_before_a_suspension_are_told_from_later_ones() {
        let condition = |status: &str| {
            let at = "2026-01-01T00:10:00Z";
            json!({"conditions": [{"type": "Suspended", "status": status, "lastTransitionTime": at}]})
        };
        let resumed = view(&json!({}), &condition("False"));
        let created = |time: &str| Some(time.parse::<Timestamp>().unwrap());
        assert!(resumed.has_suspended(created("2026-01-01T00:09:00Z")));
        for later in [
            "2026-01-01T00:09:58Z",
            "2026-01-01T00:10:00Z",
            "2026-01-01T00:11:00Z",
        ] {
            assert!(!resumed.has_suspended(created(later)), "{later}");
        }
        assert!(!view(&json!({}), &json!({})).has_suspended(created("2026-01-01T00:09:00Z")));
        assert!(view(&json!({"suspend": true}), &condition("True")).has_suspended(None));
    }
}
