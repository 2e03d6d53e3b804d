//! Reads complete objects from the API server, where the stores keep only parts: the Task, and the inputs of its Job.

use std::collections::HashMap;
use std::sync::Arc;

use axon_api::{AgentConfig, Task, TaskPhase, Workspace};
use k8s_openapi::NamespaceResourceScope;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use kube_runtime::reflector::ObjectRef;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::kube::call::{CallError, timed};
use crate::kube::watch::{Whole, is_part, whole};
use crate::task::build::prompt;
use crate::task::context::Context;
use crate::task::observe::Gathered;

/// The complete objects that a Job is built from.
pub struct JobInputs {
    /// The Task with its prompt.
    pub task: Whole<Task>,
    /// The Workspace with its files.
    pub workspace: Option<Arc<Workspace>>,
    /// The AgentConfig with its texts.
    pub agent_config: Option<Arc<AgentConfig>>,
}

/// Reads the inputs of a Task's Job. `None` if one of them has changed since the Job was decided on: the event of that change
/// is on its way.
///
/// # Errors
/// If the API server does not answer.
pub async fn job_inputs(
    task: &Task,
    gathered: &Gathered,
    context: &Context,
) -> Result<Option<JobInputs>, CallError> {
    let Some(read) = full_task(task, context).await? else {
        return Ok(None);
    };
    // All of the spec but `stop` is immutable.
    if read.object.spec.is_stopped() || read.object.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let workspace = completed("get workspace", gathered.workspace.as_ref(), task, context);
    let Some(workspace) = workspace.await? else {
        return Ok(None);
    };
    let config = completed("get agentconfig", gathered.agent_config.as_ref(), task, context);
    let Some(agent_config) = config.await? else {
        return Ok(None);
    };
    Ok(Some(JobInputs {
        task: read,
        workspace,
        agent_config,
    }))
}

/// Reads the whole of a Task; `None` if it is gone, or another one has its name.
///
/// # Errors
/// If the API server does not answer.
pub async fn full_task(task: &Task, context: &Context) -> Result<Option<Whole<Task>>, CallError> {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let read = timed("get task", whole::<Task>(&context.client, &namespace, &name)).await?;
    Ok(read.filter(|read| read.object.metadata.uid == task.metadata.uid))
}

/// Returns an object as it was decided on, with what the store left out of it.
async fn completed<K>(
    what: &'static str,
    kept: Option<&Arc<K>>,
    task: &Task,
    context: &Context,
) -> Result<Option<Option<Arc<K>>>, CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let Some(kept) = kept.filter(|kept| is_part(kept.meta())) else {
        return Ok(Some(kept.map(Arc::clone)));
    };
    let namespace = task.namespace().unwrap_or_default();
    let read = timed(what, whole::<K>(&context.client, &namespace, &kept.name_any())).await?;
    // The branch was locked for the repository that it named then.
    let same = read.filter(|read| read.object.meta().resource_version == kept.meta().resource_version);
    Ok(same.map(|read| Some(Arc::new(read.object))))
}

/// A Task as far as another one's prompt asks for it.
#[derive(Deserialize)]
struct EndedDependency {
    metadata: ObjectMeta,
    #[serde(default)]
    status: DependencyOutputs,
}

#[derive(Default, Deserialize)]
struct DependencyOutputs {
    #[serde(default)]
    outputs: Vec<String>,
}

/// Returns the dependencies that the status of `task` has not recorded yet, if its prompt may ask for results: those that
/// have succeeded with their outputs, which are read. A name with nothing is of a Task that is not there.
///
/// # Errors
/// If the API server does not answer.
pub async fn dependency_results(
    task: &Task,
    context: &Context,
) -> Result<HashMap<String, Option<Arc<Task>>>, CallError> {
    let mut all = HashMap::new();
    let status = task.status.as_ref();
    if !prompt::is_template(task) || status.is_some_and(|s| s.job_name.is_some()) {
        return Ok(all);
    }
    let namespace = task.namespace().unwrap_or_default();
    for name in &task.spec.depends_on {
        let is_recorded = status.is_some_and(|s| s.satisfied_dependencies.contains(name));
        let kept = context.stores.tasks.get(&ObjectRef::new(name).within(&namespace));
        if is_recorded {
            continue;
        }
        let succeeded = |t: &Arc<Task>| t.status.as_ref().and_then(|s| s.phase) == Some(TaskPhase::Succeeded);
        // Also those that have not: one that succeeds while others are read would count at once, without its outputs. Its
        // event lets the Task be decided on again.
        let kept = match kept {
            Some(kept) if succeeded(&kept) => kept,
            other => {
                all.insert(name.clone(), other);
                continue;
            }
        };
        let read = timed(
            "get dependency",
            crate::kube::watch::read_as::<Task, EndedDependency>(&context.client, &namespace, name),
        );
        all.insert(name.clone(), with_outputs(&kept, read.await?));
    }
    Ok(all)
}

/// Returns a Task with the outputs that were read of it; `None` if it is gone. Another Task may have its name by now: its
/// outputs are not those of the one that was waited for.
fn with_outputs(kept: &Task, read: Option<EndedDependency>) -> Option<Arc<Task>> {
    let ended = read.filter(|ended| ended.metadata.uid == kept.metadata.uid)?;
    let mut task = kept.clone();
    task.status.get_or_insert_default().outputs = ended.status.outputs;
    Some(Arc::new(task))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_of_the_task_that_was_waited_for() {
        let kept: Task = serde_json::from_value(json!({
            "metadata": {"name": "dep", "uid": "former"},
            "spec": {"type": "codex", "prompt": "", "credentials": {"type": "none"}},
            "status": {"phase": "Succeeded"},
        }))
        .unwrap();
        let read = |uid: &str| -> Option<EndedDependency> {
            let task = json!({"metadata": {"name": "dep", "uid": uid}, "status": {"outputs": ["branch: b"]}});
            Some(serde_json::from_value(task).unwrap())
        };
        let same = with_outputs(&kept, read("former")).unwrap();
        assert_eq!(same.status.as_ref().unwrap().outputs, ["branch: b"]);
        assert!(with_outputs(&kept, read("made anew")).is_none());
        assert!(with_outputs(&kept, None).is_none());
    }
}
