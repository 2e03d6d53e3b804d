//! A text that takes the place of the one before it on a terminal.

use super::Shown;
use crate::text_width;

impl Shown {
    /// Returns what draws the text in place of the last frame, which had `above` lines, and the number of its lines. No line is
    /// wrapped by the terminal: where the next frame begins is counted in lines.
    #[must_use]
    pub fn frame(&self, (width, height): (Option<usize>, usize), above: usize) -> (Self, usize) {
        let mut lines: Vec<&str> = self.0.lines().collect();
        let more;
        // One line is the cursor's.
        let room = height.saturating_sub(1).max(2);
        if lines.len() > room {
            more = format!(
                "({} more lines: name a task, or make the window taller)",
                lines.len() - room + 1
            );
            lines.truncate(room - 1);
            lines.push(&more);
        }
        // Up to where the last one began, and each line anew: to clear all first would flicker. Behind a line that fills its
        // row, terminals would clear its last character.
        let mut frame = String::new();
        if above > 0 {
            frame += &format!("\x1b[{above}F");
        }
        for line in &lines {
            let cut = width.map(|width| text_width::cut(line, width));
            frame += &format!("\x1b[K{}\n", cut.as_deref().unwrap_or(line));
        }
        frame += "\x1b[J";
        (Self(frame), lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a frame as the terminal shows them.
    fn rows(frame: &str) -> Vec<&str> {
        let body = frame.split_once('F').map_or(frame, |(_, body)| body);
        let rows = body.split('\n').filter(|line| *line != "\x1b[J");
        rows.map(|line| line.strip_prefix("\x1b[K").unwrap()).collect()
    }

    #[test]
    fn no_line_of_a_frame_is_wider_than_the_terminal() {
        let chain = "* critical path, 1h20m: scaffold → tests-of-the-user-service-with-a-long-name → merge";
        let text = format!("NAME\n\x1b[31m{}\x1b[0m\n\n{chain}\n", "修".repeat(50));
        let text = Shown(text);
        let (drawn, lines) = text.frame((Some(80), 24), 0);
        let drawn = drawn.0;
        assert_eq!(lines, 4);
        let rows = rows(&drawn);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1].matches('修').count(), 40);
        assert!(rows[1].ends_with("修\x1b[0m"), "{drawn:?}");
        assert_eq!(text_width::width(rows[3]), 80);
        let again = text.frame((Some(80), 24), lines).0.0;
        assert!(again.starts_with("\x1b[4F"), "{again:?}");
    }

    #[test]
    fn what_is_too_long_says_how_much_is_left_out() {
        let (drawn, lines) = Shown::block("a\nb\nc\nd\ne\n").frame((Some(80), 4), 0);
        let drawn = drawn.0;
        assert_eq!((lines, rows(&drawn)[1]), (3, "b"));
        assert!(rows(&drawn)[2].starts_with("(3 more lines"), "{drawn:?}");
    }
}
