//! What goes wrong in a template, and where.

/// When a template failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The text is no template; it fails whatever the data.
    Parse,
    /// The template does not work with this data, or costs more than its limits allow.
    Exec,
}

/// Why a template failed, in Go's words where Go has them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: {message}")]
pub struct TemplateError {
    /// When it failed.
    pub stage: Stage,
    /// The template's name.
    pub name: String,
    /// Line of the text, from 1.
    pub line: usize,
    /// Bytes of that line before the place, as Go counts.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(stage: Stage, name: &str, text: &str, offset: usize, message: String) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline.saturating_add(1));
        Self {
            stage,
            name: name.to_owned(),
            line: line_at(text, offset),
            column: before.len().saturating_sub(line_start),
            message,
        }
    }
}

/// Returns the line of a byte offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        .saturating_add(1)
}
