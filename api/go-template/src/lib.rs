//! Go's `text/template`, for prompts, branches, names and metadata.
//!
//! [`Template::parse`] and [`Template::render`] give, byte for byte, what Go 1.26 gives for the data of [`Value`],
//! and fail in the stage where Go fails. Functions are Go's builtins, and `fence TEXT` where the caller renders with
//! [`Fencing`].
//!
//! Templates are written by anyone who may create a Task or TaskSpawner. Whatever the text, parsing and rendering
//! end, within [`MAX_TEXT`] and [`Limits`], without a panic: control flow neither parses nor runs by recursion,
//! parentheses nest 100 deep at most, and steps, output and intermediate text are counted.

mod ast;
mod buffer;
mod builtins;
mod compare;
mod error;
mod escape;
mod eval;
mod exec;
mod fields;
mod float;
mod format;
mod frame;
mod integer;
mod lex;
mod literal;
mod parse;
mod pipeline;
mod printf;
mod unicode;
mod value;

pub use error::{Stage, TemplateError};
pub use value::{List, Map, Struct, Value};

/// The longest text that is parsed, in bytes; twice what fits into one argument of a program.
pub const MAX_TEXT: usize = 256 * 1024;

/// What a field or key that is not in a map becomes, Go's option `missingkey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// No value: prints `<no value>`, is false.
    #[default]
    Default,
    /// The zero value of the map's elements.
    Zero,
    /// An error.
    Error,
}

/// What one rendering may cost; more is an error of [`Stage::Exec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of output.
    pub output: usize,
    /// Bytes of text made on the way: results of functions such as `printf`.
    pub scratch: usize,
    /// Steps: an action, a word of a command, an iteration, some hundred bytes compared.
    pub steps: u64,
    /// Templates that call each other.
    pub calls: usize,
}

impl Default for Limits {
    /// Far above any prompt, and less than a second.
    fn default() -> Self {
        Self {
            output: 1024 * 1024,
            scratch: 16 * 1024 * 1024,
            steps: 1_000_000,
            calls: 1000,
        }
    }
}

/// Fences in the data of a template: lines around a text that tell where it begins and ends.
pub trait Fencing {
    /// Returns the text inside a fence, for the function `fence`.
    fn fence(&self, text: &str) -> String;

    /// Repairs a text that `printf` has made of fenced ones, or `slice` out of the text `of`: if a line of the fence was cut
    /// off, the text must not leave it. Absent if it is whole.
    fn repaired(&self, text: &str, of: Option<&str>) -> Option<String>;
}

/// A parsed template.
///
/// ```
/// use go_template::{Limits, MissingKey, Template, Value};
///
/// let template = Template::parse("prompt", "Fix #{{.Number}}{{with .Labels}} ({{.}}){{end}}")?;
/// let data = Value::map([("Number", Value::Int(7)), ("Labels", Value::from("bug"))]);
/// let text = template.missing_key(MissingKey::Error).render(&data, Limits::default())?;
/// assert_eq!(text, "Fix #7 (bug)");
/// # Ok::<(), go_template::TemplateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    text: String,
    missing_key: MissingKey,
    templates: parse::Templates,
}

impl Template {
    /// Parses a text. The name appears in errors.
    ///
    /// # Errors
    /// [`TemplateError`] of [`Stage::Parse`].
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEXT {
            let message = format!("the template is longer than {MAX_TEXT} bytes");
            return Err(TemplateError::new(Stage::Parse, name, text, 0, message));
        }
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            missing_key: MissingKey::Default,
            templates: parse::parse(name, text)?,
        })
    }

    /// Returns the text that was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says what becomes of missing keys.
    #[must_use]
    pub fn missing_key(self, missing_key: MissingKey) -> Self {
        Self { missing_key, ..self }
    }

    /// Renders the template with this data as its dot. Bytes that are no UTF-8 come out as U+FFFD.
    ///
    /// # Errors
    /// [`TemplateError`] of [`Stage::Exec`].
    pub fn render(&self, data: &Value, limits: Limits) -> Result<String, TemplateError> {
        exec::run(self, data, limits, None).map(unicode::to_text)
    }

    /// Renders the template with the function `fence`.
    ///
    /// # Errors
    /// [`TemplateError`] of [`Stage::Exec`].
    pub fn render_fenced(
        &self,
        data: &Value,
        limits: Limits,
        fencing: &dyn Fencing,
    ) -> Result<String, TemplateError> {
        exec::run(self, data, limits, Some(fencing)).map(unicode::to_text)
    }
}
