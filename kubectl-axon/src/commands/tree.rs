//! `tree`: who waits for whom, and how far everybody is.

mod drawing;
mod formats;
mod watch;

use std::collections::BTreeSet;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use kube::api::ListParams;

use self::drawing::Drawing;
use crate::analysis::graph::{Graph, Node, Spawner};
use crate::cluster::Cluster;
use crate::cluster::task_summary;
use crate::cluster::task_summary::Brief;
use crate::error::{CliError, Kind as Failure, Result};
use crate::globals::Globals;
use crate::kinds::{Kind, parse_named};
use crate::term::output::{Notation, Ui};
use crate::term::shown::Shown;

/// Seconds for which pipelines that have ended are shown without being asked for.
const RECENT: i64 = 24 * 3600;

const DETAILS: &str = "\
Below each task stand those that wait for it, and below a taskspawner what it made. A task that
waits for several stands below the first of them; elsewhere a reference says so. Without a name,
pipelines are shown that have not ended, or did so in the last 24 hours. AGE is the time since a
task was created, RAN how long its agent runs or ran. Stars mark the critical path: the chain with
the longest run time.

Examples:
  kubectl axon tree
  kubectl axon tree merge --watch
  kubectl axon tree taskspawner/fix-bugs --all
  kubectl axon tree --all -o mermaid";

/// Shows tasks as trees: what waits for what
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// What to show: TASK, task/TASK or taskspawner/NAME
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Show also what has ended long ago
    #[arg(long)]
    pub all: bool,
    /// Look into all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Go on and draw again when something changes
    #[arg(short, long)]
    pub watch: bool,
    /// What to print: json, dot, mermaid, or more columns (wide)
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<TreeFormat>,
}

/// What `-o` may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TreeFormat {
    /// Nodes, critical paths and cycles
    Json,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// A tree with more columns
    Wide,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, a name that does not exist, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    if args.all_namespaces && !args.names.is_empty() {
        return Err(CliError::usage("a name and --all-namespaces exclude each other"));
    }
    if args.watch && !matches!(args.output, None | Some(TreeFormat::Wide)) {
        return Err(CliError::usage("--watch draws trees only"));
    }
    let possible = [Kind::Task, Kind::TaskSpawner];
    let wanted = args.names.iter().map(|name| parse_named(name, &possible));
    let wanted = wanted.collect::<Result<Vec<_>, _>>().map_err(CliError::usage)?;
    let cluster = globals.cluster(ui).await?;
    let view = View {
        ui,
        cluster: &cluster,
        args: &args,
        wanted,
    };
    if args.watch {
        return view.watch().await;
    }
    let (tasks, spawners, _) = view.read().await?;
    view.print(&tasks, &spawners, Timestamp::now())
}

struct View<'a> {
    ui: &'a Ui,
    cluster: &'a Cluster,
    args: &'a Args,
    wanted: Vec<(Kind, String)>,
}

/// What of a graph is shown.
struct Selected {
    nodes: BTreeSet<usize>,
    /// Nodes that were asked for by name.
    named: BTreeSet<usize>,
    /// Pipelines that have ended long ago.
    hidden: usize,
}

impl View<'_> {
    fn namespace(&self) -> Option<&str> {
        (!self.args.all_namespaces).then_some(self.cluster.namespace.as_str())
    }

    /// Lists Tasks and spawners at the same time. Spawners only lend their phase: not to see them is no reason to fail.
    async fn read(&self) -> Result<(Vec<Brief>, Vec<Spawner>, String)> {
        let spawners = async {
            let mut all: Vec<Spawner> = Vec::new();
            let each = |page| all.extend::<Vec<Spawner>>(page);
            self.cluster
                .list(Kind::TaskSpawner, self.namespace(), &ListParams::default(), each)
                .await
                .ok();
            Ok(all)
        };
        let tasks = task_summary::list(self.cluster, self.namespace());
        let ((tasks, version), spawners) = futures::try_join!(tasks, spawners)?;
        Ok((tasks, spawners, version))
    }

    fn shown(&self, graph: &Graph<'_>, now: Timestamp) -> Result<Selected> {
        let mut shown = Selected {
            nodes: BTreeSet::new(),
            named: BTreeSet::new(),
            hidden: 0,
        };
        for (kind, name) in &self.wanted {
            let namespace = &self.cluster.namespace;
            let node = match kind {
                Kind::TaskSpawner => graph.find_spawner(namespace, name),
                _ => graph.find_task(namespace, name),
            };
            let Some(node) = node else {
                let word = kind.singular();
                return Err(CliError::of(
                    Failure::NotFound,
                    format!("{word} {name:?} does not exist in namespace {namespace}"),
                )
                .hint(format!(
                    "see what there is: kubectl axon get {}{}",
                    kind.plural(),
                    self.cluster.flags()
                )));
            };
            shown.named.insert(node);
            shown.nodes.extend(graph.related(node));
        }
        let by_task = self.wanted.iter().any(|(kind, _)| *kind == Kind::Task);
        if self.args.all || by_task {
            if self.wanted.is_empty() {
                shown.nodes.extend(0..graph.nodes.len());
            }
            return Ok(shown);
        }
        if self.wanted.is_empty() {
            let spawner = |node: &usize| matches!(graph.nodes.get(*node), Some(Node::Spawner { .. }));
            shown.nodes.extend((0..graph.nodes.len()).filter(spawner));
        }
        for pipeline in graph.pipelines() {
            let recent = pipeline
                .iter()
                .any(|node| graph.nodes.get(*node).is_some_and(|n| is_recent(n, now)));
            let asked = self.wanted.is_empty() || !pipeline.is_disjoint(&shown.nodes);
            if !asked {
                continue;
            }
            if recent {
                if self.wanted.is_empty() {
                    shown.nodes.extend(pipeline);
                }
            } else {
                shown.hidden += 1;
                shown.nodes.retain(|node| !pipeline.contains(node));
            }
        }
        // A spawner that is gone and whose Tasks are hidden has nothing to tell.
        shown.nodes.retain(|node| {
            let gone = matches!(graph.nodes.get(*node), Some(Node::Spawner { object: None, .. }));
            !gone || shown.named.contains(node) || has_after(graph, *node, now)
        });
        Ok(shown)
    }

    fn print(&self, tasks: &[Brief], spawners: &[Spawner], now: Timestamp) -> Result<()> {
        let graph = Graph::new(tasks, spawners);
        let shown = self.shown(&graph, now)?;
        let text = match self.args.output {
            Some(TreeFormat::Json) => {
                return self
                    .ui
                    .structured(&formats::json(&graph, &shown.nodes, now), Notation::Json);
            }
            Some(TreeFormat::Dot) => Shown::block(&formats::dot(&graph, &shown.nodes)),
            Some(TreeFormat::Mermaid) => Shown::block(&formats::mermaid(&graph, &shown.nodes)),
            Some(TreeFormat::Wide) | None => self.drawn(&graph, &shown, now),
        };
        self.say_hidden(&shown);
        self.ui.block(&text)
    }

    fn drawn(&self, graph: &Graph<'_>, shown: &Selected, now: Timestamp) -> Shown {
        let drawing = Drawing {
            graph,
            shown: &shown.nodes,
            named: &shown.named,
            namespaces: self.args.all_namespaces,
            wide: self.args.output == Some(TreeFormat::Wide),
            width: self.ui.width(),
            unicode: self.ui.unicode(),
            colour: self.ui.colour_of_data(),
            now,
        };
        drawing.text()
    }

    fn say_hidden(&self, shown: &Selected) {
        let hidden = crate::format::count(shown.hidden, "pipeline");
        let place = self
            .namespace()
            .map(|n| format!(" in {n} namespace"))
            .unwrap_or_default();
        match (shown.nodes.is_empty(), shown.hidden) {
            (true, 0) => self.ui.say(&format!("No tasks found{place}.")),
            (_, 0) => {}
            (_, _) => self.ui.say(&format!(
                "{hidden}{place} ended more than a day ago; --all shows them too."
            )),
        }
    }
}

fn is_recent(node: &Node<'_>, now: Timestamp) -> bool {
    let Some(task) = node.task() else {
        return false;
    };
    let ended = task.ended().or(task.metadata.created());
    !task.has_ended() || ended.is_none_or(|end| now.as_second() - end.as_second() < RECENT)
}

fn has_after(graph: &Graph<'_>, node: usize, now: Timestamp) -> bool {
    let after = graph.after.get(node).into_iter().flatten();
    let mut tasks = after.filter_map(|n| graph.nodes.get(*n));
    tasks.any(|n| is_recent(n, now))
}
