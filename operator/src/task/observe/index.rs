//! Indexes over watch events: the Tasks to reconcile when another object changes, and the Jobs and pods of each Task.
//!
//! A lookup costs O(size of its result), however many Tasks there are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axon_api::{Task, labels};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;
use kube_runtime::watcher::Event;
use parking_lot::RwLock;

use crate::task::observe::has_ended;
use crate::task::observe::pod::{JobSeen, JobView, PodView};

/// A namespace and a name in it.
type NamespacedName = (String, String);

/// An object, or a branch, whose change may let a Task go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A Task that it depends on.
    Dependency(NamespacedName),
    /// A branch, of whatever repository.
    Branch(NamespacedName),
    /// Its Workspace.
    Workspace(NamespacedName),
    /// Its AgentConfig.
    AgentConfig(NamespacedName),
}

/// Tasks that have not ended, by [`Key`].
#[derive(Clone, Default)]
pub struct Dependents(Relisted<DependentsState>);

#[derive(Default)]
struct DependentsState {
    by_key: HashMap<Key, BTreeSet<String>>,
    keys: HashMap<NamespacedName, Vec<Key>>,
}

/// A state that is replaced as a whole by a new list, which comes in parts.
struct Relist<S> {
    state: S,
    fresh: Option<S>,
}

impl<S: Default> Default for Relist<S> {
    fn default() -> Self {
        Self {
            state: S::default(),
            fresh: None,
        }
    }
}

impl<S: Default> Relist<S> {
    fn apply<K>(&mut self, event: &Event<K>, set: impl Fn(&mut S, &K), remove: impl Fn(&mut S, &K)) {
        match event {
            Event::Init => self.fresh = Some(S::default()),
            // The former state answers until the list is complete: a part of it would show objects as missing that are there.
            Event::InitApply(object) => set(self.fresh.get_or_insert_default(), object),
            Event::InitDone => {
                if let Some(fresh) = self.fresh.take() {
                    self.state = fresh;
                }
            }
            Event::Apply(object) => set(&mut self.state, object),
            Event::Delete(object) => remove(&mut self.state, object),
        }
    }
}

/// Returns the namespace and name of an object.
pub fn namespaced_name(object: &impl ResourceExt) -> NamespacedName {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Returns the Task that a Job or pod belongs to.
fn task_of(object: &impl ResourceExt) -> Option<NamespacedName> {
    let name = object.labels().get(labels::TASK)?;
    Some((object.namespace()?, name.clone()))
}

fn keys(task: &Task) -> Vec<Key> {
    if has_ended(task) {
        return Vec::new();
    }
    let within = |name: &str| (task.namespace().unwrap_or_default(), name.to_owned());
    let spec = &task.spec;
    let dependencies = spec.depends_on.iter().map(|name| Key::Dependency(within(name)));
    let branch = spec.branch().map(|branch| Key::Branch(within(branch)));
    let workspace = spec.workspace_ref.as_ref();
    let config = spec.agent_config_ref.as_ref();
    dependencies
        .chain(branch)
        .chain(workspace.map(|r| Key::Workspace(within(&r.name))))
        .chain(config.map(|r| Key::AgentConfig(within(&r.name))))
        .collect()
}

impl DependentsState {
    fn set(&mut self, task: &Task) {
        // First: a Task that has ended has no keys any more, and must leave those that it had.
        self.remove(task);
        let keys = keys(task);
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            self.by_key
                .entry(key.clone())
                .or_default()
                .insert(task.name_any());
        }
        self.keys.insert(namespaced_name(task), keys);
    }

    fn remove(&mut self, task: &Task) {
        for key in self.keys.remove(&namespaced_name(task)).unwrap_or_default() {
            if let Some(names) = self.by_key.get_mut(&key) {
                names.remove(&task.name_any());
                if names.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }
}

impl Dependents {
    /// Updates the index by an event of a Task.
    pub fn apply(&self, event: &Event<Task>) {
        let mut all = self.0.write();
        all.apply(event, DependentsState::set, DependentsState::remove);
    }

    /// Returns the Tasks that have not ended and depend on this.
    #[must_use]
    pub fn of_key(&self, key: &Key) -> Vec<ObjectRef<Task>> {
        let (Key::Dependency((namespace, _))
        | Key::Branch((namespace, _))
        | Key::Workspace((namespace, _))
        | Key::AgentConfig((namespace, _))) = key;
        let all = self.0.read();
        let names = all.state.by_key.get(key).into_iter().flatten();
        names.map(|name| ObjectRef::new(name).within(namespace)).collect()
    }
}

/// Snapshots of the Jobs and pods of Tasks.
#[derive(Clone, Default)]
pub struct JobsAndPods {
    jobs: Relisted<HashMap<NamespacedName, JobView>>,
    pods: Relisted<HashMap<NamespacedName, Vec<PodView>>>,
}

type Relisted<S> = Arc<RwLock<Relist<S>>>;

impl JobsAndPods {
    /// Updates the index by an event of a Job.
    pub fn apply_job(&self, event: &Event<JobSeen>) {
        let mut all = self.jobs.write();
        all.apply(
            event,
            |jobs, job| {
                jobs.insert(namespaced_name(job), JobView::from(job));
            },
            |jobs, job| {
                jobs.remove(&namespaced_name(job));
            },
        );
    }

    /// Updates the index by an event of a pod. A pod that is gone is kept as it was last seen: its report may not have been
    /// read yet.
    pub fn apply_pod(&self, event: &Event<k8s_openapi::api::core::v1::Pod>) {
        let mut all = self.pods.write();
        let put = |pods: &mut HashMap<NamespacedName, Vec<PodView>>,
                   pod: &k8s_openapi::api::core::v1::Pod,
                   gone| {
            let Some(task) = task_of(pod) else { return };
            let view = PodView {
                gone,
                ..PodView::from(pod)
            };
            let of_task = pods.entry(task).or_default();
            of_task.retain(|known| known.name != view.name);
            of_task.push(view);
        };
        all.apply(
            event,
            |pods, pod| put(pods, pod, false),
            |pods, pod| put(pods, pod, true),
        );
    }

    /// Returns the Job of this name.
    #[must_use]
    pub fn job(&self, namespace: &str, name: &str) -> Option<JobView> {
        let all = self.jobs.read();
        all.state.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Returns the pods that carry the label of this Task, also those of a former Task of its name.
    #[must_use]
    pub fn pods(&self, namespace: &str, task: &str) -> Vec<PodView> {
        let all = self.pods.read();
        let place = (namespace.to_owned(), task.to_owned());
        all.state.get(&place).cloned().unwrap_or_default()
    }

    /// Forgets the pods of a Task that has ended: nobody asks for them any more.
    pub fn forget_pods(&self, namespace: &str, task: &str) {
        let mut all = self.pods.write();
        all.state.remove(&(namespace.to_owned(), task.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use axon_api::{TaskPhase, TaskStatus};
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::task::fixtures::task;

    fn dependent(name: &str, on: &[&str]) -> Task {
        let mut t = task(name);
        t.spec.depends_on = on.iter().map(|name| (*name).to_owned()).collect();
        t
    }

    fn of(dependents: &Dependents, dependency: &str) -> Vec<String> {
        let key = Key::Dependency(("team".into(), dependency.into()));
        dependents.of_key(&key).into_iter().map(|r| r.name).collect()
    }

    #[test]
    fn a_task_is_found_by_what_it_waits_for_until_it_ends() {
        let all = Dependents::default();
        all.apply(&Event::Apply(dependent("a", &["x", "y"])));
        all.apply(&Event::Apply(dependent("b", &["x"])));
        assert_eq!(
            (of(&all, "x"), of(&all, "y")),
            (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()])
        );
        let mut ended = dependent("a", &["x", "y"]);
        ended.status = Some(TaskStatus {
            phase: Some(TaskPhase::Failed),
            ..TaskStatus::default()
        });
        all.apply(&Event::Apply(ended));
        all.apply(&Event::Delete(dependent("b", &["x"])));
        assert!(of(&all, "x").is_empty() && of(&all, "y").is_empty());
    }

    #[test]
    fn a_new_list_replaces_what_was_seen_once_it_is_complete() {
        let all = Dependents::default();
        all.apply(&Event::Apply(dependent("old", &["x"])));
        all.apply(&Event::Init);
        all.apply(&Event::InitApply(dependent("new", &["x"])));
        assert_eq!(of(&all, "x"), ["old"]);
        all.apply(&Event::InitDone);
        assert_eq!(of(&all, "x"), ["new"]);
    }

    #[test]
    fn a_pod_that_is_gone_is_remembered_until_its_task_has_ended() {
        let runs = JobsAndPods::default();
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("team".into());
        pod.metadata.name = Some("t-x".into());
        pod.labels_mut().insert(labels::TASK.into(), "t".into());
        runs.apply_pod(&Event::Apply(pod.clone()));
        runs.apply_pod(&Event::Delete(pod));
        let pods = runs.pods("team", "t");
        assert_eq!((pods.len(), pods[0].gone), (1, true));
        runs.forget_pods("team", "t");
        assert!(runs.pods("team", "t").is_empty());
    }
}
