//! Go's literals: strings, characters, numbers.

use super::unicode::quoted;
use super::value::Value;

/// Returns the bytes of a string literal, quoted with `"` or `` ` ``.
pub(super) fn unquote(literal: &str) -> Option<Vec<u8>> {
    let mut chars = literal.chars();
    let quote = chars.next()?;
    if chars.next_back()? != quote {
        return None;
    }
    let mut rest = chars.as_str();
    if quote == '`' {
        return Some(rest.bytes().filter(|byte| *byte != b'\r').collect());
    }
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, after) = unquote_unit(rest, quote)?;
        match unit {
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = after;
    }
    Some(bytes)
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// Reads one character or escape of a literal.
fn unquote_unit(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == quote {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Char(first), chars.as_str()));
    }
    let escape = chars.next()?;
    let rest = chars.as_str();
    let simple = |c| Some((Unit::Char(c), rest));
    let hex = |digits: usize| {
        let number = rest.get(..digits)?;
        // from_str_radix also takes a sign.
        let code = u32::from_str_radix(number.strip_prefix('+').map_or(number, |_| "x"), 16).ok()?;
        Some((code, rest.get(digits..)?))
    };
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == quote => simple(escape),
        'x' => {
            let (code, after) = hex(2)?;
            Some((Unit::Byte(u8::try_from(code).ok()?), after))
        }
        'u' | 'U' => {
            let (code, after) = hex(if escape == 'u' { 4 } else { 8 })?;
            Some((Unit::Char(char::from_u32(code)?), after))
        }
        '0'..='7' => {
            let digits = text.get(1..4)?;
            let code = u16::from_str_radix(digits, 8).ok()?;
            Some((Unit::Byte(u8::try_from(code).ok()?), text.get(4..)?))
        }
        _ => None,
    }
}

/// Returns the value of a character literal, such as `'a'`.
pub(super) fn character(literal: &str) -> Result<Value, String> {
    let malformed = || format!("malformed character constant: {literal}");
    let inner = literal.strip_prefix('\'').unwrap_or_default();
    let (unit, rest) = unquote_unit(inner, '\'').ok_or("invalid syntax")?;
    if rest != "'" {
        return Err(malformed());
    }
    Ok(Value::Int(match unit {
        Unit::Char(c) => i64::from(u32::from(c)),
        Unit::Byte(byte) => i64::from(byte),
    }))
}

/// Returns the value of a number; `None` for an integer that only an unsigned type could hold.
pub(super) fn number(literal: &str) -> Result<Option<Value>, String> {
    let illegal = || format!("illegal number syntax: {}", quoted(literal.as_bytes()));
    if let Some(imaginary) = literal.strip_suffix('i') {
        let imaginary = float(imaginary).ok_or_else(illegal)?;
        return Ok(Some(Value::Complex(0.0, imaginary)));
    }
    let integer = integer(literal);
    let is_hex = literal.starts_with("0x") || literal.starts_with("0X");
    let hex_integer = is_hex && !literal.contains(['p', 'P']);
    if literal.contains(['.', 'e', 'E', 'p', 'P']) && !hex_integer {
        // A signed hexadecimal integer may come here; it counts as a float then.
        #[expect(clippy::cast_precision_loss, reason = "Go converts the same way")]
        let value = integer.map(|value| value as f64).or_else(|| float(literal));
        return value.map(|value| Some(Value::Float(value))).ok_or_else(illegal);
    }
    match integer {
        Some(value) => Ok(i64::try_from(value).ok().map(Value::Int)),
        // A long or odd integer that still reads as a float.
        None if float(literal).is_some() => Err(format!("integer overflow: {}", quoted(literal.as_bytes()))),
        None => Err(illegal()),
    }
}

/// Returns the value of a complex number, such as `1+2i`.
pub(super) fn complex(literal: &str) -> Result<Option<Value>, String> {
    let illegal = || format!("illegal number syntax: {}", quoted(literal.as_bytes()));
    let body = literal.strip_suffix('i').ok_or_else(illegal)?;
    let mut signs = body.char_indices().filter(|(at, c)| {
        let exponent = at.checked_sub(1).and_then(|before| body.as_bytes().get(before));
        *at > 0 && matches!(c, '+' | '-') && !matches!(exponent, Some(b'e' | b'E' | b'p' | b'P'))
    });
    let (split, _) = signs.next().ok_or_else(illegal)?;
    let (real, imaginary) = body.split_at(split);
    match (float(real), float(imaginary)) {
        (Some(real), Some(imaginary)) => Ok(Some(Value::Complex(real, imaginary))),
        _ => Err(illegal()),
    }
}

/// Reads an integer of any of Go's bases; `None` if it is none or fits neither `int64` nor `uint64`.
fn integer(literal: &str) -> Option<i128> {
    let (negative, signed) = match literal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, literal.strip_prefix('+').unwrap_or(literal)),
    };
    let lower = without_underscores(signed)?;
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        (8, digits)
    } else {
        (10, lower.as_str())
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    // Only unsigned integers may exceed int64, and they have no sign.
    let fits = i64::try_from(value).is_ok() || signed.len() == literal.len();
    fits.then_some(value)
}

/// Returns the number in lower case and without its underscores; they must stand between digits, or between the
/// base's prefix and the first digit.
fn without_underscores(unsigned: &str) -> Option<String> {
    let lower = unsigned.to_ascii_lowercase();
    let hex = lower.starts_with("0x");
    let prefixed = hex || lower.starts_with("0b") || lower.starts_with("0o");
    let is_digit = |at: usize| {
        let byte = lower.as_bytes().get(at).copied().unwrap_or_default();
        byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit())
    };
    let separates = |(at, _): (usize, char)| {
        let before = at.checked_sub(1).is_some_and(is_digit) || (prefixed && at == 2);
        before && is_digit(at + 1)
    };
    let good = lower.char_indices().filter(|(_, c)| *c == '_').all(separates);
    good.then(|| lower.replace('_', ""))
}

/// Reads a float, decimal or hexadecimal; `None` if it is none or overflows.
fn float(literal: &str) -> Option<f64> {
    let unsigned = without_underscores(literal.strip_prefix(['+', '-']).unwrap_or(literal))?;
    let value = if let Some(hex) = unsigned.strip_prefix("0x") {
        hex_float(hex)?
    } else {
        if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        unsigned.parse::<f64>().ok()?
    };
    let value = if literal.starts_with('-') { -value } else { value };
    value.is_finite().then_some(value)
}

/// Reads what follows `0x` of a hexadecimal float; the exponent must be there.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    let mut dropped = 0i32;
    for digit in digits.chars() {
        let digit = u64::from(digit.to_digit(16)?);
        if value >> 60 == 0 {
            value = (value << 4) | digit;
        } else {
            // Enough bits are kept to round; what is dropped only has to count as "not zero".
            value |= u64::from(digit != 0);
            dropped = dropped.checked_add(4)?;
        }
    }
    let fraction_bits = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let exponent = exponent.checked_add(dropped)?.checked_sub(fraction_bits)?;
    scale(value, exponent.clamp(-2000, 2000))
}

/// Returns `value * 2^exponent`, rounded once.
fn scale(value: u64, exponent: i32) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounding to the nearest float is the purpose"
    )]
    let mut float = value as f64;
    let mut left = exponent;
    while left != 0 && float != 0.0 && float.is_finite() {
        let step = left.clamp(-500, 500);
        float *= 2f64.powi(step);
        left -= step;
    }
    Some(float)
}
