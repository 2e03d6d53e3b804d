//! The one place that writes: data to stdout, talk to stderr.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{CliError, Kind, Result};
use crate::term::shown::{Colour, Shown};

/// Name of the program in usage lines when kubectl starts it.
pub const PLUGIN: &str = "kubectl axon";
/// Name of the program in usage lines when it is started as `axon`.
pub const STANDALONE: &str = "axon";

/// A notation for whole objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notation {
    /// As JSON
    Json,
    /// As YAML
    Yaml,
}

/// What `-o` may ask for of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObjectFormat {
    /// The object as JSON
    Json,
    /// The object as YAML
    Yaml,
    /// TYPE/NAME only
    Name,
}

/// What `-o` may ask for of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The object as JSON
    Json,
    /// The object as YAML
    Yaml,
    /// TYPE/NAME only
    Name,
    /// A table with more columns
    Wide,
}

/// How a piece of talk looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// In the background.
    Dim,
    /// Something went wrong.
    Bad,
    /// Something went well.
    Good,
}

/// The writer that every command gets.
#[derive(Debug, Clone)]
pub struct Ui {
    program: &'static str,
    colour: bool,
}

impl Ui {
    /// Returns the writer of a program that is called `program`. Colour is for terminals only, and `NO_COLOR` is
    /// honoured.
    #[must_use]
    pub fn new(program: &'static str) -> Self {
        Self {
            program,
            colour: colour_is_wanted() && io::stderr().is_terminal(),
        }
    }

    /// Returns the width of the terminal that stdout is; `None` if it is none.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
        Some(usize::from(width.0)).filter(|width| *width > 0)
    }

    /// Returns the height of the terminal that stdout is; `None` if it is none.
    #[must_use]
    pub fn height(&self) -> Option<usize> {
        let (_, height) = terminal_size::terminal_size_of(io::stdout())?;
        Some(usize::from(height.0)).filter(|height| *height > 0)
    }

    /// Returns true when stdout is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns true when data may be coloured: on a terminal, unless the user does not want it.
    #[must_use]
    pub fn colour_of_data(&self) -> bool {
        io::stdout().is_terminal() && colour_is_wanted()
    }

    /// Returns true when the locale has more than ASCII.
    #[must_use]
    pub fn unicode(&self) -> bool {
        // As POSIX has it: the first of them that says anything.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        cfg!(windows) || locale.is_some_and(|l| is_utf8(&l))
    }

    /// Writes a line of data.
    ///
    /// # Errors
    /// When stdout can't be written; a closed pipe is [`Kind::BrokenPipe`].
    pub fn line(&self, text: impl Into<Shown>) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.into().as_str().as_bytes())?;
        out.write_all(b"\n")?;
        Ok(())
    }

    /// Writes lines of data, whose last one has its end.
    ///
    /// # Errors
    /// As [`Ui::line`].
    pub fn block(&self, text: &Shown) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_str().as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Writes a line that somebody has asked for as it is. A terminal gets it as all other lines: it would obey it.
    ///
    /// # Errors
    /// As [`Ui::line`].
    pub fn raw_line(&self, text: &str) -> Result<()> {
        if self.is_terminal() {
            return self.line(text);
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        Ok(())
    }

    /// Writes a value as JSON or YAML.
    ///
    /// # Errors
    /// As [`Ui::line`].
    pub fn structured(&self, value: &impl Serialize, notation: Notation) -> Result<()> {
        let text = match notation {
            Notation::Json => {
                let json = serde_json::to_string_pretty(value)
                    .map_err(|e| CliError::new(format!("cannot write JSON: {e}")))?;
                axon_api::shown::json(&json) + "\n"
            }
            Notation::Yaml => yaml(value)?,
        };
        self.block(&Shown::block(&text))
    }

    /// Writes a line of talk. Commands are written as `kubectl axon …`.
    pub fn say(&self, text: impl Into<Shown>) {
        self.say_in(Style::Plain, text);
    }

    /// Writes a line of talk in a style.
    pub fn say_in(&self, style: Style, text: impl Into<Shown>) {
        let text = text.into();
        let colour = match style {
            Style::Plain => None,
            Style::Dim => Some(Colour::Dim),
            Style::Bad => Some(Colour::Red),
            Style::Good => Some(Colour::Green),
        };
        let text = match colour.filter(|_| self.colour) {
            Some(colour) => text.coloured(colour),
            None => text,
        };
        let line = format!("{}\n", self.addressed(text.as_str()));
        // Talk that nobody can hear is no failure.
        io::stderr().write_all(line.as_bytes()).ok();
    }

    /// Writes a next step, for people: scripts that collect stderr do not get it.
    pub fn tip(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.say_in(Style::Dim, text);
        }
    }

    /// Writes a warning.
    pub fn warn(&self, text: &str) {
        self.say(&format!("warning: {text}"));
    }

    /// Writes what went wrong and what to do.
    pub fn error(&self, error: &CliError) {
        if !error.message.is_empty() {
            self.say_in(Style::Bad, &format!("error: {error}"));
        }
        for hint in &error.hints {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// Returns true when somebody can be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Asks a question that `yes` answers in advance.
    ///
    /// # Errors
    /// When the answer is no, or when nobody can be asked; `without` says what -y would do.
    pub fn confirm(&self, question: &str, yes: bool, without: &str) -> Result<()> {
        if yes {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(CliError::usage(without.to_owned()).hint("pass -y to go ahead without being asked"));
        }
        let mut err = io::stderr().lock();
        let question = Shown::from(question);
        write!(err, "{} [y/N] ", self.addressed(question.as_str())).ok();
        err.flush().ok();
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|e| CliError::new(format!("cannot read the answer: {e}")))?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err(CliError::of(Kind::Error, "stopped; nothing was changed"))
        }
    }

    /// Commands in texts read as the program was called.
    #[must_use]
    pub fn addressed(&self, text: &str) -> String {
        if self.program == STANDALONE {
            text.replace("kubectl axon ", "axon ")
        } else {
            text.to_owned()
        }
    }
}

fn colour_is_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    !refused && !dumb
}

fn is_utf8(locale: &str) -> bool {
    let plain = locale.to_ascii_lowercase().replace('-', "");
    plain.ends_with("utf8") || plain.contains("utf8@")
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Returns a value as one YAML document without hidden characters.
///
/// # Errors
/// When the value can't be written as YAML.
pub fn yaml(value: &impl Serialize) -> Result<String> {
    axon_api::yaml::to_string(value).map_err(|e| CliError::new(format!("cannot write YAML: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_say_whether_there_is_unicode() {
        for locale in ["C.UTF-8", "en_US.utf8", "de_DE.UTF-8@euro"] {
            assert!(is_utf8(locale), "{locale}");
        }
        for locale in ["C", "POSIX", "de_DE.ISO-8859-1", ""] {
            assert!(!is_utf8(locale), "{locale}");
        }
    }

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y", "Y\n", " yes ", "YES"] {
            assert!(is_yes(yes), "{yes}");
        }
        for no in ["", "\n", "n", "no", "yep", "ja"] {
            assert!(!is_yes(no), "{no}");
        }
    }

    #[test]
    fn commands_are_named_as_the_program_was_called() {
        let ui = Ui {
            program: STANDALONE,
            colour: false,
        };
        assert_eq!(ui.addressed("run: kubectl axon logs x"), "run: axon logs x");
        let plugin = Ui {
            program: PLUGIN,
            colour: false,
        };
        assert_eq!(plugin.addressed("kubectl axon logs x"), "kubectl axon logs x");
    }
}
