//! The reader of an agent's output, with the line whose end is still missing and the time of the last event of work.

use std::time::{Duration, Instant};

use axon_api::usage::Usage;

use super::tee::Piece;
use crate::agent::readable::is_whole;
use crate::agent::{Line, Stream, Verdict};

/// How long a line may lack its end before it is tried as an event: most come in several pieces.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads an agent's output, piece by piece.
pub struct Watch {
    stream: Box<dyn Stream + Send>,
    /// Begin of the line under way.
    part: Vec<u8>,
    /// When it grew last; `None` once it was tried, or if there is nothing to try.
    grown: Option<Instant>,
    /// Length of the line under way when it was read as an event, and what becomes of it.
    read: Option<(usize, Line)>,
    worked: Instant,
}

impl Watch {
    /// Returns a reader of an agent that starts at the time `now`.
    pub fn new(stream: Box<dyn Stream + Send>, now: Instant) -> Self {
        Self {
            stream,
            part: Vec::new(),
            grown: None,
            read: None,
            worked: now,
        }
    }

    /// Takes what came at the time `now`. An event that was read before its line's end came is not read twice.
    pub fn take(&mut self, piece: Piece<'_>, now: Instant) -> Line {
        match piece {
            Piece::Part(part) => {
                self.part.extend_from_slice(part);
                self.grown = Some(now);
                Line::Forward
            }
            Piece::Cut => {
                self.forget();
                Line::Forward
            }
            Piece::Line(line) => {
                let read = self.read.filter(|(length, _)| {
                    let rest = line.get(*length..).unwrap_or_default();
                    rest.trim_ascii().is_empty()
                });
                self.forget();
                match read {
                    Some((_, line)) => line,
                    None => self.event(line, now),
                }
            }
        }
    }

    /// Reads the line under way if it is a whole event and its end has been missing for a second, or at once if `at_end`.
    pub fn try_part(&mut self, now: Instant, at_end: bool) {
        let is_due = |grown: Instant| at_end || now.saturating_duration_since(grown) >= PAUSE;
        if self.read.is_some() || !self.grown.is_some_and(is_due) {
            return;
        }
        self.grown = None;
        if is_whole(&self.part) {
            let part = std::mem::take(&mut self.part);
            self.read = Some((part.len(), self.event(&part, now)));
        }
    }

    /// Returns the last event's verdict.
    pub fn verdict(&self) -> Option<Verdict> {
        self.stream.verdict()
    }

    /// Returns the last event's verdict if no event of work has come for `linger`.
    pub fn lingering(&self, linger: Duration, now: Instant) -> Option<Verdict> {
        let is_over = now.saturating_duration_since(self.worked) >= linger;
        is_over.then(|| self.verdict()).flatten()
    }

    /// Returns what was consumed up to here.
    pub fn usage(&mut self) -> Usage {
        self.stream.usage()
    }

    fn event(&mut self, line: &[u8], now: Instant) -> Line {
        let line = self.stream.line(line);
        if self.stream.is_at_work() {
            self.worked = now;
        }
        line
    }

    fn forget(&mut self) {
        self.part.clear();
        self.grown = None;
        self.read = None;
    }
}

#[cfg(test)]
mod tests {
    use axon_api::contract::env;

    use super::*;
    use crate::agent;
    use crate::env::Env;

    /// A final event of each agent, events of work after it, and lines that are none.
    const AGENTS: [(&str, &str, &[&str], &[&str]); 4] = [
        (
            "claude-code",
            r#"{"type":"result","subtype":"success","is_error":false,"usage":{"output_tokens":1}}"#,
            &[
                r#"{"type":"assistant","message":{"id":"m","content":[]}}"#,
                r#"{"type":"user","message":{"content":[{"type":"tool_result"}]}}"#,
                r#"{"type":"stream_event","event":{"type":"message_stop"}}"#,
                r#"{"type":"system","subtype":"init"}"#,
                r#"{"type":"system","subtype":"task_notification"}"#,
            ],
            &[
                r#"{"type":"system","subtype":"status","status":"requesting"}"#,
                r#"{"type":"system","subtype":"status","status":"compacting"}"#,
                r#"{"type":"system","subtype":"task_progress"}"#,
                r#"{"type":"later"}"#,
            ],
        ),
        (
            "codex",
            r#"{"type":"turn.completed","usage":{"output_tokens":1}}"#,
            &[
                r#"{"type":"turn.started"}"#,
                r#"{"type":"item.started","item":{"type":"command_execution"}}"#,
                r#"{"type":"item.completed","item":{"type":"agent_message"}}"#,
            ],
            &[
                r#"{"type":"error","message":"Reconnecting"}"#,
                r#"{"type":"later"}"#,
            ],
        ),
        (
            "gemini",
            r#"{"type":"result","status":"success"}"#,
            &[
                r#"{"type":"message","role":"assistant"}"#,
                r#"{"type":"tool_use"}"#,
                r#"{"type":"tool_result"}"#,
            ],
            &[r#"{"type":"error","severity":"warning"}"#, r#"{"type":"later"}"#],
        ),
        (
            "opencode",
            r#"{"type":"step_finish","part":{"id":"p","reason":"stop"}}"#,
            &[
                r#"{"type":"step_start"}"#,
                r#"{"type":"text"}"#,
                r#"{"type":"tool_use"}"#,
            ],
            &[r#"{"type":"later"}"#],
        ),
    ];

    fn watch(kind: &str, now: Instant) -> Watch {
        let env: Env = [(env::AGENT_TYPE, kind), ("HOME", "/none")].into_iter().collect();
        let agent = agent::of(&env).unwrap_or_else(|e| panic!("{e}"));
        Watch::new(agent.stream(&env), now)
    }

    #[test]
    fn only_an_event_of_work_gives_an_agent_that_is_done_its_time_again() {
        let linger = Duration::from_secs(60);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (kind, done, work, others) in AGENTS {
            let noise = ["", "not json", "[1]", "{", "7"];
            let no_work = others.iter().copied().chain(noise).map(|line| (line, false));
            let lines = work.iter().copied().chain([done]).map(|line| (line, true));
            for (line, is_work) in lines.chain(no_work) {
                let mut watch = watch(kind, start);
                assert_eq!(watch.lingering(linger, at(100)), None, "{kind} has not ended");
                watch.take(Piece::Line(done.as_bytes()), at(100));
                assert_eq!(watch.lingering(linger, at(159)), None, "{kind}");
                watch.take(Piece::Line(line.as_bytes()), at(159));
                assert_eq!(
                    watch.lingering(linger, at(160)).is_none(),
                    is_work,
                    "{kind} {line}"
                );
                assert_eq!(
                    watch.lingering(linger, at(219)),
                    Some(Verdict::Done),
                    "{kind} {line}"
                );
            }
        }
    }

    #[test]
    fn a_final_event_counts_without_its_line_s_end_and_counts_once() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        for (kind, done, ..) in AGENTS {
            let (begin, end) = done.as_bytes().split_at(20);
            let mut watch = watch(kind, start);
            watch.take(Piece::Part(begin), start);
            watch.try_part(after(2_000), true);
            assert_eq!(watch.verdict(), None, "{kind}: only a begin");
            watch.take(Piece::Part(end), after(3_000));
            watch.try_part(after(3_999), false);
            assert_eq!(watch.verdict(), None, "{kind}: no second has passed");
            watch.try_part(after(4_000), false);
            assert_eq!(watch.verdict(), Some(Verdict::Done), "{kind}");
            let usage = watch.usage();
            // The line's end does not read it again: that would give the agent its time again.
            watch.take(Piece::Part(b" "), after(5_000));
            watch.try_part(after(7_000), true);
            watch.take(Piece::Line(&[done.as_bytes(), b" \r\n"].concat()), after(9_000));
            assert_eq!(watch.usage(), usage, "{kind}");
            let linger = Duration::from_secs(4);
            assert_eq!(
                watch.lingering(linger, after(8_000)),
                Some(Verdict::Done),
                "{kind}"
            );
            // The next line is another.
            watch.take(Piece::Line(done.as_bytes()), after(9_000));
            assert_eq!(watch.lingering(linger, after(9_500)), None, "{kind}");
        }
    }

    #[test]
    fn a_line_beyond_all_bounds_is_forgotten() {
        let start = Instant::now();
        let (kind, done, ..) = AGENTS[0];
        let mut watch = watch(kind, start);
        watch.take(Piece::Part(done.as_bytes()), start);
        watch.take(Piece::Cut, start);
        watch.try_part(start, true);
        assert_eq!(watch.verdict(), None);
    }
}
