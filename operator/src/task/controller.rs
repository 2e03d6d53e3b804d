//! The shell of the Task controller: gathers what the rules need, asks them, and carries out what they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axon_api::v1alpha1::NameRef;
use axon_api::{AgentConfig, Task, TaskPhase, Workspace, labels};
use futures::StreamExt;
use futures::channel::mpsc;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use kube_runtime::controller::{Action, Config, Controller};
use kube_runtime::reflector::{ObjectRef, Store, store};

use super::apply::{self, ApplyError};
use super::branch_lock::{self, Rival};
use super::dependencies;
use super::lifecycle::{Decision, Named, Observed, decide, newest};
use super::stores::{Readiness, Stores, task_of, watch_custom, watch_jobs, watch_pods};
use super::view::{JobView, PodView};
use crate::clock::Clock;
use crate::events::Events;
use crate::images::Images;
use crate::metrics::Metrics;

/// Most Tasks that are worked on at the same time.
const CONCURRENCY: u16 = 16;

/// What every reconciliation has.
pub struct Context {
    /// Client for reads and writes.
    pub client: Client,
    /// What was watched.
    pub stores: Stores,
    /// Whether the stores are filled.
    readiness: Readiness,
    /// Images to run.
    pub images: Images,
    /// How long an image may fail to be pulled.
    pub image_pull_limit: Duration,
    /// Time.
    pub clock: Clock,
    /// Figures.
    pub metrics: Metrics,
    /// Events for people.
    pub events: Events,
    /// Jobs that were just created and may not be in the store yet, by branch key, so that two Tasks decided at the
    /// same moment do not both take a branch. The Jobs themselves are the truth; this only bridges the watch's delay.
    branch_claims: tokio::sync::Mutex<HashMap<branch_lock::Key, String>>,
    failures: Mutex<HashMap<ObjectRef<Task>, u32>>,
}

/// Runs the controller until the returned future is dropped.
pub async fn run(
    client: Client,
    images: Images,
    image_pull_limit: Duration,
    clock: Clock,
    metrics: Metrics,
    events: Events,
) {
    let (tasks, task_writer) = store::store();
    let (jobs, job_writer) = store::store();
    let (pods, pod_writer) = store::store();
    let (workspaces, workspace_writer) = store::store();
    let (agent_configs, agent_config_writer) = store::store();
    let stores = Stores {
        tasks,
        jobs,
        pods,
        workspaces,
        agent_configs,
    };
    let (wake, woken) = mpsc::unbounded();

    let waking = stores.clone();
    let task_stream = watch_custom(client.clone(), task_writer).inspect(move |task| {
        let Ok(task) = task else { return };
        // A Task that has ended or is gone may be what others wait for.
        if ended(task) || task.metadata.deletion_timestamp.is_some() {
            for waiting in waking.waiting_for(task) {
                let _ = wake.unbounded_send(waiting);
            }
        }
    });
    let of_workspace = stores.clone();
    let of_config = stores.clone();
    let (readiness, filling) = Readiness::of(stores.clone());
    let context = Arc::new(Context {
        client: client.clone(),
        stores: stores.clone(),
        readiness,
        images,
        image_pull_limit,
        clock,
        metrics,
        events,
        branch_claims: tokio::sync::Mutex::default(),
        failures: Mutex::default(),
    });
    let controller = Controller::for_stream(task_stream, stores.tasks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches_stream(watch_jobs(client.clone(), job_writer), |job| task_of(&job))
        .watches_stream(watch_pods(client.clone(), pod_writer), |pod| task_of(&pod))
        .watches_stream(watch_custom(client.clone(), workspace_writer), move |workspace| {
            of_workspace.tasks_naming(&workspace, |t| {
                t.spec.workspace_ref.as_ref().map(|r| r.name.as_str())
            })
        })
        .watches_stream(watch_custom(client, agent_config_writer), move |config| {
            of_config.tasks_naming(&config, |t| {
                t.spec.agent_config_ref.as_ref().map(|r| r.name.as_str())
            })
        })
        .reconcile_on(woken)
        .run(reconcile, on_error, context)
        .for_each(|result| async {
            if let Err(error) = result {
                tracing::debug!(%error, "reconciliation ended in an error");
            }
        });
    tokio::select! { () = controller => {}, () = filling => {} }
}

async fn reconcile(task: Arc<Task>, context: Arc<Context>) -> Result<Action, ApplyError> {
    // Half-filled stores would show missing objects that are there.
    context.readiness.wait().await;
    let workspace = referenced(
        &task,
        &context.stores.workspaces,
        task.spec.workspace_ref.as_ref(),
    );
    let key = branch_lock::key(&task, workspace.as_deref());
    // Held until the Job is created and claimed, so that no other Task decides in between.
    let mut claims = match &key {
        Some(_) => Some(context.branch_claims.lock().await),
        None => None,
    };
    let claimed_by = key
        .as_ref()
        .zip(claims.as_ref())
        .and_then(|(key, held)| held.get(key).cloned());
    let gathered = gather(&task, &context, workspace, key.as_ref()).await?;
    let decision = decide(&gathered.observed(&task, &context, claimed_by.as_deref()));
    tracing::debug!(task = %task.name_any(), namespace = %task.namespace().unwrap_or_default(), ?decision, "decided");
    let creates = decision == Decision::CreateJob;
    let action = apply::carry_out(&task, decision, &gathered, &context).await?;
    if let (true, Some(held), Some(key)) = (creates, claims.as_mut(), key) {
        held.retain(|_, holder| {
            context
                .stores
                .tasks
                .get(&sibling(&task, holder))
                .is_some_and(|t| !ended(&t))
        });
        held.insert(key, task.name_any());
    }
    if let Ok(mut failures) = context.failures.lock() {
        failures.remove(&ObjectRef::from_obj(task.as_ref()));
    }
    Ok(action)
}

/// Everything about a Task that was read, from the stores or from the API server.
pub struct Gathered {
    job: Option<JobView>,
    pods: Vec<PodView>,
    log_outputs: Vec<String>,
    /// The Workspace, if it is there.
    pub workspace: Option<Arc<Workspace>>,
    /// The AgentConfig, if it is there.
    pub agent_config: Option<Arc<AgentConfig>>,
    /// Tasks of the namespace that matter: all if the Task has dependencies or a branch, else none.
    siblings: Vec<Arc<Task>>,
    /// Names of the siblings with the same branch key, and whether each has a Job.
    rivals: Vec<(usize, bool)>,
}

/// Reads Job and pods, from the stores where they are fresh enough and from the API server where a decision that can't
/// be taken back depends on them.
async fn gather(
    task: &Task,
    context: &Context,
    workspace: Option<Arc<Workspace>>,
    key: Option<&branch_lock::Key>,
) -> Result<Gathered, ApplyError> {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let status = task.status.clone().unwrap_or_default();
    let ended = ended(task);
    let stored = context
        .stores
        .jobs
        .get(&ObjectRef::<Job>::new(&name).within(&namespace));
    let mut job = stored.as_deref().map(JobView::from);
    if job.is_none() && status.job_name.is_some() && !ended {
        let api = Api::<Job>::namespaced(context.client.clone(), &namespace);
        job = apply::timed("get job", api.get_opt(&name))
            .await?
            .as_ref()
            .map(JobView::from);
    }
    let mut pods: Vec<PodView> = context
        .stores
        .pods_of(task)
        .iter()
        .map(|pod| PodView::from(pod.as_ref()))
        .collect();
    if !ended
        && job.as_ref().is_some_and(|j| j.finished.is_some())
        && !newest(&pods).is_some_and(PodView::is_over)
    {
        // The Job's end was seen before its pod's; the pod holds the outputs.
        let api = Api::<Pod>::namespaced(context.client.clone(), &namespace);
        let selector = ListParams::default().labels(&format!("{}={name}", labels::TASK));
        let live = apply::timed("list pods", api.list(&selector)).await?;
        if !live.items.is_empty() {
            pods = live.items.iter().map(PodView::from).collect();
        }
    }
    let log_outputs = match newest(&pods) {
        Some(pod) if !ended && needs_log(pod, &status) => {
            apply::read_outputs(context, &namespace, &pod.name).await
        }
        _ => Vec::new(),
    };
    let matter = !ended && (key.is_some() || !task.spec.depends_on.is_empty());
    let siblings = if matter {
        context
            .stores
            .tasks
            .state_filter(|t| t.namespace().as_deref() == Some(&namespace))
    } else {
        Vec::new()
    };
    let rivals = siblings.iter().enumerate().filter_map(|(i, other)| {
        let workspace = referenced(
            other,
            &context.stores.workspaces,
            other.spec.workspace_ref.as_ref(),
        );
        let same = other.name_any() != name && branch_lock::key(other, workspace.as_deref()).as_ref() == key;
        (key.is_some() && same).then(|| (i, has_job(other, context)))
    });
    let rivals = rivals.collect();
    let agent_config = referenced(
        task,
        &context.stores.agent_configs,
        task.spec.agent_config_ref.as_ref(),
    );
    Ok(Gathered {
        job,
        pods,
        log_outputs,
        workspace,
        agent_config,
        siblings,
        rivals,
    })
}

impl Gathered {
    fn observed<'a>(&'a self, task: &'a Task, context: &Context, claimed_by: Option<&str>) -> Observed<'a> {
        let name = task.metadata.name.as_deref().unwrap_or_default();
        let find = |wanted: &str| {
            self.siblings
                .iter()
                .map(Arc::as_ref)
                .find(|t| t.metadata.name.as_deref() == Some(wanted))
        };
        let rivals = self.rivals.iter().filter_map(|(i, has_job)| {
            let rival = self.siblings.get(*i)?;
            let has_job = *has_job || rival.metadata.name.as_deref() == claimed_by;
            Some(Rival { task: rival, has_job })
        });
        Observed {
            task,
            job: self.job.clone(),
            pods: self.pods.clone(),
            workspace: named(task.spec.workspace_ref.as_ref(), self.workspace.as_deref()),
            agent_config: named(task.spec.agent_config_ref.as_ref(), self.agent_config.as_deref()),
            dependencies: dependencies::look(task, name, &find),
            rivals: rivals.collect(),
            log_outputs: self.log_outputs.clone(),
            image_pull_limit: context.image_pull_limit,
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

fn referenced<K>(task: &Task, store: &Store<K>, reference: Option<&NameRef>) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let reference = reference?;
    store.get(&ObjectRef::new(&reference.name).within(&task.namespace()?))
}

fn sibling(task: &Task, name: &str) -> ObjectRef<Task> {
    ObjectRef::new(name).within(&task.namespace().unwrap_or_default())
}

fn ended(task: &Task) -> bool {
    task.status
        .as_ref()
        .and_then(|s| s.phase)
        .is_some_and(TaskPhase::is_terminal)
}

fn has_job(task: &Task, context: &Context) -> bool {
    let name = task.name_any();
    task.status.as_ref().is_some_and(|s| s.job_name.is_some())
        || context
            .stores
            .jobs
            .get(&ObjectRef::new(&name).within(&task.namespace().unwrap_or_default()))
            .is_some()
}

/// Returns true for a pod whose image wrote no report and whose log was not read yet.
fn needs_log(pod: &PodView, status: &axon_api::TaskStatus) -> bool {
    let known = status.attempts.iter().any(|a| a.pod_name == pod.name);
    !known && pod.agent_ended().is_some_and(|ended| ended.report.is_none())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the Controller's")]
fn on_error(task: Arc<Task>, error: &ApplyError, context: Arc<Context>) -> Action {
    let failures = match context.failures.lock() {
        Ok(mut all) => {
            let count = all.entry(ObjectRef::from_obj(task.as_ref())).or_default();
            *count += 1;
            *count
        }
        Err(_) => 1,
    };
    let (task_name, namespace) = (task.name_any(), task.namespace().unwrap_or_default());
    if error.is_conflict() {
        // Someone wrote first; the event of that write is on its way.
        tracing::debug!(task = %task_name, %namespace, %error, "will look again");
    } else {
        context.metrics.reconcile_errors.inc();
        tracing::warn!(task = %task_name, %namespace, %error, failures, "will try again");
    }
    Action::requeue(backoff(failures))
}

/// Returns the pause after the `n`-th failure in a row: from a fifth of a second, doubling, to five minutes.
fn backoff(n: u32) -> Duration {
    Duration::from_millis(200)
        .saturating_mul(2u32.saturating_pow(n.saturating_sub(1).min(20)))
        .min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_bounded() {
        assert_eq!(backoff(1), Duration::from_millis(200));
        assert_eq!(backoff(3), Duration::from_millis(800));
        assert_eq!(backoff(u32::MAX), Duration::from_secs(300));
    }
}
