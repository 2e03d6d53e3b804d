//! Keeps the termination message up to date, so that a run that is killed keeps what it spent.

use std::time::{Duration, Instant};

use axon_api::outputs::Report;
use axon_api::usage::Usage;

use crate::say;
use crate::termination::TerminationLog;

/// While more output is at hand, the message is rewritten no more often than this.
const EVERY: Duration = Duration::from_millis(250);

/// The termination message of a run on its way.
pub struct Checkpoint {
    log: TerminationLog,
    written: Usage,
    /// The largest figures so far.
    seen: Usage,
    at: Option<Instant>,
    finished: bool,
}

impl Checkpoint {
    /// Returns a checkpoint without a figure.
    #[must_use]
    pub fn new(log: TerminationLog) -> Self {
        Self {
            log,
            written: Usage::default(),
            seen: Usage::default(),
            at: None,
            finished: false,
        }
    }

    /// Returns the figures, none of them less than before: an event that a tool of the agent has forged may lower one, or a
    /// later `result` may begin to count again.
    pub fn raised(&mut self, usage: &Usage) -> Usage {
        self.seen = usage.no_less_than(&self.seen);
        self.seen.clone()
    }

    /// Writes figures that changed, and returns the largest so far. With `waiting`, when we may sleep next, at once: nothing is lost in our sleep.
    pub fn note(&mut self, usage: &Usage, waiting: bool, branch: impl FnOnce() -> Option<String>) -> Usage {
        let usage = self.raised(usage);
        let due = waiting || self.at.is_none_or(|at| at.elapsed() >= EVERY);
        if self.finished || usage == self.written || !due {
            return usage;
        }
        self.written = usage.clone();
        self.at = Some(Instant::now());
        self.write(&Report {
            usage: usage.clone(),
            outputs: branch()
                .map(|branch| format!("branch: {branch}"))
                .into_iter()
                .collect(),
            ..Report::new()
        });
        usage
    }

    /// Writes the outcome before all is known about it; figures alone no longer replace it.
    pub fn interim(&mut self, report: &Report) {
        self.finished = true;
        self.write(report);
    }

    /// Writes the last report.
    pub fn finish(&mut self, report: &Report) {
        self.finished = true;
        self.write(report);
    }

    fn write(&mut self, report: &Report) {
        if let Err(error) = self.log.write(report) {
            say!("can't write the termination message: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::env::{self, Env};

    use super::*;

    #[test]
    fn figures_are_written_when_they_change_and_never_over_the_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let env: Env = [(env::TERMINATION_LOG, path.as_os_str())].into_iter().collect();
        let mut checkpoint = Checkpoint::new(TerminationLog::open(&env));
        let read = || Report::parse(&fs::read_to_string(&path).unwrap());
        let usage = |n| Usage {
            input_tokens: Some(n),
            ..Usage::default()
        };
        let branch = || Some("b".to_owned());

        checkpoint.note(&Usage::default(), true, branch);
        assert_eq!(read(), None);
        checkpoint.note(&usage(1), false, branch);
        let report = read().unwrap();
        assert_eq!((report.usage, report.is_final), (usage(1), false));
        assert_eq!(report.outputs, ["branch: b"]);
        checkpoint.note(&usage(2), false, branch);
        assert_eq!(read().unwrap().usage, usage(1));
        checkpoint.note(&usage(2), true, branch);
        assert_eq!(read().unwrap().usage, usage(2));
        checkpoint.note(&usage(1), true, branch);
        assert_eq!(read().unwrap().usage, usage(2), "no figure falls");
        assert_eq!(checkpoint.raised(&usage(1)), usage(2));
        let last = Report {
            is_final: true,
            ..Report::new()
        };
        checkpoint.finish(&last);
        checkpoint.note(&usage(3), true, branch);
        assert_eq!(read(), Some(last));
    }
}
