//! The four counts of tokens.

use std::iter::Sum;

use axon_api::usage::Usage;

/// Tokens, counted apart as providers charge for them. A count that the agent did not tell, or that can't be read, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read, without those from or for the cache.
    pub input: Option<i64>,
    /// Written, with the reasoning.
    pub output: Option<i64>,
    /// Read from the cache.
    pub cache_read: Option<i64>,
    /// Read, and written to the cache.
    pub cache_write: Option<i64>,
}

impl Tokens {
    fn zip(self, other: Self, f: impl Fn(Option<i64>, Option<i64>) -> Option<i64>) -> Self {
        Self {
            input: f(self.input, other.input),
            output: f(self.output, other.output),
            cache_read: f(self.cache_read, other.cache_read),
            cache_write: f(self.cache_write, other.cache_write),
        }
    }

    /// Returns the greater of each pair of counts.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, Option::max)
    }

    /// Returns the sum of each pair of counts; one that only one side knows stays as it is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, plus)
    }

    /// Returns what is left of each known count.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.zip(other, minus)
    }

    /// Returns true if no count is above zero.
    #[must_use]
    pub fn is_none(self) -> bool {
        let all = [self.input, self.output, self.cache_read, self.cache_write];
        all.into_iter().flatten().all(|count| count == 0)
    }

    /// Returns these counts as a run's usage.
    #[must_use]
    pub fn usage(self, cost_usd: Option<String>) -> Usage {
        Usage {
            cost_usd,
            input_tokens: self.input,
            output_tokens: self.output,
            cache_read_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            ..Usage::default()
        }
    }
}

impl Sum for Tokens {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::plus)
    }
}

/// Returns the sum of what is known.
#[must_use]
pub fn plus(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// Returns what is left of a known count, not less than zero.
#[must_use]
pub fn minus(count: Option<i64>, part: Option<i64>) -> Option<i64> {
    count.map(|count| count.saturating_sub(part.unwrap_or_default()).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_stays_so() {
        for (one, other, sum, rest) in [
            (None, None, None, None),
            (None, Some(2), Some(2), None),
            (Some(3), None, Some(3), Some(3)),
            (Some(3), Some(2), Some(5), Some(1)),
            (Some(2), Some(3), Some(5), Some(0)),
            (Some(i64::MAX), Some(1), Some(i64::MAX), Some(i64::MAX - 1)),
        ] {
            assert_eq!(
                (plus(one, other), minus(one, other)),
                (sum, rest),
                "{one:?} {other:?}"
            );
        }
    }
}
