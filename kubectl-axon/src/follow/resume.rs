//! Where to go on after a log stream broke: no line is lost and none is shown twice.
//!
//! The API server can start a log at a whole second only, so a new stream repeats the last seconds. Lines of those
//! are known again by their time and content. stdout and stderr of a container are stamped apart, so lines can be a
//! little out of order; hence a window and not just the last line.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash as _, Hasher as _};

use jiff::{SignedDuration, Timestamp};

/// How far back of the last line a new stream starts.
const BACK: SignedDuration = SignedDuration::from_secs(2);
/// How late a line may come behind one with a later time.
const LATE: SignedDuration = SignedDuration::from_secs(1);

type Line = (Timestamp, u64);

/// The lines around the end of what was read.
#[derive(Debug, Default)]
pub struct Resume {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    window: VecDeque<Line>,
    /// What a new stream will repeat, and up to when.
    repeats: HashMap<Line, usize>,
    until: Option<Timestamp>,
}

impl Resume {
    /// Returns the time to start a new stream at; `None` if nothing was read.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        let from = self.last?.checked_sub(BACK).ok()?;
        // The client rounds to seconds, possibly up, which would skip lines.
        Timestamp::from_second(from.as_second()).ok()
    }

    /// Notes that a new stream begins.
    pub fn restart(&mut self) {
        self.until = self.last;
        self.repeats.clear();
        for line in &self.window {
            *self.repeats.entry(*line).or_default() += 1;
        }
    }

    /// Returns true if a line is to be shown, false if it was shown before.
    pub fn accept(&mut self, time: Timestamp, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let line = (time, hasher.finish());
        if let Some(until) = self.until
            && time <= until
        {
            if let Some(count) = self.repeats.get_mut(&line).filter(|count| **count > 0) {
                *count -= 1;
                return false;
            }
            // Before the first line that was asked for, or the rest of a line whose start lies before the window.
            let too_early = self.first.is_some_and(|first| time < first);
            if too_early || until.duration_since(time) > LATE {
                return false;
            }
        }
        self.first.get_or_insert(time);
        self.last = self.last.max(Some(time));
        self.window.push_back(line);
        if let Some(since) = self.since() {
            while self.window.front().is_some_and(|(time, _)| *time < since) {
                self.window.pop_front();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    /// What a server with these lines sends to a stream that starts at `since`.
    fn served(lines: &[(i64, String)], since: Option<Timestamp>, upto: usize) -> Vec<(i64, String)> {
        let sent = lines.iter().take(upto);
        sent.filter(|(time, _)| since.is_none_or(|s| at(*time) >= s))
            .cloned()
            .collect()
    }

    #[test]
    fn a_stream_that_breaks_at_any_line_is_shown_whole_and_once() {
        // Equal times, equal texts, and lines that come late.
        let times = [
            0, 0, 5, 3, 900, 1000, 1000, 1700, 1650, 2500, 2500, 2500, 7000, 7001, 9000, 8990, 20_000,
        ];
        let lines: Vec<(i64, String)> = times
            .iter()
            .enumerate()
            .map(|(i, t)| (*t, format!("line {}", i / 2)))
            .collect();
        for broken in 0..=lines.len() {
            for again in broken..=lines.len() {
                let mut resume = Resume::default();
                let mut shown = Vec::new();
                for upto in [broken, again, lines.len()] {
                    let since = resume.since();
                    resume.restart();
                    for (time, text) in served(&lines, since, upto) {
                        if resume.accept(at(time), &text) {
                            shown.push((time, text));
                        }
                    }
                }
                assert_eq!(shown, lines, "broken after {broken} and {again}");
            }
        }
    }

    #[test]
    fn lines_before_the_tail_that_was_asked_for_stay_hidden() {
        let mut resume = Resume::default();
        assert!(resume.accept(at(5000), "asked for"));
        resume.restart();
        assert!(!resume.accept(at(4900), "older"));
        assert!(!resume.accept(at(5000), "asked for"));
        assert!(resume.accept(at(5001), "new"));
    }

    #[test]
    fn the_start_is_never_rounded_up() {
        let mut resume = Resume::default();
        resume.accept(at(5900), "x");
        assert_eq!(resume.since(), Some(at(3000)));
    }
}
