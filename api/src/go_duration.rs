//! Durations as Kubernetes users write them, Go's `time.ParseDuration`: `30s`, `1h30m`, `1.5h`.

// `kube::core::Duration` reads the empty text as zero and takes negative durations, and its `mul_f64` panics for
// `1h-3m` and `99999999999999999999h`: these texts come from users, so the reader here refuses them.
use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: use a number with a unit, such as 30s, 5m or 1h30m")]
pub struct InvalidDuration(pub String);

/// The form of a non-negative duration, as a regular expression for schemas.
pub const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$";

/// Reads a non-negative duration by Go's rules.
///
/// # Errors
/// [`InvalidDuration`] for anything else, also for more than Go's 2^63 ns, some 292 years.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_len = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(number_len);
        let value: f64 = number.parse().map_err(|_| invalid())?;
        let unit_len = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_len);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += value * seconds;
        rest = next;
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|sum| i64::try_from(sum.as_nanos()).is_ok())
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, seconds) in [
            ("30s", 30.0),
            ("5m", 300.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("0", 0.0),
            ("100ms", 0.1),
            ("2562047h", 2_562_047.0 * 3600.0),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "5x",
            "1h-3m",
            ".",
            "s5",
            "5mm5",
            "99999999999999999999h",
            "2562048h",
            "2000000000000000h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
