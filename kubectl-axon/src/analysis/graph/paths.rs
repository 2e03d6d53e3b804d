//! Cycles, and the chain that takes longest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use super::Graph;

/// A chain of nodes, each of which waited for the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The nodes, the first one first.
    pub nodes: Vec<usize>,
    /// Seconds that their agents ran, so far.
    pub seconds: u64,
}

impl Graph<'_> {
    /// Returns the nodes of `group` in an order in which each comes after all that it waits for; those that wait for
    /// a cycle are left out.
    fn ordered(&self, group: &BTreeSet<usize>) -> Vec<usize> {
        let inside = |edges: &[Vec<usize>], node: usize| -> Vec<usize> {
            let all = edges.get(node).into_iter().flatten();
            all.copied().filter(|n| group.contains(n)).collect()
        };
        let mut open: BTreeMap<usize, usize> = group
            .iter()
            .map(|node| (*node, inside(&self.before, *node).len()))
            .collect();
        let mut ready: VecDeque<usize> = group
            .iter()
            .copied()
            .filter(|n| open.get(n) == Some(&0))
            .collect();
        let mut order = Vec::new();
        while let Some(node) = ready.pop_front() {
            order.push(node);
            for next in inside(&self.after, node) {
                if let Some(count) = open.get_mut(&next) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        ready.push_back(next);
                    }
                }
            }
        }
        order
    }

    /// Returns the chain of `group` that takes the longest run time; of several the one with the most nodes.
    #[must_use]
    pub fn critical(&self, group: &BTreeSet<usize>, now: Timestamp) -> Path {
        let seconds = |node: usize| {
            let task = self.nodes.get(node).and_then(super::Node::task);
            task.and_then(|task| task.run_seconds(now)).unwrap_or_default()
        };
        // Longest time and most nodes up to and with each node, and the node before.
        let mut best: BTreeMap<usize, (u64, usize, Option<usize>)> = BTreeMap::new();
        for node in self.ordered(group) {
            let before = self.before.get(node).into_iter().flatten();
            let longest = before
                .filter_map(|b| best.get(b).map(|(time, count, _)| (*time, *count, *b)))
                .max_by_key(|(time, count, b)| (*time, *count, std::cmp::Reverse(*b)));
            let (time, count, from) = match longest {
                Some((time, count, b)) => (time, count, Some(b)),
                None => (0, 0, None),
            };
            best.insert(node, (time + seconds(node), count + 1, from));
        }
        let end = best
            .iter()
            .max_by_key(|(node, (time, count, _))| (*time, *count, std::cmp::Reverse(**node)))
            .map(|(node, (time, ..))| (*node, *time));
        let Some((end, seconds)) = end else {
            return Path::default();
        };
        let mut nodes = vec![end];
        while let Some((_, _, Some(from))) = nodes.last().and_then(|node| best.get(node)) {
            nodes.push(*from);
        }
        nodes.reverse();
        Path { nodes, seconds }
    }

    /// Returns the nodes that wait for themselves: one walk round for each cycle that is found.
    #[must_use]
    pub fn cycles(&self, group: &BTreeSet<usize>) -> Vec<Vec<usize>> {
        let sorted: BTreeSet<usize> = self.ordered(group).into_iter().collect();
        // Only nodes in cycles, and those after them, are left; drop the latter from the other end.
        let mut left: BTreeSet<usize> = group.difference(&sorted).copied().collect();
        loop {
            let ends: Vec<usize> = left
                .iter()
                .copied()
                .filter(|n| !self.after.get(*n).into_iter().flatten().any(|a| left.contains(a)))
                .collect();
            if ends.is_empty() {
                break;
            }
            ends.iter().for_each(|n| {
                left.remove(n);
            });
        }
        let mut found = Vec::new();
        while let Some(start) = left.first().copied() {
            let mut way = vec![start];
            let mut places = BTreeMap::from([(start, 0)]);
            loop {
                let last = way.last().copied().unwrap_or(start);
                let next = self
                    .after
                    .get(last)
                    .into_iter()
                    .flatten()
                    .find(|n| left.contains(n));
                let Some(next) = next.copied() else {
                    // Not a cycle of its own, but a way between two.
                    left.remove(&last);
                    break;
                };
                if let Some(place) = places.get(&next) {
                    let round: Vec<usize> = way.split_off(*place);
                    round.iter().for_each(|n| {
                        left.remove(n);
                    });
                    found.push(round);
                    break;
                }
                places.insert(next, way.len());
                way.push(next);
            }
        }
        found
    }
}
