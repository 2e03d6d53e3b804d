//! Watches a Task and its pods.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;

use axon_api::{Task, labels};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Resource, ResourceExt as _};
use kube_runtime::WatchStreamExt as _;
use kube_runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

use super::Teller;
use crate::cluster::Cluster;
use crate::cluster::reconnect::Patience;
use crate::error::{Action, Result};

/// Seconds after which the server ends a watch. The client takes one that is still silent then for dead, as it is
/// when a laptop wakes up in another network.
const WATCH_SECONDS: u32 = 90;

/// The objects of a watch, by uid.
pub(super) struct Mirror<K> {
    pub(super) events: Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>,
    pub(super) current: BTreeMap<String, K>,
    /// What a new list has brought so far; it takes the place of the old one when it is complete.
    incoming: BTreeMap<String, K>,
    /// The last of what is gone.
    pub(super) gone: Option<K>,
}

/// Watches of one command that break and are made again.
#[derive(Default)]
pub(super) struct Link {
    failures: u32,
    patience: Patience,
}

impl Link {
    /// Notes that something was heard.
    pub(super) fn well(&mut self, teller: &mut Teller<'_>) {
        self.failures = 0;
        self.patience.restore();
        teller.found();
    }

    /// Notes a failure; gives it back when it is not worth another try.
    pub(super) fn failed(
        &mut self,
        cluster: &Cluster,
        error: &watcher::Error,
        resource: &str,
        teller: &mut Teller<'_>,
    ) -> Result<()> {
        self.failures += 1;
        let action = Action::new("watch", resource).within(&cluster.namespace);
        let cause = match error {
            watcher::Error::InitialListFailed(e)
            | watcher::Error::WatchStartFailed(e)
            | watcher::Error::WatchFailed(e) => e,
            // The watch was too slow or too old; the watcher lists again.
            _ => return Ok(()),
        };
        let why = cluster.explain(cause, &action);
        let refused = matches!(cause, kube::Error::Api(s) if matches!(s.code, 401 | 403 | 404));
        if refused || !self.patience.bears(&why) {
            return Err(why);
        }
        // Watches end all the time; only one that can't be started again is worth a word.
        if self.failures > 2 {
            teller.lost(&why);
        }
        Ok(())
    }
}

impl<K> Mirror<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    pub(super) fn new(api: Api<K>, config: watcher::Config) -> Self {
        Self {
            events: watcher(api, config).default_backoff().boxed(),
            current: BTreeMap::new(),
            incoming: BTreeMap::new(),
            gone: None,
        }
    }

    fn set(&mut self, objects: impl IntoIterator<Item = K>) {
        self.current = objects.into_iter().map(|object| (key(&object), object)).collect();
    }

    /// Takes an event in. Returns true if the objects may have changed.
    pub(super) fn apply(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => self.incoming.clear(),
            Event::InitApply(object) => {
                self.incoming.insert(key(&object), object);
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.current, std::mem::take(&mut self.incoming));
                let gone = before
                    .into_iter()
                    .find(|(uid, _)| !self.current.contains_key(uid));
                self.gone = gone.map(|(_, object)| object).or_else(|| self.gone.take());
                return true;
            }
            Event::Apply(object) => {
                self.current.insert(key(&object), object);
                return true;
            }
            Event::Delete(object) => {
                self.current.remove(&key(&object));
                self.gone = Some(object);
                return true;
            }
        }
        false
    }

    fn newest(&self) -> Option<&K> {
        self.current.values().max_by_key(|object| birth(*object))
    }
}

fn key<K: Resource>(object: &K) -> String {
    object.uid().unwrap_or_else(|| object.name_any())
}

fn birth<K: Resource>(object: &K) -> (Option<jiff::Timestamp>, String) {
    (object.creation_timestamp().map(|time| time.0), object.name_any())
}

/// Returns how all watches are made.
pub(super) fn patiently() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// The newest state of a Task and its pods.
pub struct Observer<'a> {
    cluster: &'a Cluster,
    name: String,
    tasks: Mirror<Task>,
    pods: Mirror<Pod>,
    link: Link,
}

impl<'a> Observer<'a> {
    /// Reads the Task and starts to watch.
    ///
    /// # Errors
    /// When the Task does not exist or can't be read.
    pub async fn start(cluster: &'a Cluster, name: &str) -> Result<Self> {
        let action = Action::new("get", "tasks").named(name).within(&cluster.namespace);
        let task = cluster.call(&action, cluster.api::<Task>().get(name)).await?;
        let one = patiently().fields(&format!("metadata.name={name}"));
        let its_pods = patiently().labels(&format!("{}={name}", labels::TASK));
        let mut observer = Self {
            cluster,
            name: name.to_owned(),
            tasks: Mirror::new(cluster.api(), one),
            pods: Mirror::new(cluster.api(), its_pods),
            link: Link::default(),
        };
        observer.tasks.set([task]);
        observer.read_pods().await?;
        Ok(observer)
    }

    /// Reads the pods, for when a watch may not have told yet.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn read_pods(&mut self) -> Result<()> {
        let pods = pods_of(self.cluster, &self.name).await?;
        self.pods.set(pods);
        Ok(())
    }

    /// Returns the Task, unless it was deleted.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.tasks.newest()
    }

    /// Returns the last state of a Task that was deleted.
    #[must_use]
    pub fn deleted_task(&self) -> Option<&Task> {
        self.tasks.gone.as_ref()
    }

    /// Returns the newest pod.
    #[must_use]
    pub fn pod(&self) -> Option<&Pod> {
        self.pods.newest()
    }

    /// Returns a pod by name.
    #[must_use]
    pub fn pod_named(&self, name: &str) -> Option<&Pod> {
        self.pods
            .current
            .values()
            .find(|p| p.metadata.name.as_deref() == Some(name))
    }

    /// Waits for the next change. A broken connection is made again, quietly but for one line.
    ///
    /// # Errors
    /// When the API server refuses, or can't be reached for minutes.
    pub(super) async fn changed(&mut self, teller: &mut Teller<'_>) -> Result<()> {
        loop {
            let (outcome, resource) = tokio::select! {
                Some(event) = self.tasks.events.next() => (event.map(|e| self.tasks.apply(e)), "tasks"),
                Some(event) = self.pods.events.next() => (event.map(|e| self.pods.apply(e)), "pods"),
                // A watcher never ends by itself.
                else => std::future::pending().await,
            };
            match outcome {
                Ok(changed) => {
                    self.link.well(teller);
                    if changed {
                        return Ok(());
                    }
                }
                Err(error) => self.link.failed(self.cluster, &error, resource, teller)?,
            }
        }
    }
}

/// Lists the pods of a Task.
///
/// # Errors
/// When they can't be listed.
pub async fn pods_of(cluster: &Cluster, name: &str) -> Result<Vec<Pod>> {
    let action = Action::new("list", "pods").within(&cluster.namespace);
    let params = kube::api::ListParams::default().labels(&format!("{}={name}", labels::TASK));
    Ok(cluster
        .call(&action, cluster.api::<Pod>().list(&params))
        .await?
        .items)
}

/// Returns the newest of some pods.
#[must_use]
pub fn newest<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> Option<&'p Pod> {
    pods.into_iter().max_by_key(|pod| birth(*pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.uid = Some(uid.to_owned());
        pod
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_at_once() {
        let mut mirror = Mirror {
            events: futures::stream::empty().boxed(),
            current: BTreeMap::new(),
            incoming: BTreeMap::new(),
            gone: None,
        };
        mirror.set([pod("deleted meanwhile")]);
        assert!(mirror.apply(Event::Apply(pod("old"))));
        mirror.apply(Event::Init);
        assert!(!mirror.apply(Event::InitApply(pod("old"))));
        assert!(!mirror.apply(Event::InitApply(pod("new"))));
        assert_eq!(mirror.current.len(), 2, "half a list does not count");
        assert!(mirror.apply(Event::InitDone));
        assert_eq!(mirror.current.keys().collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(mirror.gone, Some(pod("deleted meanwhile")));
        assert!(mirror.apply(Event::Delete(pod("new"))));
        assert_eq!(mirror.current.len(), 1);
    }
}
