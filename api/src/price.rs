//! What a model costs.

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::usage::{Usage, reported_tokens};

/// Prices of one model, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of input that is neither read from nor written to a cache.
    pub input: Money,
    /// Of output.
    pub output: Money,
    /// Of input that is read from the provider's cache.
    pub cache_read: Money,
    /// Of input that is written to the provider's cache.
    pub cache_write: Money,
}

/// Prices as the operator hands them to a pod: texts keep all their digits.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    input: String,
    output: String,
    cache_read: String,
    cache_write: String,
}

impl Price {
    /// Returns what a run would cost, in US dollars; `None` if its agent reported a cost, or not both its input and its
    /// output.
    #[must_use]
    pub fn estimate(&self, usage: &Usage) -> Option<String> {
        if usage.cost_usd.is_some() {
            return None;
        }
        let parts = [
            (usage.input_tokens?, self.input),
            (usage.output_tokens?, self.output),
            (usage.cache_read_tokens.unwrap_or_default(), self.cache_read),
            (usage.cache_write_tokens.unwrap_or_default(), self.cache_write),
        ];
        let millionths: u128 = parts
            .into_iter()
            .map(|(tokens, price)| {
                let tokens = reported_tokens(tokens).unwrap_or_default().unsigned_abs();
                u128::from(tokens) * u128::from(price.nanos())
            })
            .sum();
        Some(Money::at_most((millionths + 500_000) / 1_000_000).to_string())
    }

    /// Writes the prices for a pod, as [`crate::contract::env::PRICE`] has them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let [input, output, cache_read, cache_write] =
            [self.input, self.output, self.cache_read, self.cache_write].map(|price| price.to_string());
        let written = Written {
            input,
            output,
            cache_read,
            cache_write,
        };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Reads what [`Price::to_json`] writes; `None` for all else.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        Some(Self {
            input: Money::reported(&written.input)?,
            output: Money::reported(&written.output)?,
            cache_read: Money::reported(&written.cache_read)?,
            cache_write: Money::reported(&written.cache_write)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_come_through_to_the_pod() {
        let money = |dollars: &str| Money::parse(dollars).unwrap();
        let price = Price {
            input: money("1.25"),
            output: money("10"),
            cache_read: money("0.125"),
            cache_write: money("0.000000001"),
        };
        assert_eq!(Price::from_json(&price.to_json()), Some(price));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"input":"1","output":"x","cacheRead":"0","cacheWrite":"0"}"#,
        ] {
            assert_eq!(Price::from_json(bad), None, "{bad}");
        }
    }
}
