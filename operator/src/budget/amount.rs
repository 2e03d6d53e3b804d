//! What a budget counts: dollars, tokens, Tasks.

use axon_api::money::Money;
use axon_api::v1alpha1::{BudgetAmount, BudgetLimit};

/// An amount of everything that is counted. Sums stop at the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Dollars.
    pub cost: Money,
    /// Tokens of all kinds.
    pub tokens: u64,
    /// Tasks.
    pub runs: u64,
}

/// The most of each; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Dollars.
    pub cost: Option<Money>,
    /// Tokens of all kinds.
    pub tokens: Option<u64>,
    /// Tasks.
    pub runs: Option<u64>,
}

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Dollars.
    Cost,
    /// Tokens.
    Tokens,
    /// Tasks.
    Runs,
}

impl Amount {
    /// Returns the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost: self.cost.plus(other.cost),
            tokens: self.tokens.saturating_add(other.tokens),
            runs: self.runs.saturating_add(other.runs),
        }
    }

    /// Returns what is left without `other`, and nothing where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            cost: self.cost.minus(other.cost),
            tokens: self.tokens.saturating_sub(other.tokens),
            runs: self.runs.saturating_sub(other.runs),
        }
    }

    /// Returns true if `other` is no more than this in anything.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.cost >= other.cost && self.tokens >= other.tokens && self.runs >= other.runs
    }

    /// Returns true if there is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// Reads what is stored. What is no number, which nothing of ours writes, counts as the largest one: a budget that can't be
    /// read has no room.
    #[must_use]
    pub fn stored(stored: &BudgetAmount) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
        Self {
            cost: Money::counted(&stored.cost_usd).unwrap_or(Money::MAX),
            tokens: number(stored.tokens),
            runs: number(stored.runs),
        }
    }

    /// Returns the form that is stored.
    #[must_use]
    pub fn store(self) -> BudgetAmount {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        BudgetAmount {
            cost_usd: self.cost.to_string(),
            tokens: number(self.tokens),
            runs: number(self.runs),
        }
    }
}

impl Limit {
    /// Returns the limit of a spec. A limit that can't be read, which the API server refuses, is zero: nothing fits.
    #[must_use]
    pub fn of(spec: &BudgetLimit) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            cost: spec.cost_usd.as_ref().map(|_| spec.cost().unwrap_or_default()),
            tokens: spec.tokens.map(number),
            runs: spec.runs.map(number),
        }
    }

    /// Returns what `amount` exceeds, if anything.
    #[must_use]
    pub fn exceeded_by(&self, amount: Amount) -> Option<Dimension> {
        if self.cost.is_some_and(|most| amount.cost > most) {
            Some(Dimension::Cost)
        } else if self.tokens.is_some_and(|most| amount.tokens > most) {
            Some(Dimension::Tokens)
        } else if self.runs.is_some_and(|most| amount.runs > most) {
            Some(Dimension::Runs)
        } else {
            None
        }
    }
}
