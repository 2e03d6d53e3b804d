//! What `get budgets` shows: limit, spent, reserved, what is left, and when spending starts again.

use axon_api::money::Money;
use axon_api::v1alpha1::{BudgetAmount, TaskBudget};
use jiff::Timestamp;
use serde_json::Value;

use crate::format;

/// Characters of the bar.
const BAR: u128 = 10;

/// A limit, and what there is of it.
struct Line {
    limit: u128,
    spent: u128,
    reserved: u128,
    show: fn(u128) -> String,
}

fn dollars(nanos: u128) -> String {
    Money::at_most(nanos).short()
}

fn tokens(count: u128) -> String {
    format::tokens(i64::try_from(count).unwrap_or(i64::MAX))
}

fn runs(count: u128) -> String {
    format::count(usize::try_from(count).unwrap_or(usize::MAX), "run")
}

/// Returns one line for each limit of a budget; none for what is no TaskBudget.
fn lines(object: &Value) -> Vec<Line> {
    let Ok(budget) = serde_json::from_value::<TaskBudget>(object.clone()) else {
        return Vec::new();
    };
    let status = budget.status.unwrap_or_default();
    let (spent, reserved) = (
        status.spent.unwrap_or_default(),
        status.reserved.unwrap_or_default(),
    );
    let limit = &budget.spec.limit;
    let money = |text: &str| u128::from(Money::counted(text).unwrap_or_default().nanos());
    let number = |number: i64| u128::try_from(number).unwrap_or_default();
    let line = |limit: Option<u128>, of: &dyn Fn(&BudgetAmount) -> u128, show| {
        Some(Line {
            limit: limit?,
            spent: of(&spent),
            reserved: of(&reserved),
            show,
        })
    };
    [
        line(
            limit.cost().map(|cost| u128::from(cost.nanos())),
            &|amount| money(&amount.cost_usd),
            dollars as fn(u128) -> String,
        ),
        line(limit.tokens.map(number), &|amount| number(amount.tokens), tokens),
        line(limit.runs.map(number), &|amount| number(amount.runs), runs),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn joined(object: &Value, of: impl Fn(&Line) -> u128) -> String {
    let lines = lines(object);
    let shown: Vec<String> = lines.iter().map(|line| (line.show)(of(line))).collect();
    shown.join(", ")
}

/// Returns the limits.
pub(super) fn limit(object: &Value) -> String {
    joined(object, |line| line.limit)
}

/// Returns what was spent.
pub(super) fn spent(object: &Value) -> String {
    joined(object, |line| line.spent)
}

/// Returns what is reserved for Tasks that have not ended.
pub(super) fn reserved(object: &Value) -> String {
    joined(object, |line| line.reserved)
}

/// Returns what is left for further Tasks.
pub(super) fn left(object: &Value) -> String {
    joined(object, |line| {
        line.limit
            .saturating_sub(line.spent.saturating_add(line.reserved))
    })
}

/// Returns a bar of the limit that is nearest: what was spent, what is reserved, what is left; and its percentage.
pub(super) fn bar(object: &Value) -> String {
    let lines = lines(object);
    let used = |line: &Line| line.spent.saturating_add(line.reserved).saturating_mul(100) / line.limit.max(1);
    let Some(nearest) = lines.iter().max_by_key(|line| used(line)) else {
        return String::new();
    };
    let part = |amount: u128| (amount.saturating_mul(BAR) / nearest.limit.max(1)).min(BAR);
    let spent = part(nearest.spent);
    let taken = part(nearest.spent.saturating_add(nearest.reserved));
    let cells = |count: u128, cell: &str| cell.repeat(usize::try_from(count).unwrap_or_default());
    format!(
        "{}{}{} {}%",
        cells(spent, "█"),
        cells(taken - spent, "▒"),
        cells(BAR - taken, "░"),
        used(nearest)
    )
}

/// Returns how long it is until spending starts again from zero, or until the oldest amount leaves a rolling window.
pub(super) fn resets(object: &Value, now: Timestamp) -> String {
    let time = object.pointer("/status/resetTime").and_then(Value::as_str);
    match time.and_then(|time| time.parse::<Timestamp>().ok()) {
        Some(time) if time > now => format!("in {}", format::age(Some(now), time)),
        _ => String::new(),
    }
}

/// Returns the window, as its spec has it.
pub(super) fn window(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (every, rolling) = (text("/spec/window/every"), text("/spec/window/rolling"));
    if every.is_empty() {
        return format!("rolling {rolling}");
    }
    let zone = text("/spec/window/timeZone");
    format!(
        "every {} {}",
        every.to_lowercase(),
        if zone.is_empty() { "UTC" } else { zone }
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_nearest_limit_has_the_bar() {
        let budget = json!({
            "metadata": {"name": "team"},
            "spec": {"limit": {"costUSD": 10, "runs": 100}, "window": {"every": "Month", "timeZone": "Europe/Berlin"}},
            "status": {"spent": {"costUSD": "4.50", "tokens": 7, "runs": 3}, "reserved": {"costUSD": "2.00", "tokens": 0, "runs": 2},
                "resetTime": "2027-01-01T00:00:00Z"},
        });
        assert_eq!(limit(&budget), "$10.00, 100 runs");
        assert_eq!(spent(&budget), "$4.5000, 3 runs");
        assert_eq!(
            (reserved(&budget).as_str(), left(&budget).as_str()),
            ("$2.0000, 2 runs", "$3.5000, 95 runs")
        );
        assert_eq!(bar(&budget), "████▒▒░░░░ 65%");
        assert_eq!(resets(&budget, "2026-12-30T00:00:00Z".parse().unwrap()), "in 2d");
        assert_eq!(window(&budget), "every month Europe/Berlin");
        let over = json!({"metadata": {}, "spec": {"limit": {"tokens": 10}, "window": {"rolling": "1h"}},
            "status": {"spent": {"costUSD": "0", "tokens": 15, "runs": 1}}});
        assert_eq!(
            (bar(&over).as_str(), left(&over).as_str()),
            ("██████████ 150%", "0")
        );
        assert_eq!(bar(&json!({})), "");
    }
}
