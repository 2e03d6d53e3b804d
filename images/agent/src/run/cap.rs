//! The most that this pod may spend. Pure.

use axon_api::contract::env as names;
use axon_api::money::Money;
use axon_api::price::Price;
use axon_api::usage::{Usage, stored_tokens};

use crate::env::Env;
use crate::failure::Failure;

/// Share of the cap, in percent, at which the log warns.
const WARN_AT: u64 = 80;

/// A cap on dollars, on tokens, or on both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cap {
    cost: Option<Money>,
    tokens: Option<u64>,
    price: Option<Price>,
    has_warned: bool,
}

/// What a cap says of what was consumed up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Nothing.
    No,
    /// Most of it is spent: for the log, once.
    Nearly(String),
    /// All of it: the agent has to end.
    Fully(String),
}

impl Cap {
    /// Reads the cap from the environment.
    ///
    /// # Errors
    /// `InvalidConfig` for a cap or a price that can't be read: a run without the cap that was meant could spend anything.
    pub fn of(env: &Env) -> Result<Self, Failure> {
        let read = |name: &str, what: &str| Failure::invalid(format!("{name} is no {what}"));
        let cost = env.text(names::MAX_COST_USD).map(|text| {
            let cost = Money::reported(text);
            cost.ok_or_else(|| read(names::MAX_COST_USD, "number of US dollars"))
        });
        let tokens = env.text(names::MAX_TOKENS).map(|text| {
            let tokens = text.parse::<u64>().ok();
            tokens.ok_or_else(|| read(names::MAX_TOKENS, "number of tokens"))
        });
        let price = env.text(names::PRICE).map(|text| {
            let price = Price::from_json(text);
            price.ok_or_else(|| {
                read(
                    names::PRICE,
                    "price list with input, output, cacheRead and cacheWrite",
                )
            })
        });
        Ok(Self {
            cost: cost.transpose()?,
            tokens: tokens.transpose()?,
            price: price.transpose()?,
            has_warned: false,
        })
    }

    /// Compares the cap with what was consumed up to now.
    pub fn check(&mut self, usage: &Usage) -> Reached {
        let tokens = tokens_of(usage);
        let estimate = || {
            self.price
                .and_then(|price| price.estimate(usage))
                .as_deref()
                .and_then(Money::parse)
        };
        let cost = usage.cost().or_else(estimate);
        if let Some(most) = self.tokens.filter(|most| tokens >= *most) {
            return Reached::Fully(format!(
                "the agent has used {tokens} tokens, and {most} were left of the Task's budget"
            ));
        }
        match (self.cost, cost) {
            (Some(most), Some(cost)) if cost >= most => {
                return Reached::Fully(format!(
                    "the agent has spent {}, and {} was left of the Task's budget",
                    cost.short(),
                    most.short()
                ));
            }
            // Nobody will know before the end, if ever.
            (Some(most), None) if tokens > 0 && self.tokens.is_none() => {
                return Reached::Fully(format!(
                    "the agent does not say what it spends, and there is no price for its model, so the {} of the Task's budget can't be \
                     kept: add the model to the operator's price table, or set spec.budget.tokens",
                    most.short()
                ));
            }
            _ => {}
        }
        if self.has_warned {
            return Reached::No;
        }
        let is_near =
            |spent: u64, most: u64| u128::from(spent) * 100 >= u128::from(most) * u128::from(WARN_AT);
        let near = match (self.cost.zip(cost), self.tokens) {
            (Some((most, cost)), _) if is_near(cost.nanos(), most.nanos()) => {
                format!("{} of {}", cost.short(), most.short())
            }
            (_, Some(most)) if is_near(tokens, most) => format!("{tokens} of {most} tokens"),
            _ => return Reached::No,
        };
        self.has_warned = true;
        Reached::Nearly(format!(
            "warning: the agent has spent {near} of the Task's budget and is ended when it is used up"
        ))
    }
}

fn tokens_of(usage: &Usage) -> u64 {
    let kinds = [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ];
    let known = kinds.into_iter().flatten().filter_map(stored_tokens);
    known.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: &str = r#"{"input":"1","output":"10","cacheRead":"0.1","cacheWrite":"2"}"#;

    fn cap(pairs: &[(&str, &str)]) -> Result<Cap, Failure> {
        Cap::of(&pairs.iter().copied().collect())
    }

    fn usage(cost: Option<&str>, tokens: i64) -> Usage {
        Usage {
            cost_usd: cost.map(Into::into),
            input_tokens: Some(tokens),
            output_tokens: Some(0),
            ..Usage::default()
        }
    }

    fn is_over(cap: &mut Cap, usage: &Usage) -> bool {
        matches!(cap.check(usage), Reached::Fully(_))
    }

    #[test]
    fn without_a_cap_nothing_is_reached() {
        let mut none = cap(&[]).unwrap();
        assert_eq!(none.check(&usage(Some("1000000"), 1_000_000_000)), Reached::No);
    }

    #[test]
    fn the_agents_own_figure_counts_and_the_price_where_it_has_none() {
        let mut own = cap(&[(names::MAX_COST_USD, "2.50"), (names::PRICE, PRICE)]).unwrap();
        assert!(!is_over(&mut own, &usage(Some("2.49"), 99_000_000)));
        assert!(is_over(&mut own, &usage(Some("2.50"), 1)));
        assert!(!is_over(&mut own, &usage(None, 2_499_999)));
        assert!(is_over(&mut own, &usage(None, 2_500_000)));
        assert!(!is_over(&mut own, &Usage::default()), "nothing was consumed yet");
    }

    #[test]
    fn tokens_of_all_kinds_count() {
        let mut cap = cap(&[(names::MAX_TOKENS, "100")]).unwrap();
        let of_each = |tokens| Usage {
            input_tokens: Some(tokens),
            output_tokens: Some(tokens),
            cache_read_tokens: Some(tokens),
            cache_write_tokens: Some(tokens),
            ..Usage::default()
        };
        assert!(!is_over(&mut cap, &of_each(24)));
        let Reached::Fully(message) = cap.check(&of_each(25)) else {
            panic!("100 of 100")
        };
        assert!(message.contains("100 tokens, and 100 were left"), "{message}");
    }

    #[test]
    fn a_cost_that_nobody_will_know_ends_the_run_unless_tokens_are_capped() {
        let mut cost = cap(&[(names::MAX_COST_USD, "5")]).unwrap();
        assert!(
            matches!(cost.check(&usage(None, 1)), Reached::Fully(message) if message.contains("price table"))
        );
        let mut both = cap(&[(names::MAX_COST_USD, "5"), (names::MAX_TOKENS, "100")]).unwrap();
        assert!(!is_over(&mut both, &usage(None, 1)));
        assert!(is_over(&mut both, &usage(None, 100)));
    }

    #[test]
    fn the_log_warns_once() {
        let mut cap = cap(&[(names::MAX_COST_USD, "10")]).unwrap();
        assert_eq!(cap.check(&usage(Some("7.99"), 1)), Reached::No);
        assert!(matches!(cap.check(&usage(Some("8"), 1)), Reached::Nearly(_)));
        assert_eq!(cap.check(&usage(Some("9"), 1)), Reached::No);
    }

    #[test]
    fn a_cap_that_cannot_be_read_is_none_and_starts_nothing() {
        for pair in [
            (names::MAX_COST_USD, "five"),
            (names::MAX_COST_USD, "-1"),
            (names::MAX_TOKENS, "1.5"),
            (names::MAX_TOKENS, "-1"),
            (names::PRICE, "{}"),
        ] {
            let failure = cap(&[pair]).unwrap_err();
            assert!(failure.message.contains(pair.0), "{}", failure.message);
        }
    }
}
