//! Which budgets count a Task, what its cap is, and what it has spent. Pure.

use std::collections::BTreeMap;

use axon_api::money::Money;
use axon_api::usage::{Usage, stored_tokens};
use axon_api::v1alpha1::{Attempt, Budget, TaskBudgetSpec, TaskReason};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt as _};

use super::amount::{Amount, Dimension};

/// Returns true if a budget counts Tasks with these labels, of this TaskSpawner. A selector that can't be read selects every
/// Task: a budget that is not understood lets nothing pass.
#[must_use]
pub fn counts(spec: &TaskBudgetSpec, labels: &BTreeMap<String, String>, spawner: Option<&str>) -> bool {
    let by_spawner = spec.task_spawners.is_empty()
        || spawner.is_some_and(|name| spec.task_spawners.iter().any(|spawner| spawner == name));
    let by_labels = match &spec.task_selector {
        None => true,
        Some(selector) => {
            Selector::try_from(selector.clone()).map_or(true, |selector| selector.matches(labels))
        }
    };
    by_spawner && by_labels
}

/// The most that one Task may spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cap {
    /// Dollars.
    pub cost: Option<Money>,
    /// Tokens of all kinds.
    pub tokens: Option<u64>,
}

impl Cap {
    /// Returns the cap of a spec.
    #[must_use]
    pub fn of(budget: Option<&Budget>) -> Self {
        Self {
            cost: budget.and_then(Budget::cost),
            tokens: budget.and_then(Budget::tokens),
        }
    }

    /// Returns what is stored; `None` for no cap at all.
    #[must_use]
    pub fn store(self) -> Option<Budget> {
        let tokens = self
            .tokens
            .map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
        let cost_usd = self.cost.map(|cost| IntOrString::String(cost.to_string()));
        (tokens.is_some() || cost_usd.is_some()).then_some(Budget { cost_usd, tokens })
    }

    /// Returns what is reserved for a Task with this cap.
    #[must_use]
    pub fn amount(self) -> Amount {
        Amount {
            cost: self.cost.unwrap_or_default(),
            tokens: self.tokens.unwrap_or_default(),
            runs: 1,
        }
    }
}

/// Returns the cap of a Task under the budgets that count it, by name: its own, and of each kind that it lacks the smallest that a
/// budget gives.
///
/// # Errors
/// The name of a budget that limits what nothing caps.
pub fn cap<'a>(own: Cap, budgets: &[(&'a str, &TaskBudgetSpec)]) -> Result<Cap, (&'a str, Dimension)> {
    let given = || budgets.iter().map(|(_, spec)| Cap::of(spec.per_task.as_ref()));
    let cap = Cap {
        cost: own.cost.or_else(|| given().filter_map(|cap| cap.cost).min()),
        tokens: own.tokens.or_else(|| given().filter_map(|cap| cap.tokens).min()),
    };
    let lacks = |(name, spec): &(&'a str, &TaskBudgetSpec)| {
        let limit = &spec.limit;
        let needs = [
            (limit.cost_usd.is_some() && cap.cost.is_none(), Dimension::Cost),
            (limit.tokens.is_some() && cap.tokens.is_none(), Dimension::Tokens),
        ];
        let lacking = needs.into_iter().find(|(lacks, _)| *lacks)?;
        Some((*name, lacking.1))
    };
    budgets.iter().find_map(lacks).map_or(Ok(cap), Err)
}

/// What is known of the consumption of a Task that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Consumed<'a> {
    /// True once an agent has started.
    pub has_started: bool,
    /// The sum of what was reported.
    pub usage: Option<&'a Usage>,
    /// True if a pod may have spent more than was reported.
    pub is_incomplete: bool,
    /// The Task's cap.
    pub cap: Cap,
}

/// Returns what counts as spent: what was reported, and the cap where something was not.
#[must_use]
pub fn spent(consumed: &Consumed<'_>) -> Amount {
    if !consumed.has_started {
        return Amount::default();
    }
    let usage = consumed.usage;
    let costs = usage.map(|usage| [usage.cost(), usage.estimated_cost()]);
    let costs: Vec<Money> = costs.into_iter().flatten().flatten().collect();
    let kinds = usage.map(|usage| {
        [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
        ]
    });
    let tokens: Vec<u64> = kinds
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(stored_tokens)
        .collect();
    let at_least_cap = |is_unknown: bool, known: Amount| {
        let cap = consumed.cap.amount();
        if !is_unknown && !consumed.is_incomplete {
            return known;
        }
        Amount {
            cost: known.cost.max(cap.cost),
            tokens: known.tokens.max(cap.tokens),
            runs: known.runs,
        }
    };
    let known = Amount {
        cost: costs.iter().copied().sum(),
        tokens: tokens.iter().fold(0, |sum, tokens| sum.saturating_add(*tokens)),
        runs: 1,
    };
    if usage.is_none() && !consumed.is_incomplete {
        return known;
    }
    Amount {
        cost: at_least_cap(costs.is_empty(), known).cost,
        tokens: at_least_cap(tokens.is_empty(), known).tokens,
        runs: 1,
    }
}

/// Returns true if a pod of these may have spent something that nobody has reported: it left no figures, or none of a kind that
/// another one has.
#[must_use]
pub fn is_incomplete(attempts: &[Attempt]) -> bool {
    let had_a_chance = |attempt: &&Attempt| {
        let had_none = matches!(
            attempt.reason,
            Some(
                TaskReason::ImagePull
                    | TaskReason::CloneFailed
                    | TaskReason::InvalidConfig
                    | TaskReason::SecretNotFound
                    | TaskReason::AuthFailed
            )
        );
        attempt.usage.is_some() || !had_none
    };
    let usages = || {
        attempts
            .iter()
            .filter(had_a_chance)
            .map(|attempt| attempt.usage.as_ref())
    };
    let has_cost = |usage: &Usage| usage.cost().or(usage.estimated_cost()).is_some();
    let has_tokens = |usage: &Usage| usage.input_tokens.or(usage.output_tokens).is_some();
    let is_in_part = |has: &dyn Fn(&Usage) -> bool| {
        usages().flatten().any(has) && usages().flatten().any(|usage| !has(usage))
    };
    usages().any(|usage| usage.is_none()) || is_in_part(&has_cost) || is_in_part(&has_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(more: &serde_json::Value) -> TaskBudgetSpec {
        let mut spec = json!({"limit": {"costUSD": 10}, "window": {"every": "Day"}});
        let (Some(all), Some(more)) = (spec.as_object_mut(), more.as_object()) else {
            panic!("not an object")
        };
        all.extend(more.clone());
        serde_json::from_value(spec).unwrap()
    }

    fn money(dollars: &str) -> Money {
        Money::counted(dollars).unwrap()
    }

    #[test]
    fn a_budget_counts_by_label_and_by_spawner() {
        let labels: BTreeMap<String, String> = [("team".to_owned(), "a".to_owned())].into();
        for (selects, spawner, expected) in [
            (json!({}), None, true),
            (json!({"taskSelector": {}}), None, true),
            (
                json!({"taskSelector": {"matchLabels": {"team": "a"}}}),
                None,
                true,
            ),
            (
                json!({"taskSelector": {"matchLabels": {"team": "b"}}}),
                None,
                false,
            ),
            (
                json!({"taskSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}}),
                None,
                true,
            ),
            // Not understood.
            (
                json!({"taskSelector": {"matchExpressions": [{"key": "team", "operator": "Like", "values": ["b"]}]}}),
                None,
                true,
            ),
            (json!({"taskSpawners": ["bugs"]}), None, false),
            (json!({"taskSpawners": ["bugs"]}), Some("bugs"), true),
            (
                json!({"taskSpawners": ["bugs"], "taskSelector": {"matchLabels": {"team": "b"}}}),
                Some("bugs"),
                false,
            ),
        ] {
            assert_eq!(
                counts(&spec(&selects), &labels, spawner),
                expected,
                "{selects} {spawner:?}"
            );
        }
    }

    #[test]
    fn a_task_without_a_cap_gets_the_smallest_or_is_named() {
        let (a, b) = (
            spec(&json!({"perTask": {"costUSD": 5, "tokens": 100}})),
            spec(&json!({"perTask": {"costUSD": 2}, "limit": {"costUSD": 10, "tokens": 1000}})),
        );
        let both = [("a", &a), ("b", &b)];
        let own = Cap {
            cost: Some(money("7")),
            tokens: None,
        };
        assert_eq!(
            cap(Cap::default(), &both),
            Ok(Cap {
                cost: Some(money("2")),
                tokens: Some(100)
            })
        );
        assert_eq!(
            cap(own, &both),
            Ok(Cap {
                cost: Some(money("7")),
                tokens: Some(100)
            })
        );
        assert_eq!(cap(own, &[("b", &b)]), Err(("b", Dimension::Tokens)));
        assert_eq!(
            cap(Cap::default(), &[("c", &spec(&json!({})))]),
            Err(("c", Dimension::Cost))
        );
        assert_eq!(cap(own, &[]), Ok(own));
        assert_eq!(own.store().unwrap().cost(), own.cost);
    }

    #[test]
    fn an_attempt_without_figures_that_another_has_is_incomplete() {
        let attempt = |cost: Option<&str>, tokens: Option<i64>, reason| Attempt {
            reason,
            usage: (cost.is_some() || tokens.is_some()).then(|| Usage {
                cost_usd: cost.map(Into::into),
                input_tokens: tokens,
                ..Usage::default()
            }),
            ..Attempt::default()
        };
        let whole = attempt(Some("1"), Some(1), None);
        let (tokens, nothing) = (attempt(None, Some(1), None), attempt(None, None, None));
        let image = attempt(None, None, Some(TaskReason::ImagePull));
        for (attempts, expected) in [
            (vec![], false),
            (vec![whole.clone()], false),
            (vec![tokens.clone(), tokens.clone()], false),
            (vec![tokens, whole.clone()], true),
            (vec![nothing, whole.clone()], true),
            (vec![image, whole], false),
        ] {
            assert_eq!(is_incomplete(&attempts), expected, "{attempts:?}");
        }
    }

    #[test]
    fn what_nobody_reported_counts_as_the_cap() {
        let usage = |cost: Option<&str>, estimate: Option<&str>, tokens: Option<i64>| Usage {
            cost_usd: cost.map(Into::into),
            estimated_cost_usd: estimate.map(Into::into),
            input_tokens: tokens,
            cache_read_tokens: tokens,
            ..Usage::default()
        };
        let whole = usage(Some("1.5"), Some("0.5"), Some(7));
        let over = usage(Some("6"), None, Some(7));
        let (tokens, nothing) = (usage(None, None, Some(7)), Usage::default());
        for (usage, is_incomplete, cost, tokens) in [
            (Some(&whole), false, "2", 14),
            (Some(&over), false, "6", 14),
            (Some(&tokens), false, "5", 14),
            (Some(&nothing), false, "5", 100),
            (None, false, "0", 0),
            (None, true, "5", 100),
            (Some(&whole), true, "5", 100),
            (Some(&over), true, "6", 100),
        ] {
            let consumed = Consumed {
                has_started: true,
                usage,
                is_incomplete,
                cap: Cap {
                    cost: Some(money("5")),
                    tokens: Some(100),
                },
            };
            let spent_by = |has_started| {
                spent(&Consumed {
                    has_started,
                    ..consumed
                })
            };
            assert_eq!(
                (spent_by(true).cost, spent_by(true).tokens),
                (money(cost), tokens),
                "{usage:?}"
            );
            assert_eq!(spent_by(false), Amount::default());
        }
    }
}
