//! Where the lines of a log go: rendered to stdout and stderr, or held back until it is known which are the last.

use std::collections::VecDeque;

use axon_api::agents::AgentType;
use serde::Serialize;

use super::Options;
use crate::error::{CliError, Result};
use crate::render::{Event, Piece, Renderer};
use crate::term::output::{Style, Ui};

/// Writes the lines of a log.
pub struct Sink<'a> {
    ui: &'a Ui,
    renderer: Option<Renderer>,
    timestamps: bool,
    json: bool,
    /// Lines go out as they are.
    raw: bool,
    /// Stdout is for something else.
    talk: bool,
    held: Option<Held>,
}

/// The last lines of what was written so far.
struct Held {
    most: usize,
    lines: VecDeque<Piece>,
}

impl<'a> Sink<'a> {
    /// Returns a sink that renders an agent's log. Without an agent lines are shown as they come, and with `raw` they pass
    /// unchanged.
    #[must_use]
    pub fn new(ui: &'a Ui, agent: Option<AgentType>, options: &Options) -> Self {
        Self {
            ui,
            renderer: agent.filter(|_| !options.raw).map(Renderer::new),
            timestamps: options.timestamps,
            json: options.json,
            raw: options.raw,
            talk: options.finished.is_some(),
            held: None,
        }
    }

    /// Returns true if lines of the log are not the lines that are shown.
    #[must_use]
    pub fn renders(&self) -> bool {
        self.renderer.is_some()
    }

    /// Keeps only the last `most` lines from now on, until they are released.
    pub(super) fn hold(&mut self, most: i64) {
        self.held = Some(Held {
            most: usize::try_from(most).unwrap_or_default(),
            lines: VecDeque::new(),
        });
    }

    /// Writes what was held, and holds no longer.
    pub(super) fn release(&mut self) -> Result<()> {
        let held = self.held.take().map(|held| held.lines).unwrap_or_default();
        held.into_iter().try_for_each(|line| self.print(line))
    }

    pub(super) fn line(&mut self, time: &str, text: &str) -> Result<()> {
        if self.raw {
            // Not by way of an event: what people are shown of it has no hidden characters.
            let time = if self.timestamps && !time.is_empty() {
                format!("{time} ")
            } else {
                String::new()
            };
            return self.ui.raw_line(&format!("{time}{text}"));
        }
        let events = match &mut self.renderer {
            Some(renderer) => renderer.render(text),
            None => vec![Event::Line {
                text: text.to_owned(),
            }],
        };
        self.write(&events, time)
    }

    /// Writes what the kubelet says in place of a log.
    pub(super) fn aside(&mut self, text: &str) {
        self.ui.say_in(Style::Dim, text);
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        let held = self.renderer.as_mut().map(Renderer::finish).unwrap_or_default();
        self.write(&held, "")?;
        self.release()
    }

    fn write(&mut self, events: &[Event], time: &str) -> Result<()> {
        for event in events {
            let shown = if self.json {
                vec![Piece::Text(object(event, time)?)]
            } else {
                let time = if self.timestamps { time } else { "" };
                event
                    .pieces()
                    .into_iter()
                    .flat_map(|piece| lines(piece, time))
                    .collect()
            };
            for line in shown {
                match &mut self.held {
                    Some(held) => held.keep(line),
                    None => self.print(line)?,
                }
            }
        }
        Ok(())
    }

    fn print(&self, line: Piece) -> Result<()> {
        match line {
            Piece::Text(text) if self.talk => self.ui.say(&text),
            Piece::Text(text) => return self.ui.line(&text),
            Piece::Note(note) => self.ui.say_in(Style::Dim, &note),
            Piece::Fault(fault) => self.ui.say_in(Style::Bad, &fault),
        }
        Ok(())
    }
}

impl Held {
    fn keep(&mut self, line: Piece) {
        self.lines.push_back(line);
        if self.lines.len() > self.most {
            self.lines.pop_front();
        }
    }
}

/// An event, and when it was written to the log.
#[derive(Serialize)]
struct Dated<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    time: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// Returns an event as a line of JSON.
fn object(event: &Event, time: &str) -> Result<String> {
    serde_json::to_string(&Dated { time, event })
        .map(|text| axon_api::shown::json(&text))
        .map_err(|e| CliError::new(format!("cannot write JSON: {e}")))
}

/// Returns the lines of a piece, each with its time. Empty notes only set things apart, which times do as well.
fn lines(piece: Piece, time: &str) -> Vec<Piece> {
    let (text, kind): (_, fn(String) -> Piece) = match piece {
        Piece::Text(text) => (text, Piece::Text),
        Piece::Note(note) => (note, Piece::Note),
        Piece::Fault(fault) => (fault, Piece::Fault),
    };
    if !time.is_empty() && text.is_empty() {
        return Vec::new();
    }
    let stamped = |line: &str| match (time, line) {
        ("", line) => line.to_owned(),
        (time, "") => time.to_owned(),
        (time, line) => format!("{time} {line}"),
    };
    text.split('\n').map(|line| kind(stamped(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_time_and_nothing_else_has() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            lines(text("a\n\nb"), "1s"),
            [text("1s a"), text("1s"), text("1s b")]
        );
        assert_eq!(lines(text("a\nb"), ""), [text("a"), text("b")]);
        let apart = Piece::Note(String::new());
        assert_eq!(lines(apart.clone(), "1s"), []);
        assert_eq!(lines(apart.clone(), ""), [apart]);
    }
}
