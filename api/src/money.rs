//! Dollars, counted in billionths, so that sums are exact.

use std::fmt;
use std::iter::Sum;

const BILLION: u64 = 1_000_000_000;
/// Most that one pod may report, in billionths of a dollar. More is a mistake or a lie.
const MOST_OF_A_POD: u64 = 1_000_000 * BILLION;
/// Most that a Task of the most attempts can come to.
const MOST_OF_A_TASK: u64 = 16 * MOST_OF_A_POD;

/// An amount of US dollars: never negative, never infinite. Sums stop at the largest amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u64);

impl Money {
    /// Reads what one pod reports: a decimal number from 0 to 1,000,000, as agents print it. `None` for all else.
    #[must_use]
    pub fn reported(dollars: &str) -> Option<Self> {
        nanos(dollars).filter(|nanos| *nanos <= MOST_OF_A_POD).map(Self)
    }

    /// Reads what is stored about a Task, or configured: as [`Money::reported`], up to 16,000,000. What operators of earlier
    /// versions stored may be anything.
    #[must_use]
    pub fn parse(dollars: &str) -> Option<Self> {
        nanos(dollars).filter(|nanos| *nanos <= MOST_OF_A_TASK).map(Self)
    }

    /// The largest amount, some 18 billion dollars.
    pub const MAX: Self = Self(u64::MAX);

    /// Reads a sum of many Tasks: as [`Money::reported`], up to [`Money::MAX`].
    #[must_use]
    pub fn counted(dollars: &str) -> Option<Self> {
        nanos(dollars).map(Self)
    }

    /// Returns an amount of billionths, or the most that one pod may report.
    #[must_use]
    pub fn at_most(nanos: u128) -> Self {
        Self(u64::try_from(nanos).map_or(MOST_OF_A_POD, |nanos| nanos.min(MOST_OF_A_POD)))
    }

    /// Returns billionths of a dollar.
    #[must_use]
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// Returns dollars, for metrics. Sixteen digits are right.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Returns both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns what is left without `other`, and nothing where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns one of `count` equal parts; `None` for no part.
    #[must_use]
    pub fn divided(self, count: usize) -> Option<Self> {
        self.0.checked_div(u64::try_from(count).ok()?).map(Self)
    }

    /// Writes dollars for people: `$0.0122`, `$12.34`.
    #[must_use]
    pub fn short(self) -> String {
        let places = if self.0 >= 10 * BILLION { 2 } else { 4 };
        let unit = 10_u64.pow(9 - places);
        let rounded = self.0 / unit + u64::from(self.0 % unit >= unit / 2);
        let scale = 10_u64.pow(places);
        let width = places as usize;
        format!("${}.{:0width$}", rounded / scale, rounded % scale)
    }
}

/// Writes dollars with all their digits, and at least cents: `0.012224`, `1.50`. This is how amounts are stored.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:09}", self.0 % BILLION);
        let (cents, finer) = digits.split_at(2);
        write!(f, "{}.{cents}{}", self.0 / BILLION, finer.trim_end_matches('0'))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Self::plus)
    }
}

/// Reads a decimal number, such as `12`, `0.5` or `1.2e-05`, as billionths, rounded. A float would lose digits, and takes
/// `inf` for a number.
fn nanos(dollars: &str) -> Option<u64> {
    let text = dollars.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = match digits.trim_start_matches('0') {
        "" => return Some(0),
        digits => digits.parse::<u128>().ok()?,
    };
    let shift = 9 + i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    let nanos = match (shift >= 0, power) {
        (true, power) => number.checked_mul(power?)?,
        // Far below a billionth.
        (false, None) => 0,
        (false, Some(power)) => number / power + u128::from(number % power >= power / 2),
    };
    u64::try_from(nanos).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(dollars: &str) -> Money {
        Money::parse(dollars).unwrap()
    }

    #[test]
    fn sums_are_exact_and_nothing_is_lost_in_writing() {
        for (text, nanos, back) in [
            ("0.012224", 12_224_000, "0.012224"),
            ("1.5", 1_500_000_000, "1.50"),
            ("4.00", 4_000_000_000, "4.00"),
            ("8", 8_000_000_000, "8.00"),
            ("0", 0, "0.00"),
            ("1.2e-05", 12_000, "0.000012"),
            ("1e-7", 100, "0.0000001"),
            ("2.5E+3", 2_500_000_000_000, "2500.00"),
            ("0.00000000049", 0, "0.00"),
            ("0.0000000005", 1, "0.000000001"),
            ("12345.678901234", 12_345_678_901_234, "12345.678901234"),
            ("0e9999", 0, "0.00"),
        ] {
            assert_eq!(money(text).nanos(), nanos, "{text}");
            assert_eq!(money(text).to_string(), back);
        }
        let tenths = ["0.1"; 3].map(money).into_iter();
        assert_eq!(tenths.sum::<Money>().to_string(), "0.30");
        assert_eq!(Money::MAX.plus(money("1")), Money::MAX);
        assert_eq!(Money::counted(&Money::MAX.to_string()), Some(Money::MAX));
        assert_eq!(
            (money("3").minus(money("1")), money("1").minus(money("3"))),
            (money("2"), Money::default())
        );
        assert_eq!(
            (money("3").divided(2), money("3").divided(0)),
            (Some(money("1.5")), None)
        );
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for bad in [
            "",
            "x",
            "NaN",
            "nan",
            "inf",
            "-inf",
            "infinity",
            "1e300",
            "1e308",
            "-1",
            "-0.5",
            "+1",
            "=1+1",
            ".5",
            "1.2.3",
            "1,5",
            "0x10",
            "1e",
            "1e99999",
            "\u{1b}[2J1",
            "１",
            "twelve dollars",
            "1_000",
            "99999999999999999999999999999999999999999999",
        ] {
            assert_eq!((Money::parse(bad), Money::reported(bad)), (None, None), "{bad}");
        }
        let pods = [("1000000", true), ("1000000.000000001", false)];
        assert!(
            pods.iter()
                .all(|(text, fits)| Money::reported(text).is_some() == *fits)
        );
        let tasks = [("16000000", true), ("16000000.01", false)];
        assert!(
            tasks
                .iter()
                .all(|(text, fits)| Money::parse(text).is_some() == *fits)
        );
        assert_eq!(Money::at_most(u128::MAX).to_string(), "1000000.00");
    }

    #[test]
    fn people_get_few_digits() {
        for (text, short) in [
            ("0.012224", "$0.0122"),
            ("0.00005", "$0.0001"),
            ("9.99999", "$10.0000"),
            ("1234.567", "$1234.57"),
            ("4", "$4.0000"),
            ("4.00", "$4.0000"),
        ] {
            assert_eq!(money(text).short(), short);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_bounded_and_comes_back(text in prop_oneof![any::<String>(), "[-+]?[0-9.]{0,30}([eE][-+]?[0-9]{1,4})?"]) {
            if let Some(amount) = Money::parse(&text) {
                prop_assert!(amount.nanos() <= MOST_OF_A_TASK);
                prop_assert_eq!(Money::parse(&amount.to_string()), Some(amount));
                prop_assert!(amount.dollars().is_finite() && amount.dollars() >= 0.0);
            }
        }
    }
}
