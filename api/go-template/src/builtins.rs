//! The functions that templates can call.

use super::buffer::{Buffer, Full};
use super::compare;
use super::error::TemplateError;
use super::escape;
use super::exec::Machine;
use super::format;
use super::printf;
use super::value::{Slot, Value};

/// One of Go's predefined functions, or `fence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    And,
    Call,
    Eq,
    Fence,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    UrlQuery,
}

/// Why a function gave no result.
pub(super) enum Failure {
    /// Its own complaint.
    Says(String),
    /// The rendering's limits.
    Stops(TemplateError),
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Self {
        Self::Stops(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Says(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Says(message.to_owned())
    }
}

const NAMES: [(&str, Builtin); 20] = [
    ("and", Builtin::And),
    ("call", Builtin::Call),
    ("eq", Builtin::Eq),
    ("fence", Builtin::Fence),
    ("ge", Builtin::Ge),
    ("gt", Builtin::Gt),
    ("html", Builtin::Html),
    ("index", Builtin::Index),
    ("js", Builtin::Js),
    ("le", Builtin::Le),
    ("len", Builtin::Len),
    ("lt", Builtin::Lt),
    ("ne", Builtin::Ne),
    ("not", Builtin::Not),
    ("or", Builtin::Or),
    ("print", Builtin::Print),
    ("printf", Builtin::Printf),
    ("println", Builtin::Println),
    ("slice", Builtin::Slice),
    ("urlquery", Builtin::UrlQuery),
];

impl Builtin {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find_map(|(known, builtin)| (*known == name).then_some(*builtin))
    }

    pub(super) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find_map(|(name, builtin)| (*builtin == self).then_some(*name))
            .unwrap_or_default()
    }

    /// Returns the least and, if there is one, the greatest number of arguments.
    pub(super) fn arity(self) -> (usize, Option<usize>) {
        match self {
            Self::And | Self::Call | Self::Eq | Self::Index | Self::Or | Self::Printf | Self::Slice => {
                (1, None)
            }
            Self::Html | Self::Js | Self::Print | Self::Println | Self::UrlQuery => (0, None),
            Self::Fence | Self::Len | Self::Not => (1, Some(1)),
            Self::Ge | Self::Gt | Self::Le | Self::Lt | Self::Ne => (2, Some(2)),
        }
    }

    /// Calls the function; the number of arguments has been checked.
    pub(super) fn call(self, machine: &mut Machine<'_>, arguments: &[Slot]) -> Result<Slot, Failure> {
        let first = arguments.first().unwrap_or(&Slot::Missing);
        let second = arguments.get(1).unwrap_or(&Slot::Missing);
        let rest = arguments.get(1..).unwrap_or_default();
        match self {
            // The evaluation sees to these: it may leave arguments out, or quotes them.
            Self::And | Self::Or | Self::Call => Ok(first.clone()),
            Self::Eq => {
                spend_comparison(machine, arguments)?;
                compare::equal(first, rest).map(truth)
            }
            Self::Ne => {
                spend_comparison(machine, arguments)?;
                compare::equal(first, rest).map(|equal| truth(!equal))
            }
            Self::Lt | Self::Le | Self::Gt | Self::Ge => {
                spend_comparison(machine, arguments)?;
                compare::ordered(self, first, second).map(truth)
            }
            Self::Fence => fence(machine, first),
            Self::Html => escaped(machine, arguments, escape::html),
            Self::Js => escaped(machine, arguments, escape::js),
            Self::UrlQuery => escaped(machine, arguments, escape::url_query),
            Self::Index => index(first, rest),
            Self::Len => len(first),
            Self::Not => Ok(truth(!first.is_true())),
            Self::Print => written(machine, |out| format::print(out, &values(arguments))),
            Self::Println => written(machine, |out| format::println(out, &values(arguments))),
            Self::Printf => match first.value() {
                Some(Value::Text(directives)) => {
                    machine.spend(directives.len() / 16)?;
                    let text = written(machine, |out| printf::printf(out, directives, &values(rest)))?;
                    repaired(machine, text, None)
                }
                _ => Err("no format".into()),
            },
            Self::Slice => {
                let part = slice(machine, first, rest)?;
                repaired(machine, part, Some(first))
            }
        }
    }
}

fn truth(value: bool) -> Slot {
    Slot::Typed(Value::Bool(value))
}

fn values(slots: &[Slot]) -> Vec<Option<&Value>> {
    slots.iter().map(Slot::value).collect()
}

/// Collects what a function writes.
fn written(
    machine: &mut Machine<'_>,
    write: impl FnOnce(&mut Buffer) -> Result<(), Full>,
) -> Result<Slot, Failure> {
    let mut out = Buffer::new(machine.limits.scratch);
    if write(&mut out).is_err() {
        machine.spend_text(usize::MAX)?;
    }
    machine.spend_text(out.len())?;
    Ok(Slot::Typed(Value::Text(out.into_bytes().into())))
}

/// Prints the arguments and escapes the result.
fn escaped(
    machine: &mut Machine<'_>,
    arguments: &[Slot],
    escape: fn(&mut Buffer, &[u8]) -> Result<(), Full>,
) -> Result<Slot, Failure> {
    let absent = Value::from("<no value>");
    let mut shown = values(arguments);
    for value in &mut shown {
        value.get_or_insert(&absent);
    }
    let plain = match shown.as_slice() {
        [Some(Value::Text(text))] => std::sync::Arc::clone(text),
        shown => match written(machine, |out| format::print(out, shown))? {
            Slot::Typed(Value::Text(text)) => text,
            _ => return Err("no text".into()),
        },
    };
    written(machine, |out| escape(out, &plain))
}

/// Puts a text inside a fence.
fn fence(machine: &mut Machine<'_>, argument: &Slot) -> Result<Slot, Failure> {
    let Some(fencing) = machine.fencing else {
        return Err("only prompts have fences".into());
    };
    let Some(Value::Text(text)) = argument.value() else {
        let found = argument.type_name();
        return Err(format!("the argument is no text but of type {found}").into());
    };
    // Each byte of it is parsed.
    machine.spend(text.len() / 4)?;
    let fenced = fencing.fence(&super::unicode::to_text(text.to_vec()));
    machine.spend_text(fenced.len())?;
    Ok(Slot::Typed(Value::from(fenced)))
}

/// Gives a text back the line of a fence that was cut off.
fn repaired(machine: &mut Machine<'_>, text: Slot, of: Option<&Slot>) -> Result<Slot, Failure> {
    let bytes = |slot: &Slot| match slot.value() {
        // `slice` may cut a character in two.
        Some(Value::Text(bytes)) => Some(super::unicode::to_text(bytes.to_vec())),
        _ => None,
    };
    let (Some(fencing), Some(part)) = (machine.fencing, bytes(&text)) else {
        return Ok(text);
    };
    let of = of.and_then(bytes);
    machine.spend((part.len() + of.as_ref().map_or(0, String::len)) / 64)?;
    let repaired = fencing.repaired(&part, of.as_deref());
    match repaired {
        None => Ok(text),
        Some(repaired) => {
            machine.spend_text(repaired.len())?;
            Ok(Slot::Typed(Value::from(repaired)))
        }
    }
}

/// Counts the bytes that a comparison may look at.
fn spend_comparison(machine: &mut Machine<'_>, arguments: &[Slot]) -> Result<(), Failure> {
    let bytes = |slot: &Slot| match slot.value() {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Struct(structure)) => structure.fields().len().saturating_mul(1024),
        _ => 0,
    };
    let total = arguments.iter().map(bytes).fold(0, usize::saturating_add);
    Ok(machine.spend(total / 256)?)
}

fn len(argument: &Slot) -> Result<Slot, Failure> {
    let len = match argument {
        Slot::Missing => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        Slot::Any(Value::Nil) => return Err("len of nil pointer".into()),
        Slot::Any(value) | Slot::Typed(value) => match value {
            Value::Text(text) => text.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.entries().len(),
            other => return Err(format!("len of type {}", other.type_name()).into()),
        },
    };
    let len = i64::try_from(len).map_err(|error| error.to_string())?;
    Ok(Slot::Typed(Value::Int(len)))
}

/// Returns an index, at most `limit`.
fn position(index: &Slot, limit: usize) -> Result<usize, Failure> {
    let position = match index.value() {
        None => return Err("cannot index slice/array with nil".into()),
        Some(Value::Int(position)) => *position,
        Some(Value::Byte(position)) => i64::from(*position),
        Some(other) => {
            let found = other.type_name();
            return Err(format!("cannot index slice/array with type {found}").into());
        }
    };
    match usize::try_from(position) {
        Ok(index) if index <= limit => Ok(index),
        _ => Err(format!("index out of range: {position}").into()),
    }
}

fn index(item: &Slot, indexes: &[Slot]) -> Result<Slot, Failure> {
    let mut item = match item.clone().opened() {
        Slot::Missing => return Err("index of untyped nil".into()),
        item => item,
    };
    for index in indexes {
        let Some(value) = item.value() else {
            return Err("index of nil pointer".into());
        };
        item = match value {
            Value::Text(text) => {
                let at = position(index, text.len())?;
                let byte = text.get(at).ok_or("reflect: string index out of range")?;
                Slot::Typed(Value::Byte(*byte))
            }
            Value::List(list) => {
                let at = position(index, list.len())?;
                list.slot(at).ok_or("reflect: slice index out of range")?
            }
            Value::Map(map) => match index.value() {
                Some(Value::Text(key)) => map.get(key).unwrap_or_else(|| map.element().zero()),
                Some(other) => {
                    let found = other.type_name();
                    return Err(format!("value has type {found}; should be string").into());
                }
                None => return Err("value is nil; should be of type string".into()),
            },
            other => return Err(format!("can't index item of type {}", other.type_name()).into()),
        };
    }
    Ok(item)
}

fn slice(machine: &mut Machine<'_>, item: &Slot, indexes: &[Slot]) -> Result<Slot, Failure> {
    let Some(value) = item.value() else {
        return Err("slice of untyped nil".into());
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let (len, capacity) = match value {
        Value::Text(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Text(text) => (text.len(), text.len()),
        Value::List(list) => (list.len(), list.capacity()),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let mut bounds = [0, len, capacity];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        // Go looks into an interface for `index`, but not here.
        if matches!(index, Slot::Any(_)) {
            return Err("cannot index slice/array with type interface {}".into());
        }
        *bound = position(index, capacity)?;
    }
    let [from, to, end] = bounds;
    for (low, high) in [(from, to), (to, end)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}").into());
        }
    }
    match value {
        Value::List(list) => Ok(Slot::Typed(Value::List(list.window(from, to, end)))),
        Value::Text(text) => {
            machine.spend_text(to - from)?;
            Ok(Slot::Typed(Value::Text(
                text.get(from..to).unwrap_or_default().into(),
            )))
        }
        _ => Ok(Slot::Missing),
    }
}
