//! What the Task controller sees of the cluster: one watch a kind, kept in memory without what no rule looks at.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axon_api::{AgentConfig, Task, Workspace, labels};
use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Resource, ResourceExt};
use kube_runtime::reflector::store::Writer;
use kube_runtime::reflector::{ObjectRef, Store};
use kube_runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;

use super::index::{Dependents, JobsAndPods, Key};
use crate::kube::backoff::Pauses;
use crate::kube::watch::{Scope, Seen, Target, Watch, events, watch_custom};
use crate::task::observe::pod;
use crate::task::observe::pod::JobSeen;
use crate::task::observe::{has_ended, is_queued};

/// The stores.
#[derive(Clone)]
pub struct Stores {
    /// All Tasks.
    pub tasks: Store<Task>,
    /// Jobs that this operator made, and their pods.
    pub jobs: JobsAndPods,
    /// Tasks by the objects that they wait for.
    pub dependents: Dependents,
    /// All Workspaces.
    pub workspaces: Store<Workspace>,
    /// All AgentConfigs.
    pub agent_configs: Store<AgentConfig>,
}

impl Stores {
    /// Returns the Tasks that may go on after this event of another one: those that wait for it or for its branch, and
    /// those that it waits for, which may be kept from expiring.
    #[must_use]
    pub fn woken_by(&self, event: &watcher::Event<Task>) -> Vec<ObjectRef<Task>> {
        let (task, gone) = match event {
            watcher::Event::Delete(task) => (task, true),
            watcher::Event::Apply(task) => (task, false),
            _ => return Vec::new(),
        };
        let namespace = task.namespace().unwrap_or_default();
        let within = |name: &str| (namespace.clone(), name.to_owned());
        let started = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
        let over = gone || has_ended(task);
        let mut woken = Vec::new();
        // Who holds a branch and who is queued for it changes nothing for the others; everyone else has let go of it.
        if let Some(branch) = task.spec.branch()
            && (over || !started && !is_queued(task))
        {
            let on_branch = self.dependents.of_key(&Key::Branch(within(branch)));
            let queued = |r: &ObjectRef<Task>| self.tasks.get(r).is_some_and(|other| is_queued(&other));
            woken.extend(on_branch.into_iter().filter(queued));
        }
        // A new one may be what someone waits for, or close a cycle.
        if over || task.status.is_none() {
            woken.extend(self.awaiting(task));
        }
        // Only one that has ended may wait to expire.
        let dependencies = task.spec.depends_on.iter();
        let refs = dependencies.map(|name| ObjectRef::new(name).within(&namespace));
        woken.extend(refs.filter(|r| self.tasks.get(r).is_some_and(|other| has_ended(&other))));
        woken
    }

    /// Returns the Tasks that depend on `task` and have neither started nor recorded its success.
    #[must_use]
    pub fn awaiting(&self, task: &Task) -> Vec<ObjectRef<Task>> {
        let name = task.name_any();
        let place = (task.namespace().unwrap_or_default(), name.clone());
        let mut dependents = self.dependents.of_key(&Key::Dependency(place));
        dependents.retain(|dependent| {
            let dependent = self.tasks.get(dependent);
            let status = dependent.as_ref().and_then(|other| other.status.as_ref());
            !status.is_some_and(|s| s.job_name.is_some() || s.satisfied_dependencies.contains(&name))
        });
        dependents
    }
}

/// Whether the stores are filled; for any number of waiters.
#[derive(Clone)]
pub struct Readiness(watch::Receiver<usize>, usize);

impl Readiness {
    /// Returns a readiness that comes about once each of the counted watches has [`Filled::done`].
    #[must_use]
    pub fn of(watches: usize) -> (Self, Filled) {
        let (sender, receiver) = watch::channel(0);
        (Self(receiver, watches), Filled(Arc::new(sender)))
    }

    /// Waits until the stores are filled.
    pub async fn wait(&self) {
        let _ = self.0.clone().wait_for(|filled| *filled >= self.1).await;
    }
}

/// What each watch says when it has seen its first complete list.
#[derive(Clone)]
pub struct Filled(Arc<watch::Sender<usize>>);

impl Filled {
    /// Returns what tells, once, that the list is complete.
    pub(crate) fn on_first_list<K>(self) -> impl Fn(&watcher::Event<K>) + Send + 'static {
        let told = AtomicBool::new(false);
        move |event| {
            if matches!(event, watcher::Event::InitDone) && !told.swap(true, Ordering::Relaxed) {
                self.0.send_modify(|filled| *filled += 1);
            }
        }
    }
}

/// Watches a kind that Tasks refer to.
pub fn watch_named<K>(client: Client, scope: &Scope, writer: Writer<K>, filled: Filled) -> impl Watch<K>
where
    K: Seen + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Debug,
{
    watch_custom(client, scope, writer, filled.on_first_list())
}

/// Watches the Jobs that this operator made.
pub fn watch_jobs(client: Client, scope: &Scope, jobs: JobsAndPods, filled: Filled) -> impl Watch<JobSeen> {
    let target = scope.target::<JobSeen>(client, &pod::jobs());
    let events = events::<JobSeen>(ours(target)).backoff(Pauses::of_watch());
    let first = filled.on_first_list();
    noted(events, move |event| {
        jobs.apply_job(event);
        first(event);
    })
}

/// Watches the pods of those Jobs.
///
/// The last words of a pod that is gone are kept as long as its Task, which `tasks` holds, may still ask for them.
pub fn watch_pods(
    client: Client,
    scope: &Scope,
    jobs: JobsAndPods,
    tasks: Store<Task>,
    filled: Filled,
) -> impl Watch<Pod> {
    let events = events::<Pod>(ours(scope.target::<Pod>(client, &()))).backoff(Pauses::of_watch());
    let first = filled.on_first_list();
    noted(events, move |event| {
        jobs.apply_pod(event);
        if let watcher::Event::Delete(pod) = event
            && let Some(task) = task_of(pod)
            && tasks.get(&task).is_none_or(|task| has_ended(&task))
        {
            jobs.forget_pods(task.namespace.as_deref().unwrap_or_default(), &task.name);
        }
        first(event);
    })
}

/// Shows each event to `note` before anyone is woken by it.
fn noted<K: Send + 'static>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    note: impl Fn(&watcher::Event<K>) + Send + 'static,
) -> impl Watch<K> {
    let events = events.inspect(move |event| {
        if let Ok(event) = event {
            note(event);
        }
    });
    events.touched_objects()
}

fn ours(all: Target) -> Target {
    Target {
        labels: Some(format!("{}={}", labels::MANAGED_BY, labels::MANAGER)),
        ..all
    }
}

/// Returns the Task that a Job or pod belongs to.
pub fn task_of(object: &impl ResourceExt) -> Option<ObjectRef<Task>> {
    let name = object.labels().get(labels::TASK)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use k8s_openapi::api::batch::v1::Job;
    use kube_runtime::watcher::Event;

    use super::*;

    #[tokio::test]
    async fn every_waiter_learns_that_the_stores_are_filled() {
        let (readiness, filled) = Readiness::of(2);
        let waiters = futures::future::join_all((0..5).map(|_| readiness.wait()));
        let one = filled.clone().on_first_list::<Job>();
        one(&Event::InitDone);
        one(&Event::InitDone);
        assert!(
            readiness.wait().now_or_never().is_none(),
            "a second list of one kind is not another kind"
        );
        let fill = async {
            tokio::task::yield_now().await;
            filled.on_first_list::<Pod>()(&Event::InitDone);
        };
        let all = futures::future::join(waiters, fill);
        tokio::time::timeout(Duration::from_secs(5), all)
            .await
            .expect("every waiter is woken");
    }
}
