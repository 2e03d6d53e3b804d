//! What a Task may still spend: its cap, less what its attempts have spent. Pure.

use axon_api::money::Money;
use axon_api::price::Price;
use axon_api::usage::{Usage, stored_tokens};
use axon_api::v1alpha1::{Attempt, Budget};
use axon_api::{Task, TaskReason, TaskStatus};

use super::failure::Failure;

/// What the next pod may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Dollars.
    pub cost: Option<Money>,
    /// Tokens of all kinds.
    pub tokens: Option<u64>,
    /// What the model costs, for a cap on dollars.
    pub price: Option<Price>,
}

/// Reasons of attempts whose agent was never started.
const BEFORE_THE_AGENT: [TaskReason; 2] = [TaskReason::CloneFailed, TaskReason::ImagePull];

/// Returns what the next pod of a Task may spend after its attempts; `None` for a Task without a cap. A cap that a TaskBudget gave
/// is that of the status.
///
/// # Errors
/// Why no further pod may run: nothing is left, or the cap can't be kept.
pub fn left(task: &Task, status: &TaskStatus, price: Option<&Price>) -> Result<Option<Left>, Failure> {
    let Some(budget) = status.budget.as_ref().or(task.spec.budget.as_ref()) else {
        return Ok(None);
    };
    let attempts = &status.attempts;
    let (cost, tokens) = caps(budget)?;
    let is_blind = price.is_none() && !task.spec.agent.reports_cost_live();
    if cost.is_some() && tokens.is_none() && is_blind {
        return Err(no_price(task));
    }
    let cost = match cost.filter(|_| !is_blind) {
        None => None,
        Some(cap) => Some(of_cost(cap, attempts, price)?),
    };
    let tokens = match tokens {
        None => None,
        Some(cap) => Some(of_tokens(cap, attempts)?),
    };
    Ok(Some(Left {
        cost,
        tokens,
        price: price.copied().filter(|_| cost.is_some()),
    }))
}

/// Returns what is to be known of a budget that is kept in part: without a price, dollars are not watched.
#[must_use]
pub fn note(task: &Task, price: Option<&Price>) -> Option<String> {
    let (cost, tokens) = caps(task.spec.budget.as_ref()?).ok()?;
    let is_blind = price.is_none() && !task.spec.agent.reports_cost_live();
    (cost.is_some() && tokens.is_some() && is_blind).then(|| {
        format!(
            "spec.budget.costUSD is not watched, since {} reports no cost while it runs and {} has no price: \
             spec.budget.tokens alone caps the Task",
            task.spec.agent,
            model(task)
        )
    })
}

fn model(task: &Task) -> String {
    match task.spec.model.as_deref().filter(|model| !model.is_empty()) {
        Some(model) => format!("model {model}"),
        None => "its default model".to_owned(),
    }
}

fn no_price(task: &Task) -> Failure {
    invalid(format!(
        "spec.budget.costUSD can't be kept: {} reports no cost while it runs, and the operator's price table has no price of {}; \
         add one, or set spec.budget.tokens",
        task.spec.agent,
        model(task)
    ))
}

fn invalid(message: String) -> Failure {
    Failure {
        reason: TaskReason::InvalidConfig,
        message,
    }
}

fn exceeded(message: String) -> Failure {
    Failure {
        reason: TaskReason::BudgetExceeded,
        message,
    }
}

/// Reads both caps. A budget that caps nothing, or that can't be read, was meant to cap something.
fn caps(budget: &Budget) -> Result<(Option<Money>, Option<u64>), Failure> {
    let cost = budget.cost().filter(|cost| *cost > Money::default());
    let tokens = budget.tokens().filter(|tokens| *tokens > 0);
    if budget.cost_usd.is_some() && cost.is_none() {
        return Err(invalid(
            "spec.budget.costUSD is no amount of US dollars above 0 and up to 1000000".to_owned(),
        ));
    }
    if budget.tokens.is_some() && tokens.is_none() {
        return Err(invalid("spec.budget.tokens is no number above 0".to_owned()));
    }
    if cost.is_none() && tokens.is_none() {
        return Err(invalid(
            "spec.budget caps nothing: set costUSD, tokens or both, or leave it out".to_owned(),
        ));
    }
    Ok((cost, tokens))
}

fn of_cost(cap: Money, attempts: &[Attempt], price: Option<&Price>) -> Result<Money, Failure> {
    let mut spent = Money::default();
    for attempt in attempts.iter().filter(|attempt| has_started(attempt)) {
        let usage = attempt.usage.as_ref();
        let Some(cost) = usage.and_then(|usage| cost_of(usage, price)) else {
            return Err(unknown(attempt, &format!("${cap}"), "costUSD", "cost"));
        };
        spent = spent.plus(cost);
    }
    let rest = cap.nanos().checked_sub(spent.nanos()).filter(|rest| *rest > 0);
    let rest = rest.map(|rest| Money::at_most(u128::from(rest)));
    rest.ok_or_else(|| {
        exceeded(format!(
            "the Task has spent ${spent} of ${cap} (spec.budget.costUSD) in {}",
            times(attempts)
        ))
    })
}

fn of_tokens(cap: u64, attempts: &[Attempt]) -> Result<u64, Failure> {
    let mut spent = 0_u64;
    for attempt in attempts.iter().filter(|attempt| has_started(attempt)) {
        let Some(tokens) = attempt.usage.as_ref().and_then(tokens_of) else {
            return Err(unknown(attempt, &cap.to_string(), "tokens", "number of tokens"));
        };
        spent = spent.saturating_add(tokens);
    }
    let rest = cap.checked_sub(spent).filter(|rest| *rest > 0);
    rest.ok_or_else(|| {
        exceeded(format!(
            "the Task has used {spent} of {cap} tokens (spec.budget.tokens) in {}",
            times(attempts)
        ))
    })
}

/// An attempt that nothing is known of may have spent all that was left: it counts so.
fn unknown(attempt: &Attempt, cap: &str, field: &str, figure: &str) -> Failure {
    exceeded(format!(
        "pod {} has left no {figure}, so it counts as having spent all that was left of {cap} (spec.budget.{field})",
        attempt.pod_name
    ))
}

fn times(attempts: &[Attempt]) -> String {
    match attempts.iter().filter(|attempt| has_started(attempt)).count() {
        1 => "1 run".to_owned(),
        many => format!("{many} runs"),
    }
}

/// Returns false for an attempt that ended before its agent could begin.
fn has_started(attempt: &Attempt) -> bool {
    let before = attempt
        .reason
        .is_some_and(|reason| BEFORE_THE_AGENT.contains(&reason));
    !before || attempt.exit_code.is_some() || attempt.usage.is_some()
}

/// Returns what an attempt has cost: by its agent, else by the price.
fn cost_of(usage: &Usage, price: Option<&Price>) -> Option<Money> {
    usage.cost().or_else(|| {
        let estimate = price.and_then(|price| price.estimate(usage));
        let estimate = estimate.as_deref().and_then(Money::parse);
        estimate.or_else(|| usage.estimated_cost())
    })
}

/// Returns the tokens of all kinds; `None` unless both input and output are known.
fn tokens_of(usage: &Usage) -> Option<u64> {
    let known = [usage.input_tokens?, usage.output_tokens?];
    let cache = [usage.cache_read_tokens, usage.cache_write_tokens];
    let mut all = known.into_iter().chain(cache.into_iter().flatten());
    all.try_fold(0_u64, |sum, tokens| {
        Some(sum.saturating_add(stored_tokens(tokens)?))
    })
}

#[cfg(test)]
mod tests {
    use axon_api::agents::AgentType;
    use serde_json::json;

    use super::*;
    use crate::task::fixtures::task;

    fn left(task: &Task, attempts: &[Attempt], price: Option<&Price>) -> Result<Option<Left>, Failure> {
        let status = TaskStatus {
            attempts: attempts.to_vec(),
            ..TaskStatus::default()
        };
        super::left(task, &status, price)
    }

    fn capped(budget: serde_json::Value, agent: AgentType) -> Task {
        let mut task = task("t");
        task.spec.agent = agent;
        task.spec.model = Some("m".to_owned());
        task.spec.budget = Some(serde_json::from_value(budget).unwrap());
        task
    }

    fn price() -> Price {
        let money = |text: &str| Money::reported(text).unwrap();
        Price {
            input: money("1"),
            output: money("10"),
            cache_read: money("0.1"),
            cache_write: money("2"),
        }
    }

    fn attempt(cost: Option<&str>, input: Option<i64>, output: Option<i64>) -> Attempt {
        Attempt {
            pod_name: "p".into(),
            exit_code: Some(1),
            usage: Some(Usage {
                cost_usd: cost.map(Into::into),
                input_tokens: input,
                output_tokens: output,
                ..Usage::default()
            }),
            ..Attempt::default()
        }
    }

    fn lost(reason: TaskReason) -> Attempt {
        Attempt {
            pod_name: "p".into(),
            reason: Some(reason),
            ..Attempt::default()
        }
    }

    fn cost_left(attempts: &[Attempt]) -> Result<String, String> {
        let task = capped(json!({"costUSD": 5}), AgentType::ClaudeCode);
        match left(&task, attempts, Some(&price())) {
            Ok(left) => Ok(left.unwrap().cost.unwrap().to_string()),
            Err(failure) => {
                assert_eq!(failure.reason, TaskReason::BudgetExceeded);
                Err(failure.message)
            }
        }
    }

    #[test]
    fn a_task_without_a_budget_has_no_cap() {
        let attempts = [lost(TaskReason::PodLost)];
        assert_eq!(left(&task("t"), &attempts, None), Ok(None));
    }

    #[test]
    fn each_pod_gets_what_those_before_it_have_left() {
        let two = attempt(Some("2"), None, None);
        let priced = attempt(None, Some(1_000_000), Some(50_000));
        assert_eq!(cost_left(&[]).as_deref(), Ok("5.00"));
        assert_eq!(cost_left(std::slice::from_ref(&two)).as_deref(), Ok("3.00"));
        assert_eq!(cost_left(&[two.clone(), priced.clone()]).as_deref(), Ok("1.50"));
        assert_eq!(
            cost_left(&[two.clone(), priced.clone(), priced]),
            Err("the Task has spent $5.00 of $5.00 (spec.budget.costUSD) in 3 runs".into())
        );
        assert_eq!(
            cost_left(&[attempt(Some("7.25"), None, None)]),
            Err("the Task has spent $7.25 of $5.00 (spec.budget.costUSD) in 1 run".into())
        );
    }

    #[test]
    fn an_attempt_that_nothing_is_known_of_has_spent_all_unless_its_agent_never_began() {
        for unknown in [
            lost(TaskReason::PodLost),
            lost(TaskReason::Evicted),
            attempt(None, Some(5), None),
            Attempt {
                exit_code: Some(137),
                ..lost(TaskReason::OOMKilled)
            },
            Attempt {
                exit_code: Some(1),
                ..lost(TaskReason::CloneFailed)
            },
        ] {
            let said = cost_left(std::slice::from_ref(&unknown)).unwrap_err();
            assert!(said.starts_with("pod p has left no cost"), "{unknown:?}: {said}");
        }
        for early in BEFORE_THE_AGENT {
            assert_eq!(cost_left(&[lost(early)]).as_deref(), Ok("5.00"));
        }
    }

    #[test]
    fn tokens_of_all_kinds_count() {
        let task = capped(json!({"tokens": 100}), AgentType::Codex);
        let used = |input, output| Attempt {
            usage: Some(Usage {
                input_tokens: Some(input),
                output_tokens: Some(output),
                cache_read_tokens: Some(10),
                cache_write_tokens: Some(5),
                ..Usage::default()
            }),
            ..attempt(None, None, None)
        };
        let left = |attempts: &[Attempt]| left(&task, attempts, None);
        assert_eq!(left(&[used(20, 5)]).unwrap().unwrap().tokens, Some(60));
        assert_eq!(
            left(&[used(20, 5), used(40, 4)]).unwrap().unwrap().tokens,
            Some(1)
        );
        assert_eq!(
            left(&[used(20, 5), used(40, 5)]).unwrap_err().message,
            "the Task has used 100 of 100 tokens (spec.budget.tokens) in 2 runs"
        );
        let half = left(&[attempt(Some("1"), Some(1), None)]).unwrap_err();
        assert_eq!(half.reason, TaskReason::BudgetExceeded);
    }

    #[test]
    fn money_without_a_price_is_refused_or_left_to_the_tokens() {
        for agent in [AgentType::ClaudeCode, AgentType::Codex, AgentType::Gemini] {
            let alone = capped(json!({"costUSD": "2.50"}), agent);
            let failure = left(&alone, &[], None).unwrap_err();
            assert_eq!(failure.reason, TaskReason::InvalidConfig);
            for part in [
                "spec.budget.costUSD",
                "model m",
                "add one, or set spec.budget.tokens",
            ] {
                assert!(failure.message.contains(part), "{}", failure.message);
            }
            assert!(
                left(&alone, &[], Some(&price()))
                    .unwrap()
                    .unwrap()
                    .price
                    .is_some()
            );
            let both = capped(json!({"costUSD": "2.50", "tokens": 9}), agent);
            let only = left(&both, &[], None).unwrap().unwrap();
            assert_eq!((only.cost, only.tokens, only.price), (None, Some(9), None));
            assert!(note(&both, None).is_some_and(|note| note.contains("model m")));
            assert_eq!(note(&both, Some(&price())), None);
        }
        let opencode = capped(json!({"costUSD": "2.50"}), AgentType::OpenCode);
        assert!(left(&opencode, &[], None).unwrap().unwrap().cost.is_some());
        assert_eq!(note(&opencode, None), None);
    }

    #[test]
    fn a_budget_that_caps_nothing_is_refused() {
        for (budget, field) in [
            (json!({}), "spec.budget caps nothing"),
            (
                json!({"costUSD": null, "tokens": null}),
                "spec.budget caps nothing",
            ),
            (json!({"costUSD": 0}), "spec.budget.costUSD"),
            (json!({"costUSD": "five", "tokens": 5}), "spec.budget.costUSD"),
            (json!({"costUSD": "1,5"}), "spec.budget.costUSD"),
            (json!({"tokens": 0}), "spec.budget.tokens"),
            (json!({"tokens": -1, "costUSD": 5}), "spec.budget.tokens"),
        ] {
            let failure = left(&capped(budget.clone(), AgentType::OpenCode), &[], None).unwrap_err();
            assert_eq!(failure.reason, TaskReason::InvalidConfig);
            assert!(
                failure.message.starts_with(field),
                "{budget}: {}",
                failure.message
            );
        }
    }
}
