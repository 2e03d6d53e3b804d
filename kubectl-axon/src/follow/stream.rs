//! Reads a container's log, through broken connections, into a [`Sink`].

use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::time::{Instant, sleep, sleep_until};

use super::observe::Observer;
use super::resume::Resume;
use super::sink::Sink;
use super::{Options, Teller, decide};
use crate::cluster::Cluster;
use crate::cluster::reconnect::Patience;
use crate::error::{Action, CliError, Kind, Result};

/// Pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a stream may go on being open after its container ended; then it is taken for dead.
const LINGER: Duration = Duration::from_secs(5);
/// A stream that is silent for this long is opened again: nothing else tells whether its connection still lives.
const SILENCE: Duration = Duration::from_secs(60);

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
    let mut reader = Reader::new(cluster, pod, container, options, sink.renders());
    if let Some(most) = reader.shown_tail {
        sink.hold(most);
    }
    reader.open(false).await?;
    reader.read_all(true, sink).await?;
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
    let mut reader = Reader::new(cluster, pod, container, options, sink.renders());
    let mut patience = Patience::default();
    // What there is already is read first when only the end of it is to be shown.
    let mut before = reader.shown_tail.inspect(|most| sink.hold(*most));
    loop {
        match reader.open(before.is_none()).await {
            Ok(()) if before.is_some() => {
                reader.read_all(false, sink).await?;
                sink.release()?;
                before = None;
                continue;
            }
            Ok(()) => {
                patience.restore();
                teller.found();
                reader.drain(observer, teller, sink).await?;
            }
            Err(error) if error.kind == Kind::NotFound => break,
            Err(error) => again(error, &mut patience, teller).await?,
        }
        // The stream is over: because the container is, or because the connection broke.
        match observer.read_pods().await {
            Ok(()) if !is_running(observer.pod_named(pod), container) => {
                // What came between a break and the end.
                if reader.open(false).await.is_ok() {
                    reader.read_all(true, sink).await?;
                }
                break;
            }
            Ok(()) => sleep(PAUSE).await,
            Err(error) => again(error, &mut patience, teller).await?,
        }
    }
    sink.finish()
}

async fn again(error: CliError, patience: &mut Patience, teller: &mut Teller<'_>) -> Result<()> {
    if patience.bears(&error) {
        teller.lost(&error);
    }
    patience.pause(error).await
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
    /// How many lines the server is to begin before the end; the rest of `--tail` is ours, as it counts lines that
    /// are shown.
    server_tail: Option<i64>,
    shown_tail: Option<i64>,
    source: Option<Source>,
    /// The line that is being read. It lives here so that a read can be given up in the middle.
    buffer: Vec<u8>,
    resume: Resume,
}

impl<'a> Reader<'a> {
    fn new(
        cluster: &'a Cluster,
        pod: &'a str,
        container: &'a str,
        options: &'a Options,
        rendered: bool,
    ) -> Self {
        Self {
            cluster,
            pod,
            container,
            options,
            server_tail: options.tail.filter(|_| !rendered),
            shown_tail: options.tail.filter(|_| rendered),
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
            since_time: since_time.or(self.options.since_time),
            since_seconds: self.options.since_seconds.filter(|_| first),
            tail_lines: self.server_tail.filter(|_| first),
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
            Err(_) => {
                sink.aside(line);
                Ok(())
            }
        }
    }

    /// Reads the open stream to its end.
    async fn read_all(&mut self, whole: bool, sink: &mut Sink<'_>) -> Result<()> {
        while let Some(line) = self.line(whole).await? {
            self.emit(&line, sink)?;
        }
        Ok(())
    }

    /// Reads the open stream to its end, or until it lingers or is silent.
    async fn drain(
        &mut self,
        observer: &mut Observer<'_>,
        teller: &mut Teller<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut deadline: Option<Instant> = None;
        let mut silent = Instant::now() + SILENCE;
        loop {
            tokio::select! {
                biased;
                line = self.line(false) => match line? {
                    Some(line) => {
                        silent = Instant::now() + SILENCE;
                        deadline = deadline.map(|_| Instant::now() + LINGER);
                        self.emit(&line, sink)?;
                    }
                    None => return Ok(()),
                },
                changed = observer.changed(teller) => {
                    changed?;
                    if deadline.is_none() && !is_running(observer.pod_named(self.pod), self.container) {
                        deadline = Some(Instant::now() + LINGER);
                    }
                }
                () = sleep_until(deadline.unwrap_or(silent)) => return Ok(()),
            }
        }
    }
}
