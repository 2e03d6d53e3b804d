//! `tree --watch`: on a terminal the tree is drawn again in its place, elsewhere below the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::Resource as _;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use kube::core::Request;
use tokio::time::{Instant, sleep, timeout};

use super::View;
use crate::analysis::graph::{Graph, Spawner};
use crate::cluster::reconnect::Patience;
use crate::cluster::task_summary::{Brief, listing};
use crate::error::{CliError, Result};
use crate::kinds::Kind;
use crate::term::shown::Shown;

/// Seconds after which the server ends a watch, and all is listed again.
const WATCH_SECONDS: u32 = 60;
const DEAD: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// How often times are brought up to date on a terminal.
const TICK: Duration = Duration::from_secs(1);
/// Changes that come together are drawn together.
const TOGETHER: Duration = Duration::from_millis(100);

/// What is on the terminal.
struct Canvas {
    lines: usize,
    last: Shown,
}

impl View<'_> {
    pub(super) async fn watch(&self) -> Result<()> {
        let mut canvas = Canvas {
            lines: 0,
            last: Shown::default(),
        };
        let mut patience = Patience::default();
        // What can't be done at all is said at once; what breaks later is tried again.
        let (tasks, spawners, _) = self.read().await?;
        self.draw(&tasks, &spawners, &mut canvas)?;
        loop {
            match self.follow(&mut canvas).await {
                Ok(()) => {
                    patience.restore();
                    sleep(TOGETHER).await;
                }
                Err(error) => patience.pause(error).await?,
            }
        }
    }

    /// Lists, and draws until the watch ends.
    async fn follow(&self, canvas: &mut Canvas) -> Result<()> {
        let (tasks, spawners, version) = self.read().await?;
        let key = |task: &Brief| (task.metadata.namespace.clone(), task.metadata.name.clone());
        let mut known: BTreeMap<(String, String), Brief> = tasks.into_iter().map(|t| (key(&t), t)).collect();
        let action = listing(Kind::Task, self.namespace());
        let request = Request::new(DynamicObject::url_path(&Kind::Task.resource(), self.namespace()))
            .watch(&WatchParams::default().timeout(WATCH_SECONDS), &version)
            .map_err(|e| CliError::new(format!("cannot {}: {e}", action.words())))?;
        let watch = self.cluster.client.request_events::<Brief>(request);
        let mut events = self.cluster.call(&action, watch).await?.boxed();
        let mut heard = Instant::now();
        let mut changed = true;
        loop {
            if changed || self.ui.is_terminal() {
                let all: Vec<Brief> = known.values().cloned().collect();
                self.draw(&all, &spawners, canvas)?;
                changed = false;
            }
            let until = Instant::now() + TICK;
            while Instant::now() < until {
                let pause = if changed { TOGETHER } else { until - Instant::now() };
                match timeout(pause, events.try_next()).await {
                    Ok(Ok(Some(WatchEvent::Added(task) | WatchEvent::Modified(task)))) => {
                        known.insert(key(&task), task);
                        changed = true;
                    }
                    Ok(Ok(Some(WatchEvent::Deleted(task)))) => {
                        known.remove(&key(&task));
                        changed = true;
                    }
                    Ok(Ok(Some(WatchEvent::Bookmark(_)))) => {}
                    // Too old, ended or broken: start from what there is.
                    Ok(Ok(Some(WatchEvent::Error(_)) | None) | Err(_)) => return Ok(()),
                    Err(_) if changed => break,
                    Err(_) if heard.elapsed() > DEAD => return Ok(()),
                    Err(_) => continue,
                }
                heard = Instant::now();
            }
        }
    }

    fn draw(&self, tasks: &[Brief], spawners: &[Spawner], canvas: &mut Canvas) -> Result<()> {
        let now = Timestamp::now();
        let graph = Graph::new(tasks, spawners);
        let text = match self.shown(&graph, now) {
            Ok(shown) if shown.nodes.is_empty() => Shown::block("No tasks found.\n"),
            Ok(shown) => self.drawn(&graph, &shown, now),
            // What was asked for by name was deleted.
            Err(error) if canvas.lines > 0 => Shown::block(&format!("{error}\n")),
            Err(error) => return Err(error),
        };
        let Some(height) = self.ui.height() else {
            if text != canvas.last {
                if canvas.lines > 0 {
                    self.ui.line("")?;
                }
                self.ui.block(&text)?;
                canvas.lines = 1;
                canvas.last = text;
            }
            return Ok(());
        };
        let (frame, lines) = text.frame((self.ui.width(), height), canvas.lines);
        canvas.lines = lines;
        self.ui.block(&frame)
    }
}
