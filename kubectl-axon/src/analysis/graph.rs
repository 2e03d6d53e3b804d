//! Who waits for whom: Tasks, what they depend on, and the spawners that made them. Pure.
//!
//! An edge leads from what comes first to what comes after it: from a dependency to its dependent, from a spawner to
//! its Tasks. Nothing recurses, because a chain may be as long as a namespace is large.

mod outline;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::task_summary::{Brief, Meta};

pub use outline::{Line, Mark};
pub use paths::Path;

/// A TaskSpawner, in brief.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Spawner {
    /// Names.
    pub metadata: Meta,
    /// What became of it.
    pub status: SpawnerStatus,
}

/// What of a TaskSpawner's status a tree shows.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct SpawnerStatus {
    /// Phase.
    pub phase: Option<String>,
}

/// What stands in a graph.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A Task.
    Task(&'a Brief),
    /// A dependency that does not exist.
    Missing {
        /// Namespace of who depends on it.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// True if it had succeeded before it was deleted.
        succeeded: bool,
    },
    /// A spawner, which may be gone.
    Spawner {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// The object, if it is there.
        object: Option<&'a Spawner>,
    },
}

impl<'a> Node<'a> {
    /// Returns the Task, if it is one.
    #[must_use]
    pub fn task(&self) -> Option<&'a Brief> {
        match self {
            Self::Task(task) => Some(task),
            _ => None,
        }
    }

    /// Returns the namespace.
    #[must_use]
    pub fn namespace(&self) -> &'a str {
        match self {
            Self::Task(task) => &task.metadata.namespace,
            Self::Missing { namespace, .. } | Self::Spawner { namespace, .. } => namespace,
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self {
            Self::Task(task) => &task.metadata.name,
            Self::Missing { name, .. } | Self::Spawner { name, .. } => name,
        }
    }

    fn is_spawner(&self) -> bool {
        matches!(self, Self::Spawner { .. })
    }
}

/// Nodes and edges; a node is known by its index.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    /// All nodes: spawners, then Tasks in the order of their age, then what is missing.
    pub nodes: Vec<Node<'a>>,
    /// What comes after each node.
    pub after: Vec<Vec<usize>>,
    /// What comes before each node.
    pub before: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Returns the graph of Tasks and spawners.
    #[must_use]
    pub fn new(tasks: &'a [Brief], spawners: &'a [Spawner]) -> Self {
        let mut sorted: Vec<&Brief> = tasks.iter().collect();
        sorted.sort_by_key(|task| {
            let meta = &task.metadata;
            (&meta.namespace, meta.created(), &meta.name)
        });
        let mut graph = Self::default();
        let mut makers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let objects: BTreeMap<(&str, &str), &Spawner> = spawners
            .iter()
            .map(|s| ((s.metadata.namespace.as_str(), s.metadata.name.as_str()), s))
            .collect();
        let made = sorted
            .iter()
            .filter_map(|t| Some((t.metadata.namespace.as_str(), t.spawner()?)));
        let named: BTreeSet<(&str, &str)> = made.chain(objects.keys().copied()).collect();
        for (namespace, name) in named {
            let object = objects.get(&(namespace, name)).copied();
            let node = graph.add(Node::Spawner {
                namespace,
                name,
                object,
            });
            makers.insert((namespace, name), node);
        }
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for task in &sorted {
            let node = graph.add(Node::Task(task));
            known.insert((&task.metadata.namespace, &task.metadata.name), node);
        }
        for task in &sorted {
            let namespace = task.metadata.namespace.as_str();
            let Some(&node) = known.get(&(namespace, task.metadata.name.as_str())) else {
                continue;
            };
            let mut sibling = false;
            for dependency in &task.spec.depends_on {
                let first = match known.get(&(namespace, dependency.as_str())) {
                    Some(first) => *first,
                    None => {
                        let missing = graph.add(Node::Missing {
                            namespace,
                            name: dependency,
                            succeeded: task.status.satisfied_dependencies.contains(dependency),
                        });
                        known.insert((namespace, dependency), missing);
                        missing
                    }
                };
                let maker = graph
                    .nodes
                    .get(first)
                    .and_then(Node::task)
                    .and_then(Brief::spawner);
                sibling |= maker.is_some() && maker == task.spawner();
                graph.link(first, node);
            }
            // Below a spawner stand the first Tasks of its pipelines; the others stand below what they wait for.
            if let Some(maker) = task.spawner().filter(|_| !sibling)
                && let Some(&maker) = makers.get(&(namespace, maker))
            {
                graph.link(maker, node);
            }
        }
        graph
    }

    fn add(&mut self, node: Node<'a>) -> usize {
        self.nodes.push(node);
        self.after.push(Vec::new());
        self.before.push(Vec::new());
        self.nodes.len() - 1
    }

    fn link(&mut self, first: usize, then: usize) {
        if let (Some(after), Some(before)) = (self.after.get_mut(first), self.before.get_mut(then))
            && !after.contains(&then)
        {
            after.push(then);
            before.push(first);
        }
    }

    /// Returns the node of a Task.
    #[must_use]
    pub fn find_task(&self, namespace: &str, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| {
            matches!(node, Node::Task(_)) && node.name() == name && node.namespace() == namespace
        })
    }

    /// Returns the node of a spawner.
    #[must_use]
    pub fn find_spawner(&self, namespace: &str, name: &str) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| node.is_spawner() && node.name() == name && node.namespace() == namespace)
    }

    fn reach(&self, starts: &[usize], edges: &[Vec<usize>]) -> BTreeSet<usize> {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut open = starts.to_vec();
        while let Some(node) = open.pop() {
            if seen.insert(node) {
                open.extend(edges.get(node).into_iter().flatten());
            }
        }
        seen
    }

    /// Returns a node, all that comes after it, and all that has to come before any of that.
    #[must_use]
    pub fn related(&self, node: usize) -> BTreeSet<usize> {
        let after: Vec<usize> = self.reach(&[node], &self.after).into_iter().collect();
        let spawner = self.nodes.get(node).is_some_and(Node::is_spawner);
        // The whole pipeline of a spawner; of a Task only what it waits for, not what else its dependents wait for.
        let ends = if spawner { after.clone() } else { vec![node] };
        let mut all = self.reach(&ends, &self.before);
        all.extend(after);
        all
    }

    /// Returns the groups of nodes that depend on each other, however remotely. Spawners connect nothing.
    #[must_use]
    pub fn pipelines(&self) -> Vec<BTreeSet<usize>> {
        let mut groups = Vec::new();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let is_task = |node: &usize| self.nodes.get(*node).is_some_and(|n| !n.is_spawner());
        for start in (0..self.nodes.len()).filter(is_task) {
            if seen.contains(&start) {
                continue;
            }
            let mut group = BTreeSet::new();
            let mut open = vec![start];
            while let Some(node) = open.pop() {
                if group.insert(node) {
                    let around = [self.after.get(node), self.before.get(node)];
                    open.extend(around.into_iter().flatten().flatten().filter(|n| is_task(n)));
                }
            }
            seen.extend(&group);
            groups.push(group);
        }
        groups
    }
}

#[cfg(test)]
pub(crate) mod tests;
