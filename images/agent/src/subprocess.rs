//! Runs `git` and `gh`: bounded in time, never interactive, all output kept.

use std::env::{join_paths, split_paths};
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;

use crate::env::Env;
use crate::say;

/// Protocols that git may speak: none of them starts a program that a URL names.
pub const GIT_PROTOCOLS: &str = "https:http:git:ssh";

/// Longest pause between two looks at the program.
const POLL: Duration = Duration::from_millis(50);
/// How long output may still come after the program ended, when something it left behind holds the pipe.
const DRAIN: Duration = Duration::from_secs(2);
/// How often a person hears of a long-running program.
const NEWS: Duration = Duration::from_secs(10);

/// A program to run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name, looked up in `PATH`.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its working directory; ours if absent.
    pub dir: Option<PathBuf>,
    /// Variables to set.
    pub set: Vec<(&'static str, OsString)>,
    /// Variables to remove.
    pub unset: Vec<&'static str>,
    /// Its standard input: a few lines at most, which the pipe holds.
    pub input: Option<String>,
    /// It is killed after this time.
    pub limit: Option<Duration>,
    /// It is killed when it says nothing for this time.
    pub silence: Option<Duration>,
}

/// Returns `PATH` with `dir` in front; `None` if that is no list of directories.
#[must_use]
pub fn dir_first(env: &Env, dir: &Path) -> Option<OsString> {
    let rest = env.path("PATH").map(Path::as_os_str).unwrap_or_default();
    join_paths(std::iter::once(dir.to_owned()).chain(split_paths(rest))).ok()
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With exit code 0.
    Success,
    /// With another exit code, or by a signal (no code).
    Failure(Option<i32>),
    /// We killed it: it ran, or was silent, for too long.
    TimedOut(Duration),
    /// We killed it: nobody wants its answer any more.
    Cancelled,
}

/// What a program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Returns true for exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Success
    }
}

impl Call {
    /// Returns a call of `program` in our directory and environment, without limits.
    #[must_use]
    pub fn new<S: Into<OsString>>(program: &'static str, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            program,
            args: args.into_iter().map(Into::into).collect(),
            dir: None,
            set: vec![("LC_ALL", "C".into())],
            unset: Vec::new(),
            input: None,
            limit: None,
            silence: None,
        }
    }

    /// Runs the program to its end, or until `cancel` is true.
    ///
    /// # Errors
    /// If the program can't be started or waited for.
    pub fn run(&self, cancel: &AtomicBool) -> io::Result<Output> {
        let mut command = Command::new(self.program);
        command.args(&self.args).process_group(0);
        command
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        for name in &self.unset {
            command.env_remove(name);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command.spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &self.input) {
            // A program that reads nothing is none that fails.
            let _ = stdin.write_all(input.as_bytes());
        }
        let heard = Heard::default();
        let stdout = collect(child.stdout.take(), &heard);
        let stderr = collect(child.stderr.take(), &heard);
        let end = self.wait(&mut child, &heard, cancel)?;
        // A helper that outlives the program must not hold its pipes.
        kill_group(&child);
        Ok(Output {
            end,
            stdout: stdout.recv_timeout(DRAIN).unwrap_or_default(),
            stderr: stderr.recv_timeout(DRAIN).unwrap_or_default(),
        })
    }

    fn wait(&self, child: &mut Child, heard: &Heard, cancel: &AtomicBool) -> io::Result<End> {
        let started = Instant::now();
        let mut told = started;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(match status.code() {
                    Some(0) => End::Success,
                    code => End::Failure(code),
                });
            }
            let end = if cancel.load(Ordering::Relaxed) {
                Some(End::Cancelled)
            } else if let Some(limit) = self.limit.filter(|limit| started.elapsed() > *limit) {
                Some(End::TimedOut(limit))
            } else {
                let silence = heard.last(started).elapsed();
                self.silence.filter(|limit| silence > *limit).map(End::TimedOut)
            };
            if let Some(end) = end {
                kill_group(child);
                child.wait()?;
                return Ok(end);
            }
            if self.silence.is_some() && told.elapsed() > NEWS {
                told = Instant::now();
                if let Some(line) = heard.newest() {
                    say!("  {line}");
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(POLL);
        }
    }
}

/// The program's newest output.
struct News {
    at: Instant,
    bytes: Vec<u8>,
}

/// When the program last said something, and what.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Option<News>>>);

impl Heard {
    fn note(&self, bytes: &[u8]) {
        let mut last = self.0.lock();
        *last = Some(News {
            at: Instant::now(),
            bytes: bytes.to_vec(),
        });
    }

    fn last(&self, started: Instant) -> Instant {
        let last = self.0.lock();
        last.as_ref().map_or(started, |news| news.at)
    }

    fn newest(&self) -> Option<String> {
        let last = self.0.lock();
        let text = String::from_utf8_lossy(&last.as_ref()?.bytes).into_owned();
        let line = text.rsplit(['\r', '\n']).map(str::trim).find(|l| !l.is_empty());
        // Anything else than git's own progress may hold what must not be printed.
        line.filter(|line| line.contains('%') && !line.contains("://"))
            .map(str::to_owned)
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>, heard: &Heard) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let heard = heard.clone();
    thread::spawn(move || {
        let mut all = Vec::new();
        let mut chunk = [0; 8192];
        if let Some(mut pipe) = pipe {
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                let bytes = chunk.get(..n).unwrap_or_default();
                heard.note(bytes);
                all.extend_from_slice(bytes);
            }
        }
        // The receiver is gone when it no longer waits.
        let _ = sender.send(String::from_utf8_lossy(&all).into_owned());
    });
    receiver
}

fn kill_group(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // An empty group is what we want.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Returns a text as one word of the shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call::new("sh", ["-c", script])
    }

    fn go(call: &Call) -> Output {
        call.run(&AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn keeps_both_outputs_and_the_code() {
        let output = go(&sh("printf out; printf err >&2; exit 3"));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out", "err"));
        assert_eq!(output.end, End::Failure(Some(3)));
        assert!(go(&sh("true")).success());
        let echo = Call {
            input: Some("in".into()),
            ..sh("cat")
        };
        assert_eq!(go(&echo).stdout, "in");
    }

    #[test]
    fn ends_what_takes_too_long_with_all_it_started() {
        let started = Instant::now();
        let limit = Duration::from_millis(100);
        let slow = Call {
            limit: Some(limit),
            ..sh("sleep 60 & sleep 60")
        };
        assert_eq!(go(&slow).end, End::TimedOut(limit));
        let silent = Call {
            silence: Some(limit),
            ..sh("echo x; sleep 60")
        };
        assert_eq!(go(&silent).end, End::TimedOut(limit));
        let cancelled = sh("sleep 60").run(&AtomicBool::new(true)).unwrap();
        assert_eq!(cancelled.end, End::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_a_program_leaves_behind_does_not_hold_us() {
        let started = Instant::now();
        assert_eq!(go(&sh("sleep 60 & echo done")).stdout, "done\n");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
