//! What is left of a Task's cap for its next pod. Pure.

use axon_api::v1alpha1::{Attempt, Budget};
use axon_api::{Task, TaskReason, TaskStatus};

use crate::budget::cap::{self, Cap, Consumed};
use crate::task::decide::failure::Failure;

/// Returns the cap that a Task has: its own, else the one that was found for it, by the operator's default or by a TaskBudget.
#[must_use]
pub fn in_effect(task: &Task, status: &TaskStatus) -> Cap {
    Cap::of(status.budget.as_ref().or(task.spec.budget.as_ref()))
}

/// Returns what the attempts before have left of a cap. What an attempt has spent that nobody knows is all that was left for it.
///
/// # Errors
/// If nothing is left.
pub fn left(cap: Cap, attempts: &[Attempt]) -> Result<Cap, Failure> {
    let mut left = cap;
    for attempt in attempts {
        let spent = cap::spent(&Consumed {
            has_started: true,
            usage: attempt.usage.as_ref(),
            is_incomplete: cap::is_incomplete(std::slice::from_ref(attempt)),
            cap: left,
        });
        left = Cap {
            cost: left.cost.map(|cost| cost.minus(spent.cost)),
            tokens: left.tokens.map(|tokens| tokens.saturating_sub(spent.tokens)),
        };
    }
    let is_spent = left.cost.is_some_and(|cost| cost.nanos() == 0) || left.tokens == Some(0);
    if !is_spent {
        return Ok(left);
    }
    let is_unknown = cap::is_incomplete(attempts);
    let amount = match (cap.cost, cap.tokens) {
        (Some(cost), None) => cost.short(),
        (None, Some(tokens)) => format!("{tokens} tokens"),
        (cost, tokens) => format!(
            "{} or {} tokens",
            cost.unwrap_or_default().short(),
            tokens.unwrap_or_default()
        ),
    };
    let why = if is_unknown {
        ", as what a pod that was lost has spent is unknown and counts as all that was left for it"
    } else {
        ""
    };
    let message = format!(
        "nothing is left of the Task's budget of {amount} for another run{why}: create the Task again with a higher spec.budget"
    );
    Err(Failure {
        reason: TaskReason::BudgetExceeded,
        message,
    })
}

/// Checks that somebody can keep the cap.
///
/// # Errors
/// If the Task has a cap on money alone, and neither its agent nor the price table says during the run what it spends.
pub fn can_be_kept(task: &Task, budget: Option<&Budget>, has_price: bool) -> Result<(), Failure> {
    let cap = Cap::of(budget);
    let invalid = |message: String| {
        Err(Failure {
            reason: TaskReason::InvalidConfig,
            message,
        })
    };
    if budget.is_some() && cap == Cap::default() {
        return invalid(
            "spec.budget has neither costUSD nor tokens: set one of them, or leave spec.budget out"
                .to_owned(),
        );
    }
    if cap.cost.is_some() && cap.tokens.is_none() && !has_price && !task.spec.agent.reports_cost_live() {
        let model = task.spec.model.as_deref().filter(|model| !model.is_empty());
        let model = model.map_or_else(
            || "its default model".to_owned(),
            |model| format!("model {model}"),
        );
        return invalid(format!(
            "spec.budget.costUSD can't be kept: {} says only at its end, or never, what a run costs, and the operator's price table has no \
             price for {model}: add one (docs/operations.md, prices), or set spec.budget.tokens",
            task.spec.agent
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axon_api::money::Money;
    use axon_api::usage::Usage;

    use super::*;
    use crate::task::fixtures::task;

    fn attempt(cost: Option<&str>, reason: TaskReason) -> Attempt {
        Attempt {
            reason: Some(reason),
            usage: cost.map(|cost| Usage {
                cost_usd: Some(cost.into()),
                input_tokens: Some(10),
                ..Usage::default()
            }),
            ..Attempt::default()
        }
    }

    fn budget(json: &str) -> Budget {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_pod_gets_what_those_before_it_have_left() {
        let cap = Cap::of(Some(&budget(r#"{"costUSD": 5, "tokens": 100}"#)));
        let failed = |cost| attempt(Some(cost), TaskReason::AgentError);
        assert_eq!(left(cap, &[]).unwrap(), cap);
        let rest = left(cap, &[failed("1.25"), failed("3")]).unwrap();
        assert_eq!((rest.cost, rest.tokens), (Money::parse("0.75"), Some(80)));
        let spent = left(cap, &[failed("1.25"), failed("4")]).unwrap_err();
        assert_eq!(spent.reason, TaskReason::BudgetExceeded);
        assert!(
            spent.message.contains("$5.0000 or 100 tokens"),
            "{}",
            spent.message
        );
        assert_eq!(left(Cap::default(), &[failed("99")]).unwrap(), Cap::default());
    }

    #[test]
    fn an_attempt_of_which_nobody_knows_has_spent_all() {
        let cap = Cap::of(Some(&budget(r#"{"costUSD": 5}"#)));
        let lost = left(cap, &[attempt(None, TaskReason::PodLost)]).unwrap_err();
        assert!(lost.message.contains("is unknown"), "{}", lost.message);
        let image = left(cap, &[attempt(None, TaskReason::ImagePull)]);
        assert_eq!(image.unwrap(), cap, "its agent has never started");
    }

    #[test]
    fn a_cap_that_nobody_can_keep_is_refused() {
        let mut of = task("t");
        of.spec.model = Some("m".into());
        let check = |json: &str, has_price| can_be_kept(&of, Some(&budget(json)), has_price);
        let refused = check(r#"{"costUSD": 5}"#, false).unwrap_err();
        assert_eq!(refused.reason, TaskReason::InvalidConfig);
        assert!(
            refused.message.contains("no price for model m"),
            "{}",
            refused.message
        );
        for (json, has_price) in [
            (r#"{"costUSD": 5}"#, true),
            (r#"{"costUSD": 5, "tokens": 9}"#, false),
            (r#"{"tokens": 9}"#, false),
        ] {
            assert_eq!(check(json, has_price), Ok(()), "{json}");
        }
        assert!(
            check("{}", true)
                .unwrap_err()
                .message
                .contains("neither costUSD nor tokens")
        );
        assert_eq!(can_be_kept(&of, None, false), Ok(()));
    }
}
