//! Sums, groups and windows of costs.

use serde_json::json;

use super::*;

fn record(name: &str, cost: Option<&str>, day: u8, phase: &str) -> Record {
    let time = format!("2026-01-{day:02}T09:00:00Z");
    serde_json::from_value(json!({
        "metadata": {"namespace": "d"},
        "spec": {"taskName": name, "taskUID": name, "type": "claude-code", "phase": phase,
            "taskLabels": {"team": if day > 2 { "b" } else { "a" }},
            "startTime": time, "completionTime": time, "usage": {"costUSD": cost, "inputTokens": 10}},
    }))
    .unwrap()
}

fn task(name: &str, phase: &str) -> Brief {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "d", "uid": name}, "spec": {"type": "codex"},
        "status": {"phase": phase, "startTime": "2026-01-02T09:00:00Z"},
    }))
    .unwrap()
}

fn since(day: u8) -> Option<Timestamp> {
    Some(format!("2026-01-{day:02}T00:00:00Z").parse().unwrap())
}

#[test]
fn a_task_with_a_record_counts_once_and_what_never_ran_is_no_run() {
    let mut never = record("never", None, 1, "Failed");
    never.spec.start_time = None;
    never.spec.usage = None;
    let tasks = vec![task("a", "Succeeded"), task("b", "Running"), Brief::default()];
    let runs = runs(vec![record("a", Some("0.5"), 1, "Succeeded"), never], tasks);
    let names: Vec<&str> = runs.iter().map(|r| r.task.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let total = report(&runs, &By::Task, false, None).total;
    assert_eq!((total.runs, total.unknown, total.unfinished()), (2, 1, 1));
    assert_eq!(total.cost(), Money::parse("0.5"));
    assert_eq!((total.input.count, total.input.runs), (10, 1));
    assert_eq!(total.success_percent(), Some(100));
}

#[test]
fn what_is_unknown_is_not_zero() {
    let runs = runs(vec![record("a", None, 1, "Failed")], vec![]);
    let total = report(&runs, &By::Agent, false, None).total;
    assert_eq!((total.cost(), total.average(), total.p90()), (None, None, None));
    assert_eq!((total.unknown, total.success_percent()), (1, Some(0)));
    assert_eq!(report(&[], &By::Agent, false, None).total.success_percent(), None);
}

#[test]
fn estimates_stay_apart() {
    let mut estimated = record("a", None, 1, "Succeeded");
    estimated.spec.usage.as_mut().unwrap().estimated_cost_usd = Some("0.25".into());
    let mut both = record("b", Some("0.5"), 1, "Succeeded");
    both.spec.usage.as_mut().unwrap().estimated_cost_usd = Some("0.1".into());
    let records = vec![
        record("c", Some("0.55"), 1, "Failed"),
        estimated,
        both,
        record("d", None, 1, "Failed"),
    ];
    let report = report(&runs(records, vec![]), &By::Task, false, None);
    let total = &report.total;
    assert_eq!(
        (total.cost(), total.estimate()),
        (Money::parse("1.05"), Money::parse("0.35"))
    );
    assert_eq!((total.estimated_runs, total.unknown), (2, 1));
    assert_eq!(
        total.average(),
        Money::parse("0.525"),
        "of what was reported alone"
    );
    let keys: Vec<&str> = report.groups.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "c", "a", "d"]);
}

#[test]
fn averages_and_ninetieths_are_of_what_is_known() {
    let mut records: Vec<Record> = (1..=10)
        .map(|i| record(&format!("t{i}"), Some(&format!("0.{i:02}")), 1, "Succeeded"))
        .collect();
    records.push(record("unknown", None, 1, "Failed"));
    let total = report(&runs(records, vec![]), &By::Task, false, None).total;
    assert_eq!(total.average(), Money::parse("0.055"));
    assert_eq!(total.p90(), Money::parse("0.09"));
    assert_eq!(total.success_percent(), Some(91));
}

#[test]
fn figures_of_earlier_operators_lower_nothing_and_overflow_nothing() {
    let mut records = vec![record("fine", Some("1.30"), 1, "Succeeded")];
    for (name, cost, tokens) in [
        ("a", "-1000000", -9_000_000),
        ("b", "inf", i64::MAX),
        ("c", "1e308", i64::MAX),
        ("d", "twelve dollars", i64::MIN),
    ] {
        let mut evil = record(name, Some(cost), 1, "Succeeded");
        evil.spec.usage.as_mut().unwrap().input_tokens = Some(tokens);
        evil.spec.usage.as_mut().unwrap().estimated_cost_usd = Some(cost.into());
        records.push(evil);
    }
    let total = report(&runs(records, vec![]), &By::Task, false, None).total;
    let fine = Money::parse("1.30");
    assert_eq!(
        (total.cost(), total.average(), total.estimate()),
        (fine, fine, None)
    );
    assert_eq!((total.input.count, total.input.runs, total.unknown), (10, 1, 4));
}

#[test]
fn groups_are_sorted_by_what_they_cost_and_days_by_time() {
    let records = || {
        vec![
            record("x", Some("1"), 1, "Succeeded"),
            record("y", Some("2"), 2, "Succeeded"),
            record("z", Some("4"), 3, "Succeeded"),
        ]
    };
    let all = runs(records(), vec![task("t", "Running")]);
    let keys = |by: &str, namespaces, since| -> Vec<String> {
        let report = report(&all, &by.parse().unwrap(), namespaces, since);
        report.groups.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys("task", true, None), ["d/z", "d/y", "d/x", "d/t"]);
    assert_eq!(
        keys("day", false, None),
        ["2026-01-01", "2026-01-02", "2026-01-03"]
    );
    assert_eq!(keys("label=team", false, None), ["b", "a", "(none)"]);
    assert_eq!(keys("model", false, None), ["(agent's default)"]);
    // What has not ended counts whenever it began.
    assert_eq!(keys("task", false, since(3)), ["z", "t"]);
    assert!("label=".parse::<By>().is_err() && "x".parse::<By>().is_err());
}
