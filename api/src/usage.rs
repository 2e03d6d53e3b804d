//! Tokens and cost of an agent run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// Most tokens that one pod may report.
const MOST_TOKENS: i64 = 1_000_000_000_000;
/// Most tokens that a Task of the most attempts can come to.
const MOST_TOKENS_OF_A_TASK: i64 = 16 * MOST_TOKENS;

/// Tokens and money of one run, as the agent reported them. A figure that no agent reported is absent, not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Cost in US dollars as a decimal number, such as `4.00` or `0.012224`. It is what the agent claims.
    #[serde(default, rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// Estimate in US dollars of what no agent reported a cost for: tokens times the operator's price table. Never part
    /// of `costUSD`; absent without a price table.
    #[serde(default, rename = "estimatedCostUSD", skip_serializing_if = "Option::is_none")]
    pub estimated_cost_usd: Option<String>,
    /// Input tokens, without those read from or written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<i64>,
    /// Output tokens, the ones for reasoning included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<i64>,
    /// Input tokens that were read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<i64>,
    /// Input tokens that were written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<i64>,
}

impl Usage {
    /// Returns true when nothing was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the sum of two runs. A figure that only one of them has stays as it is. Sums stop at the largest number.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let add = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, other) => one.or(other),
        };
        let add_money = |a: Option<Money>, b: Option<Money>| {
            let both = [a, b].into_iter().flatten();
            both.reduce(Money::plus).map(|sum| sum.to_string())
        };
        Self {
            cost_usd: add_money(self.cost(), other.cost()),
            estimated_cost_usd: add_money(self.estimated_cost(), other.estimated_cost()),
            input_tokens: add(self.input_tokens, other.input_tokens),
            output_tokens: add(self.output_tokens, other.output_tokens),
            cache_read_tokens: add(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: add(self.cache_write_tokens, other.cache_write_tokens),
        }
    }

    /// Returns each figure of the run or of `earlier`, whichever is larger: what was consumed is never taken back.
    #[must_use]
    pub fn no_less_than(&self, earlier: &Self) -> Self {
        let larger = |now: &Option<String>, before: &Option<String>| {
            let amount = |text: &Option<String>| text.as_deref().and_then(Money::parse);
            if amount(before) > amount(now) {
                before.clone()
            } else {
                now.clone()
            }
        };
        Self {
            cost_usd: larger(&self.cost_usd, &earlier.cost_usd),
            estimated_cost_usd: larger(&self.estimated_cost_usd, &earlier.estimated_cost_usd),
            input_tokens: self.input_tokens.max(earlier.input_tokens),
            output_tokens: self.output_tokens.max(earlier.output_tokens),
            cache_read_tokens: self.cache_read_tokens.max(earlier.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.max(earlier.cache_write_tokens),
        }
    }

    /// Returns the cost; `None` if there is none, or the text is no amount, as earlier operators stored it.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.cost_usd.as_deref().and_then(Money::parse)
    }

    /// Returns the estimate, as [`Usage::cost`] does.
    #[must_use]
    pub fn estimated_cost(&self) -> Option<Money> {
        self.estimated_cost_usd.as_deref().and_then(Money::parse)
    }
}

/// Returns a number of tokens that one pod may report: 0 to 10^12.
#[must_use]
pub fn reported_tokens(tokens: i64) -> Option<i64> {
    (0..=MOST_TOKENS).contains(&tokens).then_some(tokens)
}

/// Returns a number of tokens that is stored about a Task; `None` if it can't be one.
#[must_use]
pub fn stored_tokens(tokens: i64) -> Option<u64> {
    let tokens = u64::try_from(tokens).ok()?;
    (tokens <= MOST_TOKENS_OF_A_TASK.unsigned_abs()).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_only_one_side_knows() {
        let a = Usage {
            cost_usd: Some("0.1".into()),
            input_tokens: Some(1),
            ..Usage::default()
        };
        let b = Usage {
            cost_usd: Some("0.2".into()),
            estimated_cost_usd: Some("0.5".into()),
            output_tokens: Some(2),
            ..Usage::default()
        };
        let sum = a.plus(&b);
        assert_eq!(sum.cost_usd.as_deref(), Some("0.30"));
        assert_eq!(sum.estimated_cost_usd.as_deref(), Some("0.50"));
        assert_eq!(
            (sum.input_tokens, sum.output_tokens, sum.cache_read_tokens),
            (Some(1), Some(2), None)
        );
        assert_eq!(a.plus(&a).cost_usd.as_deref(), Some("0.20"));
        let most = Usage {
            input_tokens: Some(i64::MAX),
            ..Usage::default()
        };
        assert_eq!(most.plus(&most), most);
    }

    #[test]
    fn a_later_figure_takes_nothing_back() {
        let usage = |cost: &str, tokens: i64| Usage {
            cost_usd: Some(cost.into()),
            input_tokens: Some(tokens),
            ..Usage::default()
        };
        assert_eq!(usage("0", 1).no_less_than(&usage("0.5", 900)), usage("0.5", 900));
        assert_eq!(
            usage("0.7", 1000).no_less_than(&usage("0.5", 900)),
            usage("0.7", 1000)
        );
        assert_eq!(Usage::default().no_less_than(&usage("0.5", 9)), usage("0.5", 9));
        assert_eq!(usage("0.5", 9).no_less_than(&Usage::default()), usage("0.5", 9));
    }

    #[test]
    fn figures_that_cannot_be_are_none() {
        assert_eq!([-1, MOST_TOKENS + 1, i64::MAX].map(reported_tokens), [None; 3]);
        assert_eq!(
            [0, MOST_TOKENS].map(reported_tokens),
            [Some(0), Some(MOST_TOKENS)]
        );
        assert_eq!([-5, i64::MIN, i64::MAX].map(stored_tokens), [None; 3]);
        assert_eq!(stored_tokens(7), Some(7));
    }
}
