//! One field of a schedule: numbers, ranges, steps and names.

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Bounds {
    name: &'static str,
    least: u64,
    most: u64,
    /// Names of the values from `least` on.
    names: &'static [&'static str],
}

impl Bounds {
    pub(super) const MINUTE: Self = Self::numbers("minute", 0, 59);
    pub(super) const HOUR: Self = Self::numbers("hour", 0, 23);
    pub(super) const DAY: Self = Self::numbers("day-of-month", 1, 31);
    pub(super) const MONTH: Self = Self {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    };
    pub(super) const WEEKDAY: Self = Self {
        name: "day-of-week",
        least: 0,
        most: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    };

    const fn numbers(name: &'static str, least: u64, most: u64) -> Self {
        Self {
            name,
            least,
            most,
            names: &[],
        }
    }
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {text:?}: {problem}; allowed are {allowed}, *, ?, ranges a-b, steps /n, lists a,b")]
pub struct FieldError {
    /// Which field.
    pub field: &'static str,
    /// What it holds.
    pub text: String,
    /// What is wrong.
    pub problem: String,
    /// The values it may hold.
    pub allowed: String,
}

/// The values of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    bits: u64,
    /// The field says nothing: `*`, also within a list.
    any: bool,
}

impl Set {
    /// Parses a field: ranges with commas between them. Empty ranges are passed over, so that `,` matches nothing.
    pub(super) fn parse(text: &str, bounds: &Bounds) -> Result<Self, FieldError> {
        let mut set = Self::default();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let range = Self::range(range, bounds).map_err(|problem| FieldError {
                field: bounds.name,
                text: text.to_owned(),
                problem,
                allowed: match bounds.names {
                    [first, .., last] => format!("{}-{}, {first}-{last}", bounds.least, bounds.most),
                    _ => format!("{}-{}", bounds.least, bounds.most),
                },
            })?;
            set.bits |= range.bits;
            set.any |= range.any;
        }
        Ok(set)
    }

    pub(super) fn has(self, value: i8) -> bool {
        u32::try_from(value)
            .ok()
            .and_then(|value| self.bits.checked_shr(value))
            .is_some_and(|bits| bits & 1 == 1)
    }

    pub(super) fn is_any(self) -> bool {
        self.any
    }

    /// Returns whether no value is in the set.
    pub(super) fn is_empty(self) -> bool {
        self.bits == 0
    }

    fn range(text: &str, bounds: &Bounds) -> Result<Self, String> {
        let (span, step) = match text.split_once('/') {
            Some((_, step)) if step.contains('/') => return Err(format!("{text:?} has too many slashes")),
            Some((span, step)) => (span, Some(step)),
            None => (text, None),
        };
        let mut ends = span.split('-');
        let first = ends.next().unwrap_or_default();
        let rest: Vec<&str> = ends.collect();
        let any = matches!(first, "*" | "?");
        let (start, mut end) = match rest.as_slice() {
            // What stands behind a star and a hyphen is not read.
            _ if any => (bounds.least, bounds.most),
            [] => {
                let value = value(first, bounds)?;
                (value, value)
            }
            [last] => (value(first, bounds)?, value(last, bounds)?),
            _ => return Err(format!("{text:?} has too many hyphens")),
        };
        let step = match step {
            Some(step) => number(step)?,
            None => 1,
        };
        if text.contains('/') && rest.is_empty() {
            end = bounds.most;
        }
        if start < bounds.least {
            return Err(format!("{start} is below {}", bounds.least));
        }
        if end > bounds.most {
            return Err(format!("{end} is above {}", bounds.most));
        }
        if start > end {
            return Err(format!("{text:?} begins after its end"));
        }
        if step == 0 {
            return Err(format!("the step of {text:?} must be positive"));
        }
        let step_by = usize::try_from(step).unwrap_or(usize::MAX);
        let bits = (start..=end)
            .step_by(step_by)
            .fold(0, |bits, value| bits | 1 << value);
        Ok(Self {
            bits,
            any: any && step == 1,
        })
    }
}

/// Reads a number or one of the field's names.
fn value(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    match (bounds.least..)
        .zip(bounds.names)
        .find(|(_, name)| **name == lower)
    {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

/// Reads a number as Go does: a plus sign is fine.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let magnitude = digits
        .parse::<u64>()
        .ok()
        .filter(|number| digits.starts_with(|c: char| c.is_ascii_digit()) && i64::try_from(*number).is_ok());
    match magnitude {
        Some(number) if number == 0 || !text.starts_with('-') => Ok(number),
        Some(_) => Err(format!("{text} is negative")),
        None => Err(format!("{text:?} is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_quote_the_field_and_say_what_is_allowed() {
        let shown = |text, bounds| Set::parse(text, bounds).unwrap_err().to_string();
        insta::assert_snapshot!(
            shown("0-7", &Bounds::WEEKDAY),
            @r#"day-of-week "0-7": 7 is above 6; allowed are 0-6, sun-sat, *, ?, ranges a-b, steps /n, lists a,b"#
        );
        insta::assert_snapshot!(
            shown("5,61", &Bounds::MINUTE),
            @r#"minute "5,61": 61 is above 59; allowed are 0-59, *, ?, ranges a-b, steps /n, lists a,b"#
        );
        insta::assert_snapshot!(
            shown("L", &Bounds::DAY),
            @r#"day-of-month "L": "L" is not a number; allowed are 1-31, *, ?, ranges a-b, steps /n, lists a,b"#
        );
    }
}
