//! What the Task controller sees of the cluster: one watch a kind, kept in memory without what no rule looks at.

use std::fmt::Debug;

use axon_api::{AgentConfig, Task, Workspace, labels};
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
use tokio::sync::watch;

use super::gather::{has_ended, is_queued};

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
    /// Waits until the stores around the Tasks have seen their first complete list. For **one** caller: a store wakes
    /// only the last of several waiters, so that everyone else waits on [`Readiness`]. The store of Tasks is not among
    /// them: the Controller is its one waiter.
    async fn filled(&self) {
        // An error means that the writer is gone, so that the controller is ending anyway.
        let _ = tokio::join!(
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

    /// Returns the Tasks that may go on after this event of another one: those that wait for it or for its branch, and
    /// those that it waits for, which may be kept from expiring.
    #[must_use]
    pub fn woken_by(&self, event: &watcher::Event<Task>) -> Vec<ObjectRef<Task>> {
        let (task, gone) = match event {
            watcher::Event::Delete(task) => (task, true),
            watcher::Event::Apply(task) => (task, false),
            _ => return Vec::new(),
        };
        let started = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
        let over = gone || has_ended(task);
        let mut woken = Vec::new();
        // Who holds a branch and who is queued for it changes nothing for the others; everyone else has let go of it.
        if over || !started && !is_queued(task) && task.spec.branch().is_some() {
            let namespace = task.namespace();
            let branch = task.spec.branch();
            woken.extend(
                self.refs(|o| is_queued(o) && o.spec.branch() == branch && o.namespace() == namespace),
            );
        }
        if over {
            woken.extend(self.awaiting(task));
        }
        let namespace = task.namespace().unwrap_or_default();
        woken.extend(
            task.spec
                .depends_on
                .iter()
                .map(|name| ObjectRef::new(name).within(&namespace)),
        );
        woken
    }

    /// Returns the Tasks that depend on `task` and have neither started nor recorded its success.
    #[must_use]
    pub fn awaiting(&self, task: &Task) -> Vec<ObjectRef<Task>> {
        let (namespace, name) = (task.namespace(), task.name_any());
        self.refs(|other| {
            let recorded = other
                .status
                .as_ref()
                .is_some_and(|s| s.job_name.is_some() || s.satisfied_dependencies.contains(&name));
            !recorded
                && !has_ended(other)
                && other.spec.depends_on.contains(&name)
                && other.namespace() == namespace
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

/// Whether the stores are filled; for any number of waiters.
#[derive(Clone)]
pub struct Readiness(watch::Receiver<bool>);

impl Readiness {
    /// Returns the readiness of `stores`, and what has to be polled for it to come about. That never ends.
    pub fn of(stores: Stores) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = watch::channel(false);
        let fill = async move {
            stores.filled().await;
            sender.send_replace(true);
            future::pending::<()>().await;
        };
        (Self(receiver), fill)
    }

    /// Waits until the stores are filled.
    pub async fn wait(&self) {
        let _ = self.0.clone().wait_for(|filled| *filled).await;
    }
}

/// An endless watch of one kind that fills a store and yields every object that was touched.
pub trait Watch<K>: Stream<Item = Result<K, watcher::Error>> + Send + 'static {}
impl<K, S: Stream<Item = Result<K, watcher::Error>> + Send + 'static> Watch<K> for S {}

/// Watches a kind of ours. An object that can't be read is left out and logged: one bad object must not blind the
/// operator to all others.
/// `told` sees each event after the store.
pub fn watch_custom<K>(
    client: Client,
    writer: Writer<K>,
    told: impl Fn(&watcher::Event<K>) + Send + 'static,
) -> impl Watch<K>
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
    let slim = readable.modify(|object: &mut K| {
        object.managed_fields_mut().clear();
        // A second copy of the whole object.
        object
            .annotations_mut()
            .remove("kubectl.kubernetes.io/last-applied-configuration");
    });
    reflector(writer, slim)
        .inspect(move |event| {
            if let Ok(event) = event {
                told(event);
            }
        })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube_runtime::reflector::store;
    use kube_runtime::watcher::Event;

    use super::*;

    fn fill<K>(mut writer: Writer<K>)
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
    }

    #[tokio::test]
    async fn every_waiter_learns_that_the_stores_are_filled() {
        let (tasks, _) = store::store();
        let (jobs, job_writer) = store::store();
        let (pods, pod_writer) = store::store();
        let (workspaces, workspace_writer) = store::store();
        let (agent_configs, agent_config_writer) = store::store();
        let (readiness, filling) = Readiness::of(Stores {
            tasks,
            jobs,
            pods,
            workspaces,
            agent_configs,
        });
        let waiters = futures::future::join_all((0..5).map(|_| readiness.wait()));
        let write = async {
            tokio::task::yield_now().await;
            fill(job_writer);
            fill(pod_writer);
            fill(workspace_writer);
            fill(agent_config_writer);
            future::pending::<()>().await;
        };
        let all = async {
            tokio::select! { _ = waiters => {}, () = filling => {}, () = write => {} }
        };
        tokio::time::timeout(Duration::from_secs(5), all)
            .await
            .expect("every waiter is woken");
    }
}
