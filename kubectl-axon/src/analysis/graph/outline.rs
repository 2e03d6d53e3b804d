//! A graph as the lines of a tree.

use std::collections::BTreeSet;

use super::{Graph, Node};

/// What is special about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The node is shown here, with all that comes after it.
    Whole,
    /// The node is shown above.
    Again,
    /// The node is one of those above: everything on the way waits for itself.
    Cycle,
}

/// A line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The node.
    pub node: usize,
    /// What is special about it.
    pub mark: Mark,
    /// How many nodes it stands below.
    pub depth: usize,
    /// For each of the innermost levels, the outer first: whether more follows on that level.
    pub trail: Vec<bool>,
}

/// Levels that a line knows of. Deeper ones would not fit a terminal.
const LEVELS: usize = 10;

impl Graph<'_> {
    /// Returns the lines of the nodes in `shown`: each node once, and a reference wherever else it belongs.
    #[must_use]
    pub fn outline(&self, shown: &BTreeSet<usize>) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut seen = BTreeSet::new();
        let has_before = |node: usize| {
            let before = self.before.get(node).into_iter().flatten();
            before.into_iter().any(|b| shown.contains(b))
        };
        let rank = |node: &usize| match self.nodes.get(*node) {
            Some(Node::Spawner { .. }) => 0,
            Some(Node::Task(_)) => 1,
            _ => 2,
        };
        let mut roots: Vec<usize> = shown.iter().copied().filter(|n| !has_before(*n)).collect();
        roots.sort_by_key(rank);
        for root in roots {
            self.descend(root, shown, &mut seen, &mut lines);
        }
        // What is left stands in cycles, which have no beginning: begin with the oldest.
        for node in shown {
            if !seen.contains(node) {
                self.descend(*node, shown, &mut seen, &mut lines);
            }
        }
        lines
    }

    fn descend(
        &self,
        root: usize,
        shown: &BTreeSet<usize>,
        seen: &mut BTreeSet<usize>,
        lines: &mut Vec<Line>,
    ) {
        // The nodes from the root to where we are, each with what comes after it and is not yet shown.
        let mut way: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut above = BTreeSet::new();
        let mut next = Some(root);
        loop {
            if let Some(node) = next.take() {
                let levels = way.iter().skip(way.len().saturating_sub(LEVELS));
                let trail = levels.map(|(_, left)| !left.is_empty()).collect();
                let mark = if above.contains(&node) {
                    Mark::Cycle
                } else if seen.insert(node) {
                    Mark::Whole
                } else {
                    Mark::Again
                };
                lines.push(Line {
                    node,
                    mark,
                    depth: way.len(),
                    trail,
                });
                if mark == Mark::Whole {
                    let after = self.after.get(node).into_iter().flatten();
                    let mut after: Vec<usize> = after.copied().filter(|n| shown.contains(n)).collect();
                    after.sort_unstable();
                    after.reverse();
                    way.push((node, after));
                    above.insert(node);
                }
            }
            let Some((_, left)) = way.last_mut() else {
                return;
            };
            next = left.pop();
            if next.is_none()
                && let Some((node, _)) = way.pop()
            {
                above.remove(&node);
            }
        }
    }
}
