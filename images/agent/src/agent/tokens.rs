//! The four counts of tokens.

use std::iter::Sum;

use axon_api::usage::Usage;

/// Tokens, counted apart as providers charge for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read, without those from or for the cache.
    pub input: i64,
    /// Written, with the reasoning.
    pub output: i64,
    /// Read from the cache.
    pub cache_read: i64,
    /// Read, and written to the cache.
    pub cache_write: i64,
}

impl Tokens {
    /// Applies `f` to each pair of counts.
    #[must_use]
    pub fn zip(self, other: Self, f: impl Fn(i64, i64) -> i64) -> Self {
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
        self.zip(other, i64::max)
    }

    /// Returns these counts as a run's usage.
    #[must_use]
    pub fn usage(self, cost_usd: Option<String>) -> Usage {
        Usage {
            cost_usd,
            input_tokens: Some(self.input),
            output_tokens: Some(self.output),
            cache_read_tokens: Some(self.cache_read),
            cache_write_tokens: Some(self.cache_write),
            ..Usage::default()
        }
    }
}

impl Sum for Tokens {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, tokens| {
            sum.zip(tokens, i64::saturating_add)
        })
    }
}
