//! The most that this pod may spend: read from the environment, and compared with the figures as they come. Pure.

use axon_api::contract::env as names;
use axon_api::money::Money;
use axon_api::price::Price;
use axon_api::usage::Usage;

use crate::env::Env;
use crate::failure::Failure;
use crate::say;

/// Percent of a cap at which people are told, once.
const WARN_AT: u128 = 80;

/// The caps that are enforced, and whether people were told that one is near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    cost: Option<Money>,
    tokens: Option<u64>,
    price: Option<Price>,
    warned: bool,
}

/// What is to be done about figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    GoOn,
    /// Tell people.
    Warn(String),
    /// End the agent.
    Stop(String),
}

impl Cap {
    /// Reads the caps; `None` without one. `tells_cost` is true for an agent that reports its cost while it runs.
    ///
    /// # Errors
    /// `InvalidConfig` for a variable that can't be read, and for a cap on money of a run whose cost nobody would know.
    pub fn of(env: &Env, tells_cost: bool) -> Result<Option<Self>, Failure> {
        let invalid = |name: &str, text: &str, what: &str| {
            Failure::invalid(format!("{name} is {text:?}, which is no {what}"))
        };
        let cost = match set(env, names::MAX_COST_USD) {
            None => None,
            Some(text) => {
                let what = "amount of US dollars above 0 and up to 1000000, such as 2.50";
                let cost = Money::reported(&text).filter(|cost| *cost > Money::default());
                Some(cost.ok_or_else(|| invalid(names::MAX_COST_USD, &text, what))?)
            }
        };
        let tokens = match set(env, names::MAX_TOKENS) {
            None => None,
            Some(text) => {
                let tokens = text.parse::<u64>().ok().filter(|tokens| *tokens > 0);
                let what = "whole number of tokens above 0";
                Some(tokens.ok_or_else(|| invalid(names::MAX_TOKENS, &text, what))?)
            }
        };
        let price = match set(env, names::PRICE) {
            None => None,
            Some(text) => {
                let price = Price::parse(&text);
                Some(price.map_err(|why| Failure::invalid(format!("{}: {why}", names::PRICE)))?)
            }
        };
        if cost.is_none() && tokens.is_none() {
            return Ok(None);
        }
        let is_blind = cost.is_some() && price.is_none() && !tells_cost;
        if is_blind && tokens.is_none() {
            return Err(Failure::invalid(format!(
                "{} can't be watched: this agent reports no cost while it runs, and {} is not set; set the model's price, or {}",
                names::MAX_COST_USD,
                names::PRICE,
                names::MAX_TOKENS
            )));
        }
        if is_blind {
            say!(
                "{} is not watched, for want of a price: {} alone caps this run",
                names::MAX_COST_USD,
                names::MAX_TOKENS
            );
        }
        Ok(Some(Self {
            cost: cost.filter(|_| !is_blind),
            tokens,
            price,
            warned: false,
        }))
    }

    /// Judges what was consumed up to now. What reaches a cap is over it: the next answer would go beyond.
    pub fn look(&mut self, usage: &Usage) -> Look {
        let used = tokens_of(usage);
        let cost = self.cost_of(usage);
        if let (Some(cap), Some(used)) = (self.tokens, used)
            && used >= cap
        {
            return Look::Stop(format!(
                "{used} tokens were used of {cap} that the run may use (spec.budget)"
            ));
        }
        if let Some(cap) = self.cost {
            match cost {
                Some(cost) if cost >= cap => {
                    return Look::Stop(format!(
                        "${cost} was spent of ${cap} that the run may spend (spec.budget)"
                    ));
                }
                // Uncounted money is none that a cap can hold.
                None if self.tokens.is_none() && used.is_some_and(|used| used > 0) => {
                    return Look::Stop(format!(
                        "the run may spend ${cap} (spec.budget), but the agent used {} tokens and reports no cost of them: add \
                         the model's price to the operator's price table, or set spec.budget.tokens",
                        used.unwrap_or_default()
                    ));
                }
                _ => {}
            }
        }
        let near = |used: u64, cap: u64| u128::from(used) * 100 >= u128::from(cap) * WARN_AT;
        let of_tokens = self.tokens.zip(used).filter(|(cap, used)| near(*used, *cap));
        let of_cost = self.cost.zip(cost);
        let of_cost = of_cost.filter(|(cap, cost)| near(cost.nanos(), cap.nanos()));
        let words = match (of_cost, of_tokens) {
            (Some((cap, cost)), _) => format!("${cost} of ${cap}"),
            (None, Some((cap, used))) => format!("{used} of {cap} tokens"),
            (None, None) => return Look::GoOn,
        };
        if std::mem::replace(&mut self.warned, true) {
            return Look::GoOn;
        }
        Look::Warn(format!(
            "the run has spent {words} ({WARN_AT} % of spec.budget or more); it is stopped when it has spent all"
        ))
    }

    /// Returns the agent's own figure, else the price of the tokens.
    fn cost_of(&self, usage: &Usage) -> Option<Money> {
        usage.cost().or_else(|| {
            let price = self.price.as_ref()?;
            tokens_of(usage).map(|_| price.of_tokens(usage))
        })
    }
}

fn set(env: &Env, name: &str) -> Option<String> {
    // Set but empty is no number, either: only a variable that is absent is no cap.
    env.is_set(name)
        .then(|| env.text(name).unwrap_or_default().to_owned())
}

/// Returns the sum of all kinds; `None` if none is known.
fn tokens_of(usage: &Usage) -> Option<u64> {
    let all = [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ];
    let known = all.into_iter().flatten().map(i64::unsigned_abs);
    known.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: &str = r#"{"input":"1","output":"10","cacheRead":"0.1","cacheWrite":"2"}"#;

    fn cap(pairs: &[(&str, &str)], tells_cost: bool) -> Result<Option<Cap>, String> {
        let env: Env = pairs.iter().copied().collect();
        Cap::of(&env, tells_cost).map_err(|failure| {
            assert_eq!(failure.reason, axon_api::TaskReason::InvalidConfig);
            failure.message
        })
    }

    fn of(pairs: &[(&str, &str)], tells_cost: bool) -> Cap {
        cap(pairs, tells_cost).unwrap().unwrap()
    }

    fn usage(input: i64, output: i64, read: i64, write: i64) -> Usage {
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cache_read_tokens: Some(read),
            cache_write_tokens: Some(write),
            ..Usage::default()
        }
    }

    fn cost(text: &str) -> Usage {
        Usage {
            cost_usd: Some(text.to_owned()),
            ..usage(1, 1, 0, 0)
        }
    }

    #[test]
    fn no_variable_is_no_cap_and_a_bad_one_is_named() {
        assert_eq!(cap(&[], false), Ok(None));
        assert_eq!(cap(&[(names::PRICE, PRICE)], false), Ok(None));
        for (name, bad) in [
            (
                names::MAX_COST_USD,
                &["", "0", "-1", "1,5", "five", "1000001"][..],
            ),
            (names::MAX_TOKENS, &["", "0", "-1", "1.5", "2M", "five"]),
            (names::PRICE, &["", "{}", "[1]", "5"]),
        ] {
            for text in bad {
                let said = cap(&[(name, text)], true).unwrap_err();
                assert!(said.starts_with(name), "{name}={text}: {said}");
            }
        }
    }

    #[test]
    fn money_that_nobody_counts_is_refused_or_left_to_the_tokens() {
        let money = (names::MAX_COST_USD, "1");
        let said = cap(&[money], false).unwrap_err();
        assert!(said.starts_with("AXON_MAX_COST_USD can't be watched"), "{said}");
        let mut both = of(&[money, (names::MAX_TOKENS, "100")], false);
        assert_eq!(both.look(&usage(10, 0, 0, 0)), Look::GoOn);
        assert!(matches!(both.look(&usage(100, 0, 0, 0)), Look::Stop(_)));
        // An agent that usually tells its cost, with a model of which it knows none.
        let mut silent = of(&[money], true);
        assert_eq!(silent.look(&Usage::default()), Look::GoOn);
        assert_eq!(silent.look(&usage(0, 0, 0, 0)), Look::GoOn);
        assert!(
            matches!(silent.look(&usage(1, 0, 0, 0)), Look::Stop(said) if said.contains("reports no cost"))
        );
    }

    #[test]
    fn tokens_of_all_kinds_count() {
        for (used, stops) in [
            (usage(99, 0, 0, 0), false),
            (usage(100, 0, 0, 0), true),
            (usage(25, 25, 25, 24), false),
            (usage(25, 25, 25, 25), true),
            (usage(0, 0, 100, 0), true),
        ] {
            let look = of(&[(names::MAX_TOKENS, "100")], false).look(&used);
            assert_eq!(matches!(look, Look::Stop(_)), stops, "{used:?}: {look:?}");
        }
        assert_eq!(
            of(&[(names::MAX_TOKENS, "100")], false).look(&usage(60, 61, 0, 0)),
            Look::Stop("121 tokens were used of 100 that the run may use (spec.budget)".into())
        );
    }

    #[test]
    fn the_agent_s_cost_comes_before_the_price() {
        let caps = [(names::MAX_COST_USD, "0.50"), (names::PRICE, PRICE)];
        assert_eq!(
            of(&caps, false).look(&usage(100_000, 39_999, 0, 0)),
            Look::Warn(
                "the run has spent $0.49999 of $0.50 (80 % of spec.budget or more); it is stopped when it has spent all".into()
            )
        );
        assert_eq!(
            of(&caps, false).look(&usage(100_000, 40_000, 0, 0)),
            Look::Stop("$0.50 was spent of $0.50 that the run may spend (spec.budget)".into())
        );
        let cheaper = Usage {
            cost_usd: Some("0.1".into()),
            ..usage(100_000, 40_000, 0, 0)
        };
        assert_eq!(of(&caps, true).look(&cheaper), Look::GoOn);
    }

    #[test]
    fn the_warning_comes_once() {
        let mut cap = of(&[(names::MAX_COST_USD, "10"), (names::MAX_TOKENS, "1000")], true);
        assert_eq!(cap.look(&cost("7.99")), Look::GoOn);
        assert!(matches!(cap.look(&cost("8.00")), Look::Warn(_)));
        assert_eq!(cap.look(&cost("9.99")), Look::GoOn);
        assert!(matches!(cap.look(&cost("10")), Look::Stop(_)));
    }
}
