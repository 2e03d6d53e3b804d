//! Reads what a decision about a Task depends on: from the stores where they are fresh enough, and from the API server
//! where a decision that can't be taken back depends on it.
//!
//! Memory, filled by watch events:
//! - [`stores`]: the watches; [`index`]: Tasks by the objects they wait for, and the Jobs and pods of each Task.
//! - [`expectations`]: own writes that the watch has not returned yet.
//!
//! Calls to the API server:
//! - [`full_objects`]: the parts that the stores leave out, read when a Job is created.
//! - [`logs`]: the end of an agent's log, where there is no report.
//!
//! Pure: [`pod`] and [`job`] are snapshots of a Pod and a Job, [`kept_task`] is the part of a Task that the store keeps.

pub mod expectations;
pub mod full_objects;
pub mod index;
pub mod job;
pub mod kept_task;
pub mod logs;
pub mod pod;
pub mod stores;

use std::sync::Arc;

use axon_api::v1alpha1::{GithubToken, NameRef};
use axon_api::{AgentConfig, Task, TaskPhase, TaskReason, TaskStatus, Workspace, labels};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use kube_runtime::reflector::{ObjectRef, Store};

use super::branch_lock::{self, Rival};
use super::context::Context;
use crate::kube::call::{CallError, timed};
use crate::task::build::prompt::{ParsedPrompt, PromptError};
use crate::task::decide::dependencies;
use crate::task::decide::dependencies::{Dependencies, Satisfied};
use crate::task::observe::index::Key;

use crate::task::decide::{Named, Observed, newest, volumes};
use crate::task::observe::pod::{JobSeen, JobView, Needed, PodView};

/// Everything about a Task that was read.
pub struct Gathered {
    /// The Job of its name.
    pub job: Option<JobView>,
    pods: Vec<PodView>,
    log_outputs: Vec<String>,
    missing: Vec<Needed>,
    /// The prompt's template, of a Task that may get its first Job in this reconcile.
    pub prompt: Result<ParsedPrompt, PromptError>,
    /// The Workspace, if it is there.
    pub workspace: Option<Arc<Workspace>>,
    /// The AgentConfig, if it is there.
    pub agent_config: Option<Arc<AgentConfig>>,
    /// The token that was made for the Workspace's GitHub App.
    pub github_token: Option<GithubToken>,
    /// What the dependencies say.
    pub dependencies: Dependencies,
    /// Live Tasks on the same branch, and whether each has a Job.
    rivals: Vec<(Arc<Task>, bool)>,
    awaited: bool,
}

/// Reads what belongs to `task`. `key` is its branch's, if a Job of it would have to hold the branch.
///
/// # Errors
/// If the API server has to be asked and does not answer.
pub async fn gather(
    task: &Task,
    context: &Context,
    workspace: Option<Arc<Workspace>>,
    key: Option<&branch_lock::Key>,
) -> Result<Gathered, CallError> {
    let agent_config = referenced(
        task,
        &context.stores.agent_configs,
        task.spec.agent_config_ref.as_ref(),
    );
    let mut gathered = Gathered {
        job: None,
        pods: Vec::new(),
        log_outputs: Vec::new(),
        missing: Vec::new(),
        prompt: Ok(ParsedPrompt::LITERAL),
        workspace,
        agent_config,
        github_token: None,
        dependencies: Dependencies::Ready(Satisfied::default()),
        rivals: Vec::new(),
        awaited: false,
    };
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    gathered.job = context.stores.jobs.job(&namespace, &name);
    if has_ended(task) {
        match gathered.job.as_ref().filter(|job| job.finished.is_none()) {
            // Whether something of the agent may still run decides when the Job is deleted.
            Some(job) => {
                gathered.pods = context.stores.jobs.pods(&namespace, &name);
                gathered.pods.retain(|pod| pod.owner_uid == job.uid);
            }
            None => context.stores.jobs.forget_pods(&namespace, &name),
        }
        let has_ttl = task.spec.ttl_seconds_after_finished.is_some();
        gathered.awaited = has_ttl && !context.stores.awaiting(task).is_empty();
        return Ok(gathered);
    }
    if task.status.as_ref().is_none_or(|s| s.job_name.is_none()) {
        gathered.prompt = ParsedPrompt::parse(task);
    }
    read_job_and_pods(task, context, &mut gathered).await?;
    let tasks = &context.stores.tasks;
    let read = full_objects::dependency_results(task, context).await?;
    let find = |wanted: &str| match read.get(wanted) {
        Some(read) => read.clone(),
        None => tasks.get(&ObjectRef::new(wanted).within(&namespace)),
    };
    gathered.dependencies = dependencies::resolve(task, &name, &find);
    if let Some(key) = key {
        gathered.rivals = rivals(task, context, key);
    }
    Ok(gathered)
}

async fn read_job_and_pods(task: &Task, context: &Context, gathered: &mut Gathered) -> Result<(), CallError> {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let status = task.status.clone().unwrap_or_default();
    if gathered.job.is_none() && status.job_name.is_some() {
        let api = Api::<JobSeen>::namespaced_with(context.client.clone(), &namespace, &pod::jobs());
        gathered.job = timed("get job", api.get_opt(&name))
            .await?
            .as_ref()
            .map(JobView::from);
    }
    if gathered.job.is_none() && status.job_name.is_none() {
        return Ok(());
    }
    // A pod of a former Task of this name has the same label, and another Job.
    let job_uid = gathered.job.as_ref().map(|job| job.uid.clone());
    let belongs = |pod: &PodView| match &job_uid {
        Some(uid) => pod.owner_uid == *uid,
        None => status.pod_name.as_ref() == Some(&pod.name),
    };
    gathered.pods = context.stores.jobs.pods(&namespace, &name);
    gathered.pods.retain(belongs);
    let over = |pods: &[PodView]| newest(pods).is_some_and(|pod| pod.is_over() || pod.gone);
    if gathered.job.as_ref().is_some_and(|j| j.finished.is_some()) && !over(&gathered.pods) {
        // The Job's end was seen before its pod's; the pod holds the outputs.
        let api = Api::<Pod>::namespaced(context.client.clone(), &namespace);
        let selector = ListParams::default().labels(&format!("{}={name}", labels::TASK));
        let live = timed("list pods", api.list(&selector)).await?;
        let live: Vec<PodView> = live.items.iter().map(PodView::from).filter(belongs).collect();
        if !live.is_empty() {
            gathered.pods = live;
        }
    }
    if let Some(pod) = newest(&gathered.pods).filter(|pod| needs_log(pod, &status)) {
        gathered.log_outputs = logs::read_outputs(context, &namespace, pod).await?;
    }
    if let Some(pod) = newest(&gathered.pods).filter(|pod| volumes::are_overdue(pod, context.clock.now())) {
        gathered.missing = missing(&namespace, pod, context).await?;
    }
    Ok(())
}

/// Returns what a pod's volumes need and is not there. Of Secrets only the metadata is asked for, as the namespace's
/// ServiceAccount; where that may not look, nothing is known of them.
async fn missing(namespace: &str, pod: &PodView, context: &Context) -> Result<Vec<Needed>, CallError> {
    let mut missing = Vec::new();
    for needed in &pod.needs {
        let is_there = if needed.kind == "Secret" {
            match context.shared.identity.has_secret(namespace, &needed.name).await {
                Err(error) if error.is_denied() => true,
                found => found?,
            }
        } else {
            let api = Api::<ConfigMap>::namespaced(context.client.clone(), namespace);
            let found = timed("get configmap", api.get_metadata_opt(&needed.name)).await?;
            found.is_some()
        };
        if !is_there {
            missing.push(needed.clone());
        }
    }
    Ok(missing)
}

/// Returns true for a pod whose image wrote no report and whose log was not read yet.
fn needs_log(pod: &PodView, status: &TaskStatus) -> bool {
    let known = status.attempts.iter().any(|a| a.pod_name == pod.name);
    !known && !pod.gone && pod.agent_ended().is_some_and(|ended| ended.report.is_none())
}

fn rivals(task: &Task, context: &Context, key: &branch_lock::Key) -> Vec<(Arc<Task>, bool)> {
    let (namespace, branch) = (task.namespace().unwrap_or_default(), task.spec.branch());
    let on_branch = Key::Branch((namespace, branch.unwrap_or_default().to_owned()));
    let others = context.stores.dependents.of_key(&on_branch).into_iter();
    let others = others.filter_map(|other| context.stores.tasks.get(&other));
    let of_key = others.filter(|other| {
        if has_ended(other) || other.metadata.name == task.metadata.name {
            return false;
        }
        let workspace = referenced(
            other,
            &context.stores.workspaces,
            other.spec.workspace_ref.as_ref(),
        );
        branch_lock::key(other, workspace.as_deref()).as_ref() == Some(key)
    });
    of_key
        .map(|other| (Arc::clone(&other), has_job(&other, context)))
        .collect()
}

fn has_job(task: &Task, context: &Context) -> bool {
    task.status.as_ref().is_some_and(|s| s.job_name.is_some()) || {
        let namespace = task.namespace().unwrap_or_default();
        context.stores.jobs.job(&namespace, &task.name_any()).is_some()
    }
}

impl Gathered {
    /// Returns what was read in the form that the rules take. `claimed_by` is the UID of the Task whose Job was created
    /// for the branch a moment ago.
    pub fn observed<'a>(
        &'a self,
        task: &'a Task,
        context: &'a Context,
        claimed_by: Option<&str>,
    ) -> Observed<'a> {
        let rivals = self.rivals.iter().map(|(rival, has_job)| {
            let claimed = claimed_by.is_some() && rival.metadata.uid.as_deref() == claimed_by;
            Rival {
                task: rival,
                has_job: *has_job || claimed,
            }
        });
        Observed {
            task,
            job: self.job.clone(),
            pods: self.pods.clone(),
            prompt_fault: self.prompt.as_ref().err().cloned(),
            workspace: named(task.spec.workspace_ref.as_ref(), self.workspace.as_deref()),
            agent_config: named(task.spec.agent_config_ref.as_ref(), self.agent_config.as_deref()),
            dependencies: self.dependencies.clone(),
            rivals: rivals.collect(),
            awaited: self.awaited,
            log_outputs: self.log_outputs.clone(),
            missing: self.missing.clone(),
            image_pull_limit: context.options.image_pull_limit,
            price: context.options.prices.price_of(task),
            can_repeat: !context.shared.definitions.cannot_count_runs(),
            now: context.clock.now(),
        }
    }
}

fn named<'a, K>(reference: Option<&'a NameRef>, object: Option<&'a K>) -> Named<'a, K> {
    match (reference, object) {
        (None, _) => Named::No,
        (Some(_), Some(object)) => Named::Found(object),
        (Some(reference), None) => Named::Missing(&reference.name),
    }
}

/// Returns the object that a Task refers to, if it is there.
pub fn referenced<K>(task: &Task, store: &Store<K>, reference: Option<&NameRef>) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let reference = reference?;
    store.get(&ObjectRef::new(&reference.name).within(&task.namespace()?))
}

/// Returns true for a Task in a terminal phase.
#[must_use]
pub fn has_ended(task: &Task) -> bool {
    task.status
        .as_ref()
        .and_then(|s| s.phase)
        .is_some_and(TaskPhase::is_terminal)
}

/// Returns true for a Task that waits for its branch.
#[must_use]
pub fn is_queued(task: &Task) -> bool {
    task.status.as_ref().and_then(|s| s.reason) == Some(TaskReason::WaitingForBranch)
}
