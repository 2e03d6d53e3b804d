//! The prompt of a Task with dependencies: a Go template that sees their results.
//!
//! A Task without dependencies has its prompt delivered as it is, whatever braces are in it.
//!
//! Another agent wrote the results. Invisible characters are removed, each is one line, and a `branch`, `pr` or `commit` that
//! is none is not handed on; what is free text the template can put into a fence.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::untrusted::fence::Fence;
use axon_api::Task;
use axon_api::limits::{MAX_PROMPT, excess};
use axon_api::outputs::claims::fault_for_dependents;
use axon_api::outputs::results;
use axon_api::shown::one_line;
use go_template::{Limits, MissingKey, Template, TemplateError, Value};

use crate::untrusted::mention;

/// The name of the template in errors.
const NAME: &str = "prompt";

/// What stands in memory for a prompt that may ask for results: a template as well, and a valid one.
pub const SOME_TEMPLATE: &str = r#""{{/**/}}""#;

/// A prompt that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// It is no template, or fails with these results.
    #[error("the prompt can't be rendered: {0}; correct spec.prompt in a new Task")]
    Template(#[from] TemplateError),
    /// It shows results that are not handed on.
    #[error(
        "the prompt asks for a result that is not handed on: {0}; correct what that Task reports, or leave it out of spec.prompt, in new Tasks"
    )]
    Result(String),
    /// It has a character that no argument of a program can have.
    #[error(
        "spec.prompt or spec.model has a NUL character (U+0000), with which no container starts: leave it out in a new Task"
    )]
    Nul,
    /// The results make it longer than a prompt may be.
    #[error(
        "the prompt renders to {length} characters, and a Task takes at most {MAX_PROMPT}: pass on less of the results in spec.prompt of a new Task"
    )]
    TooLong {
        /// Characters that it renders to.
        length: usize,
    },
}

/// Returns true if the prompt has to be rendered.
#[must_use]
pub fn is_template(task: &Task) -> bool {
    // A text without it is its own rendering.
    !task.spec.depends_on.is_empty() && task.spec.prompt.contains("{{")
}

/// The template of a prompt, if the prompt is one.
///
/// A reconcile parses it once: a text that is no template fails the Task before its dependencies are waited for, and one
/// that is a template is rendered when the Job is created.
#[derive(Clone, Debug)]
pub struct ParsedPrompt(Option<Template>);

impl ParsedPrompt {
    /// Stands for a prompt that is delivered as it is, or that nobody asks for any more.
    pub const LITERAL: Self = Self(None);

    /// Parses the prompt of a Task.
    ///
    /// # Errors
    /// [`PromptError`] if the prompt is to be rendered and is no template.
    pub fn parse(task: &Task) -> Result<Self, PromptError> {
        let template = is_template(task).then(|| Template::parse(NAME, &task.spec.prompt));
        Ok(Self(
            template
                .transpose()?
                .map(|template| template.missing_key(MissingKey::Error)),
        ))
    }

    /// Returns the template if it was parsed from this text. The store has a stand-in for the text of a Task that has been
    /// decided on before, see [`SOME_TEMPLATE`].
    fn template_of(&self, text: &str) -> Option<&Template> {
        self.0.as_ref().filter(|template| template.text() == text)
    }
}

/// Returns the prompt for the agent. `outputs` are those of the dependencies, by name; `parsed` is used if it is this
/// prompt's.
///
/// # Errors
/// [`PromptError`] if the prompt is no template, asks for what is not there, or costs too much.
pub fn render<'a>(
    task: &'a Task,
    parsed: &ParsedPrompt,
    outputs: &BTreeMap<String, Vec<String>>,
) -> Result<Cow<'a, str>, PromptError> {
    let model = task.spec.model.as_deref().unwrap_or_default();
    if task.spec.prompt.contains('\0') || model.contains('\0') {
        return Err(PromptError::Nul);
    }
    if !is_template(task) {
        return Ok(Cow::Borrowed(&task.spec.prompt));
    }
    // Another agent's words name no files.
    let escape = mention::escape(task.spec.agent);
    let told = |line: &String| {
        let line = one_line(line);
        escape.map_or_else(|| line.to_string(), |escape| escape(&line))
    };
    let lines: BTreeMap<&str, Vec<String>> = task
        .spec
        .depends_on
        .iter()
        .filter_map(|name| Some((name.as_str(), outputs.get(name)?.iter().map(told).collect())))
        .collect();
    let texts: Vec<&str> = lines.values().flatten().map(String::as_str).collect();
    let fence = Fence::new(task.metadata.uid.as_deref().unwrap_or_default(), &texts);
    let reparsed;
    let template = match parsed.template_of(&task.spec.prompt) {
        Some(template) => template,
        None => {
            reparsed = Template::parse(NAME, &task.spec.prompt)?.missing_key(MissingKey::Error);
            &reparsed
        }
    };
    let rendered = |stand_in| template.render_fenced(&data(&lines, stand_in), Limits::default(), &fence);
    let prompt = match refused(&lines) {
        None => rendered(None)?,
        // What no rendering shows does no harm. A prompt with a hole in it would cost money for nothing.
        Some(refused) => match (rendered(None), rendered(Some("-"))) {
            (Ok(prompt), Ok(other)) if prompt == other => prompt,
            (_, Err(error)) => return Err(error.into()),
            _ => return Err(PromptError::Result(refused)),
        },
    };
    match excess(&prompt, MAX_PROMPT) {
        Some(length) => Err(PromptError::TooLong { length }),
        None => Ok(Cow::Owned(prompt)),
    }
}

/// Returns the data of the template. Results that are not handed on are missing, or have this stand-in.
fn data(lines: &BTreeMap<&str, Vec<String>>, stand_in: Option<&str>) -> Value {
    let dependencies = lines.iter().map(|(name, lines)| {
        let results =
            results(lines)
                .into_iter()
                .filter_map(|(key, value)| match fault_for_dependents(&key, &value) {
                    None => Some((key, value)),
                    Some(_) => stand_in.map(|stand_in| (key, stand_in.to_owned())),
                });
        let fields = [
            ("Name", Value::from(*name)),
            ("Outputs", Value::strings(lines)),
            ("Results", Value::string_map(results)),
        ];
        (*name, Value::map(fields))
    });
    Value::map([("Deps", Value::map(dependencies))])
}

/// Returns which results are not handed on, and why. It quotes none of them.
fn refused(lines: &BTreeMap<&str, Vec<String>>) -> Option<String> {
    let all: Vec<String> = lines
        .iter()
        .flat_map(|(name, lines)| {
            let results = results(lines).into_iter();
            results.filter_map(move |(key, value)| {
                let why = fault_for_dependents(&key, &value)?;
                Some(format!("{key} of Task {name} is {why}"))
            })
        })
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests;
