//! Tasks as lists need them: without prompts, bookkeeping and conditions, so that ten thousand are no burden.

use std::collections::BTreeMap;

use axon_api::usage::Usage;
use axon_api::{TaskPhase, TaskReason, labels};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::error::{Action, Result};
use crate::kinds::Kind;

/// What of an object's metadata lists need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// UID.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was created.
    pub creation_timestamp: Option<Time>,
    /// Version, for watches.
    pub resource_version: Option<String>,
}

impl Meta {
    /// Returns when the object was created.
    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        self.creation_timestamp.as_ref().map(|time| time.0)
    }
}

/// A reference by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// What of a Task's spec lists need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Agent type; text, so that types of a later version can be listed.
    #[serde(rename = "type")]
    pub agent: String,
    /// Model.
    pub model: Option<String>,
    /// Workspace.
    pub workspace_ref: Option<Named>,
    /// Branch.
    pub branch: Option<String>,
    /// Tasks that must succeed first.
    pub depends_on: Vec<String>,
}

/// What of a Task's status lists need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Phase.
    pub phase: Option<TaskPhase>,
    /// Reason.
    pub reason: Option<TaskReason>,
    /// When the agent started.
    pub start_time: Option<Time>,
    /// When the Task ended.
    pub completion_time: Option<Time>,
    /// Outputs.
    pub results: BTreeMap<String, String>,
    /// Tokens and money.
    pub usage: Option<Usage>,
    /// Dependencies that have succeeded.
    pub satisfied_dependencies: Vec<String>,
}

/// A Task, in brief.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Brief {
    /// Names and labels.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: Spec,
    /// What became of it.
    pub status: Status,
}

impl Brief {
    /// Returns the TaskSpawner that created the Task.
    #[must_use]
    pub fn spawner(&self) -> Option<&str> {
        self.metadata.labels.get(labels::TASK_SPAWNER).map(String::as_str)
    }

    /// Returns true once the Task has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status.phase.is_some_and(TaskPhase::is_terminal)
    }

    /// Returns when the agent started.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.status.start_time.as_ref().map(|time| time.0)
    }

    /// Returns when the Task ended.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        self.status.completion_time.as_ref().map(|time| time.0)
    }

    /// Returns the branch that was worked on, or was asked for.
    #[must_use]
    pub fn branch(&self) -> &str {
        let made = self.status.results.get("branch").map(String::as_str);
        made.filter(|branch| !branch.is_empty())
            .or(self.spec.branch.as_deref())
            .unwrap_or_default()
    }

    /// Returns the seconds that the agent has run, or ran; `None` before it starts.
    #[must_use]
    pub fn run_seconds(&self, now: Timestamp) -> Option<u64> {
        let start = self.started()?;
        let end = self.ended().unwrap_or(now);
        Some(u64::try_from(end.duration_since(start).as_secs()).unwrap_or_default())
    }
}

/// Lists all Tasks of a namespace, or of all, page by page. Also returns the version from which to watch on.
///
/// # Errors
/// The first failed request.
pub async fn list(cluster: &Cluster, namespace: Option<&str>) -> Result<(Vec<Brief>, String)> {
    let mut all = Vec::new();
    let version = cluster
        .list(Kind::Task, namespace, &ListParams::default(), |page| {
            all.extend(page);
        })
        .await?;
    Ok((all, version))
}

/// Returns what is being done when `kind` is listed, for words.
#[must_use]
pub fn listing(kind: Kind, namespace: Option<&str>) -> Action {
    let action = Action::new("list", kind.plural());
    match namespace {
        Some(namespace) => action.within(namespace),
        None => action,
    }
}
