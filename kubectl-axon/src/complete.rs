//! Completion: what may come next on a command line. `look` is pure; `live` asks the cluster for names.
//!
//! The answer follows cobra's protocol, which kubectl speaks with `kubectl_complete-*` programs: a candidate a line, with
//! its description behind a tab, and a last line `:DIRECTIVE`. Completion never fails aloud: who asks is a shell in the
//! middle of somebody's typing.

mod cluster;
mod line;

use axon_api::shown::has_hidden;

use crate::term::output::Ui;
use crate::term::shown::Shown;

pub use crate::complete::line::{Request, Source, look};

/// Directive: offer nothing else, such as files.
const NO_FILES: u8 = 4;
/// Directive: let the shell complete files.
const FILES: u8 = 0;
/// Longest description.
const MAX_DESCRIPTION: usize = 70;

/// A word that may come next, and what it is.
pub type Candidate = (String, String);

/// Answers for the words after the program's name, of which the last one is being typed.
pub fn answer(ui: &Ui, words: &[String]) {
    let mut command = crate::cli::command(crate::term::output::PLUGIN);
    command.build();
    let request = look(&command, words);
    let (candidates, directive) = match &request.source {
        Source::Nothing => (Vec::new(), NO_FILES),
        Source::Files => (Vec::new(), FILES),
        Source::Words(words) => (words.clone(), NO_FILES),
        source => (cluster::names(source, &request), NO_FILES),
    };
    let mut text = String::new();
    for (word, description) in candidates {
        // Whoever compares whole words has typed what stands before, too.
        let whole = format!("{}{word}", request.before);
        if !whole.starts_with(&format!("{}{}", request.before, request.prefix)) {
            continue;
        }
        // A shell would take the name for what it shows, and people for what they see.
        if whole.contains(char::is_whitespace) || has_hidden(&whole) {
            continue;
        }
        text += &whole;
        if !description.is_empty() {
            text += &format!("\t{}", crate::format::gist(&description, MAX_DESCRIPTION));
        }
        text.push('\n');
    }
    text += &format!(":{directive}\n");
    ui.block(&Shown::block(&text)).ok();
}
