//! Caps and budgets that mean nothing. A cap that was meant and is not kept could cost anything.

use serde_json::{Value, json};

use super::refuse;
use crate::manifest::Manifest;

#[tokio::test]
async fn caps_that_are_no_amount() {
    let task = |budget: Value| Manifest::task().with("/spec/budget", budget);
    let amount = "costUSD must be an amount of US dollars above 0";
    refuse(vec![
        (
            "negative",
            task(json!({"costUSD": -1})),
            &["spec.budget.costUSD", amount],
        ),
        (
            "zero",
            task(json!({"costUSD": 0})),
            &["spec.budget.costUSD", amount],
        ),
        ("a float", task(json!({"costUSD": 1.5})), &["spec.budget.costUSD"]),
        (
            "a comma",
            task(json!({"costUSD": "1,5"})),
            &["spec.budget.costUSD", amount],
        ),
        (
            "a word",
            task(json!({"costUSD": "five"})),
            &["spec.budget.costUSD", amount],
        ),
        (
            "zero as a text",
            task(json!({"costUSD": "0.00"})),
            &["spec.budget.costUSD", amount],
        ),
        (
            "too much",
            task(json!({"costUSD": 1_000_001})),
            &["spec.budget.costUSD", amount],
        ),
        ("no tokens", task(json!({"tokens": 0})), &["spec.budget.tokens"]),
        (
            "nothing",
            task(json!({})),
            &["spec.budget", "costUSD, tokens or both"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn budgets_that_limit_nothing() {
    let budget = Manifest::budget;
    let (limit, window) = (json!({"runs": 1}), json!({"every": "Day"}));
    refuse(vec![
        (
            "no limit",
            budget(json!({"limit": {}, "window": window})),
            &["spec.limit", "costUSD, tokens or runs"],
        ),
        (
            "no window",
            budget(json!({"limit": limit, "window": {}})),
            &["spec.window", "either every"],
        ),
        (
            "two windows",
            budget(json!({"limit": limit, "window": {"every": "Day", "rolling": "1h"}})),
            &["spec.window", "either every"],
        ),
        (
            "a zone of a rolling window",
            budget(json!({"limit": limit, "window": {"rolling": "1h", "timeZone": "UTC"}})),
            &["spec.window", "timeZone goes with every"],
        ),
        (
            "no duration",
            budget(json!({"limit": limit, "window": {"rolling": "soon"}})),
            &["spec.window.rolling", "positive duration"],
        ),
        (
            "no period",
            budget(json!({"limit": limit, "window": {"every": "Hour"}})),
            &["spec.window.every", "Hour"],
        ),
        (
            "a cap that caps nothing",
            budget(json!({"limit": limit, "window": window, "perTask": {}})),
            &["spec.perTask", "costUSD, tokens or both"],
        ),
    ])
    .await;
}
