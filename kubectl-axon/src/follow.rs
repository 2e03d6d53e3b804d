//! Follows a Task: says what it waits for, streams the agent's log, and knows when it is over.
//!
//! `decide` is pure: from what is observed to the next step. `observe` watches, `stream` reads logs.

mod decide;
mod observe;
mod resume;
mod sink;
mod stream;
mod summary;
mod wait;

use std::collections::HashSet;
use std::time::Duration;

use axon_api::{Task, TaskPhase};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::time::Instant;

pub use crate::follow::wait::{Ends, Watched, Which};
pub use decide::{container_state, explain_silence, pick};
pub use observe::{newest, pods_of};
pub use sink::Sink;
pub use stream::read_once;
pub use summary::headline;

use self::decide::{Seen, Step};
use self::observe::Observer;
use crate::cluster::Cluster;
use crate::error::{CliError, Kind, Result};
use crate::term::output::{Notation, ObjectFormat, Style, Ui};

/// After this long without any sign of an operator it is time to ask whether there is one.
pub(crate) const OPERATOR_SILENCE: Duration = Duration::from_secs(10);
/// What changes sooner than this is not said.
const PASSING: Duration = Duration::from_millis(400);

/// What of a log to show, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lines as they are.
    pub raw: bool,
    /// Events as JSON.
    pub json: bool,
    /// A time before each line.
    pub timestamps: bool,
    /// Only so many lines of what there is already.
    pub tail: Option<i64>,
    /// Only what is younger than this many seconds.
    pub since_seconds: Option<i64>,
    /// Only what is of this time or later.
    pub since_time: Option<jiff::Timestamp>,
    /// The container to show instead of the agent.
    pub workspace: bool,
    /// Follow to the Task's end, sum it up, and fail if it failed.
    pub to_the_end: bool,
    /// How to print the Task when it has ended; the log is talk then.
    pub finished: Option<ObjectFormat>,
}

impl Options {
    /// Returns what `run --watch` shows.
    #[must_use]
    pub fn watch(finished: Option<ObjectFormat>) -> Self {
        Self {
            to_the_end: true,
            finished,
            ..Self::default()
        }
    }
}

/// Follows a Task until it is over or Ctrl-C is pressed.
///
/// # Errors
/// [`Kind::Interrupted`] after Ctrl-C; with `to_the_end`, [`Kind::TaskFailed`] when the Task failed.
pub async fn run(ui: &Ui, cluster: &Cluster, name: &str, options: &Options) -> Result<()> {
    tokio::select! {
        outcome = Box::pin(follow(ui, cluster, name, options)) => outcome,
        _ = tokio::signal::ctrl_c() => {
            // Below the ^C that the terminal shows.
            ui.tip("");
            if options.to_the_end {
                ui.say(&format!("task/{name} goes on without you; come back with: kubectl axon logs {name} -f{}", cluster.flags()));
            }
            Err(CliError::silent(Kind::Interrupted))
        }
    }
}

async fn follow(ui: &Ui, cluster: &Cluster, name: &str, options: &Options) -> Result<()> {
    let mut observer = Observer::start(cluster, name).await?;
    let mut teller = Teller::new(ui);
    let mut seen = Seen::default();
    loop {
        let Some(task) = observer.task() else {
            // A Task that is deleted as soon as it ends, by its ttl, has ended all the same.
            if let Some(task) = observer.deleted_task().filter(|task| has_ended(task)) {
                return end(ui, name, task, &seen, options);
            }
            return Err(CliError::of(
                Kind::NotFound,
                format!("task {name:?} in namespace {} was deleted", cluster.namespace),
            ));
        };
        match decide::next(task, observer.pod(), &seen, options) {
            Step::Wait(message) => {
                let due = teller.due(&message);
                let silent = task.status.as_ref().is_none_or(|s| s.phase.is_none());
                tokio::select! {
                    changed = observer.changed(&mut teller) => changed?,
                    () = tokio::time::sleep_until(due), if !teller.has_said(&message) => teller.say(&message),
                    () = tokio::time::sleep(OPERATOR_SILENCE), if silent => {
                        let flags = &cluster.target.flags;
                        teller.say(&no_operator(flags));
                        observer.changed(&mut teller).await?;
                    }
                }
            }
            Step::Stream { pod, container } => {
                if let Some(introduction) = decide::introduction(container, &seen, options) {
                    ui.say_in(Style::Dim, introduction);
                }
                let agent = if container == axon_api::contract::container::AGENT {
                    Some(task.spec.agent)
                } else {
                    None
                };
                let mut sink = Sink::new(ui, agent, options);
                let uid = observer.pod().and_then(uid).unwrap_or_default();
                stream::follow(
                    cluster,
                    &mut observer,
                    &mut teller,
                    &pod,
                    container,
                    options,
                    &mut sink,
                )
                .await?;
                seen.add(uid, container);
            }
            Step::End => return end(ui, name, task, &seen, options),
        }
    }
}

fn end(ui: &Ui, name: &str, task: &Task, seen: &Seen, options: &Options) -> Result<()> {
    let phase = task.status.as_ref().and_then(|s| s.phase);
    let failed = phase == Some(TaskPhase::Failed);
    if options.to_the_end {
        let style = if failed { Style::Bad } else { Style::Good };
        let mut lines = summary::summary(name, task).into_iter();
        ui.say("");
        if let Some(first) = lines.next() {
            ui.say_in(style, &first);
        }
        lines.for_each(|line| ui.say(&line));
        if let Some(format) = options.finished {
            print(ui, task, format)?;
        }
        return if failed {
            Err(CliError::silent(Kind::TaskFailed))
        } else {
            Ok(())
        };
    }
    if seen.is_empty() {
        return Err(CliError::new(explain_silence(name, task, None)));
    }
    if failed {
        ui.say_in(Style::Bad, &summary::headline(name, task));
    }
    Ok(())
}

/// Prints a Task as `-o` says.
///
/// # Errors
/// When stdout can't be written.
pub fn print(ui: &Ui, task: &Task, format: ObjectFormat) -> Result<()> {
    let mut task = task.clone();
    task.metadata.managed_fields = None;
    match format {
        ObjectFormat::Json => ui.structured(&task, Notation::Json),
        ObjectFormat::Yaml => ui.structured(&task, Notation::Yaml),
        ObjectFormat::Name => ui.line(&format!("task.axon.io/{}", task.name_any())),
    }
}

fn uid(pod: &Pod) -> Option<String> {
    pod.metadata.uid.clone()
}

/// Says that nobody takes up a Task.
pub(crate) fn no_operator(flags: &str) -> String {
    format!(
        "no operator has taken up the task yet; is one running, and does it work in this namespace? kubectl axon version{flags}"
    )
}

fn has_ended(task: &Task) -> bool {
    let phase = task.status.as_ref().and_then(|s| s.phase);
    phase.is_some_and(TaskPhase::is_terminal)
}

/// Says each thing once.
pub(crate) struct Teller<'a> {
    ui: &'a Ui,
    said: HashSet<String>,
    /// What is waited for, and since when.
    current: Option<(String, Instant)>,
    lost: bool,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            said: HashSet::new(),
            current: None,
            lost: false,
        }
    }

    fn has_said(&self, message: &str) -> bool {
        self.said.contains(message)
    }

    /// Returns when a message is to be said: what passes at once is not worth a line.
    fn due(&mut self, message: &str) -> Instant {
        let since = match &self.current {
            Some((current, since)) if current == message => *since,
            _ => Instant::now(),
        };
        self.current = Some((message.to_owned(), since));
        since + PASSING
    }

    /// Says that the connection is lost, once for each loss.
    fn lost(&mut self, why: &CliError) {
        if !std::mem::replace(&mut self.lost, true) {
            self.ui.say_in(
                Style::Dim,
                &format!("[wait] connection lost, trying again: {why}"),
            );
        }
    }

    /// Says that the connection is back, if it was said to be lost.
    fn found(&mut self) {
        if std::mem::take(&mut self.lost) {
            self.ui.say_in(Style::Dim, "[wait] connected again");
        }
    }

    pub(crate) fn say(&mut self, message: &str) {
        if !message.is_empty() && self.said.insert(message.to_owned()) {
            self.ui.say_in(Style::Dim, &format!("[wait] {message}"));
        }
    }
}
