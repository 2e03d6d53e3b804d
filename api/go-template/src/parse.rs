//! Puts tokens together: control actions become jumps, `define` and `block` become templates of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Call, Op};
use super::error::{Stage, TemplateError};
use super::lex::{Keyword, Kind, Lexed, Token, lex};
use super::literal;
use super::pipeline::Scope;

/// The templates of a text, by name.
pub(super) type Templates = BTreeMap<Vec<u8>, Vec<Op>>;

/// Parses a text; the template outside of every `define` gets the name `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Templates, TemplateError> {
    let mut parser = Parser {
        name,
        text,
        lexed: lex(text),
        next: 0,
        depth: 0,
        scope: Scope::default(),
        unit: Unit::new(Role::Main, name.as_bytes().to_vec()),
        outer: Vec::new(),
        templates: BTreeMap::new(),
        filled: BTreeSet::new(),
    };
    while parser.step()? {}
    Ok(parser.templates)
}

pub(super) struct Parser<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) lexed: Lexed<'a>,
    /// Index of the next token.
    pub(super) next: usize,
    /// Open parentheses.
    pub(super) depth: usize,
    pub(super) scope: Scope,
    unit: Unit,
    /// The templates around the one being parsed, each with its variables.
    outer: Vec<(Unit, Scope)>,
    templates: Templates,
    /// Names of the templates that are more than white space.
    filled: BTreeSet<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Main,
    Define,
    Block,
}

/// A template being parsed.
struct Unit {
    role: Role,
    name: Vec<u8>,
    ops: Vec<Op>,
    open: Vec<OpenAction>,
    /// Loops around the next action.
    loops: usize,
}

/// A control action that waits for its `end`.
struct OpenAction {
    keyword: Keyword,
    /// Variables in scope before it.
    variables: usize,
    /// The operation that jumps to the `else` part.
    branch: usize,
    /// Operations that jump to the end.
    exits: Vec<usize>,
    has_else: bool,
}

impl Unit {
    fn new(role: Role, name: Vec<u8>) -> Self {
        Self {
            role,
            name,
            ops: Vec::new(),
            open: Vec::new(),
            loops: 0,
        }
    }

    fn push(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    /// Lets the operation at `index` jump to the current end.
    fn land(&mut self, index: usize) {
        let here = self.ops.len();
        match self.ops.get_mut(index) {
            Some(Op::Branch { otherwise, .. } | Op::Range { otherwise, .. }) => *otherwise = here,
            Some(Op::Jump(target)) => *target = here,
            _ => {}
        }
    }
}

/// Returns whether the operations print nothing but white space; Go replaces such templates.
fn is_empty(ops: &[Op]) -> bool {
    ops.iter()
        .all(|op| matches!(op, Op::Text(text) if text.trim().is_empty()))
}

impl<'a> Parser<'a> {
    pub(super) fn fail<T>(&self, token: Token<'_>, message: impl Into<String>) -> Result<T, TemplateError> {
        let error = TemplateError::new(Stage::Parse, self.name, self.text, token.offset, message.into());
        Err(error)
    }

    /// Takes the next piece of text or action; returns false at the end.
    fn step(&mut self) -> Result<bool, TemplateError> {
        let token = self.take();
        match token.kind {
            Kind::Text => {
                self.unit.push(Op::Text(token.text.to_owned()));
                Ok(true)
            }
            Kind::LeftDelim => self.action().map(|()| true),
            Kind::End if self.unit.role == Role::Main && self.unit.open.is_empty() => {
                self.finish(token)?;
                Ok(false)
            }
            Kind::End => self.fail(token, "unexpected EOF"),
            _ => self.unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Result<(), TemplateError> {
        let token = self.take_word();
        let Kind::Keyword(keyword) = token.kind else {
            self.next -= 1;
            let pipe = self.pipeline("command", Kind::RightDelim)?;
            self.unit.push(Op::Action(pipe));
            return Ok(());
        };
        match keyword {
            Keyword::If => self.open(keyword, "if"),
            Keyword::With => self.open(keyword, "with"),
            Keyword::Range => self.open(keyword, "range"),
            Keyword::Else => self.else_action(token),
            Keyword::End => {
                self.expect_delim("end")?;
                self.end_action(token)
            }
            Keyword::Break => self.loop_control(token, "{{break}}", Op::Break),
            Keyword::Continue => self.loop_control(token, "{{continue}}", Op::Continue),
            Keyword::Template => self.template_action(),
            Keyword::Block => self.block_action(),
            Keyword::Define if self.unit.role == Role::Main && self.unit.open.is_empty() => {
                let (_, name) = self.quoted_name("define clause")?;
                self.expect_delim("define clause")?;
                self.enter(Role::Define, name);
                Ok(())
            }
            Keyword::Define => self.unexpected(token, "command"),
        }
    }

    fn expect_delim(&mut self, context: &str) -> Result<(), TemplateError> {
        let token = self.take_word();
        if token.kind == Kind::RightDelim {
            return Ok(());
        }
        self.unexpected(token, context)
    }

    fn open(&mut self, keyword: Keyword, context: &str) -> Result<(), TemplateError> {
        let variables = self.scope.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let branch = if keyword == Keyword::Range {
            self.unit.loops += 1;
            self.unit.push(Op::Range {
                pipe,
                next: 0,
                otherwise: 0,
                close: 0,
            })
        } else {
            self.unit.push(Op::Open);
            self.unit.push(Op::Branch {
                pipe,
                with: keyword == Keyword::With,
                otherwise: 0,
            })
        };
        self.unit.open.push(OpenAction {
            keyword,
            variables,
            branch,
            exits: Vec::new(),
            has_else: false,
        });
        Ok(())
    }

    /// Ends the part before an `else`: it jumps over what follows.
    fn end_part(&mut self, action: &mut OpenAction) {
        if action.keyword == Keyword::Range {
            self.unit.loops -= 1;
            let here = self.unit.push(Op::Next);
            if let Some(Op::Range { next, .. }) = self.unit.ops.get_mut(action.branch) {
                *next = here;
            }
        } else {
            action.exits.push(self.unit.push(Op::Jump(0)));
        }
        self.unit.land(action.branch);
    }

    fn else_action(&mut self, token: Token<'a>) -> Result<(), TemplateError> {
        let chained = match self.peek_word().kind {
            Kind::Keyword(keyword @ (Keyword::If | Keyword::With)) => Some(keyword),
            _ => None,
        };
        if chained.is_none() {
            self.expect_delim("else")?;
        }
        let Some(mut action) = self.unit.open.pop() else {
            return self.fail(token, format!("unexpected {{{{else}}}}{}", self.clause()));
        };
        if action.has_else {
            return self.fail(token, "expected end; found {{else}}");
        }
        self.end_part(&mut action);
        match chained {
            None => action.has_else = true,
            Some(keyword) if keyword == action.keyword => {
                self.take_word();
                let context = if keyword == Keyword::If { "if" } else { "with" };
                let pipe = self.pipeline(context, Kind::RightDelim)?;
                action.branch = self.unit.push(Op::Branch {
                    pipe,
                    with: keyword == Keyword::With,
                    otherwise: 0,
                });
            }
            Some(_) => {
                let token = self.take_word();
                return self.unexpected(token, "input");
            }
        }
        self.unit.open.push(action);
        Ok(())
    }

    fn end_action(&mut self, token: Token<'a>) -> Result<(), TemplateError> {
        let Some(mut action) = self.unit.open.pop() else {
            if self.unit.role == Role::Main {
                return self.fail(token, "unexpected {{end}}");
            }
            return self.finish(token);
        };
        if !action.has_else {
            self.end_part(&mut action);
        }
        for exit in action.exits {
            self.unit.land(exit);
        }
        let here = self.unit.push(Op::Close);
        if let Some(Op::Range { close, .. }) = self.unit.ops.get_mut(action.branch) {
            *close = here;
        }
        self.scope.truncate(action.variables);
        Ok(())
    }

    fn loop_control(&mut self, token: Token<'a>, shown: &str, op: Op) -> Result<(), TemplateError> {
        self.expect_delim(shown)?;
        if self.unit.loops == 0 {
            return self.fail(token, format!("{shown} outside {{{{range}}}}"));
        }
        self.unit.push(op);
        Ok(())
    }

    /// Takes a template's name; returns also where it stands.
    fn quoted_name(&mut self, context: &str) -> Result<(usize, Vec<u8>), TemplateError> {
        let token = self.take_word();
        if !matches!(token.kind, Kind::Quoted | Kind::RawQuoted) {
            return self.unexpected(token, context);
        }
        match literal::unquote(token.text) {
            Some(name) => Ok((token.offset, name)),
            None => self.fail(token, "invalid syntax"),
        }
    }

    fn template_action(&mut self) -> Result<(), TemplateError> {
        let context = "template clause";
        let (offset, name) = self.quoted_name(context)?;
        let pipe = if self.peek_word().kind == Kind::RightDelim {
            self.take_word();
            None
        } else {
            Some(self.pipeline(context, Kind::RightDelim)?)
        };
        self.unit.push(Op::Call(Call { offset, name, pipe }));
        Ok(())
    }

    fn block_action(&mut self) -> Result<(), TemplateError> {
        let context = "block clause";
        let (offset, name) = self.quoted_name(context)?;
        let pipe = Some(self.pipeline(context, Kind::RightDelim)?);
        self.unit.push(Op::Call(Call {
            offset,
            name: name.clone(),
            pipe,
        }));
        self.enter(Role::Block, name);
        Ok(())
    }

    fn enter(&mut self, role: Role, name: Vec<u8>) {
        let unit = std::mem::replace(&mut self.unit, Unit::new(role, name));
        let scope = std::mem::take(&mut self.scope);
        self.outer.push((unit, scope));
    }

    /// Ends the innermost template and keeps it.
    fn finish(&mut self, token: Token<'a>) -> Result<(), TemplateError> {
        let unit = std::mem::replace(&mut self.unit, Unit::new(Role::Main, Vec::new()));
        if let Some((outer, scope)) = self.outer.pop() {
            self.unit = outer;
            self.scope = scope;
        }
        let known = self.filled.contains(&unit.name);
        let filled = !is_empty(&unit.ops);
        if known && filled {
            let name = super::unicode::quoted(&unit.name);
            return self.fail(token, format!("template: multiple definition of template {name}"));
        }
        if filled {
            self.filled.insert(unit.name.clone());
        }
        if !known {
            self.templates.insert(unit.name, unit.ops);
        }
        Ok(())
    }

    fn clause(&self) -> &'static str {
        match self.unit.role {
            Role::Main => "",
            Role::Define => " in define clause",
            Role::Block => " in block clause",
        }
    }
}
