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
use crate::columns;
use crate::error::{CliError, Result};
use crate::graph::{Graph, Spawner};
use crate::kinds::Kind;
use crate::patience::Patience;
use crate::tasks::{Brief, listing};

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
    last: String,
}

impl View<'_> {
    pub(super) async fn watch(&self) -> Result<()> {
        let mut canvas = Canvas {
            lines: 0,
            last: String::new(),
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
            Ok(shown) if shown.nodes.is_empty() => "No tasks found.\n".to_owned(),
            Ok(shown) => self.drawn(&graph, &shown, now),
            // What was asked for by name was deleted.
            Err(error) if canvas.lines > 0 => format!("{error}\n"),
            Err(error) => return Err(error),
        };
        let Some(height) = self.ui.height() else {
            if text != canvas.last {
                let gap = if canvas.lines > 0 { "\n" } else { "" };
                self.ui.raw(format!("{gap}{text}").as_bytes())?;
                canvas.lines = 1;
                canvas.last = text;
            }
            return Ok(());
        };
        let (frame, lines) = frame(&text, (self.ui.width(), height), canvas.lines);
        canvas.lines = lines;
        self.ui.raw(frame.as_bytes())
    }
}

/// Returns what draws `text` in place of the last frame, which had `above` lines, and the number of its lines. No line is
/// wrapped by the terminal: where the next frame begins is counted in lines.
fn frame(text: &str, (width, height): (Option<usize>, usize), above: usize) -> (String, usize) {
    let mut lines: Vec<&str> = text.lines().collect();
    let more;
    // One line is the cursor's.
    let room = height.saturating_sub(1).max(2);
    if lines.len() > room {
        more = format!(
            "({} more lines: name a task, or make the window taller)",
            lines.len() - room + 1
        );
        lines.truncate(room - 1);
        lines.push(&more);
    }
    // Up to where the last one began, and each line anew: to clear all first would flicker. Behind a line that fills its
    // row, terminals would clear its last character.
    let mut frame = String::new();
    if above > 0 {
        frame += &format!("\x1b[{above}F");
    }
    for line in &lines {
        let cut = width.map(|width| columns::cut(line, width));
        frame += &format!("\x1b[K{}\n", cut.as_deref().unwrap_or(line));
    }
    frame += "\x1b[J";
    (frame, lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a frame as the terminal shows them.
    fn rows(frame: &str) -> Vec<&str> {
        let body = frame.split_once('F').map_or(frame, |(_, body)| body);
        let rows = body.split('\n').filter(|line| *line != "\x1b[J");
        rows.map(|line| line.strip_prefix("\x1b[K").unwrap()).collect()
    }

    #[test]
    fn no_line_of_a_frame_is_wider_than_the_terminal() {
        let chain = "* critical path, 1h20m: scaffold → tests-of-the-user-service-with-a-long-name → merge";
        let text = format!("NAME\n\x1b[31m{}\x1b[0m\n\n{chain}\n", "修".repeat(50));
        let (drawn, lines) = frame(&text, (Some(80), 24), 0);
        assert_eq!(lines, 4);
        let rows = rows(&drawn);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1].matches('修').count(), 40);
        assert!(rows[1].ends_with("修\x1b[0m"), "{drawn:?}");
        assert_eq!(columns::width(rows[3]), 80);
        let (again, _) = frame(&text, (Some(80), 24), lines);
        assert!(again.starts_with("\x1b[4F"), "{again:?}");
    }

    #[test]
    fn what_is_too_long_says_how_much_is_left_out() {
        let (drawn, lines) = frame("a\nb\nc\nd\ne\n", (Some(80), 4), 0);
        assert_eq!((lines, rows(&drawn)[1]), (3, "b"));
        assert!(rows(&drawn)[2].starts_with("(3 more lines"), "{drawn:?}");
    }
}
