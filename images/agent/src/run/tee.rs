//! Passes output on as it comes, byte for byte.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::agent::Line;

/// Longest line that is read for meaning. A longer one is passed on all the same.
const LONGEST: usize = 32 << 20;
/// Lines of standard error that are remembered.
const REMEMBERED: usize = 20;
/// Bytes remembered of each of them.
const REMEMBERED_BYTES: usize = 500;

/// Standard output that may be gone: the run goes on without a reader.
pub struct Sink<W> {
    out: W,
    gone: bool,
    at_line_start: bool,
}

impl<W: Write> Sink<W> {
    /// Returns a sink that writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            gone: false,
            at_line_start: true,
        }
    }

    /// Returns true when nothing, or a line end, was written last.
    pub fn at_line_start(&self) -> bool {
        self.at_line_start
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
        }
        if !self.gone {
            self.gone = self.out.write_all(bytes).and_then(|()| self.out.flush()).is_err();
        }
    }
}

/// A piece of the input.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// A line, with its end unless the input ended without one.
    Line(&'a [u8]),
    /// More of a line whose end has not come yet. All of it comes once more, as the line.
    Part(&'a [u8]),
    /// The line under way is longer than any that is read.
    Cut,
}

/// Passes `input` on to `sink`, without the lines that `on_piece` drops; its answer counts for lines alone. `after` is called
/// after each line, and told whether the next read may have to wait.
///
/// # Errors
/// If `input` can't be read.
pub fn pass_lines<R: Read, W: Write>(
    input: R,
    sink: &mut Sink<W>,
    mut on_piece: impl FnMut(Piece<'_>) -> Line,
    mut after: impl FnMut(bool),
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    let mut in_long_line = false;
    loop {
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        let is_end = chunk.is_empty();
        let in_line = chunk.iter().position(|byte| *byte == b'\n');
        let length = in_line.map_or(chunk.len(), |at| at + 1).min(LONGEST - line.len());
        let part = chunk.get(..length).unwrap_or_default();
        line.extend_from_slice(part);
        let is_line = part.ends_with(b"\n") || (is_end && !line.is_empty());
        let cut = !is_line && line.len() == LONGEST;
        if cut && !in_long_line {
            on_piece(Piece::Cut);
        } else if !is_line && !is_end && !in_long_line {
            on_piece(Piece::Part(part));
        }
        input.consume(length);
        if is_line || cut {
            if in_long_line || cut || on_piece(Piece::Line(&line)) == Line::Forward {
                sink.put(&line);
            }
            in_long_line = cut;
            line.clear();
            after(input.buffer().is_empty());
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Passes `input` on to `out` and returns its last lines.
pub fn pass_errors(input: impl Read, out: impl Write) -> Vec<String> {
    let mut last = VecDeque::new();
    let mut sink = Sink::new(out);
    let remember = |piece: Piece<'_>| {
        let Piece::Line(line) = piece else {
            return Line::Forward;
        };
        let text = String::from_utf8_lossy(line.get(..REMEMBERED_BYTES).unwrap_or(line));
        if !text.trim().is_empty() {
            last.push_back(text.trim_end().to_owned());
            if last.len() > REMEMBERED {
                last.pop_front();
            }
        }
        Line::Forward
    };
    // An unreadable pipe is an ended one.
    let _ = pass_lines(input, &mut sink, remember, |_| {});
    last.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in_save_for_dropped_lines() {
        let input = b"one\r\n\xff\xfe\n\ndrop\n{\"a\":1}\nno end".as_slice();
        let mut out = Vec::new();
        let mut sink = Sink::new(&mut out);
        let on_piece = |piece: Piece<'_>| match piece {
            Piece::Line(b"drop\n") => Line::Drop,
            _ => Line::Forward,
        };
        let mut waits = Vec::new();
        pass_lines(input, &mut sink, on_piece, |wait| waits.push(wait)).unwrap();
        assert!(!sink.at_line_start());
        assert_eq!(out, b"one\r\n\xff\xfe\n\n{\"a\":1}\nno end");
        assert_eq!(waits, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_line_beyond_all_bounds_is_passed_on_unread() {
        let mut input = vec![b'x'; LONGEST + 10];
        input.extend(b"\nnext\n");
        let mut out = Vec::new();
        let mut seen = Vec::new();
        let mut sink = Sink::new(&mut out);
        let on_piece = |piece: Piece<'_>| {
            if let Piece::Line(line) = piece {
                seen.push(line.to_vec());
            }
            Line::Forward
        };
        pass_lines(input.as_slice(), &mut sink, on_piece, |_| {}).unwrap();
        assert!(out == input);
        assert_eq!(seen, [b"next\n"]);
    }

    #[test]
    fn the_run_goes_on_without_a_reader() {
        let mut seen = 0;
        let on_piece = |_: Piece<'_>| {
            seen += 1;
            Line::Forward
        };
        pass_lines(b"a\nb\n".as_slice(), &mut Sink::new(Closed), on_piece, |_| {}).unwrap();
        assert_eq!(seen, 2);
    }

    #[test]
    fn the_last_errors_are_remembered() {
        let text: String = (0..30).map(|n| format!("line {n}\n\n")).collect();
        let last = pass_errors(text.as_bytes(), io::sink());
        assert_eq!(
            (last.len(), last[0].as_str(), last[19].as_str()),
            (20, "line 10", "line 29")
        );
    }
}
