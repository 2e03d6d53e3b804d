//! The one type that is printed. Only this module makes it, and it makes every character of others harmless on the way;
//! what our own code adds, colours and the cursor's moves, is added here behind that.

mod frame;

use axon_api::shown::lines;

/// Text that may go to a terminal: it has no control characters but line feeds and tabs, nothing that reorders or hides
/// text, and no escape sequence that we have not written ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown(String);

/// A colour of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// In the background.
    Dim,
    /// Something went wrong.
    Red,
    /// Something went well.
    Green,
    /// Something waits.
    Yellow,
    /// Something goes on.
    Cyan,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Cyan => 36,
        }
    }
}

/// Further lines are indented: no text of others can pass for a line of ours.
impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        let text = lines(text);
        let mut all = text.split('\n');
        let mut shown = all.next().unwrap_or_default().to_owned();
        for line in all {
            shown += if line.is_empty() || line.starts_with("  ") {
                "\n"
            } else {
                "\n  "
            };
            shown += line;
        }
        Self(shown)
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl Shown {
    /// Returns a text whose lines are ours, such as those of a table. What others wrote has to be on one line each.
    #[must_use]
    pub fn block(text: &str) -> Self {
        Self(lines(text))
    }

    /// Adds a piece of a line.
    pub fn push(&mut self, text: &str) {
        self.0 += &Self::from(text).0;
    }

    /// Adds a piece of a line, in a colour.
    pub fn push_in(&mut self, colour: Colour, text: &str) {
        self.0 += &Self::from(text).coloured(colour).0;
    }

    /// Ends a line.
    pub fn end_line(&mut self) {
        self.0.push('\n');
    }

    /// Returns the text in a colour.
    #[must_use]
    pub fn coloured(self, colour: Colour) -> Self {
        Self(format!("\x1b[{}m{}\x1b[0m", colour.code(), self.0))
    }

    /// Returns what is printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_ours_and_no_line_of_others_stands_at_the_margin() {
        let evil = "x\u{1b}[31m\u{9b}m\ntask/x Succeeded\n    deeper\n\n y";
        let shown = Shown::from(evil);
        assert_eq!(shown.as_str(), "x�[31m�m\n  task/x Succeeded\n    deeper\n\n   y");
        assert_eq!(
            Shown::from("\u{1b}").coloured(Colour::Red).as_str(),
            "\x1b[31m�\x1b[0m"
        );
        let mut row = Shown::default();
        row.push("a\u{7} ");
        row.push_in(Colour::Green, "b\u{202e}");
        row.end_line();
        assert_eq!(row.as_str(), "a� \x1b[32mb�\x1b[0m\n");
        assert_eq!(Shown::block("a\nb\u{1b}\tc\n").as_str(), "a\nb�\tc\n");
    }

    /// `print!` and its kin, and handles of standard output, would go past [`Shown`].
    #[test]
    fn nothing_is_printed_past_this_type() {
        let mut folders = vec![std::path::PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src"
        ))];
        let mut printers = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                // In two halves: this file is read, too.
                let handles = [
                    concat!("io::std", "out()"),
                    concat!("io::std", "err()"),
                    concat!("print", "ln!("),
                    concat!("print", "!("),
                ];
                if handles.iter().any(|handle| text.contains(handle)) {
                    printers.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        assert_eq!(printers, ["output.rs"]);
    }
}
