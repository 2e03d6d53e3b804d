//! A parsed template: flat operations with jumps for control flow, small trees for pipelines.
//!
//! Control flow is flat so that neither parsing nor running nor dropping a template recurses by its nesting.
//! Parentheses nest, up to a limit. `Display` writes what Go quotes in its errors.

use std::fmt;
use std::sync::Arc;

use super::builtins::Builtin;
use super::unicode::quoted;
use super::value::Value;

/// One step of a template.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Writes text.
    Text(String),
    /// Evaluates a pipeline, and prints the result unless it went into variables.
    Action(Pipe),
    /// Opens the scope of an `if` or `with`.
    Open,
    /// Goes on if the pipeline is true, else jumps. `with` also sets the dot.
    Branch {
        pipe: Pipe,
        with: bool,
        otherwise: usize,
    },
    /// Goes elsewhere.
    Jump(usize),
    /// Opens a scope and starts the first iteration, or jumps to `otherwise`.
    Range {
        pipe: Pipe,
        /// Where the next iteration starts.
        next: usize,
        otherwise: usize,
        close: usize,
    },
    /// Ends an iteration.
    Next,
    /// Closes the innermost scope.
    Close,
    Break,
    Continue,
    /// Runs another template.
    Call(Call),
}

/// `{{template "name" pipeline}}`.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) offset: usize,
    pub(super) name: Vec<u8>,
    pub(super) pipe: Option<Pipe>,
}

/// Commands, each handing its result to the next; the last result may go into variables.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) offset: usize,
    pub(super) variables: Vec<Variable>,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) offset: usize,
    /// The function, or the value.
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A variable's name, without its `$`, and its number in the template.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) id: u32,
}

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) offset: usize,
    pub(super) form: Form,
}

/// What an operand is.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Dot,
    Nil,
    Bool(bool),
    /// A number's text and value; `None` when no `int` holds it.
    Number(String, Option<Value>),
    /// A string literal's source and value.
    Text(String, Arc<[u8]>),
    Field(Vec<String>),
    Variable(Variable, Vec<String>),
    Function(Builtin),
    Pipe(Pipe),
    /// Fields of anything else: `(pipeline).a.b`.
    Chain(Box<Operand>, Vec<String>),
}

fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Dot => f.write_str("."),
            Form::Nil => f.write_str("nil"),
            Form::Bool(value) => write!(f, "{value}"),
            Form::Number(text, _) | Form::Text(text, _) => f.write_str(text),
            Form::Field(fields) => write_fields(f, fields),
            Form::Variable(variable, fields) => {
                write!(f, "{variable}")?;
                write_fields(f, fields)
            }
            Form::Function(builtin) => f.write_str(builtin.name()),
            Form::Pipe(pipe) => write!(f, "({pipe})"),
            Form::Chain(operand, fields) => {
                write!(f, "{operand}")?;
                write_fields(f, fields)
            }
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.name)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, variable) in self.variables.iter().enumerate() {
            write!(f, "{}{variable}", if index > 0 { ", " } else { "" })?;
        }
        if !self.variables.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if index > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quoted(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}
