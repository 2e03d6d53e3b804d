//! Reads a container's log, through broken connections, into a [`Sink`].

use std::time::Duration;

use axon_api::agents::AgentType;
use futures::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::time::{Instant, sleep, sleep_until};

use super::observe::Observer;
use super::resume::Resume;
use super::{Options, Teller, decide};
use crate::cluster::Cluster;
use crate::error::{Action, Kind, Result};
use crate::output::{Style, Ui};
use crate::render::{Piece, Renderer};

/// Pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a stream may go on being open after its container ended; then it is taken for dead.
const LINGER: Duration = Duration::from_secs(5);
/// Failures in a row after which the log is given up.
const MAX_FAILURES: u32 = 20;

/// Where the lines of a log go.
pub struct Sink<'a> {
    ui: &'a Ui,
    renderer: Option<Renderer>,
    timestamps: bool,
}

impl<'a> Sink<'a> {
    /// Returns a sink that renders an agent's log; lines pass unchanged without an agent or with `raw`.
    #[must_use]
    pub fn new(ui: &'a Ui, agent: Option<AgentType>, options: &Options) -> Self {
        Self {
            ui,
            renderer: agent.filter(|_| !options.raw).map(Renderer::new),
            timestamps: options.timestamps,
        }
    }

    fn line(&mut self, time: &str, text: &str) -> Result<()> {
        let pieces = match &mut self.renderer {
            Some(renderer) => renderer.render(text),
            None => vec![Piece::Text(text.to_owned())],
        };
        self.write(&pieces, time)
    }

    fn finish(&mut self) -> Result<()> {
        let held = self.renderer.as_mut().map(Renderer::finish).unwrap_or_default();
        self.write(&held, "")
    }

    fn write(&self, pieces: &[Piece], time: &str) -> Result<()> {
        let stamped = |text: &str| {
            if self.timestamps && !time.is_empty() {
                format!("{time} {text}")
            } else {
                text.to_owned()
            }
        };
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.ui.line(&stamped(text))?,
                Piece::Note(note) => self.ui.say_in(Style::Dim, &stamped(note)),
                Piece::Fault(fault) => self.ui.say_in(Style::Bad, &stamped(fault)),
            }
        }
        Ok(())
    }
}

/// Reads what there is of a log.
///
/// # Errors
/// When the log can't be read or the sink not be written.
pub async fn read_once(
    cluster: &Cluster,
    pod: &str,
    container: &str,
    options: &Options,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut reader = Reader::new(cluster, pod, container, options);
    reader.open(false).await?;
    while let Some(line) = reader.line(true).await? {
        reader.emit(&line, sink)?;
    }
    sink.finish()
}

/// Follows a log until its container has ended and all of it was read.
///
/// # Errors
/// When the log can't be read or the sink not be written.
pub(super) async fn follow(
    cluster: &Cluster,
    observer: &mut Observer<'_>,
    teller: &mut Teller<'_>,
    pod: &str,
    container: &'static str,
    options: &Options,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut reader = Reader::new(cluster, pod, container, options);
    let mut failures = 0;
    loop {
        match reader.open(true).await {
            Ok(()) => {
                if reader.drain(observer, teller, sink).await? {
                    failures = 0;
                }
            }
            Err(error) if error.kind == Kind::NotFound => break,
            Err(error) => {
                failures += 1;
                if failures > MAX_FAILURES {
                    return Err(error);
                }
                teller.say(&format!("the log can't be read, trying again: {error}"));
            }
        }
        // The stream is over: because the container is, or because the connection broke.
        match observer.read_pods().await {
            Ok(()) if !is_running(observer.pod_named(pod), container) => {
                // What came between a break and the end.
                if reader.open(false).await.is_ok() {
                    while let Ok(Some(line)) = reader.line(true).await {
                        reader.emit(&line, sink)?;
                    }
                }
                break;
            }
            Ok(()) => {}
            Err(error) => {
                failures += 1;
                if failures > MAX_FAILURES {
                    return Err(error);
                }
                teller.say(&format!("connection lost, trying again: {error}"));
            }
        }
        sleep(PAUSE).await;
    }
    sink.finish()
}

fn is_running(pod: Option<&Pod>, container: &str) -> bool {
    let state = pod.and_then(|pod| decide::container_state(pod, container));
    state.is_some_and(|state| state.running.is_some())
}

type Source = std::pin::Pin<Box<dyn AsyncBufRead + Send>>;

/// An open log, and what of it was read.
struct Reader<'a> {
    cluster: &'a Cluster,
    pod: &'a str,
    container: &'a str,
    options: &'a Options,
    source: Option<Source>,
    /// The line that is being read. It lives here so that a read can be given up in the middle.
    buffer: Vec<u8>,
    resume: Resume,
}

impl<'a> Reader<'a> {
    fn new(cluster: &'a Cluster, pod: &'a str, container: &'a str, options: &'a Options) -> Self {
        Self {
            cluster,
            pod,
            container,
            options,
            source: None,
            buffer: Vec::new(),
            resume: Resume::default(),
        }
    }

    async fn open(&mut self, follow: bool) -> Result<()> {
        let since_time = self.resume.since();
        let first = since_time.is_none();
        let params = LogParams {
            container: Some(self.container.to_owned()),
            follow,
            since_time,
            since_seconds: self.options.since_seconds.filter(|_| first),
            tail_lines: self.options.tail.filter(|_| first),
            timestamps: true,
            ..LogParams::default()
        };
        // A line that was cut off comes again, whole.
        self.buffer.clear();
        self.resume.restart();
        let action = Action::new("get", "pods/log")
            .named(self.pod)
            .within(&self.cluster.namespace);
        let api = self.cluster.api::<Pod>();
        let stream = self
            .cluster
            .call(&action, api.log_stream(self.pod, &params))
            .await?;
        self.source = Some(Box::pin(stream));
        Ok(())
    }

    /// Returns the next line; `None` at the end. A last line without a line end counts only with `whole`: while a
    /// container runs it is the beginning of a line, and comes again. Safe to be given up while it waits.
    async fn line(&mut self, whole: bool) -> Result<Option<String>> {
        let Some(source) = &mut self.source else {
            return Ok(None);
        };
        let read = source.read_until(b'\n', &mut self.buffer).await;
        let complete = self.buffer.last() == Some(&b'\n');
        if !complete && (!whole || read.is_err() || self.buffer.is_empty()) {
            self.source = None;
            return Ok(None);
        }
        let line = std::mem::take(&mut self.buffer);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    fn emit(&mut self, line: &str, sink: &mut Sink<'_>) -> Result<()> {
        let (time, text) = line.split_once(' ').unwrap_or((line, ""));
        match time.parse::<Timestamp>() {
            Ok(stamp) if self.resume.accept(stamp, text) => sink.line(time, text),
            Ok(_) => Ok(()),
            // Not a log line but a word of the kubelet's, such as that the log is gone.
            Err(_) => sink.line("", line),
        }
    }

    /// Reads the open stream to its end, or until it lingers. Returns true if a line came.
    async fn drain(
        &mut self,
        observer: &mut Observer<'_>,
        teller: &mut Teller<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<bool> {
        let mut any = false;
        let mut deadline: Option<Instant> = None;
        loop {
            let give_up = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                biased;
                line = self.line(false) => match line? {
                    Some(line) => {
                        any = true;
                        deadline = deadline.map(|_| Instant::now() + LINGER);
                        self.emit(&line, sink)?;
                    }
                    None => return Ok(any),
                },
                changed = observer.changed(teller) => {
                    changed?;
                    if deadline.is_none() && !is_running(observer.pod_named(self.pod), self.container) {
                        deadline = Some(Instant::now() + LINGER);
                    }
                }
                () = sleep_until(give_up), if deadline.is_some() => return Ok(any),
            }
        }
    }
}
