//! Figures as agents write them. One that can't be read is unknown, and never decides how a run ended.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// No run has this many tokens, and sums of such counts fit.
const MOST: i64 = 1_000_000_000_000;

/// Reads a count out of whatever stands there.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the range is checked first, and parts of a token don't count"
)]
pub fn of(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|number| number.abs() < 1e15)?;
            Some(number as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| (0..=MOST).contains(number))
}

/// [`of`] for a field of a document.
pub fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Value::deserialize(from).map(|value| of(&value))
}

/// Reads a part of a document that may be missing, `null` or of another form: all of these are the default.
pub fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Value::deserialize(from).map(|value| serde_json::from_value(value).unwrap_or_default())
}

/// [`lenient`] for a group of figures, which is an object: serde would read the figures of an array by their position.
pub fn group<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(match value {
        Value::Object(_) => serde_json::from_value(value).unwrap_or_default(),
        _ => T::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_from_any_form_and_else_unknown() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("10.0", Some(10)),
            ("10.5", Some(10)),
            ("1e3", Some(1000)),
            ("\"12\"", Some(12)),
            ("-1", None),
            ("-0.5", Some(0)),
            ("null", None),
            ("\"NaN\"", None),
            ("true", None),
            ("{}", None),
            ("[1]", None),
            ("1e300", None),
            ("9223372036854775807", None),
            ("18446744073709551615", None),
            ("1000000000000", Some(MOST)),
            ("1000000000001", None),
        ] {
            assert_eq!(of(&serde_json::from_str(text).unwrap()), expected, "{text}");
        }
    }
}
