//! Prints integers.

use super::buffer::Full;
use super::format::Printer;
use super::unicode::{is_print, quoted_with};
use super::value::Value;

/// Prints an integer, given as magnitude and sign.
pub(super) fn print(
    printer: &mut Printer<'_>,
    value: &Value,
    magnitude: u64,
    negative: bool,
    verb: char,
) -> Result<(), Full> {
    let digits = match verb {
        'v' if printer.spec.syntax && matches!(value, Value::Byte(_)) => {
            let sharp = std::mem::replace(&mut printer.spec.sharp, true);
            let result = digits(printer, &format!("{magnitude:x}"), negative, 'x');
            printer.spec.sharp = sharp;
            return result;
        }
        'v' | 'd' => format!("{magnitude}"),
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' => {
            let c = character(magnitude, negative);
            return printer.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        'q' => {
            let c = character(magnitude, negative);
            let shown = quoted_with(c.encode_utf8(&mut [0; 4]).as_bytes(), '\'', printer.spec.plus);
            return printer.pad(shown.as_bytes());
        }
        'U' => return code_point(printer, magnitude, negative),
        _ => return printer.bad_verb(verb, Some(value)),
    };
    self::digits(printer, &digits, negative, verb)
}

fn character(magnitude: u64, negative: bool) -> char {
    u32::try_from(magnitude)
        .ok()
        .filter(|_| !negative)
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn digits(printer: &mut Printer<'_>, digits: &str, negative: bool, verb: char) -> Result<(), Full> {
    let spec = printer.spec;
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let least = match (spec.precision, spec.width) {
        // Nothing but padding.
        (Some(0), _) if digits == "0" => {
            return printer.out.fill(b' ', spec.width.unwrap_or_default());
        }
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = least.saturating_sub(digits.len());
    let octal_zero = spec.sharp && zeros == 0 && !digits.starts_with('0');
    let prefix = match verb {
        'O' if octal_zero => "0o0",
        'O' => "0o",
        'b' if spec.sharp => "0b",
        'o' if octal_zero => "0",
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        _ => "",
    };
    let len = sign.len() + prefix.len() + digits.len();
    let missing = spec
        .width
        .map_or(0, |width| width.saturating_sub(len.saturating_add(zeros)));
    if !spec.minus {
        printer.out.fill(b' ', missing)?;
    }
    printer.out.push_str(sign)?;
    printer.out.push_str(prefix)?;
    printer.out.fill(b'0', zeros)?;
    printer.out.push_str(digits)?;
    if spec.minus {
        printer.out.fill(b' ', missing)?;
    }
    Ok(())
}

/// `%U`: at least four digits, with `#` also the character.
fn code_point(printer: &mut Printer<'_>, magnitude: u64, negative: bool) -> Result<(), Full> {
    let code = if negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    };
    let digits = format!("{code:X}");
    let least = printer.spec.precision.unwrap_or_default().max(4);
    let zeros = least.saturating_sub(digits.len());
    let mut tail = digits;
    if printer.spec.sharp
        && let Some(c) = u32::try_from(code)
            .ok()
            .and_then(char::from_u32)
            .filter(|c| is_print(*c))
    {
        tail.push_str(&format!(" '{c}'"));
    }
    let len = zeros.saturating_add(tail.chars().count()).saturating_add(2);
    let missing = printer.spec.width.map_or(0, |width| width.saturating_sub(len));
    if !printer.spec.minus {
        printer.out.fill(b' ', missing)?;
    }
    printer.out.push_str("U+")?;
    printer.out.fill(b'0', zeros)?;
    printer.out.push_str(&tail)?;
    if printer.spec.minus {
        printer.out.fill(b' ', missing)?;
    }
    Ok(())
}
