//! What an agent run consumed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money;

/// Tokens and money of one run, as the agent reported them. A figure that no agent reported is absent, not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Cost in US dollars as a decimal number, exactly as the agent printed it.
    #[serde(default, rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// Estimate in US dollars of what no agent reported a cost for: tokens times the operator's price table. Never part
    /// of `costUSD`; absent without a price table.
    #[serde(default, rename = "estimatedCostUSD", skip_serializing_if = "Option::is_none")]
    pub estimated_cost_usd: Option<String>,
    /// Input tokens, without those read from or written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<i64>,
    /// Output tokens.
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

    /// Returns the sum of two runs. A figure that only one of them has stays as it is.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let add = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (one, other) => one.or(other),
        };
        let add_money = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(add_decimals(a, b)),
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        Self {
            cost_usd: add_money(&self.cost_usd, &other.cost_usd),
            estimated_cost_usd: add_money(&self.estimated_cost_usd, &other.estimated_cost_usd),
            input_tokens: add(self.input_tokens, other.input_tokens),
            output_tokens: add(self.output_tokens, other.output_tokens),
            cache_read_tokens: add(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: add(self.cache_write_tokens, other.cache_write_tokens),
        }
    }
}

/// Adds two decimal numbers to a billionth of a dollar, far below what any provider charges.
fn add_decimals(a: &str, b: &str) -> String {
    let value = |text: &str| money::parse(text).unwrap_or_default();
    let sum = money::exact(value(a).saturating_add(value(b)));
    sum.trim_end_matches('0').trim_end_matches('.').to_owned()
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
        assert_eq!(sum.cost_usd.as_deref(), Some("0.3"));
        assert_eq!(sum.estimated_cost_usd.as_deref(), Some("0.5"));
        assert_eq!(
            (sum.input_tokens, sum.output_tokens, sum.cache_read_tokens),
            (Some(1), Some(2), None)
        );
        assert_eq!(a.plus(&Usage::default()), a);
    }
}
