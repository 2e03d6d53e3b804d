//! What spawners see of the cluster, kept small: of Tasks only what limits and marks need.

use axon_api::v1alpha1::TaskSpawner;
use axon_api::{Task, Workspace, labels, naming};
use futures::{Stream, StreamExt};
use kube::core::ObjectMeta;
use kube::{Client, Resource, ResourceExt};
use kube_runtime::reflector::store::Writer;
use kube_runtime::reflector::{ObjectRef, Store};
use kube_runtime::{WatchStreamExt, reflector, watcher};
use serde::{Deserialize, Serialize};

use super::plan::ExistingTask;
use crate::kube::backoff::Pauses;
use crate::kube::watch::{Keep, Scope, Seen, Target, events, keep_metadata, prune};
use crate::spawner::plan::match_state::Mark;

/// A Task without its spec. Whatever else it holds, it can be read.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Task)]
pub struct SlimTask {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The part of the status that counts.
    #[serde(default)]
    pub status: Option<SlimStatus>,
}

/// The phase alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlimStatus {
    /// Phase.
    #[serde(default)]
    pub phase: Option<String>,
}

impl SlimTask {
    /// Returns true in a terminal phase.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let phase = self.status.as_ref().and_then(|s| s.phase.as_deref());
        phase
            .and_then(|phase| phase.parse::<axon_api::TaskPhase>().ok())
            .is_some_and(axon_api::TaskPhase::is_terminal)
    }
}

impl From<&SlimTask> for ExistingTask {
    fn from(task: &SlimTask) -> Self {
        Self {
            name: task.name_any(),
            uid: task.uid().unwrap_or_default(),
            item: task.labels().get(labels::ITEM).cloned(),
            created: task.creation_timestamp().map(|time| time.0).unwrap_or_default(),
            ended: task.has_ended(),
            mark: Mark::parse(task.annotations().get(labels::MATCH).map(String::as_str)),
        }
    }
}

/// The stores.
#[derive(Clone)]
pub struct Stores {
    /// All spawners.
    pub spawners: Store<TaskSpawner>,
    /// All Tasks of spawners.
    pub tasks: Store<SlimTask>,
    /// All Workspaces.
    pub workspaces: Store<Workspace>,
}

impl Stores {
    /// Returns true if the watch already knows of a change of `live` that stops its reconcile.
    pub fn shows_change_of(&self, live: &TaskSpawner) -> bool {
        let reference = ObjectRef::from_obj(live);
        self.spawners.get(&reference).is_none_or(|known| {
            known.uid() == live.uid() && known.metadata.generation > live.metadata.generation
                || known.metadata.deletion_timestamp.is_some()
        })
    }

    /// Returns the Tasks of a spawner.
    #[must_use]
    pub fn tasks_of(&self, spawner: &TaskSpawner) -> Vec<ExistingTask> {
        let (namespace, label) = (spawner.namespace(), naming::label_value(&spawner.name_any()));
        let own = self.tasks.state_filter(|task| {
            task.namespace() == namespace && task.labels().get(labels::TASK_SPAWNER) == Some(&label)
        });
        own.iter().map(|task| ExistingTask::from(task.as_ref())).collect()
    }

    /// Returns the spawner that a Task is of.
    #[must_use]
    pub fn spawner_of(&self, task: &SlimTask) -> Option<ObjectRef<TaskSpawner>> {
        let (namespace, label) = (task.namespace()?, task.labels().get(labels::TASK_SPAWNER)?);
        let direct = ObjectRef::new(label).within(&namespace);
        if self.spawners.get(&direct).is_some() {
            return Some(direct);
        }
        // The label of a spawner with a very long name.
        let cut = |s: &TaskSpawner| {
            s.namespace().as_ref() == Some(&namespace) && naming::label_value(&s.name_any()) == *label
        };
        self.spawners.find(cut).map(|s| ObjectRef::from_obj(s.as_ref()))
    }

    /// Returns the name of a spawner's Workspace if somebody has paused all spawners that use it.
    #[must_use]
    pub fn paused_workspace(&self, spawner: &TaskSpawner) -> Option<String> {
        let name = &spawner.spec.task_template.workspace_ref.as_ref()?.name;
        let reference = ObjectRef::new(name).within(&spawner.namespace()?);
        let workspace = self.workspaces.get(&reference)?;
        let value = workspace.annotations().get(labels::PAUSED)?;
        is_pause(value).then(|| name.clone())
    }

    /// Returns the spawners that use a Workspace.
    #[must_use]
    pub fn spawners_naming(&self, workspace: &Workspace) -> Vec<ObjectRef<TaskSpawner>> {
        let (namespace, name) = (workspace.namespace(), workspace.name_any());
        let using = self.spawners.state_filter(|spawner| {
            let reference = spawner.spec.task_template.workspace_ref.as_ref();
            spawner.namespace() == namespace && reference.is_some_and(|r| r.name == name)
        });
        using.iter().map(|s| ObjectRef::from_obj(s.as_ref())).collect()
    }
}

/// Returns whether the value of the annotation pauses. It is an emergency stop: whatever somebody writes in a hurry stops,
/// but for what clearly says that it does not.
fn is_pause(value: &str) -> bool {
    let value = value.trim();
    !["", "false", "no", "off", "0"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

impl Seen for SlimTask {
    const KIND: &'static str = "Task";

    fn read(json: &str) -> serde_json::Result<Self> {
        let kept = prune(json, &|path, _| match path {
            ["metadata" | "status"] | ["metadata", "labels" | "annotations"] => Keep::Each,
            ["metadata", "labels", labels::TASK_SPAWNER | labels::ITEM]
            | ["metadata", "annotations", labels::MATCH]
            | ["status", "phase"] => Keep::All,
            ["metadata", "labels" | "annotations", _] | ["status", _] | ["spec"] => Keep::Nothing,
            ["metadata", member] => keep_metadata(member),
            _ => Keep::All,
        })?;
        serde_json::from_str(&kept)
    }

    fn revision(&self) -> Option<String> {
        self.resource_version()
    }
}

/// Watches the Tasks of spawners.
pub fn watch_tasks(
    client: Client,
    scope: &Scope,
    writer: Writer<SlimTask>,
) -> impl Stream<Item = Result<SlimTask, watcher::Error>> + Send + 'static {
    let of_spawners = Target {
        labels: Some(labels::TASK_SPAWNER.to_owned()),
        ..scope.target::<SlimTask>(client, &())
    };
    let events = events::<SlimTask>(of_spawners).backoff(Pauses::of_watch());
    reflector(writer, events).touched_objects().boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_does_not_say_no_pauses() {
        for yes in ["true", "True", "yes", "1", "on", "paused", "until monday"] {
            assert!(is_pause(yes), "{yes}");
        }
        for no in ["", " ", "false", "FALSE", "no", "off", "0"] {
            assert!(!is_pause(no), "{no:?}");
        }
    }

    #[test]
    fn a_task_is_read_whatever_its_spec_and_phase_are() {
        let read = |phase: &str| -> SlimTask {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "axon.io/v1alpha1", "kind": "Task",
                "metadata": {"name": "fix-7", "uid": "u", "labels": {"axon.io/item": "7"}, "annotations": {"axon.io/match": "left:f"}},
                "spec": {"type": "of-the-future"}, "status": {"phase": phase},
            }))
            .unwrap()
        };
        assert!(read("Succeeded").has_ended() && read("Failed").has_ended());
        assert!(!read("Running").has_ended() && !read("Novel").has_ended());
        let known = ExistingTask::from(&read("Running"));
        assert_eq!(
            (known.item.as_deref(), known.mark),
            (Some("7"), Mark::Left("f".into()))
        );
        assert_eq!(SlimTask::kind(&()), "Task");
        assert_eq!(SlimTask::plural(&()), "tasks");
    }
}
