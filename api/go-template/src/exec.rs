//! Runs the operations of a template. The stack of scopes, loops and calls is a vector, so nothing recurses here.

use std::fmt::Display;

use super::ast::{Call, Op, Pipe, Variable};
use super::buffer::{Buffer, Full};
use super::error::{Stage, TemplateError};
use super::frame::{Frame, Items, Loop};
use super::pipeline::ROOT;
use super::value::{Slot, Value};
use super::{Fencing, Limits, Template, format};

/// Renders a template into bytes.
pub(super) fn run(
    template: &Template,
    data: &Value,
    limits: Limits,
    fencing: Option<&dyn Fencing>,
) -> Result<Vec<u8>, TemplateError> {
    let root = Slot::of(data.clone());
    let mut machine = Machine {
        template,
        running: &template.name,
        ops: &[],
        next: 0,
        dot: root.clone(),
        variables: vec![(ROOT, root)],
        frames: Vec::new(),
        calls: 0,
        limits,
        fencing,
        at: (0, &""),
        output: Buffer::new(limits.output),
    };
    machine.ops = machine.lookup(template.name.as_bytes())?;
    machine.run()?;
    Ok(machine.output.into_bytes())
}

pub(super) struct Machine<'t> {
    pub(super) template: &'t Template,
    /// Name of the template that runs.
    running: &'t str,
    ops: &'t [Op],
    next: usize,
    pub(super) dot: Slot,
    variables: Vec<(u32, Slot)>,
    frames: Vec<Frame<'t>>,
    calls: usize,
    pub(super) limits: Limits,
    pub(super) fencing: Option<&'t dyn Fencing>,
    /// What is being evaluated, for errors.
    at: (usize, &'t dyn Display),
    output: Buffer,
}

/// The longest piece of a template that an error quotes.
const MAX_CONTEXT: usize = 300;

impl<'t> Machine<'t> {
    /// Remembers what is being evaluated.
    pub(super) fn at(&mut self, offset: usize, node: &'t dyn Display) {
        self.at = (offset, node);
    }

    /// Fails at what is being evaluated.
    pub(super) fn fail<T>(&self, message: impl Display) -> Result<T, TemplateError> {
        let (offset, node) = self.at;
        let running = super::unicode::quoted(self.running.as_bytes());
        let mut context = node.to_string();
        if context.len() > MAX_CONTEXT {
            let cut = (0..=MAX_CONTEXT).rfind(|at| context.is_char_boundary(*at));
            context.truncate(cut.unwrap_or_default());
            context.push_str("...");
        }
        let message = format!("executing {running} at <{context}>: {message}");
        let Template { name, text, .. } = self.template;
        Err(TemplateError::new(Stage::Exec, name, text, offset, message))
    }

    /// Counts work.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), TemplateError> {
        match self
            .limits
            .steps
            .checked_sub(u64::try_from(steps).unwrap_or(u64::MAX))
        {
            Some(left) => {
                self.limits.steps = left;
                Ok(())
            }
            None => self.fail("the template takes too many steps"),
        }
    }

    /// Counts text that is no output.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), TemplateError> {
        match self.limits.scratch.checked_sub(bytes) {
            Some(left) => {
                self.limits.scratch = left;
                Ok(())
            }
            None => self.fail("the template makes too much text"),
        }
    }

    fn written(&self, result: Result<(), Full>) -> Result<(), TemplateError> {
        let Err(Full) = result else { return Ok(()) };
        self.fail(format_args!(
            "the output is longer than {} bytes",
            self.limits.output
        ))
    }

    pub(super) fn variable(&mut self, variable: &Variable) -> Result<Slot, TemplateError> {
        let found = self.variables.iter().rposition(|(id, _)| *id == variable.id);
        let Some((index, (_, slot))) = found.and_then(|index| Some((index, self.variables.get(index)?)))
        else {
            return self.fail(format_args!("undefined variable: {variable}"));
        };
        let slot = slot.clone();
        self.spend((self.variables.len() - index) / 64)?;
        Ok(slot)
    }

    pub(super) fn declare(&mut self, variable: &Variable, slot: Slot) {
        self.variables.push((variable.id, slot));
    }

    pub(super) fn assign(&mut self, variable: &Variable, slot: Slot) -> Result<(), TemplateError> {
        let found = self.variables.iter().rposition(|(id, _)| *id == variable.id);
        let Some((index, known)) = found.and_then(|index| Some((index, self.variables.get_mut(index)?)))
        else {
            return self.fail(format_args!("undefined variable: {variable}"));
        };
        known.1 = slot;
        self.spend((self.variables.len() - index) / 64)
    }

    fn lookup(&self, name: &[u8]) -> Result<&'t [Op], TemplateError> {
        match self.template.templates.get(name) {
            Some(ops) => Ok(ops),
            None => self.fail(format_args!(
                "template {} not defined",
                super::unicode::quoted(name)
            )),
        }
    }

    fn run(&mut self) -> Result<(), TemplateError> {
        loop {
            self.spend(1)?;
            let Some(op) = self.ops.get(self.next) else {
                if !self.leave_call() {
                    return Ok(());
                }
                continue;
            };
            self.next += 1;
            match op {
                Op::Text(text) => {
                    let result = self.output.push_str(text);
                    self.written(result)?;
                }
                Op::Action(pipe) => {
                    let slot = self.pipe(pipe)?;
                    if pipe.variables.is_empty() {
                        let result = format::print_action(&mut self.output, &slot);
                        self.written(result)?;
                    }
                }
                Op::Open => self.frames.push(Frame::Scope {
                    variables: self.variables.len(),
                    dot: self.dot.clone(),
                    broken: None,
                }),
                Op::Branch {
                    pipe,
                    with,
                    otherwise,
                } => {
                    let slot = self.pipe(pipe)?;
                    if !slot.is_true() {
                        self.next = *otherwise;
                    } else if *with {
                        self.dot = slot;
                    }
                }
                Op::Jump(target) => self.next = *target,
                Op::Range {
                    pipe,
                    next,
                    otherwise,
                    close,
                } => self.enter_range(pipe, [*next, *otherwise, *close])?,
                Op::Next => self.iterate()?,
                Op::Close => self.close(),
                Op::Break => self.break_loop(),
                Op::Continue => self.continue_loop(),
                Op::Call(call) => self.call(call)?,
            }
        }
    }

    fn close(&mut self) {
        if let Some(Frame::Scope { variables, dot, .. } | Frame::Range(Loop { variables, dot, .. })) =
            self.frames.pop()
        {
            self.variables.truncate(variables);
            self.dot = dot;
        }
    }

    fn enter_range(
        &mut self,
        pipe: &'t Pipe,
        [next, otherwise, close]: [usize; 3],
    ) -> Result<(), TemplateError> {
        let variables = self.variables.len();
        let slot = self.pipe(pipe)?;
        let items = match slot.value() {
            None => None,
            Some(Value::List(list)) => Some(Items::List(list.clone())),
            Some(Value::Map(map)) => Some(Items::Map(map.clone())),
            Some(value @ (Value::Int(_) | Value::Byte(_))) => {
                if pipe.variables.len() > 1 {
                    let shown = format::shown(value, 'v');
                    return self.fail(format_args!(
                        "can't use {shown} to iterate over more than one variable"
                    ));
                }
                Some(match value {
                    Value::Byte(count) => Items::Bytes(*count),
                    Value::Int(count) => Items::Count(*count),
                    _ => Items::Count(0),
                })
            }
            Some(value) => {
                return self.fail(format_args!(
                    "range can't iterate over {}",
                    format::shown(value, 'v')
                ));
            }
        };
        match items.filter(|items| items.get(0).is_some()) {
            Some(items) => {
                self.frames.push(Frame::Range(Loop {
                    pipe,
                    items,
                    done: 0,
                    variables,
                    inner: self.variables.len(),
                    dot: self.dot.clone(),
                    body: self.next,
                    next,
                    close,
                }));
                self.iterate()
            }
            None => {
                self.frames.push(Frame::Scope {
                    variables,
                    dot: self.dot.clone(),
                    broken: Some(close),
                });
                self.next = otherwise;
                Ok(())
            }
        }
    }

    /// Starts the next iteration of the innermost frame, a loop, or goes to its end.
    fn iterate(&mut self) -> Result<(), TemplateError> {
        let Some(Frame::Range(innermost)) = self.frames.last_mut() else {
            return Ok(());
        };
        let Some((index, element)) = innermost.items.get(innermost.done) else {
            self.next = innermost.close;
            return Ok(());
        };
        innermost.done += 1;
        self.next = innermost.body;
        let pipe = innermost.pipe;
        self.variables.truncate(innermost.inner);
        self.dot = element.clone();
        let values = match pipe.variables.len() {
            0 => return Ok(()),
            1 => [element, Slot::Missing],
            _ => [index, element],
        };
        let own = self.variables.len().saturating_sub(pipe.variables.len());
        for (position, (variable, value)) in pipe.variables.iter().zip(values).enumerate() {
            if pipe.assigns {
                self.assign(variable, value)?;
            } else if let Some(known) = self.variables.get_mut(own + position) {
                known.1 = value;
            }
        }
        Ok(())
    }

    fn break_loop(&mut self) {
        while let Some(frame) = self.frames.last() {
            match frame {
                Frame::Range(Loop { close, .. })
                | Frame::Scope {
                    broken: Some(close), ..
                } => {
                    self.next = *close;
                    return;
                }
                Frame::Scope { .. } | Frame::Call { .. } => {
                    self.frames.pop();
                }
            }
        }
    }

    fn continue_loop(&mut self) {
        while let Some(frame) = self.frames.last() {
            if let Frame::Range(innermost) = frame {
                self.next = innermost.next;
                return;
            }
            self.frames.pop();
        }
    }

    fn call(&mut self, call: &'t Call) -> Result<(), TemplateError> {
        self.at(call.offset, call);
        self.spend(call.name.len() / 256)?;
        let ops = self.lookup(&call.name)?;
        if self.calls == self.limits.calls {
            return self.fail(format_args!(
                "exceeded maximum template depth ({})",
                self.limits.calls
            ));
        }
        let dot = match &call.pipe {
            Some(pipe) => self.pipe(pipe)?,
            None => Slot::Missing,
        };
        self.calls += 1;
        let running = str::from_utf8(&call.name).unwrap_or_default();
        self.frames.push(Frame::Call {
            running: std::mem::replace(&mut self.running, running),
            ops: std::mem::replace(&mut self.ops, ops),
            next: std::mem::replace(&mut self.next, 0),
            variables: std::mem::replace(&mut self.variables, vec![(ROOT, dot.clone())]),
            dot: std::mem::replace(&mut self.dot, dot),
        });
        Ok(())
    }

    /// Goes back to the template that called this one; false if there is none.
    fn leave_call(&mut self) -> bool {
        let Some(Frame::Call {
            running,
            ops,
            next,
            variables,
            dot,
        }) = self.frames.pop()
        else {
            return false;
        };
        self.calls -= 1;
        self.running = running;
        self.ops = ops;
        self.next = next;
        self.variables = variables;
        self.dot = dot;
        true
    }
}
