//! Prints floating-point numbers.

use super::buffer::Full;
use super::format::{Printer, Spec};

/// More digits than this are zeros: no `f64` has more.
const MAX_DIGITS: usize = 1100;

/// Returns whether `printf` knows the verb for floats.
pub(super) fn is_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

/// Prints a finite number.
pub(super) fn print(printer: &mut Printer<'_>, number: f64, verb: char) -> Result<(), Full> {
    let spec = printer.spec;
    let Parts {
        mut digits,
        zeros,
        tail,
    } = parts(number.abs(), verb, spec);
    let mut added = 0;
    if spec.sharp && verb != 'b' {
        added = alternate(&mut digits, verb, spec);
    }
    let sign = match (number.is_sign_negative(), spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let zeros = zeros.saturating_add(added);
    let len = (sign.len() + digits.len() + tail.len()).saturating_add(zeros);
    let missing = spec.width.map_or(0, |width| width.saturating_sub(len));
    let (before, inside, after) = match (spec.minus, spec.zero) {
        (true, _) => (0, 0, missing),
        (_, true) => (0, missing, 0),
        _ => (missing, 0, 0),
    };
    printer.out.fill(b' ', before)?;
    printer.out.push_str(sign)?;
    printer.out.fill(b'0', inside)?;
    printer.out.push_str(&digits)?;
    printer.out.fill(b'0', zeros)?;
    printer.out.push_str(&tail)?;
    printer.out.fill(b' ', after)
}

/// A printed magnitude: digits, zeros to be added, exponent.
struct Parts {
    digits: String,
    zeros: usize,
    tail: String,
}

fn parts(number: f64, verb: char, spec: Spec) -> Parts {
    match verb {
        'f' | 'F' => {
            let precision = spec.precision.unwrap_or(6);
            let kept = precision.min(MAX_DIGITS);
            Parts {
                digits: format!("{number:.kept$}"),
                zeros: precision - kept,
                tail: String::new(),
            }
        }
        'e' | 'E' => {
            let precision = spec.precision.unwrap_or(6);
            let kept = precision.min(MAX_DIGITS);
            let (mantissa, exponent) = scientific(&format!("{number:.kept$e}"));
            Parts {
                digits: mantissa,
                zeros: precision - kept,
                tail: exponent_text(verb, exponent),
            }
        }
        'b' => binary(number),
        'x' | 'X' => hexadecimal(number, verb, spec.precision),
        _ => general(number, verb, spec.precision),
    }
}

/// Splits what Rust's `{:e}` writes.
fn scientific(text: &str) -> (String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or_default())
}

fn exponent_text(letter: char, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{letter}{sign}{:02}", exponent.unsigned_abs())
}

/// `%g`: the fewest digits, or `precision` significant ones, with an exponent where it is shorter to read.
fn general(number: f64, verb: char, precision: Option<usize>) -> Parts {
    let written = match precision {
        None => format!("{number:e}"),
        Some(precision) => {
            let after_point = precision.clamp(1, MAX_DIGITS) - 1;
            format!("{number:.after_point$e}")
        }
    };
    let (mantissa, exponent) = scientific(&written);
    let mut digits = mantissa.replace('.', "");
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let mut most = precision.map_or(6, |precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX));
    if precision.is_some() && most > count && count > exponent {
        most = count;
    }
    let tail = if exponent < -4 || exponent >= most {
        let letter = if verb == 'G' { 'E' } else { 'e' };
        if digits.len() > 1 {
            digits.insert(1, '.');
        }
        exponent_text(letter, exponent)
    } else {
        digits = positional(&digits, exponent);
        String::new()
    };
    Parts {
        digits,
        zeros: 0,
        tail,
    }
}

/// Writes digits without an exponent; the first one stands for `10^exponent`.
fn positional(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        let zeros = usize::try_from(exponent.unsigned_abs()).unwrap_or_default() - 1;
        return format!("0.{}{digits}", "0".repeat(zeros));
    }
    let whole = usize::try_from(exponent).unwrap_or_default() + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (whole, fraction) = digits.split_at(whole);
    format!("{whole}.{fraction}")
}

/// Splits a number into its mantissa, with the leading one, and the power of two of the last bit.
fn bits(number: f64) -> (u64, i32) {
    let raw = number.to_bits();
    let fraction = raw & ((1 << 52) - 1);
    let exponent = i32::try_from((raw >> 52) & 0x7ff).unwrap_or_default();
    if exponent == 0 {
        (fraction, -1074)
    } else {
        (fraction | (1 << 52), exponent - 1075)
    }
}

/// `%b`: the mantissa as an integer and a power of two.
fn binary(number: f64) -> Parts {
    let (mantissa, exponent) = bits(number);
    let sign = if exponent < 0 { "" } else { "+" };
    Parts {
        digits: mantissa.to_string(),
        zeros: 0,
        tail: format!("p{sign}{exponent}"),
    }
}

/// `%x`: hexadecimal mantissa between 1 and 2, power of two.
fn hexadecimal(number: f64, verb: char, precision: Option<usize>) -> Parts {
    let (mut mantissa, mut exponent) = bits(number);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // The leading one goes to bit 60: fifteen digits after the point.
        let shift = mantissa.leading_zeros().saturating_sub(3);
        mantissa <<= shift;
        exponent += 60 - i32::try_from(shift).unwrap_or_default();
    }
    let mut padding = 0;
    let mut fraction_digits = 15;
    if let Some(precision) = precision {
        padding = precision.saturating_sub(15);
        fraction_digits = precision.min(15);
        let dropped = 4 * (15 - fraction_digits);
        if dropped > 0 {
            let half = 1u64 << (dropped - 1);
            let rest = mantissa & ((half << 1) - 1);
            mantissa = (mantissa >> dropped) << dropped;
            let odd = (mantissa >> dropped) & 1 == 1;
            if rest > half || (rest == half && odd) {
                mantissa += half << 1;
            }
            if mantissa >> 61 != 0 {
                mantissa >>= 1;
                exponent += 1;
            }
        }
    }
    let mut fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    fraction.truncate(fraction_digits);
    if precision.is_none() {
        fraction.truncate(fraction.trim_end_matches('0').len());
    }
    let point = if fraction.is_empty() && padding == 0 {
        ""
    } else {
        "."
    };
    let digits = format!("0x{}{point}{fraction}", mantissa >> 60);
    let tail = exponent_text('p', exponent);
    let upper = verb == 'X';
    Parts {
        digits: if upper {
            digits.to_ascii_uppercase()
        } else {
            digits
        },
        zeros: padding,
        tail: if upper { tail.to_ascii_uppercase() } else { tail },
    }
}

/// The `#` flag: always a point, and for `%g` the zeros that it leaves out. Returns how many zeros to add.
fn alternate(digits: &mut String, verb: char, spec: Spec) -> usize {
    let wanted = match verb {
        'e' | 'E' | 'f' | 'F' | 'X' => 0,
        'g' | 'G' if spec.precision.is_none() => 6,
        _ => spec.precision.unwrap_or(6),
    };
    // Go counts the x of a hexadecimal number as a digit.
    let significant = digits
        .chars()
        .filter(|digit| *digit != '.')
        .skip_while(|digit| *digit == '0')
        .count();
    let lone_zero = digits.as_str() == "0";
    if !digits.contains('.') {
        digits.push('.');
    }
    wanted
        .saturating_sub(significant)
        .saturating_sub(usize::from(lone_zero))
}
