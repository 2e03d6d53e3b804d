//! A graph as a tree with columns.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::analysis::graph::{Graph, Line, Mark, Node, Path};
use crate::cluster::task_summary::Brief;
use crate::format;
use crate::term::shown::{Colour, Shown};
use crate::term::table::Table;
use crate::text_width;
use axon_api::money::Money;
use axon_api::usage::Usage;

/// Chains that are spelled out below the tree; of more the stars alone have to tell.
const MAX_LEGENDS: usize = 3;
/// Tasks of a chain that are spelled out.
const MAX_CHAIN: usize = 6;

/// What to draw, and how.
pub(super) struct Drawing<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) shown: &'a BTreeSet<usize>,
    /// Nodes that were asked for by name.
    pub(super) named: &'a BTreeSet<usize>,
    /// Whether to tell namespaces.
    pub(super) namespaces: bool,
    pub(super) wide: bool,
    /// Width of the terminal.
    pub(super) width: Option<usize>,
    pub(super) unicode: bool,
    pub(super) colour: bool,
    pub(super) now: Timestamp,
}

/// The pieces that trees are made of.
struct Pieces {
    more: &'static str,
    last: &'static str,
    through: &'static str,
    again: &'static str,
    cycle: &'static str,
    arrow: &'static str,
    cut: char,
}

const UNICODE: Pieces = Pieces {
    more: "├─ ",
    last: "└─ ",
    through: "│  ",
    again: "↑",
    cycle: "↻",
    arrow: " → ",
    cut: '…',
};
const ASCII: Pieces = Pieces {
    more: "|- ",
    last: "`- ",
    through: "|  ",
    again: "^",
    cycle: "@",
    arrow: " > ",
    cut: '~',
};

impl Drawing<'_> {
    fn pieces(&self) -> &'static Pieces {
        if self.unicode { &UNICODE } else { &ASCII }
    }

    /// Returns the whole text; empty when nothing is shown.
    pub(super) fn text(&self) -> Shown {
        let mut text = Shown::default();
        let lines = self.graph.outline(self.shown);
        if lines.is_empty() {
            return text;
        }
        let paths = self.paths();
        let stars: BTreeSet<usize> = paths.iter().flat_map(|p| p.nodes.iter().copied()).collect();
        let header = self.header();
        let mut table = Table::new(header.iter().map(|h| (*h).to_owned()).collect());
        for line in &lines {
            table.row("", self.row(line, &stars));
        }
        let mut widths = Vec::new();
        if let Some(width) = self.width.filter(|_| !self.wide) {
            // Names are cut last: they are typed again.
            for soft in [&["BRANCH"][..], &["BRANCH", "NAME"]] {
                let elastic: Vec<bool> = header.iter().map(|h| soft.contains(h)).collect();
                table.fit(width, &elastic, &mut widths);
            }
        }
        let mut drawn = table.lines(true, &mut widths);
        if !self.unicode {
            let ascii = |line: &String| line.replace(UNICODE.cut, &self.pieces().cut.to_string());
            drawn = drawn.iter().map(ascii).collect();
        }
        let place = drawn.first().and_then(|head| head.find("PHASE"));
        for line in &drawn {
            match place.filter(|_| self.colour) {
                Some(place) => paint(&mut text, line, place),
                None => text.push(line),
            }
            text.end_line();
        }
        for line in self.legend(&paths).iter().chain(&self.cycles()) {
            text.push(line);
            text.end_line();
        }
        text
    }

    fn header(&self) -> Vec<&'static str> {
        let mut header = Vec::new();
        if self.namespaces {
            header.push("NAMESPACE");
        }
        header.extend(["NAME", "PHASE", "AGE", "RAN", "AGENT", "BRANCH", "PR", "COST"]);
        if self.wide {
            header.extend(["REASON", "MODEL", "WORKSPACE", "COMMIT"]);
        }
        header
    }

    fn row(&self, line: &Line, stars: &BTreeSet<usize>) -> Vec<String> {
        let Some(node) = self.graph.nodes.get(line.node) else {
            return Vec::new();
        };
        let mut cells = Vec::new();
        if self.namespaces {
            cells.push(node.namespace().to_owned());
        }
        cells.push(self.name(line, node, stars.contains(&line.node)));
        cells.extend(match (line.mark, node) {
            (Mark::Again, _) => vec!["(above)".to_owned()],
            (Mark::Cycle, _) => vec!["(cycle)".to_owned()],
            (_, Node::Task(task)) => self.task(task),
            (_, Node::Missing { succeeded, .. }) => {
                vec![if *succeeded { "Succeeded" } else { "Missing" }.to_owned()]
            }
            (_, Node::Spawner { object, .. }) => {
                let phase = object.map(|o| o.status.phase.clone().unwrap_or_else(|| "New".to_owned()));
                let age = object.and_then(|o| o.metadata.created());
                vec![
                    phase.unwrap_or_else(|| "Gone".to_owned()),
                    age.map(|at| format::age(Some(at), self.now)).unwrap_or_default(),
                    " ".to_owned(),
                    " ".to_owned(),
                    " ".to_owned(),
                    " ".to_owned(),
                    self.spent(line.node),
                ]
            }
        });
        // Not even a dash where a column does not apply.
        cells.resize(self.header().len(), " ".to_owned());
        cells
    }

    fn name(&self, line: &Line, node: &Node<'_>, star: bool) -> String {
        let pieces = self.pieces();
        let mut text = String::new();
        if line.depth > line.trail.len() {
            // Too deep to be drawn: how deep is said instead.
            text += &format!("{}:", line.depth - line.trail.len());
        }
        for (level, more) in line.trail.iter().enumerate() {
            let innermost = level + 1 == line.trail.len();
            text += match (innermost, more) {
                (true, true) => pieces.more,
                (true, false) => pieces.last,
                (false, true) => pieces.through,
                (false, false) => "   ",
            };
        }
        if matches!(node, Node::Spawner { .. }) {
            text += "ts/";
        }
        text += &format::one_line(node.name());
        match (line.mark, node) {
            (Mark::Again, _) => text += &format!(" {}", pieces.again),
            (Mark::Cycle, _) => text += &format!(" {}", pieces.cycle),
            (_, Node::Missing { succeeded: true, .. }) => text += " (deleted)",
            _ if star => text += " *",
            _ => {}
        }
        if self.named.contains(&line.node) && line.mark == Mark::Whole {
            text += " <";
        }
        text
    }

    fn task(&self, task: &Brief) -> Vec<String> {
        let status = &task.status;
        let phase = status.phase.map(|p| p.to_string());
        let ran = task.run_seconds(self.now);
        let result = |key: &str| {
            status
                .results
                .get(key)
                .map(|v| format::one_line(v))
                .unwrap_or_default()
        };
        let pr = result("pr");
        let usage = status.usage.as_ref();
        let reported = usage.and_then(|usage| usage.cost_usd.as_deref());
        let estimated = usage.and_then(|usage| usage.estimated_cost_usd.as_deref());
        let mut cells = vec![
            phase.unwrap_or_else(|| "New".to_owned()),
            format::age(task.metadata.created(), self.now),
            ran.map(|s| format::duration(std::time::Duration::from_secs(s)))
                .unwrap_or_default(),
            format::one_line(&task.spec.agent),
            format::one_line(task.branch()),
            if self.wide { pr } else { number(&pr) },
            format::spent(reported, estimated),
        ];
        if self.wide {
            cells.extend([
                status.reason.map(|r| r.to_string()).unwrap_or_default(),
                task.spec.model.clone().unwrap_or_default(),
                task.spec
                    .workspace_ref
                    .as_ref()
                    .map(|w| w.name.clone())
                    .unwrap_or_default(),
                result("commit").chars().take(12).collect(),
            ]);
        }
        cells
    }

    /// Returns what all Tasks of a spawner have cost, as far as that is known.
    fn spent(&self, spawner: usize) -> String {
        let Some(Node::Spawner { namespace, name, .. }) = self.graph.nodes.get(spawner) else {
            return String::new();
        };
        let tasks = self.graph.nodes.iter().filter_map(Node::task);
        let own = tasks.filter(|t| t.spawner() == Some(name) && t.metadata.namespace == *namespace);
        let usages: Vec<&Usage> = own.filter_map(|t| t.status.usage.as_ref()).collect();
        let total = |money: fn(&Usage) -> Option<Money>| {
            let known = usages.iter().filter_map(|usage| money(usage));
            known.reduce(Money::plus).map(Money::short)
        };
        let (reported, estimated) = (total(Usage::cost), total(Usage::estimated_cost));
        let parts = reported.into_iter().chain(estimated.map(|sum| format!("~{sum}")));
        parts.collect::<Vec<_>>().join("+")
    }

    /// Returns the critical path of each pipeline that is more than one Task.
    fn paths(&self) -> Vec<Path> {
        let groups = self.graph.pipelines().into_iter();
        let shown = groups.map(|g| g.intersection(self.shown).copied().collect::<BTreeSet<_>>());
        let paths = shown
            .filter(|group| group.len() > 1)
            .map(|group| self.graph.critical(&group, self.now));
        // Where nothing has run yet, nothing takes longest.
        paths
            .filter(|path| path.nodes.len() > 1 && path.seconds > 0)
            .collect()
    }

    fn legend(&self, paths: &[Path]) -> Vec<String> {
        if paths.is_empty() {
            return Vec::new();
        }
        if paths.len() > MAX_LEGENDS {
            return vec![String::new(), "* on the critical path of its pipeline".to_owned()];
        }
        let mut lines = vec![String::new()];
        for path in paths {
            let time = format::duration(std::time::Duration::from_secs(path.seconds));
            let mut names: Vec<&str> = path
                .nodes
                .iter()
                .filter_map(|n| self.graph.nodes.get(*n))
                .map(Node::name)
                .collect();
            if names.len() > MAX_CHAIN {
                let tail = names.split_off(names.len() - MAX_CHAIN / 2);
                names.truncate(MAX_CHAIN / 2);
                names.push(if self.unicode { "…" } else { "..." });
                names.extend(tail);
            }
            let so_far = if path.nodes.iter().all(|n| self.has_ended(*n)) {
                ""
            } else {
                " so far"
            };
            let chain = names.join(self.pieces().arrow);
            lines.push(format!("* critical path, {time}{so_far}: {chain}"));
        }
        lines
    }

    fn has_ended(&self, node: usize) -> bool {
        let task = self.graph.nodes.get(node).and_then(Node::task);
        task.is_none_or(Brief::has_ended)
    }

    fn cycles(&self) -> Vec<String> {
        let cycles = self.graph.cycles(self.shown);
        let names = |cycle: &[usize]| {
            let round = cycle.iter().chain(cycle.first());
            let names: Vec<&str> = round
                .filter_map(|n| self.graph.nodes.get(*n))
                .map(Node::name)
                .collect();
            names.join(self.pieces().arrow)
        };
        let mut by_start: BTreeMap<usize, String> = BTreeMap::new();
        for cycle in &cycles {
            by_start.insert(cycle.first().copied().unwrap_or_default(), names(cycle));
        }
        by_start
            .into_values()
            .map(|round| format!("cycle, none of these can run: {round}"))
            .collect()
    }
}

/// Returns a pull request's number as `#12`; the URL itself if it has none.
fn number(url: &str) -> String {
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if !last.is_empty() && last.chars().all(|c| c.is_ascii_digit()) {
        format!("#{last}")
    } else {
        text_width::shortened(url, 24)
    }
}

/// Colours the phase, which begins at the byte `place` of the header; names may have wider characters.
fn paint(text: &mut Shown, line: &str, place: usize) {
    let start = line
        .char_indices()
        .nth(place)
        .map_or(line.len(), |(start, _)| start);
    let (head, rest) = line.split_at(start);
    let end = rest.find(' ').unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    let colour = match word {
        "Succeeded" => Some(Colour::Green),
        "Failed" | "Missing" => Some(Colour::Red),
        "Running" => Some(Colour::Cyan),
        "Waiting" | "Pending" | "New" | "Suspended" => Some(Colour::Yellow),
        "(above)" | "(cycle)" | "Gone" => Some(Colour::Dim),
        _ => None,
    };
    text.push(head);
    match colour {
        Some(colour) => text.push_in(colour, word),
        None => text.push(word),
    }
    text.push(tail);
}

#[cfg(test)]
mod tests;
