//! Whether the run succeeded, and what to say about it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axon_api::TaskReason;
use axon_api::usage::Usage;
use nix::sys::signal::Signal;

use crate::agent::{Verdict, provider_reason};

/// Bytes of the agent's standard error in a message.
const EVIDENCE: usize = 1500;
/// What a shell gives as the code of a program ended by signal N, less N.
const SIGNAL_BASE: i32 = 128;

/// How the agent's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// All that a run left.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How the process ended.
    pub exit: Exit,
    /// The first signal that told us to stop.
    pub stopped: Option<Signal>,
    /// How long the agent had printed nothing when it was ended for that.
    pub stalled: Option<Duration>,
    /// Why it was ended for what it had spent.
    pub over: Option<String>,
    /// True when the grace period was over before the agent ended.
    pub killed: bool,
    /// What the agent's last event says.
    pub verdict: Option<Verdict>,
    /// What its last event had said when we began to end it.
    pub settled: Option<Verdict>,
    /// What was consumed.
    pub usage: Usage,
    /// The last lines of standard error.
    pub stderr: Vec<String>,
    /// False when the log's last line has no end.
    pub at_line_start: bool,
    /// Turns true when we are told to stop, also after the agent's end.
    pub stop_requested: Arc<AtomicBool>,
}

/// What the container says when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; 0 is success.
    pub exit_code: u8,
    /// Why it failed.
    pub reason: Option<TaskReason>,
    /// The evidence.
    pub message: Option<String>,
}

/// Judges a run. It succeeded only if its last event says so and nothing speaks against it: agents end with 0 after
/// signals and on some errors, too. A process that has said how the run ended and is then ended from outside takes
/// nothing back; its own exit code does.
#[must_use]
pub fn conclude(program: &str, ended: &Ended) -> Outcome {
    let (code, how) = match ended.exit {
        Exit::Code(code) => (code, format!("{program} exited with code {code}")),
        Exit::Signal(number) => {
            let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
            (SIGNAL_BASE + number, format!("{program} was ended by {name}"))
        }
    };
    // A tool can write an event into the agent's output and kill the agent then: without our doing it takes a zero as well.
    let success = ended
        .settled
        .as_ref()
        .or(ended.verdict.as_ref().filter(|_| code == 0));
    if let Some(message) = success.and_then(success_of) {
        return Outcome {
            exit_code: 0,
            reason: None,
            message,
        };
    }
    // What it said after it was told to stop is about that.
    let verdict = ended.settled.as_ref().or(ended.verdict.as_ref());
    let (reason, message) = match (&ended.stopped, verdict) {
        (_, Some(Verdict::Failed { reason, message })) if ended.settled.is_some() => {
            (*reason, message.clone())
        }
        _ if let Some(over) = &ended.over => {
            let after = after(program, ended.killed);
            (
                TaskReason::BudgetExceeded,
                format!("{over}; {program} was stopped{after}"),
            )
        }
        _ if ended.stalled.is_some() => (
            TaskReason::Stalled,
            stalled(program, ended.stalled.unwrap_or_default(), ended.killed),
        ),
        (Some(signal), _) => (TaskReason::Stopped, stopped(program, *signal, ended.killed)),
        (None, Some(Verdict::Failed { reason, message })) => (*reason, message.clone()),
        (None, None) if code == 0 => {
            let said = said(&ended.stderr);
            (
                TaskReason::AgentError,
                format!("{program} ended without a result{said}"),
            )
        }
        (None, _) => {
            let said = said(&ended.stderr);
            (provider_reason(None, &said), format!("{how}{said}"))
        }
    };
    let was_ended = ended.stalled.is_some() || ended.over.is_some();
    let told = ended.stopped.or(was_ended.then_some(Signal::SIGTERM));
    let fallback = told.map_or(1, |signal| SIGNAL_BASE + signal as i32);
    let code = if code == 0 { fallback } else { code };
    Outcome {
        exit_code: u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1),
        reason: Some(reason),
        message: Some(message),
    }
}

/// Returns what is said of a success; `None` for what is none.
#[allow(clippy::option_option, reason = "a success may have nothing to say")]
fn success_of(verdict: &Verdict) -> Option<Option<String>> {
    match verdict {
        Verdict::Done => Some(None),
        Verdict::DoneBut(note) => Some(Some(note.clone())),
        Verdict::Failed { .. } => None,
    }
}

fn stopped(program: &str, signal: Signal, killed: bool) -> String {
    format!("stopped by {}{}", signal.as_str(), after(program, killed))
}

fn stalled(program: &str, limit: Duration, killed: bool) -> String {
    let after = after(program, killed);
    format!("{program} printed nothing for {limit:?} (stallTimeout) and was stopped{after}")
}

fn after(program: &str, killed: bool) -> String {
    if killed {
        format!("; {program} did not end in time and was killed")
    } else {
        String::new()
    }
}

/// Returns the end of standard error as ": text", or nothing.
fn said(stderr: &[String]) -> String {
    let text = stderr.join("\n");
    match axon_api::outputs::tail(text.trim(), EVIDENCE) {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: Exit, verdict: Option<Verdict>) -> Ended {
        Ended {
            over: None,
            exit,
            stopped: None,
            stalled: None,
            killed: false,
            verdict,
            settled: None,
            usage: Usage::default(),
            stderr: vec!["one".into(), "two".into()],
            at_line_start: true,
            stop_requested: Arc::default(),
        }
    }

    fn failed(reason: TaskReason) -> Option<Verdict> {
        Some(Verdict::Failed {
            reason,
            message: "its words".into(),
        })
    }

    fn parts(ended: &Ended) -> (u8, Option<TaskReason>, Option<String>) {
        let outcome = conclude("claude", ended);
        (outcome.exit_code, outcome.reason, outcome.message)
    }

    #[test]
    fn success_takes_both_a_zero_and_a_good_end() {
        assert_eq!(parts(&ended(Exit::Code(0), Some(Verdict::Done))), (0, None, None));
        for (exit, verdict, code, reason, message) in [
            (
                Exit::Code(0),
                None,
                1,
                TaskReason::AgentError,
                "claude ended without a result: one\ntwo",
            ),
            (
                Exit::Code(0),
                failed(TaskReason::RateLimited),
                1,
                TaskReason::RateLimited,
                "its words",
            ),
            (
                Exit::Code(1),
                failed(TaskReason::AuthFailed),
                1,
                TaskReason::AuthFailed,
                "its words",
            ),
            (
                Exit::Code(7),
                Some(Verdict::Done),
                7,
                TaskReason::AgentError,
                "claude exited with code 7: one\ntwo",
            ),
            (
                Exit::Code(144),
                None,
                144,
                TaskReason::AgentError,
                "claude exited with code 144: one\ntwo",
            ),
            (
                Exit::Signal(9),
                None,
                137,
                TaskReason::AgentError,
                "claude was ended by SIGKILL: one\ntwo",
            ),
        ] {
            assert_eq!(
                parts(&ended(exit, verdict)),
                (code, Some(reason), Some(message.into()))
            );
        }
    }

    #[test]
    fn a_stopped_run_says_so_whatever_the_agent_made_of_it() {
        for (exit, code) in [
            (Exit::Code(143), 143),
            (Exit::Signal(15), 143),
            (Exit::Code(0), 143),
            (Exit::Signal(9), 137),
        ] {
            let ended = Ended {
                stopped: Some(Signal::SIGTERM),
                ..ended(exit, None)
            };
            let message = Some("stopped by SIGTERM".to_owned());
            assert_eq!(parts(&ended), (code, Some(TaskReason::Stopped), message));
        }
        let killed = Ended {
            stopped: Some(Signal::SIGTERM),
            killed: true,
            ..ended(Exit::Signal(9), None)
        };
        assert!(parts(&killed).2.unwrap().contains("did not end in time"));
        let settled = Ended {
            stopped: Some(Signal::SIGTERM),
            settled: Some(Verdict::Done),
            ..ended(Exit::Signal(15), Some(Verdict::Done))
        };
        assert_eq!(parts(&settled), (0, None, None), "a stop takes nothing back");
        let finished = Ended {
            stopped: Some(Signal::SIGTERM),
            ..ended(Exit::Code(0), Some(Verdict::Done))
        };
        assert_eq!(parts(&finished).0, 0);
    }

    #[test]
    fn a_silent_run_is_stalled_whatever_came_after() {
        let silent = Ended {
            stalled: Some(Duration::from_secs(900)),
            ..ended(Exit::Code(0), None)
        };
        let message = "claude printed nothing for 900s (stallTimeout) and was stopped".to_owned();
        assert_eq!(parts(&silent), (143, Some(TaskReason::Stalled), Some(message)));
    }

    #[test]
    fn a_run_that_has_spent_its_cap_says_so_unless_it_had_ended_well_before() {
        let over = "$1.00 was spent of $1.00 that the run may spend (spec.budget)".to_owned();
        let ended = |exit, settled: Option<Verdict>| Ended {
            over: Some(over.clone()),
            settled: settled.clone(),
            ..ended(exit, settled)
        };
        let message = format!("{over}; claude was stopped");
        for exit in [Exit::Code(0), Exit::Code(143), Exit::Signal(15)] {
            let expected = (143, Some(TaskReason::BudgetExceeded), Some(message.clone()));
            assert_eq!(parts(&ended(exit, None)), expected);
            assert_eq!(parts(&ended(exit, Some(Verdict::Done))), (0, None, None));
        }
    }

    #[test]
    fn an_agent_that_had_said_how_it_ended_is_taken_at_its_word_however_its_process_went() {
        let note = Verdict::DoneBut("2 tool calls were denied (Bash)".into());
        for exit in [Exit::Code(143), Exit::Signal(9), Exit::Code(0), Exit::Code(1)] {
            let silent = |verdict: &Verdict| Ended {
                stalled: None,
                settled: Some(verdict.clone()),
                ..ended(exit, Some(verdict.clone()))
            };
            assert_eq!(parts(&silent(&Verdict::Done)), (0, None, None));
            let message = Some("2 tool calls were denied (Bash)".to_owned());
            assert_eq!(parts(&silent(&note)), (0, None, message));
            let failed = failed(TaskReason::RateLimited).unwrap();
            let (code, reason, message) = parts(&silent(&failed));
            assert_eq!(
                (reason, message.as_deref()),
                (Some(TaskReason::RateLimited), Some("its words"))
            );
            assert_ne!(code, 0);
        }
        let killed = ended(Exit::Signal(9), Some(Verdict::Done));
        assert_eq!(
            parts(&killed).1,
            Some(TaskReason::AgentError),
            "a tool can do that"
        );
    }

    #[test]
    fn standard_error_tells_the_reason_when_there_is_no_result() {
        let ended = Ended {
            stderr: vec!["Invalid API key".into()],
            ..ended(Exit::Code(1), None)
        };
        assert_eq!(parts(&ended).1, Some(TaskReason::AuthFailed));
    }
}
