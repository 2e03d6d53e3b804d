//! What a model costs, and what tokens come to at that price. The operator estimates with it, and the pod watches a cap.

use serde::Deserialize;

use crate::money::Money;
use crate::usage::{Usage, reported_tokens};

/// Prices of one model, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of what is read, without what comes from or goes to the cache.
    pub input: Money,
    /// Of what is written, with the reasoning.
    pub output: Money,
    /// Of what is read from the cache.
    pub cache_read: Money,
    /// Of what is read and written to the cache.
    pub cache_write: Money,
}

/// The JSON form, all of which is required: a price that was left out would be a cap that counts nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Texts {
    input: String,
    output: String,
    cache_read: String,
    cache_write: String,
}

impl Price {
    /// Reads the form that [`Price::json`] writes.
    ///
    /// # Errors
    /// What is wrong with it, with the field concerned.
    pub fn parse(text: &str) -> Result<Self, String> {
        let texts: Texts = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let amount = |field: &str, text: &str| {
            Money::reported(text)
                .ok_or_else(|| format!("{field}: {text:?} is no number of dollars from 0 to 1000000"))
        };
        Ok(Self {
            input: amount("input", &texts.input)?,
            output: amount("output", &texts.output)?,
            cache_read: amount("cacheRead", &texts.cache_read)?,
            cache_write: amount("cacheWrite", &texts.cache_write)?,
        })
    }

    /// Writes the form in which the pod gets it: an object of decimal texts.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!({
            "input": self.input.to_string(),
            "output": self.output.to_string(),
            "cacheRead": self.cache_read.to_string(),
            "cacheWrite": self.cache_write.to_string(),
        })
        .to_string()
    }

    /// Returns what the tokens that are known come to.
    #[must_use]
    pub fn of_tokens(&self, usage: &Usage) -> Money {
        let parts = [
            (usage.input_tokens, self.input),
            (usage.output_tokens, self.output),
            (usage.cache_read_tokens, self.cache_read),
            (usage.cache_write_tokens, self.cache_write),
        ];
        let millionths: u128 = parts
            .into_iter()
            .map(|(tokens, price)| {
                let tokens = tokens.and_then(reported_tokens).unwrap_or_default();
                u128::from(tokens.unsigned_abs()) * u128::from(price.nanos())
            })
            .sum();
        Money::at_most((millionths + 500_000) / 1_000_000)
    }

    /// Returns what a run would cost, in US dollars; `None` if its agent reported a cost, or not both its input and its
    /// output.
    #[must_use]
    pub fn estimate(&self, usage: &Usage) -> Option<String> {
        let is_known = usage.input_tokens.is_some() && usage.output_tokens.is_some();
        (usage.cost_usd.is_none() && is_known).then(|| self.of_tokens(usage).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_reads_what_the_operator_writes() {
        let money = |text: &str| Money::reported(text).unwrap();
        let price = Price {
            input: money("1.25"),
            output: money("10"),
            cache_read: money("0.125"),
            cache_write: money("0.000000001"),
        };
        let text = price.json();
        assert_eq!(
            text,
            r#"{"cacheRead":"0.125","cacheWrite":"0.000000001","input":"1.25","output":"10.00"}"#
        );
        assert_eq!(Price::parse(&text), Ok(price));
    }

    #[test]
    fn what_is_no_price_is_named() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "missing field `input`"),
            (
                r#"{"input":"1","output":"1","cacheRead":"1"}"#,
                "missing field `cacheWrite`",
            ),
            (
                r#"{"input":"1","output":"-1","cacheRead":"1","cacheWrite":"1"}"#,
                "output: \"-1\" is no number",
            ),
            (
                r#"{"input":1,"output":"1","cacheRead":"1","cacheWrite":"1"}"#,
                "expected a string",
            ),
        ] {
            let said = Price::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn an_unknown_count_costs_nothing_and_is_no_estimate() {
        let price = Price {
            output: Money::reported("10").unwrap(),
            ..Price::default()
        };
        let usage = Usage {
            output_tokens: Some(100_000),
            ..Usage::default()
        };
        assert_eq!(price.of_tokens(&usage).to_string(), "1.00");
        assert_eq!(price.estimate(&usage), None);
    }
}
