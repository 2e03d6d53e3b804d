//! `printf`: reads directives, and complains inside the output as Go does.

use super::buffer::{Buffer, Full};
use super::format::{Printer, Spec};
use super::value::Value;

/// The greatest width or precision that is taken from an argument; written ones may have one digit more.
const MAX_NUMBER: usize = 1_000_000;

/// Writes the format with its arguments; `None` is an untyped nil.
pub(super) fn printf(out: &mut Buffer, format: &[u8], arguments: &[Option<&Value>]) -> Result<(), Full> {
    let mut directives = Directives {
        format,
        at: 0,
        arguments,
        next: 0,
        reordered: false,
        good: true,
    };
    directives.run(out)?;
    let unused = arguments.get(directives.next..).unwrap_or_default();
    if directives.reordered || unused.is_empty() {
        return Ok(());
    }
    out.push(b"%!(EXTRA ")?;
    for (index, argument) in unused.iter().enumerate() {
        if index > 0 {
            out.push(b", ")?;
        }
        match argument {
            None => out.push(b"<nil>")?,
            Some(value) => {
                out.push_str(&value.type_name())?;
                out.push(b"=")?;
                Printer::plain(out).argument(Some(value), 'v')?;
            }
        }
    }
    out.push(b")")
}

struct Directives<'a> {
    format: &'a [u8],
    at: usize,
    arguments: &'a [Option<&'a Value>],
    /// Index of the next argument.
    next: usize,
    /// An argument was named by its number.
    reordered: bool,
    /// The numbers in this directive make sense.
    good: bool,
}

impl Directives<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn run(&mut self, out: &mut Buffer) -> Result<(), Full> {
        loop {
            let rest = self.format.get(self.at..).unwrap_or_default();
            let text = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            out.push(rest.get(..text).unwrap_or_default())?;
            self.at += text;
            if !self.accept(b'%') {
                return Ok(());
            }
            self.directive(out)?;
        }
    }

    fn directive(&mut self, out: &mut Buffer) -> Result<(), Full> {
        self.good = true;
        let mut spec = self.flags();
        let mut numbered = self.argument_number();
        if self.accept(b'*') {
            match self.number_argument() {
                Some(width) => {
                    spec.width = Some(width.unsigned_abs());
                    if width < 0 {
                        spec.minus = true;
                        spec.zero = false;
                    }
                }
                None => out.push(b"%!(BADWIDTH)")?,
            }
            numbered = false;
        } else {
            spec.width = self.number();
            if numbered && spec.width.is_some() {
                self.good = false;
            }
        }
        // A point that ends the format is a verb to Go.
        if self.at + 1 < self.format.len() && self.accept(b'.') {
            if numbered {
                self.good = false;
            }
            numbered = self.argument_number();
            if self.accept(b'*') {
                let precision = self.number_argument();
                spec.precision = precision.and_then(|precision| usize::try_from(precision).ok());
                if spec.precision.is_none() {
                    out.push(b"%!(BADPREC)")?;
                }
                numbered = false;
            } else {
                spec.precision = Some(self.number().unwrap_or_default());
            }
        }
        if !numbered {
            self.argument_number();
        }
        let Some(verb) = self.verb() else {
            return out.push(b"%!(NOVERB)");
        };
        self.print(out, spec, verb)
    }

    fn print(&mut self, out: &mut Buffer, mut spec: Spec, verb: char) -> Result<(), Full> {
        if verb == '%' {
            return out.push(b"%");
        }
        let complaint = if self.good { "(MISSING)" } else { "(BADINDEX)" };
        let Some(argument) = self.arguments.get(self.next).filter(|_| self.good) else {
            out.push(b"%!")?;
            out.push_char(verb)?;
            return out.push_str(complaint);
        };
        if matches!(verb, 'v' | 'w') {
            spec.syntax = std::mem::take(&mut spec.sharp);
            spec.named = std::mem::take(&mut spec.plus);
        }
        self.next += 1;
        Printer { out, spec }.argument(*argument, verb)
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        loop {
            match self.peek() {
                Some(b'#') => spec.sharp = true,
                Some(b'0') => spec.zero = true,
                Some(b'+') => spec.plus = true,
                Some(b'-') => spec.minus = true,
                Some(b' ') => spec.space = true,
                _ => return spec,
            }
            self.at += 1;
        }
    }

    /// Reads digits. A number out of all measure swallows the rest of the format.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let known = number.unwrap_or(0);
            if known > MAX_NUMBER {
                self.at = self.format.len();
                return None;
            }
            number = Some(known * 10 + usize::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    /// Reads `[n]`, the number of the next argument from 1; returns whether it was there and well written.
    fn argument_number(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let Some(close) = rest
            .iter()
            .position(|byte| *byte == b']')
            .filter(|_| rest.len() >= 3)
        else {
            self.good = false;
            self.at += 1;
            return false;
        };
        let digits = rest.get(1..close).unwrap_or_default();
        self.at += close + 1;
        let number = str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|number| *number <= MAX_NUMBER * 10);
        match number {
            Some(number @ 1..) if number <= self.arguments.len() => self.next = number - 1,
            _ => self.good = false,
        }
        number.is_some()
    }

    /// Takes an argument as width or precision.
    fn number_argument(&mut self) -> Option<isize> {
        let argument = *self.arguments.get(self.next)?;
        self.next += 1;
        let number = match argument {
            Some(Value::Int(number)) => isize::try_from(*number).ok()?,
            Some(Value::Byte(number)) => isize::from(*number),
            _ => return None,
        };
        (number.unsigned_abs() <= MAX_NUMBER).then_some(number)
    }

    fn verb(&mut self) -> Option<char> {
        let rest = self.format.get(self.at..).filter(|rest| !rest.is_empty())?;
        let rune = super::unicode::runes(rest.get(..4).unwrap_or(rest)).next()?;
        let c = rune.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.at += rune.map_or(1, char::len_utf8);
        Some(c)
    }
}
