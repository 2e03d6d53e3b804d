//! What the Task controller sees of the cluster: one watch a kind, kept in memory without what no rule looks at.

use std::fmt::Debug;

use axon_api::{AgentConfig, Task, TaskReason, Workspace, labels};
use futures::{Stream, StreamExt, future};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use kube_runtime::reflector::store::Writer;
use kube_runtime::reflector::{ObjectRef, Store};
use kube_runtime::{WatchStreamExt, reflector, watcher};
use serde::de::DeserializeOwned;

/// The stores.
#[derive(Clone)]
pub struct Stores {
    /// All Tasks.
    pub tasks: Store<Task>,
    /// Jobs that this operator made.
    pub jobs: Store<Job>,
    /// Pods of those Jobs.
    pub pods: Store<Pod>,
    /// All Workspaces.
    pub workspaces: Store<Workspace>,
    /// All AgentConfigs.
    pub agent_configs: Store<AgentConfig>,
}

impl Stores {
    /// Waits until every store has seen its first complete list.
    pub async fn ready(&self) {
        // An error means that the writer is gone, so that the controller is ending anyway.
        let _ = tokio::join!(
            self.tasks.wait_until_ready(),
            self.jobs.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.workspaces.wait_until_ready(),
            self.agent_configs.wait_until_ready(),
        );
    }

    /// Returns the pods of a Task.
    #[must_use]
    pub fn pods_of(&self, task: &Task) -> Vec<std::sync::Arc<Pod>> {
        let (namespace, name) = (task.namespace(), task.name_any());
        self.pods
            .state_filter(|pod| pod.namespace() == namespace && pod.labels().get(labels::TASK) == Some(&name))
    }

    /// Returns the Tasks that name this object in `reference`.
    pub fn tasks_naming(
        &self,
        object: &impl ResourceExt,
        reference: impl Fn(&Task) -> Option<&str>,
    ) -> Vec<ObjectRef<Task>> {
        let (namespace, name) = (object.namespace(), object.name_any());
        self.refs(|task| task.namespace() == namespace && reference(task) == Some(&name))
    }

    /// Returns the Tasks that may go on when `task` has changed: those that wait for it or for its branch.
    #[must_use]
    pub fn waiting_for(&self, task: &Task) -> Vec<ObjectRef<Task>> {
        let (namespace, name) = (task.namespace(), task.name_any());
        self.refs(|other| {
            let reason = other.status.as_ref().and_then(|s| s.reason);
            other.namespace() == namespace
                && (reason == Some(TaskReason::WaitingForBranch) && task.spec.branch() == other.spec.branch()
                    || reason == Some(TaskReason::WaitingForDependencies)
                        && other.spec.depends_on.contains(&name))
        })
    }

    fn refs(&self, keep: impl Fn(&Task) -> bool) -> Vec<ObjectRef<Task>> {
        self.tasks
            .state_filter(|task| keep(task))
            .iter()
            .map(|task| ObjectRef::from_obj(task.as_ref()))
            .collect()
    }
}

/// An endless watch of one kind that fills a store and yields every object that was touched.
pub trait Watch<K>: Stream<Item = Result<K, watcher::Error>> + Send + 'static {}
impl<K, S: Stream<Item = Result<K, watcher::Error>> + Send + 'static> Watch<K> for S {}

/// Watches a kind of ours. An object that can't be read is left out and logged: one bad object must not blind the
/// operator to all others.
pub fn watch_custom<K>(client: Client, writer: Writer<K>) -> impl Watch<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api = Api::<DeserializeGuard<K>>::all(client);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let readable = events.filter_map(|event| future::ready(readable(event)));
    reflector(
        writer,
        readable.modify(|object: &mut K| object.managed_fields_mut().clear()),
    )
    .touched_objects()
}

type GuardedEvent<K> = Result<watcher::Event<DeserializeGuard<K>>, watcher::Error>;

fn readable<K: Resource<DynamicType = ()>>(
    event: GuardedEvent<K>,
) -> Option<Result<watcher::Event<K>, watcher::Error>> {
    use watcher::Event;
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let (namespace, name) = (&invalid.metadata.namespace, &invalid.metadata.name);
            tracing::error!(kind = %K::kind(&()), ?namespace, ?name, error = %invalid.error, "object can't be read and is ignored");
            None
        }
    };
    match event {
        Err(error) => Some(Err(error)),
        Ok(Event::Init) => Some(Ok(Event::Init)),
        Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
        Ok(Event::InitApply(guard)) => read(guard).map(|object| Ok(Event::InitApply(object))),
        Ok(Event::Apply(guard)) => read(guard).map(|object| Ok(Event::Apply(object))),
        Ok(Event::Delete(guard)) => read(guard).map(|object| Ok(Event::Delete(object))),
    }
}

/// Watches the Jobs that this operator made.
pub fn watch_jobs(client: Client, writer: Writer<Job>) -> impl Watch<Job> {
    let events = watcher(Api::<Job>::all(client), ours()).default_backoff();
    let slim = events.modify(|job| {
        job.managed_fields_mut().clear();
        job.spec = None;
    });
    reflector(writer, slim).touched_objects()
}

/// Watches the pods of those Jobs.
pub fn watch_pods(client: Client, writer: Writer<Pod>) -> impl Watch<Pod> {
    let events = watcher(Api::<Pod>::all(client), ours()).default_backoff();
    let slim = events.modify(|pod| {
        pod.managed_fields_mut().clear();
        // Of the spec only the node matters, and a prompt may be large.
        let node_name = pod.spec.take().and_then(|spec| spec.node_name);
        pod.spec = Some(PodSpec {
            node_name,
            ..PodSpec::default()
        });
    });
    reflector(writer, slim).touched_objects()
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER))
}

/// Returns the Task that a Job or pod belongs to.
pub fn task_of(object: &impl ResourceExt) -> Option<ObjectRef<Task>> {
    let name = object.labels().get(labels::TASK)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}
