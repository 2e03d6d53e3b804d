//! Evaluates pipelines. Recursion goes by nested parentheses only.

use std::fmt::Display;

use super::MissingKey;
use super::ast::{Command, Form, Operand, Pipe};
use super::builtins::{Builtin, Failure};
use super::error::TemplateError;
use super::exec::Machine;
use super::unicode::quoted;
use super::value::{Slot, Value};

impl<'t> Machine<'t> {
    /// Evaluates a pipeline and fills its variables.
    pub(super) fn pipe(&mut self, pipe: &'t Pipe) -> Result<Slot, TemplateError> {
        self.at(pipe.offset, pipe);
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last)?.opened());
        }
        let value = last.unwrap_or(Slot::Missing);
        for variable in &pipe.variables {
            if pipe.assigns {
                self.assign(variable, value.clone())?;
            } else {
                self.declare(variable, value.clone());
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &'t Command, last: Option<Slot>) -> Result<Slot, TemplateError> {
        self.spend(1)?;
        let first = &command.first;
        if let Form::Function(builtin) = first.form {
            self.at(first.offset, first);
            return self.call_builtin(builtin, Some(command), last);
        }
        let given = !command.arguments.is_empty() || last.is_some();
        match &first.form {
            Form::Field(_) | Form::Chain(..) | Form::Variable(..) => self.fields_of(first, given),
            Form::Pipe(pipe) => {
                self.refuse_arguments(pipe, given)?;
                self.pipe(pipe)
            }
            _ => {
                self.at(first.offset, first);
                self.refuse_arguments(first, given)?;
                if matches!(first.form, Form::Nil) {
                    return self.fail("nil is not a command");
                }
                self.literal(first)
            }
        }
    }

    fn refuse_arguments(&self, first: impl Display, given: bool) -> Result<(), TemplateError> {
        if given {
            return self.fail(format_args!("can't give argument to non-function {first}"));
        }
        Ok(())
    }

    /// Evaluates a word as an argument of a function, which may take anything.
    pub(super) fn argument(&mut self, operand: &'t Operand) -> Result<Slot, TemplateError> {
        self.spend(1)?;
        self.at(operand.offset, operand);
        match &operand.form {
            Form::Field(_) | Form::Chain(..) | Form::Variable(..) => self.fields_of(operand, false),
            Form::Pipe(pipe) => self.pipe(pipe),
            Form::Function(builtin) => self.call_builtin(*builtin, None, None),
            _ => self.literal(operand),
        }
    }

    /// Evaluates the first argument of `printf`, which must be a text.
    pub(super) fn text_argument(&mut self, operand: &'t Operand) -> Result<Slot, TemplateError> {
        match &operand.form {
            Form::Nil => {
                self.at(operand.offset, operand);
                self.fail("cannot assign nil to string")
            }
            Form::Bool(_) | Form::Number(..) => {
                self.at(operand.offset, operand);
                self.fail(format_args!("expected string; found {operand}"))
            }
            _ => {
                let slot = self.argument(operand)?;
                self.check_text(slot)
            }
        }
    }

    /// Checks that a value can be passed as a Go `string`.
    pub(super) fn check_text(&self, slot: Slot) -> Result<Slot, TemplateError> {
        match &slot {
            Slot::Missing => self.fail("invalid value; expected string"),
            Slot::Any(Value::Text(_)) | Slot::Typed(Value::Text(_)) => Ok(slot),
            Slot::Any(value) | Slot::Typed(value) => {
                let found = value.type_name();
                self.fail(format_args!("wrong type for value; expected string; got {found}"))
            }
        }
    }

    fn literal(&self, operand: &Operand) -> Result<Slot, TemplateError> {
        match &operand.form {
            Form::Dot => Ok(self.dot.clone()),
            Form::Bool(value) => Ok(Slot::Typed(Value::Bool(*value))),
            Form::Number(_, Some(value)) => Ok(Slot::Typed(value.clone())),
            Form::Number(text, None) => self.fail(format_args!("{text} overflows int")),
            Form::Text(_, value) => Ok(Slot::Typed(Value::Text(std::sync::Arc::clone(value)))),
            _ => Ok(Slot::Missing),
        }
    }

    /// Evaluates an operand that may have fields; `given` says whether it got arguments, which only functions take.
    fn fields_of(&mut self, operand: &'t Operand, given: bool) -> Result<Slot, TemplateError> {
        self.at(operand.offset, operand);
        let (mut receiver, fields) = match &operand.form {
            Form::Field(fields) => (self.dot.clone(), fields),
            Form::Variable(variable, fields) => {
                let value = self.variable(variable)?;
                if fields.is_empty() {
                    self.refuse_arguments(operand, given)?;
                }
                (value, fields)
            }
            Form::Chain(inner, fields) => {
                if matches!(inner.form, Form::Nil) {
                    return self.fail(format_args!("indirection through explicit nil in {operand}"));
                }
                (self.argument(inner)?, fields)
            }
            _ => return Ok(Slot::Missing),
        };
        for (index, field) in fields.iter().enumerate() {
            self.spend(1)?;
            let last = index + 1 == fields.len();
            receiver = self.field(&receiver, field, last && given)?;
        }
        Ok(receiver)
    }

    fn field(&self, receiver: &Slot, name: &str, has_arguments: bool) -> Result<Slot, TemplateError> {
        let missing_key = self.template.missing_key;
        let value = match receiver {
            Slot::Missing if missing_key == MissingKey::Error => {
                let name = quoted(name.as_bytes());
                return self.fail(format_args!("nil data; no entry for key {name}"));
            }
            Slot::Missing => return Ok(Slot::Missing),
            Slot::Any(Value::Nil) => {
                return self.fail(format_args!("nil pointer evaluating interface {{}}.{name}"));
            }
            Slot::Any(value) | Slot::Typed(value) => value,
        };
        match value {
            Value::Struct(structure) => {
                if let Some(field) = structure.get(name) {
                    if has_arguments {
                        return self.fail(format_args!(
                            "{name} has arguments but cannot be invoked as function"
                        ));
                    }
                    return Ok(field);
                }
            }
            Value::Map(map) => {
                if has_arguments {
                    return self.fail(format_args!("{name} is not a method but has arguments"));
                }
                return match (map.get(name.as_bytes()), missing_key) {
                    (Some(found), _) => Ok(found),
                    (None, MissingKey::Default) => Ok(Slot::Missing),
                    (None, MissingKey::Zero) => Ok(map.element().zero()),
                    (None, MissingKey::Error) => {
                        let name = quoted(name.as_bytes());
                        self.fail(format_args!("map has no entry for key {name}"))
                    }
                };
            }
            _ => {}
        }
        let type_name = receiver.type_name();
        self.fail(format_args!("can't evaluate field {name} in type {type_name}"))
    }

    /// Calls a function. Without a command it stands as a word of its own and gets no arguments.
    fn call_builtin(
        &mut self,
        builtin: Builtin,
        command: Option<&'t Command>,
        last: Option<Slot>,
    ) -> Result<Slot, TemplateError> {
        let operands = command.map_or(&[] as &[Operand], |command| command.arguments.as_slice());
        let count = operands.len() + usize::from(last.is_some());
        let (least, most) = builtin.arity();
        if count < least && most.is_none() {
            let found = operands.len();
            let name = builtin.name();
            return self.fail(format_args!(
                "wrong number of args for {name}: want at least {least} got {found}"
            ));
        }
        if count < least || most.is_some_and(|most| count > most) {
            let name = builtin.name();
            return self.fail(format_args!(
                "wrong number of args for {name}: want {least} got {count}"
            ));
        }
        if matches!(builtin, Builtin::And | Builtin::Or) {
            return self.and_or(builtin, operands, last);
        }
        let mut arguments = Vec::with_capacity(count);
        for operand in operands {
            let takes_text = builtin == Builtin::Printf && arguments.is_empty();
            arguments.push(if takes_text {
                self.text_argument(operand)?
            } else {
                self.argument(operand)?
            });
        }
        if let Some(last) = last {
            let takes_text = builtin == Builtin::Printf && arguments.is_empty();
            arguments.push(if takes_text { self.check_text(last)? } else { last });
        }
        let result = if builtin == Builtin::Call {
            Err(not_callable(operands.first(), arguments.first()))
        } else {
            builtin.call(self, &arguments)
        };
        match result {
            Ok(slot) => Ok(slot),
            Err(Failure::Stops(error)) => Err(error),
            Err(Failure::Says(message)) => {
                if let Some(command) = command {
                    self.at(command.offset, command);
                }
                self.fail(format_args!("error calling {}: {message}", builtin.name()))
            }
        }
    }

    /// Evaluates operands until one decides; the value from the command before comes last.
    fn and_or(
        &mut self,
        builtin: Builtin,
        operands: &'t [Operand],
        last: Option<Slot>,
    ) -> Result<Slot, TemplateError> {
        let mut result = Slot::Missing;
        for operand in operands {
            result = self.argument(operand)?;
            if result.is_true() == (builtin == Builtin::Or) {
                return Ok(result);
            }
        }
        Ok(last.unwrap_or(result))
    }
}

/// Complains about `call`: no data holds a function.
fn not_callable(operand: Option<&Operand>, argument: Option<&Slot>) -> Failure {
    let Some(value) = argument.and_then(Slot::value) else {
        return Failure::from("call of nil");
    };
    let type_name = value.type_name();
    let shown = match (operand, value) {
        (Some(operand), _) => match &operand.form {
            Form::Pipe(pipe) => pipe.to_string(),
            _ => operand.to_string(),
        },
        (None, Value::Text(text)) => super::unicode::to_text(text.to_vec()),
        (None, _) => format!("<{type_name} Value>"),
    };
    Failure::from(format!("non-function {shown} of type {type_name}"))
}
