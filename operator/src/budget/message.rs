//! What a Task that waits for a budget says. Pure.
//!
//! Sums change with every Task that starts or ends. The message has those of the time at which the wait began, with that time, so that
//! a crowd that waits is not written again and again.

use jiff::Timestamp;

use super::amount::{Amount, Dimension, Limit};
use super::condition::Unusable;
use super::ledger::Full;

/// Says that nothing caps the Task.
#[must_use]
pub fn no_cap(budget: &str, of: Dimension) -> String {
    let field = match of {
        Dimension::Cost => "costUSD",
        Dimension::Tokens | Dimension::Runs => "tokens",
    };
    format!(
        "TaskBudget {budget} limits {field}, and nothing says how much this Task may spend: create it with spec.budget.{field}, or set \
         spec.perTask.{field} in the TaskBudget"
    )
}

/// Says that nobody will know what the Task costs.
#[must_use]
pub fn unknown_cost(budget: &str) -> String {
    format!(
        "TaskBudget {budget} refuses Tasks whose cost is unknown (onUnknownCost: Refuse): its agent reports no cost, and the operator's \
         price table has no price for its model"
    )
}

/// Says that a budget can't be enforced as it is written.
#[must_use]
pub fn unusable(budget: &str, wrong: &Unusable) -> String {
    format!(
        "TaskBudget {budget} can't be enforced, so its Tasks wait: {}",
        wrong.message
    )
}

/// Says that older Tasks go first. Not which: every start would rewrite the messages of the whole queue.
#[must_use]
pub fn behind(budget: &str) -> String {
    format!("waits for room in TaskBudget {budget}, for which older Tasks wait too")
}

/// Says what a budget has too little of, and when there is more.
#[must_use]
pub fn full(budget: &str, limit: &Limit, wanted: Amount, full: &Full, now: Timestamp) -> String {
    let figure = |amount: Amount| match full.of {
        Some(Dimension::Tokens) => format!("{} tokens", amount.tokens),
        Some(Dimension::Runs) => amount.runs.to_string(),
        _ => amount.cost.short(),
    };
    let most = match full.of {
        Some(Dimension::Cost) => limit.cost.unwrap_or_default().short(),
        Some(Dimension::Tokens) => format!("{} tokens", limit.tokens.unwrap_or_default()),
        Some(Dimension::Runs) => format!("{} Tasks", limit.runs.unwrap_or_default()),
        None => {
            return format!(
                "waits for TaskBudget {budget}: as many Tasks run under it as it can hold; the end of one makes room"
            );
        }
    };
    if full.never {
        return format!(
            "TaskBudget {budget} allows {most}, which is less than this Task alone may spend ({}): create it with a smaller spec.budget, \
             or raise spec.limit of the TaskBudget",
            figure(wanted)
        );
    }
    let at = now.strftime("%Y-%m-%d %H:%M:%SZ");
    let room = match full.room_at {
        Some(room) => format!(
            "room comes at {} at the latest, or when a Task ends",
            room.strftime("%Y-%m-%d %H:%MZ")
        ),
        None => {
            "room comes when a Task ends that spends less than is reserved for it, or with a higher limit"
                .to_owned()
        }
    };
    format!(
        "waits for room in TaskBudget {budget}: {} of {most} spent and {} reserved at {at}, and this Task may spend {}; {room}",
        figure(full.spent),
        figure(full.reserved),
        figure(wanted)
    )
}

#[cfg(test)]
mod tests {
    use axon_api::money::Money;

    use super::*;

    #[test]
    fn a_full_budget_says_what_it_lacks_and_when_there_is_room() {
        let dollars = |cost: &str| Amount {
            cost: Money::counted(cost).unwrap(),
            tokens: 0,
            runs: 1,
        };
        let limit = Limit {
            cost: Money::counted("100"),
            ..Limit::default()
        };
        let now: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
        let mut is_full = Full {
            of: Some(Dimension::Cost),
            spent: dollars("80"),
            reserved: dollars("15"),
            never: false,
            room_at: Some("2026-12-02T00:00:00Z".parse().unwrap()),
        };
        assert_eq!(
            full("team", &limit, dollars("10"), &is_full, now),
            "waits for room in TaskBudget team: $80.00 of $100.00 spent and $15.00 reserved at 2026-12-01 10:00:00Z, and this Task may \
             spend $10.00; room comes at 2026-12-02 00:00Z at the latest, or when a Task ends"
        );
        is_full.never = true;
        assert!(
            full("team", &limit, dollars("200"), &is_full, now)
                .contains("less than this Task alone may spend ($200.00)")
        );
    }
}
