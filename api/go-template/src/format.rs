//! Prints values as Go's `fmt` does: `%v` of everything, and the verbs of `printf`.

use super::buffer::{Buffer, Full};
use super::unicode::{can_backquote, quoted_with, rune_count, runes, to_text};
use super::value::{Slot, Value};
use super::{float, integer};

/// Flags, width and precision of a directive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spec {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: names the fields of structs.
    pub(super) named: bool,
    /// `%#v`: writes Go syntax.
    pub(super) syntax: bool,
}

/// Writes values by a directive.
pub(super) struct Printer<'b> {
    pub(super) out: &'b mut Buffer,
    pub(super) spec: Spec,
}

/// Writes the result of an action.
pub(super) fn print_action(out: &mut Buffer, slot: &Slot) -> Result<(), Full> {
    match slot.value() {
        None => out.push_str("<no value>"),
        Some(value) => Printer::plain(out).value(value, 'v', 0),
    }
}

/// Returns the beginning of a printed value, for errors.
pub(super) fn shown(value: &Value, verb: char) -> String {
    const LIMIT: usize = 256;
    let mut out = Buffer::new(LIMIT);
    let cut = Printer::plain(&mut out).value(value, verb, 0).is_err();
    let mut text = to_text(out.into_bytes());
    if cut {
        text.push_str("...");
    }
    text
}

/// Go's `Sprint`: a space between two values of which none is a string.
pub(super) fn print(out: &mut Buffer, values: &[Option<&Value>]) -> Result<(), Full> {
    let mut after_value = false;
    for value in values {
        let is_text = matches!(value, Some(Value::Text(_)));
        if after_value && !is_text {
            out.push(b" ")?;
        }
        Printer::plain(out).argument(*value, 'v')?;
        after_value = !is_text;
    }
    Ok(())
}

/// Go's `Sprintln`.
pub(super) fn println(out: &mut Buffer, values: &[Option<&Value>]) -> Result<(), Full> {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b" ")?;
        }
        Printer::plain(out).argument(*value, 'v')?;
    }
    out.push(b"\n")
}

impl<'b> Printer<'b> {
    /// Prints without any flag.
    pub(super) fn plain(out: &'b mut Buffer) -> Self {
        Self {
            out,
            spec: Spec::default(),
        }
    }

    /// Prints an argument; `None` is an untyped nil.
    pub(super) fn argument(&mut self, value: Option<&Value>, verb: char) -> Result<(), Full> {
        match (value, verb) {
            (None, 'v' | 'T') => self.pad(b"<nil>"),
            (_, 'w') | (None, _) => self.bad_verb(verb, value),
            (Some(value), 'T') => self.text_plain(value.type_name().as_bytes()),
            // An address would say nothing; it only has to be there.
            (Some(Value::List(_) | Value::Map(_)), 'p') => self.pad(b"0xc000000000"),
            (Some(value), verb) => self.value(value, verb, 0),
        }
    }

    /// Prints a value; `depth` counts the containers around it.
    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Full> {
        match value {
            Value::Nil if self.spec.syntax => self.out.push_str("interface {}(nil)"),
            Value::Nil => self.out.push_str("<nil>"),
            Value::Bool(truth) => match verb {
                't' | 'v' => self.pad(if *truth { b"true" } else { b"false" }),
                _ => self.bad_verb(verb, Some(value)),
            },
            Value::Int(number) => integer::print(self, value, number.unsigned_abs(), *number < 0, verb),
            Value::Byte(number) => integer::print(self, value, u64::from(*number), false, verb),
            Value::Float(number) => {
                if float::is_verb(verb) {
                    return float::print(self, *number, verb);
                }
                self.bad_verb(verb, Some(value))
            }
            Value::Complex(real, imaginary) => {
                if !float::is_verb(verb) {
                    return self.bad_verb(verb, Some(value));
                }
                let plus = self.spec.plus;
                self.out.push(b"(")?;
                float::print(self, *real, verb)?;
                self.spec.plus = true;
                let result = float::print(self, *imaginary, verb);
                self.spec.plus = plus;
                result?;
                self.out.push(b"i)")
            }
            Value::Text(text) => self.text(value, text, verb),
            Value::List(list) => {
                let items = list.items().iter().map(|item| (None, item));
                self.container(value, "[", "]", items, verb, depth)
            }
            Value::Map(map) => {
                let keys: Vec<Value> = map
                    .entries()
                    .iter()
                    .map(|(key, _)| Value::Text(std::sync::Arc::clone(key)))
                    .collect();
                let entries = keys.iter().zip(map.entries());
                let items = entries.map(|(key, (_, item))| (Some(Label::Key(key)), item));
                self.container(value, "map[", "]", items, verb, depth)
            }
            Value::Struct(structure) => {
                let named = self.spec.named || self.spec.syntax;
                let items = structure
                    .fields()
                    .iter()
                    .map(|(name, field)| (named.then_some(Label::Field(name)), field));
                self.container(value, "{", "}", items, verb, depth)
            }
        }
    }

    fn container<'v>(
        &mut self,
        value: &Value,
        open: &str,
        close: &str,
        items: impl Iterator<Item = (Option<Label<'v>>, &'v Value)>,
        verb: char,
        depth: usize,
    ) -> Result<(), Full> {
        let (open, close, separator) = if self.spec.syntax {
            self.out.push_str(&value.type_name())?;
            ("{", "}", ", ")
        } else {
            (open, close, " ")
        };
        self.out.push_str(open)?;
        for (index, (label, item)) in items.enumerate() {
            if index > 0 {
                self.out.push_str(separator)?;
            }
            match label {
                None => {}
                Some(Label::Key(key)) => {
                    self.value(key, verb, depth + 1)?;
                    self.out.push(b":")?;
                }
                Some(Label::Field(name)) => {
                    self.out.push_str(name)?;
                    self.out.push(b":")?;
                }
            }
            self.value(item, verb, depth + 1)?;
        }
        self.out.push_str(close)
    }

    /// Complains about a verb that does not fit the value.
    pub(super) fn bad_verb(&mut self, verb: char, value: Option<&Value>) -> Result<(), Full> {
        self.out.push(b"%!")?;
        self.out.push_char(verb)?;
        match value {
            None => self.out.push(b"(<nil>")?,
            Some(value) => {
                self.out.push(b"(")?;
                self.out.push_str(&value.type_name())?;
                self.out.push(b"=")?;
                self.value(value, 'v', 0)?;
            }
        }
        self.out.push(b")")
    }

    fn text(&mut self, value: &Value, text: &[u8], verb: char) -> Result<(), Full> {
        match verb {
            'v' if self.spec.syntax => self.text_quoted(text),
            'v' | 's' => self.text_plain(text),
            'q' => self.text_quoted(text),
            'x' | 'X' => self.text_hex(text, verb == 'X'),
            _ => self.bad_verb(verb, Some(value)),
        }
    }

    /// Cuts a text to the precision.
    fn cut<'v>(&self, text: &'v [u8]) -> &'v [u8] {
        let Some(precision) = self.spec.precision else {
            return text;
        };
        let len = runes(text)
            .take(precision)
            .map(|rune| rune.map_or(1, char::len_utf8))
            .fold(0, usize::saturating_add);
        text.get(..len).unwrap_or(text)
    }

    pub(super) fn text_plain(&mut self, text: &[u8]) -> Result<(), Full> {
        self.pad(self.cut(text))
    }

    fn text_quoted(&mut self, text: &[u8]) -> Result<(), Full> {
        let text = self.cut(text);
        if self.spec.sharp && can_backquote(text) {
            return self.pad(&[b"`", text, b"`"].concat());
        }
        let shown = quoted_with(text, '"', self.spec.plus);
        self.pad(shown.as_bytes())
    }

    fn text_hex(&mut self, text: &[u8], upper: bool) -> Result<(), Full> {
        let len = self
            .spec
            .precision
            .map_or(text.len(), |most| most.min(text.len()));
        let prefix = if upper { "0X" } else { "0x" };
        let mut shown = String::new();
        for (index, byte) in text.iter().take(len).enumerate() {
            if self.spec.space && index > 0 {
                shown.push(' ');
            }
            if self.spec.sharp && (self.spec.space || index == 0) {
                shown.push_str(prefix);
            }
            shown.push_str(&if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            });
        }
        self.pad(shown.as_bytes())
    }

    /// Writes a text, filled up to the width.
    pub(super) fn pad(&mut self, text: &[u8]) -> Result<(), Full> {
        let missing = self
            .spec
            .width
            .map_or(0, |width| width.saturating_sub(rune_count(text)));
        if self.spec.minus {
            self.out.push(text)?;
            return self.out.fill(b' ', missing);
        }
        self.out.fill(if self.spec.zero { b'0' } else { b' ' }, missing)?;
        self.out.push(text)
    }
}

/// What stands before an item, with a colon.
enum Label<'v> {
    Key(&'v Value),
    Field(&'v str),
}
