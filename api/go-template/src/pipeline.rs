//! Parses what stands inside an action: pipelines, commands, operands.

use std::collections::HashMap;

use super::ast::{Command, Form, Operand, Pipe, Variable};
use super::builtins::Builtin;
use super::error::{TemplateError, line_at};
use super::lex::{Kind, Token};
use super::literal;
use super::parse::Parser;
use super::unicode::quoted;

/// Parentheses within parentheses; evaluation recurses by them.
const MAX_DEPTH: usize = 100;

/// The variables that may be named at a place. `$` alone always may.
#[derive(Default)]
pub(super) struct Scope {
    declared: Vec<u32>,
    ids: HashMap<String, u32>,
    /// How many declarations of each variable are in force.
    visible: Vec<usize>,
}

/// The variable `$`.
pub(super) const ROOT: u32 = u32::MAX;

impl Scope {
    pub(super) fn len(&self) -> usize {
        self.declared.len()
    }

    fn declare(&mut self, name: &str) -> Variable {
        let id = if name.is_empty() {
            ROOT
        } else {
            let fresh = u32::try_from(self.ids.len()).unwrap_or(ROOT);
            *self.ids.entry(name.to_owned()).or_insert(fresh)
        };
        self.declared.push(id);
        self.count(id, 1);
        Variable {
            name: name.to_owned(),
            id,
        }
    }

    fn count(&mut self, id: u32, change: isize) {
        let Some(index) = usize::try_from(id).ok().filter(|_| id != ROOT) else {
            return;
        };
        if self.visible.len() <= index {
            self.visible.resize(index.saturating_add(1), 0);
        }
        if let Some(visible) = self.visible.get_mut(index) {
            *visible = visible.saturating_add_signed(change);
        }
    }

    fn find(&self, name: &str) -> Option<u32> {
        if name.is_empty() {
            return Some(ROOT);
        }
        let id = *self.ids.get(name)?;
        let visible = self.visible.get(usize::try_from(id).ok()?)?;
        (*visible > 0).then_some(id)
    }

    pub(super) fn truncate(&mut self, len: usize) {
        while self.declared.len() > len {
            if let Some(id) = self.declared.pop() {
                self.count(id, -1);
            }
        }
    }
}

impl<'a> Parser<'a> {
    /// Takes the next token; the last one stays.
    pub(super) fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    pub(super) fn peek(&self) -> Token<'a> {
        let end = Token {
            kind: Kind::End,
            offset: self.text.len(),
            text: "",
        };
        let tokens = &self.lexed.tokens;
        tokens.get(self.next).or(tokens.last()).copied().unwrap_or(end)
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    pub(super) fn take_word(&mut self) -> Token<'a> {
        self.skip_spaces();
        self.take()
    }

    pub(super) fn peek_word(&mut self) -> Token<'a> {
        self.skip_spaces();
        self.peek()
    }

    pub(super) fn unexpected<T>(&self, token: Token<'_>, context: &str) -> Result<T, TemplateError> {
        let message = match token.kind {
            Kind::Error => {
                let message = &self.lexed.error;
                let started = self.action_start().unwrap_or(token.offset);
                let line = line_at(self.text, started);
                if line == line_at(self.text, token.offset) {
                    message.clone()
                } else if message.ends_with(" action") {
                    format!("{message} started at {}:{line}", self.name)
                } else {
                    format!("{message} in action started at {}:{line}", self.name)
                }
            }
            Kind::End => format!("unexpected EOF in {context}"),
            Kind::Keyword(_) | Kind::Dot | Kind::Nil => format!("unexpected <{}> in {context}", token.text),
            _ => {
                let mut shown: String = token.text.chars().take(10).collect();
                let dots = if shown.len() < token.text.len() { "..." } else { "" };
                shown = quoted(shown.as_bytes());
                format!("unexpected {shown}{dots} in {context}")
            }
        };
        self.fail(token, message)
    }

    /// Returns where the action around the next token began.
    fn action_start(&self) -> Option<usize> {
        let before = self.lexed.tokens.get(..self.next).unwrap_or(&self.lexed.tokens);
        let delim = before
            .iter()
            .rfind(|token| matches!(token.kind, Kind::LeftDelim | Kind::RightDelim))?;
        (delim.kind == Kind::LeftDelim).then_some(delim.offset)
    }

    /// Parses up to `end`, which is taken as well.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, TemplateError> {
        let start = self.peek_word();
        let (variables, assigns) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.take_word();
            match token.kind {
                kind if kind == end => {
                    self.check_commands(token, &commands, context)?;
                    return Ok(Pipe {
                        offset: start.offset,
                        variables,
                        assigns,
                        commands,
                    });
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawQuoted
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {
                    self.next -= 1;
                    commands.push(self.command()?);
                }
                _ => return self.unexpected(token, context),
            }
        }
    }

    /// Parses `$x :=`, `$x =` or, for `range`, `$x, $y :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Variable>, bool), TemplateError> {
        let mut variables = Vec::new();
        while self.peek_word().kind == Kind::Variable {
            let start = self.next;
            let token = self.take();
            let name = token.text.get(1..).unwrap_or_default();
            match self.peek_word().kind {
                kind @ (Kind::Assign | Kind::Declare) => {
                    self.take();
                    variables.push(self.scope.declare(name));
                    return Ok((variables, kind == Kind::Assign));
                }
                Kind::Comma => {
                    let comma = self.take();
                    variables.push(self.scope.declare(name));
                    if context != "range" || variables.len() > 1 {
                        return self.fail(comma, format!("too many declarations in {context}"));
                    }
                    let after = self.peek_word();
                    if !matches!(after.kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.fail(after, "range can only initialize variables");
                    }
                }
                _ => {
                    self.next = start;
                    break;
                }
            }
        }
        Ok((variables, false))
    }

    fn check_commands(
        &self,
        token: Token<'_>,
        commands: &[Command],
        context: &str,
    ) -> Result<(), TemplateError> {
        if commands.is_empty() {
            return self.fail(token, format!("missing value for {context}"));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            let literal = matches!(
                command.first.form,
                Form::Bool(_) | Form::Dot | Form::Nil | Form::Number(..) | Form::Text(..)
            );
            if literal {
                let stage = index + 1;
                return self.fail(token, format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, TemplateError> {
        let offset = self.peek_word().offset;
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            operands.extend(self.operand()?);
            let token = self.take();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.next -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(token, "operand"),
            }
        }
        let mut operands = operands.into_iter();
        let Some(first) = operands.next() else {
            let token = self.peek();
            return self.fail(token, "empty command");
        };
        Ok(Command {
            offset,
            first,
            arguments: operands.collect(),
        })
    }

    /// Parses a term and the fields that follow it at once.
    fn operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let start = self.peek();
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(field_name(self.take()));
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.form {
            Form::Field(known) | Form::Variable(_, known) => known.append(&mut fields),
            Form::Bool(_) | Form::Text(..) | Form::Number(..) | Form::Nil | Form::Dot => {
                let shown = quoted(operand.to_string().as_bytes());
                return self.fail(start, format!("unexpected . after term {shown}"));
            }
            _ => {
                operand = Operand {
                    offset: start.offset,
                    form: Form::Chain(Box::new(operand), fields),
                };
            }
        }
        operand.offset = start.offset;
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>, TemplateError> {
        let token = self.take_word();
        let form = match token.kind {
            Kind::Identifier => match Builtin::named(token.text) {
                Some(builtin) => Form::Function(builtin),
                None => {
                    return self.fail(
                        token,
                        format!("function {} not defined", quoted(token.text.as_bytes())),
                    );
                }
            },
            Kind::Dot => Form::Dot,
            Kind::Nil => Form::Nil,
            Kind::Bool => Form::Bool(token.text == "true"),
            Kind::Variable => {
                let name = token.text.get(1..).unwrap_or_default();
                let Some(id) = self.scope.find(name) else {
                    return self.fail(
                        token,
                        format!("undefined variable {}", quoted(token.text.as_bytes())),
                    );
                };
                let name = name.to_owned();
                Form::Variable(Variable { name, id }, Vec::new())
            }
            Kind::Field => Form::Field(vec![field_name(token)]),
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                let value = match token.kind {
                    Kind::CharConstant => literal::character(token.text).map(Some),
                    Kind::Complex => literal::complex(token.text),
                    _ => literal::number(token.text),
                };
                match value {
                    Ok(value) => Form::Number(token.text.to_owned(), value),
                    Err(message) => return self.fail(token, message),
                }
            }
            Kind::LeftParen => {
                if self.depth == MAX_DEPTH {
                    return self.fail(token, format!("more than {MAX_DEPTH} nested parentheses"));
                }
                self.depth += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                Form::Pipe(pipe)
            }
            Kind::Quoted | Kind::RawQuoted => match literal::unquote(token.text) {
                Some(value) => Form::Text(token.text.to_owned(), value.into()),
                None => return self.fail(token, "invalid syntax"),
            },
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand {
            offset: token.offset,
            form,
        }))
    }
}

fn field_name(token: Token<'_>) -> String {
    token.text.get(1..).unwrap_or_default().to_owned()
}
