//! What this program itself prints: lines of its log, which people read in a terminal.
//!
//! The agent's own stream and its standard error are passed on byte for byte; see [`crate::run::pump`].

use std::io::{self, Write as _};

/// Prints to standard error as `eprintln!` does, but nothing that a terminal obeys or nobody sees: subjects of commits, URLs
/// and git's words are others'.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::say::say(&format!($($words)*)) };
}

/// Prints a text. Further lines are indented: none of them can pass for a line of ours.
pub fn say(text: &str) {
    // A log that nobody reads is no failure.
    let _ = writeln!(io::stderr(), "{}", shown(text));
}

fn shown(text: &str) -> String {
    axon_api::shown::lines(text.trim_end()).replace('\n', "\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_commands_no_terminal_and_makes_no_line_of_its_own() {
        assert_eq!(
            shown("at 0123abc fix \u{1b}]0;PWNED\u{7}\u{202e}\n---AXON_OUTPUTS_START---\n"),
            "at 0123abc fix �]0;PWNED��\n  ---AXON_OUTPUTS_START---"
        );
    }
}
