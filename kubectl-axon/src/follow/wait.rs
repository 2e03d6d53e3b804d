//! Watches some Tasks to their ends.

use axon_api::Task;
use futures::StreamExt as _;
use futures::future::{select_all, try_join_all};
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::observe::{Link, Mirror, patiently};
use super::{Teller, has_ended};
use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind as Failure, Result};
use crate::kinds::Kind;

/// Which Tasks to watch.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those of these names.
    Names(Vec<String>),
    /// Those that have these labels when it begins.
    Selector(String),
}

/// A Task that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its name.
    pub name: String,
    /// Its last known state.
    pub task: Task,
    /// True if it was deleted.
    pub gone: bool,
    /// Which watch tells of it.
    mirror: usize,
}

impl Watched {
    /// Returns true once there is nothing more to come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.gone || has_ended(&self.task)
    }
}

/// The newest states of some Tasks.
pub struct Ends<'a> {
    cluster: &'a Cluster,
    all: Vec<Watched>,
    mirrors: Vec<Mirror<Task>>,
    link: Link,
}

impl<'a> Ends<'a> {
    /// Reads the Tasks and starts to watch.
    ///
    /// # Errors
    /// When a Task does not exist, none has the labels, or they can't be read.
    pub async fn start(cluster: &'a Cluster, which: &Which) -> Result<Self> {
        let (tasks, configs) = match which {
            Which::Names(names) => {
                let found = names.iter().map(|name| async move {
                    let action = Action::new("get", "tasks").named(name).within(&cluster.namespace);
                    cluster.call(&action, cluster.api::<Task>().get(name)).await
                });
                let one = |name: &String| patiently().fields(&format!("metadata.name={name}"));
                (try_join_all(found).await?, names.iter().map(one).collect())
            }
            Which::Selector(selector) => {
                let (place, chosen) = (
                    Some(cluster.namespace.as_str()),
                    ListParams::default().labels(selector),
                );
                let mut tasks: Vec<Task> = Vec::new();
                cluster
                    .list(Kind::Task, place, &chosen, |page| tasks.extend(page))
                    .await?;
                if tasks.is_empty() {
                    let place = &cluster.namespace;
                    let words = format!("no task in namespace {place} has the labels {selector}");
                    return Err(CliError::of(Failure::NotFound, words));
                }
                (tasks, vec![patiently().labels(selector)])
            }
        };
        let by_name = matches!(which, Which::Names(_));
        let all = tasks.into_iter().enumerate().map(|(index, task)| Watched {
            name: task.name_any(),
            task,
            gone: false,
            mirror: if by_name { index } else { 0 },
        });
        Ok(Self {
            cluster,
            all: all.collect(),
            mirrors: configs
                .into_iter()
                .map(|config| Mirror::new(cluster.api(), config))
                .collect(),
            link: Link::default(),
        })
    }

    /// Returns the Tasks, in the order in which they were named.
    #[must_use]
    pub fn all(&self) -> &[Watched] {
        &self.all
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When the API server refuses, or can't be reached for minutes.
    pub(crate) async fn changed(&mut self, teller: &mut Teller<'_>) -> Result<()> {
        loop {
            let open: Vec<usize> = self
                .all
                .iter()
                .filter(|one| !one.is_over())
                .map(|one| one.mirror)
                .collect();
            let mirrors = self.mirrors.iter_mut().enumerate();
            let next: Vec<_> = mirrors
                .filter(|(index, _)| open.contains(index))
                .map(|(index, mirror)| Box::pin(async move { (mirror.events.next().await, index) }))
                .collect();
            if next.is_empty() {
                return Ok(());
            }
            let ((event, index), ..) = select_all(next).await;
            let (Some(event), Some(mirror)) = (event, self.mirrors.get_mut(index)) else {
                // A watcher never ends by itself.
                return std::future::pending().await;
            };
            match event {
                Ok(event) => {
                    self.link.well(teller);
                    if mirror.apply(event) {
                        take(&mut self.all, mirror, index);
                        return Ok(());
                    }
                }
                Err(error) => self.link.failed(self.cluster, &error, "tasks", teller)?,
            }
        }
    }
}

/// Takes over what a watch knows. A Task that is gone has the state in which it went, if that was told.
fn take(all: &mut [Watched], mirror: &Mirror<Task>, index: usize) {
    for one in all.iter_mut().filter(|one| one.mirror == index && !one.is_over()) {
        let uid = one.task.uid().unwrap_or_default();
        let gone = mirror
            .gone
            .as_ref()
            .filter(|gone| gone.uid().as_ref() == Some(&uid));
        match (mirror.current.get(&uid), gone) {
            (Some(task), _) => one.task = task.clone(),
            (None, last) => {
                one.gone = true;
                if let Some(last) = last {
                    one.task = last.clone();
                }
            }
        }
    }
}
