//! Dollars, counted in billionths, so that sums are exact.

const BILLION: f64 = 1e9;

/// Reads a decimal number of dollars; `None` if it is none.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the value was checked to fit")]
pub fn parse(dollars: &str) -> Option<i64> {
    let nanos = dollars.trim().parse::<f64>().ok()? * BILLION;
    (nanos.is_finite() && nanos.abs() < 9e18).then(|| nanos.round() as i64)
}

/// Writes dollars with all their digits, and at least cents: `0.012224`, `1.50`.
#[must_use]
pub fn exact(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (
        nanos.unsigned_abs() / 1_000_000_000,
        nanos.unsigned_abs() % 1_000_000_000,
    );
    let digits = format!("{rest:09}");
    let (cents, finer) = digits.split_at(2);
    format!("{sign}{whole}.{cents}{}", finer.trim_end_matches('0'))
}

/// Writes dollars for people: `$0.0122`, `$12.34`.
#[must_use]
pub fn short(nanos: i64) -> String {
    let dollars = exact(nanos);
    match dollars.parse::<f64>() {
        Ok(amount) if amount.abs() >= 10.0 => format!("${amount:.2}"),
        Ok(amount) => format!("${amount:.4}"),
        Err(_) => format!("${dollars}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_nothing_is_lost_in_writing() {
        for (text, nanos, back) in [
            ("0.012224", 12_224_000, "0.012224"),
            ("1.5", 1_500_000_000, "1.50"),
            ("0", 0, "0.00"),
            ("12345.678901234", 12_345_678_901_234, "12345.678901234"),
            ("-0.5", -500_000_000, "-0.50"),
        ] {
            assert_eq!(parse(text), Some(nanos), "{text}");
            assert_eq!(exact(nanos), back);
        }
        let tenth = parse("0.1").unwrap();
        assert_eq!(exact(tenth + tenth + tenth), "0.30");
        for bad in ["", "x", "NaN", "inf", "1e300"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn people_get_few_digits() {
        assert_eq!(short(12_224_000), "$0.0122");
        assert_eq!(short(1_234_567_000_000), "$1234.57");
    }
}
