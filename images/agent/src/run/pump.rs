//! Passes output on as it comes, byte for byte.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};

use crate::agent::Line;

/// Longest line that is read for meaning. A longer one is passed on all the same.
const LONGEST: u64 = 32 << 20;
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

/// Passes `input` on to `sink`, without the lines that `on_line` drops. `after` is called after each line, and told
/// whether the next read may have to wait.
///
/// # Errors
/// If `input` can't be read.
pub fn pass_lines<R: Read, W: Write>(
    input: R,
    sink: &mut Sink<W>,
    mut on_line: impl FnMut(&[u8]) -> Line,
    mut after: impl FnMut(bool),
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    let mut in_long_line = false;
    loop {
        line.clear();
        let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let cut = !line.ends_with(b"\n") && read as u64 == LONGEST;
        if in_long_line || cut || on_line(&line) == Line::Forward {
            sink.put(&line);
        }
        in_long_line = cut;
        after(input.buffer().is_empty());
    }
}

/// Passes `input` on to `out` and returns its last lines.
pub fn pass_errors(input: impl Read, out: impl Write) -> Vec<String> {
    let mut last = VecDeque::new();
    let mut sink = Sink::new(out);
    let remember = |line: &[u8]| {
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
        let on_line = |line: &[u8]| match line {
            b"drop\n" => Line::Drop,
            _ => Line::Forward,
        };
        let mut waits = Vec::new();
        pass_lines(input, &mut sink, on_line, |wait| waits.push(wait)).unwrap();
        assert!(!sink.at_line_start());
        assert_eq!(out, b"one\r\n\xff\xfe\n\n{\"a\":1}\nno end");
        assert_eq!(waits, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_line_beyond_all_bounds_is_passed_on_unread() {
        let mut input = vec![b'x'; usize::try_from(LONGEST).unwrap() + 10];
        input.extend(b"\nnext\n");
        let mut out = Vec::new();
        let mut seen = Vec::new();
        let mut sink = Sink::new(&mut out);
        let on_line = |line: &[u8]| {
            seen.push(line.to_vec());
            Line::Forward
        };
        pass_lines(input.as_slice(), &mut sink, on_line, |_| {}).unwrap();
        assert!(out == input);
        assert_eq!(seen, [b"next\n"]);
    }

    #[test]
    fn the_run_goes_on_without_a_reader() {
        let mut seen = 0;
        let on_line = |_: &[u8]| {
            seen += 1;
            Line::Forward
        };
        pass_lines(b"a\nb\n".as_slice(), &mut Sink::new(Closed), on_line, |_| {}).unwrap();
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
