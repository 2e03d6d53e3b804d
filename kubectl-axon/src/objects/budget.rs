//! Flags that cap what a Task may spend.

use axon_api::money::Money;
use axon_api::v1alpha1::Budget;
use clap::Args;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::config_file::Config;
use crate::error::{CliError, Result};

/// Most tokens of a cap, as the kind has it.
const MAX_TOKENS: i64 = 1_000_000_000_000;

/// The flags.
#[derive(Args, Debug, Clone, Default)]
pub struct BudgetFlags {
    /// Most US dollars that the task may spend over all its runs, such as 5 or 2.50
    #[arg(long, value_name = "DOLLARS")]
    pub max_cost: Option<String>,
    /// Most tokens that the task may use over all its runs, such as 500k or 2M
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<String>,
}

impl BudgetFlags {
    /// Returns the flags with the values of the configuration file where they say nothing.
    #[must_use]
    pub fn or_of(&self, config: &Config) -> Self {
        Self {
            max_cost: self.max_cost.clone().or_else(|| config.max_cost.clone()),
            max_tokens: self.max_tokens.clone().or_else(|| config.max_tokens.clone()),
        }
    }

    /// Returns the budget that `base` has with what the flags say.
    ///
    /// # Errors
    /// A value that is no amount.
    pub fn over(&self, base: Option<&Budget>) -> Result<Option<Budget>> {
        let mut budget = base.cloned().unwrap_or_default();
        if let Some(text) = &self.max_cost {
            budget.cost_usd = Some(IntOrString::String(dollars(text)?));
        }
        if let Some(text) = &self.max_tokens {
            budget.tokens = Some(tokens(text)?);
        }
        Ok((budget != Budget::default()).then_some(budget))
    }
}

fn dollars(text: &str) -> Result<String> {
    let amount = text.strip_prefix('$').unwrap_or(text);
    let money = Money::reported(amount).filter(|money| *money > Money::default());
    money.map(|money| money.to_string()).ok_or_else(|| {
        CliError::usage(format!(
            "--max-cost {text:?} is no amount of US dollars above 0 and up to 1000000, such as 5 or 2.50"
        ))
    })
}

fn tokens(text: &str) -> Result<i64> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1_000),
        Some((at, 'm' | 'M')) => (text.get(..at), 1_000_000),
        _ => (Some(text), 1),
    };
    let digits = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|number| number.parse::<i64>().ok());
    let tokens = number.and_then(|number| number.checked_mul(factor));
    tokens.filter(|tokens| (1..=MAX_TOKENS).contains(tokens)).ok_or_else(|| {
        CliError::usage(format!(
            "--max-tokens {text:?} is no whole number of tokens above 0 and up to 10^12, such as 500k or 2M"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(cost: Option<&str>, tokens: Option<&str>) -> BudgetFlags {
        BudgetFlags {
            max_cost: cost.map(Into::into),
            max_tokens: tokens.map(Into::into),
        }
    }

    #[test]
    fn flags_win_over_what_is_there_and_only_for_what_they_say() {
        let base: Budget = serde_json::from_str(r#"{"costUSD": 5, "tokens": 7}"#).unwrap();
        let of = |cost, tokens, base| flags(cost, tokens).over(base).unwrap();
        assert_eq!(of(None, None, None), None);
        assert_eq!(of(None, None, Some(&base)).as_ref(), Some(&base));
        let raised = of(Some("$7.5"), None, Some(&base)).unwrap();
        assert_eq!(
            (raised.cost().unwrap().to_string(), raised.tokens()),
            ("7.50".into(), Some(7))
        );
        for (text, tokens) in [
            ("2M", 2_000_000),
            ("500k", 500_000),
            ("12", 12),
            ("1000000m", 1_000_000_000_000),
        ] {
            assert_eq!(of(None, Some(text), None).unwrap().tokens, Some(tokens), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for bad in ["", "0", "-1", "five", "1e99", "1,5", "1000001"] {
            let error = flags(Some(bad), None).over(None).unwrap_err().to_string();
            assert!(error.contains("--max-cost"), "{bad}: {error}");
        }
        for bad in [
            "",
            "0",
            "-1",
            "k",
            "1.5M",
            "2G",
            "9999999999999",
            "99999999999999999999",
            "2M ",
        ] {
            let error = flags(None, Some(bad)).over(None).unwrap_err().to_string();
            assert!(error.contains("--max-tokens"), "{bad}: {error}");
        }
    }
}
