//! The agent's process: started in a group of its own, watched, stopped, and cleaned up after.

use std::io::{self, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use axon_api::contract::env as names;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};
use parking_lot::{Mutex, MutexGuard};

use super::cap::{Cap, Look};
use super::checkpoint::Checkpoint;
use super::outcome::{Ended, Exit};
use super::tee::{Piece, Sink, pass_errors, pass_lines};
use super::view;
use super::watch::Watch;
use crate::agent::{Agent, Launch, Stream, Verdict};
use crate::env::{self, Env};
use crate::failure::Failure;
use crate::say;
use crate::signals;

/// Time between SIGTERM and SIGKILL, unless the environment says otherwise.
const GRACE: Duration = Duration::from_secs(20);
/// Time after the agent's last event in which it ends, or goes on. Claude goes on when a background task of its ends.
const LINGER: Duration = Duration::from_secs(60);
/// A signal that a child ended may be merged with another; so we also look by ourselves.
const LOOK: Duration = Duration::from_secs(1);
/// The same under a cap: what an agent notes elsewhere than in its output is read this often, however much it prints.
const LOOK_AT_COST: Duration = Duration::from_millis(250);
/// How long output may pause after the agent's end, when something it left behind holds the pipe.
const DRAIN: Duration = Duration::from_secs(5);

enum Message {
    Signal(Signal),
    /// Something was passed on.
    Alive,
    /// What was spent has reached the cap.
    Over(String),
    /// Standard output ended; the flag says whether its last line did, too.
    Drained(bool),
    Errors(Vec<String>),
}

/// A started agent.
pub struct Running {
    child: Child,
    pid: Pid,
    messages: Receiver<Message>,
    stream: Arc<Mutex<Watch>>,
    checkpoint: Arc<Mutex<Checkpoint>>,
    cap: Arc<Mutex<Option<Cap>>>,
    stop_requested: Arc<AtomicBool>,
    stops_again_after: Option<Duration>,
}

/// How long an agent may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To end once it was told to.
    pub grace: Duration,
    /// To print anything; `None` for ever.
    pub stall: Option<Duration>,
    /// To end by itself after its last event.
    pub linger: Duration,
}

impl Limits {
    /// Reads them from the environment.
    ///
    /// # Errors
    /// `InvalidConfig` if the limit of silence is no duration.
    pub fn of(env: &Env) -> Result<Self, Failure> {
        let seconds = |name: &str, usual: Duration| {
            let seconds = env.text(name).and_then(|text| text.parse().ok());
            seconds.map_or(usual, Duration::from_secs)
        };
        let stall = match env.text(names::STALL_TIMEOUT) {
            None => None,
            Some(text) => {
                let limit = axon_api::go_duration::parse(text);
                let limit =
                    limit.map_err(|error| Failure::invalid(format!("{}: {error}", names::STALL_TIMEOUT)))?;
                Some(limit).filter(|limit| !limit.is_zero())
            }
        };
        Ok(Self {
            grace: seconds(env::TERMINATION_GRACE_SECONDS, GRACE),
            stall,
            linger: seconds(env::LINGER_SECONDS, LINGER),
        })
    }
}

impl Running {
    /// Starts the agent in the working directory.
    ///
    /// # Errors
    /// `InvalidConfig` if its program is not in this image, `AgentError` if the kernel does not start it.
    pub fn start(
        agent: &dyn Agent,
        launch: Launch,
        stream: Box<dyn Stream + Send>,
        checkpoint: &Arc<Mutex<Checkpoint>>,
        cap: Option<Cap>,
    ) -> Result<Self, Failure> {
        let program = agent.program();
        let failed = |error: io::Error| Failure {
            reason: match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => TaskReason::InvalidConfig,
                _ => TaskReason::AgentError,
            },
            message: format!("can't start {program}: {error}"),
        };
        let (sender, messages) = mpsc::channel();
        let stop_requested = Arc::<AtomicBool>::default();
        listen(sender.clone(), Arc::clone(&stop_requested)).map_err(failed)?;

        let mut command = Command::new(program);
        command.args(&launch.args).process_group(0);
        command.envs(launch.set.iter().map(|(name, value)| (name, value)));
        for name in &launch.unset {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| failed(io::Error::other(error)))?);

        if let Some(mut stdin) = child.stdin.take() {
            let prompt = launch.stdin;
            // An agent that ends without reading it has its own reasons, which its exit tells.
            thread::spawn(move || drop(stdin.write_all(&prompt)));
        }
        if let Some(stderr) = child.stderr.take() {
            let sender = sender.clone();
            let out = Heard(io::stderr(), sender.clone());
            thread::spawn(move || sender.send(Message::Errors(pass_errors(stderr, out))));
        }
        let stream = Arc::new(Mutex::new(Watch::new(stream, Instant::now())));
        let cap = Arc::new(Mutex::new(cap));
        if let Some(stdout) = child.stdout.take() {
            let (stream, checkpoint, cap) = (Arc::clone(&stream), Arc::clone(checkpoint), Arc::clone(&cap));
            thread::spawn(move || follow(stdout, &stream, &checkpoint, &cap, &sender));
        }
        Ok(Self {
            child,
            pid,
            messages,
            stream,
            checkpoint: Arc::clone(checkpoint),
            cap,
            stop_requested,
            stops_again_after: agent.stops_again_after(),
        })
    }

    /// Waits for the agent's end, passing signals on to its group, and ends everything that it leaves behind. An agent that
    /// prints nothing for `limits.stall` is ended, and so is one that has said how the run ended and then prints no event of
    /// work for `limits.linger`: what it started may go on, and print, for ever.
    #[must_use]
    pub fn wait(mut self, limits: Limits) -> Ended {
        let Limits { grace, stall, linger } = limits;
        let mut stopped = None;
        let mut stalled = None;
        let mut over = None;
        let mut crossed = None;
        let mut looked = Instant::now();
        let look = if lock(&self.cap).is_some() {
            LOOK_AT_COST
        } else {
            LOOK
        };
        let mut settled = None;
        let mut heard = Instant::now();
        let mut deadline = None;
        let mut again = None;
        let mut killed = false;
        let mut tail = Tail::default();
        while !self.reap_until_agent() {
            let pause = again
                .or(deadline)
                .map_or(LOOK, |at: Instant| at.saturating_duration_since(Instant::now()));
            match self.messages.recv_timeout(pause.min(look)) {
                Ok(Message::Signal(Signal::SIGCHLD)) => {}
                // What an agent notes elsewhere than in its output may have grown in silence.
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Over(why)) => crossed = Some(why),
                Ok(Message::Signal(signal)) => {
                    if deadline.is_none() {
                        settled = self.verdict();
                    }
                    stopped.get_or_insert(signal);
                    deadline.get_or_insert_with(|| Instant::now() + grace);
                    again = self.stops_again_after.map(|pause| Instant::now() + pause);
                    self.signal_group(signal);
                }
                Ok(message) => {
                    heard = Instant::now();
                    tail.take(message);
                }
                // Cannot be: the listener lives as long as we do.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
            }
            if looked.elapsed() >= look {
                looked = Instant::now();
                crossed = note(&self.stream, &self.checkpoint, &self.cap, true).or(crossed);
            }
            // What is being ended already is ended for its own reason.
            if deadline.is_none() && crossed.is_some() {
                settled = self.verdict();
                over = crossed.take();
                deadline = Some(Instant::now() + grace);
                again = self.stops_again_after.map(|pause| Instant::now() + pause);
                self.signal_group(Signal::SIGTERM);
            }
            let silent = |limit: &Duration| deadline.is_none() && heard.elapsed() >= *limit;
            let lingering = self.lingering(linger).filter(|_| deadline.is_none());
            let stall = stall.filter(silent);
            if lingering.is_some() || stall.is_some() {
                settled = lingering.or_else(|| self.verdict());
                if settled.is_some() {
                    say!(
                        "the agent is done, but its process has not ended, has done no work for {linger:?} and is ended"
                    );
                } else {
                    stalled = stall;
                }
                deadline = Some(Instant::now() + grace);
                again = self.stops_again_after.map(|pause| Instant::now() + pause);
                self.signal_group(Signal::SIGTERM);
            }
            if again.is_some_and(|at| Instant::now() >= at) {
                again = None;
                self.signal_group(stopped.unwrap_or(Signal::SIGTERM));
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                killed = true;
                deadline = deadline.map(|at| at + LOOK);
                self.signal_group(Signal::SIGKILL);
            }
        }
        // Before the agent is reaped: until then nobody else can have its group's id.
        self.signal_group(Signal::SIGKILL);
        let exit = self.child.wait().map_or(Exit::Code(1), exit_of);
        end_all();
        self.drain(&mut tail);
        reap_orphans();

        let mut stream = lock(&self.stream);
        stream.try_part(Instant::now(), true);
        let mut checkpoint = lock(&self.checkpoint);
        Ended {
            exit,
            stopped,
            stalled,
            over,
            killed,
            verdict: stream.verdict(),
            settled,
            usage: checkpoint.raised(&stream.usage()),
            stderr: tail.errors.unwrap_or_default(),
            at_line_start: tail.at_line_start.unwrap_or(false),
            stop_requested: Arc::clone(&self.stop_requested),
        }
    }

    /// Returns what the agent has said up to now, also in a line whose end is missing.
    fn verdict(&self) -> Option<Verdict> {
        let mut stream = lock(&self.stream);
        stream.try_part(Instant::now(), true);
        stream.verdict()
    }

    /// Returns what the agent has said of its end if it has not worked since for `linger`.
    fn lingering(&self, linger: Duration) -> Option<Verdict> {
        let mut stream = lock(&self.stream);
        let now = Instant::now();
        stream.try_part(now, false);
        stream.lingering(linger, now)
    }

    /// Reaps orphans that the kernel gave to us as PID 1; true once it is the agent itself that ended. The agent is
    /// only looked at: its status and its group are still needed.
    fn reap_until_agent(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, look).map(|status| status.pid()) {
                Ok(None) => return false,
                Ok(Some(pid)) if pid == self.pid => return true,
                Ok(Some(pid)) => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
                // A status that nix can't express, such as a real-time signal's, must not hide the agent's.
                Err(_) => return waitid(Id::Pid(self.pid), look) != Ok(WaitStatus::StillAlive),
            }
        }
    }

    fn signal_group(&self, signal: Signal) {
        // A group that is gone has what it should get.
        let _ = killpg(self.pid, signal);
    }

    /// Takes what is still in the pipes.
    fn drain(&self, tail: &mut Tail) {
        while !tail.is_complete() {
            match self.messages.recv_timeout(DRAIN) {
                Ok(message) => tail.take(message),
                Err(_) => return,
            }
        }
    }
}

/// Tells that something was written.
struct Heard<W>(W, Sender<Message>);

impl<W: io::Write> io::Write for Heard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.1.send(Message::Alive);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What the two output threads say at their end.
#[derive(Default)]
struct Tail {
    at_line_start: Option<bool>,
    errors: Option<Vec<String>>,
}

impl Tail {
    fn take(&mut self, message: Message) {
        match message {
            Message::Drained(at_line_start) => self.at_line_start = Some(at_line_start),
            Message::Errors(errors) => self.errors = Some(errors),
            Message::Signal(_) | Message::Alive | Message::Over(_) => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.at_line_start.is_some() && self.errors.is_some()
    }
}

fn listen(sender: Sender<Message>, stop_requested: Arc<AtomicBool>) -> io::Result<()> {
    signals::listen(move |signal| {
        if signal != Signal::SIGCHLD {
            stop_requested.store(true, Ordering::Relaxed);
        }
        let _ = sender.send(Message::Signal(signal));
    })
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock()
}

/// Passes the agent's output on, reading it on the way.
fn follow(
    stdout: impl io::Read,
    stream: &Mutex<Watch>,
    checkpoint: &Mutex<Checkpoint>,
    cap: &Mutex<Option<Cap>>,
    sender: &Sender<Message>,
) {
    let mut sink = Sink::new(io::stdout());
    let on_piece = |piece: Piece<'_>| {
        // The receiver is gone when it no longer waits for us.
        let _ = sender.send(Message::Alive);
        lock(stream).take(piece, Instant::now())
    };
    let after = |waiting| {
        if let Some(over) = note(stream, checkpoint, cap, waiting) {
            let _ = sender.send(Message::Over(over));
        }
    };
    if let Err(error) = pass_lines(stdout, &mut sink, on_piece, after) {
        say!("can't read the agent's output: {error}");
    }
    let _ = sender.send(Message::Drained(sink.at_line_start()));
}

/// Notes what was consumed up to here. Returns why the agent is to be ended, if it has reached its cap.
fn note(
    stream: &Mutex<Watch>,
    checkpoint: &Mutex<Checkpoint>,
    cap: &Mutex<Option<Cap>>,
    waiting: bool,
) -> Option<String> {
    let usage = lock(stream).usage();
    let usage = lock(checkpoint).note(&usage, waiting, || view::branch_of(Path::new(".")));
    match lock(cap).as_mut()?.look(&usage) {
        Look::GoOn => None,
        Look::Warn(text) => {
            say!("warning: {text}");
            None
        }
        Look::Stop(why) => Some(why),
    }
}

/// Ends all that runs in the container but this program, also what has left the agent's group. Does nothing where this program
/// is not PID 1 and others may run beside it.
pub fn end_all() {
    if getpid().as_raw() == 1 {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    }
}

fn reap_orphans() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(1),
    }
}
