//! What one Task may spend.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// Characters of an amount: seven digits, a point, nine digits, and one to spare.
const MAX_AMOUNT: usize = 18;
/// Most tokens of a cap: the most that one pod may report.
const MAX_TOKENS: i64 = 1_000_000_000_000;

/// The most that a Task may spend, over all its attempts together: each pod gets what those before it have left. An agent that
/// reaches it is stopped, its work is pushed, and the Task fails with reason `BudgetExceeded`. The cost of the answer in flight
/// comes on top.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.costUSD) || has(self.tokens)")
    .message("a budget needs costUSD, tokens or both"))]
pub struct Budget {
    /// Most US dollars, such as `5` or `"2.50"`: by the agent's own figures, or by the operator's price table where the agent has
    /// none. An amount with cents is written in quotes.
    #[serde(default, rename = "costUSD", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_AMOUNT))]
    #[x_kube(validation = amount("costUSD"))]
    pub cost_usd: Option<IntOrString>,
    /// Most tokens of all kinds: input, output, and what is read from and written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_TOKENS))]
    pub tokens: Option<i64>,
}

impl Budget {
    /// Returns the most dollars; `None` without a cap on money, or for a text that is no amount, which the API server refuses.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        dollars(self.cost_usd.as_ref()?)
    }

    /// Returns the most tokens.
    #[must_use]
    pub fn tokens(&self) -> Option<u64> {
        self.tokens.and_then(|tokens| u64::try_from(tokens).ok())
    }
}

/// Returns an amount of dollars as specs have it; `None` for what is no amount.
#[must_use]
pub fn dollars(amount: &IntOrString) -> Option<Money> {
    match amount {
        IntOrString::Int(whole) => Money::reported(&whole.to_string()),
        IntOrString::String(text) => Money::reported(text),
    }
}

/// Returns the rule of a field that is an amount of dollars: positive, and at most what one pod may report.
pub(super) fn amount(field: &str) -> Rule {
    Rule::new(
        "type(self) == int ? (self >= 1 && self <= 1000000) : \
         (self.matches('^[0-9]{1,7}([.][0-9]{1,9})?$') && double(self) > 0.0 && double(self) <= 1000000.0)",
    )
    .message(
        format!("{field} must be an amount of US dollars above 0 and up to 1000000, such as 5 or \"2.50\"")
            .as_str(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_whole_number_or_a_text() {
        let cap =
            |cost: &str| -> Budget { serde_json::from_str(&format!("{{\"costUSD\": {cost}}}")).unwrap() };
        for (cost, nanos) in [
            ("5", Some(5_000_000_000)),
            ("\"2.50\"", Some(2_500_000_000)),
            ("\"0.000000001\"", Some(1)),
            ("-5", None),
            ("\"five\"", None),
            ("\"1e99\"", None),
        ] {
            assert_eq!(cap(cost).cost().map(Money::nanos), nanos, "{cost}");
        }
        let tokens: Budget = serde_json::from_str("{\"tokens\": 2000000}").unwrap();
        assert_eq!((tokens.cost(), tokens.tokens()), (None, Some(2_000_000)));
    }
}
