//! `cost` against a cluster.

use super::*;

fn record(name: &str, agent: &str, usage: &Value, phase: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskRecord",
        "metadata": {"name": format!("{name}-uid-{name}"), "namespace": "default", "uid": "r"},
        "spec": {"taskName": name, "taskUID": format!("uid-{name}"), "type": agent, "phase": phase, "attempts": 1,
            "taskLabels": {"team": "a,b"}, "startTime": "2026-01-02T09:00:00Z",
            "completionTime": "2026-01-02T09:04:12Z", "usage": usage},
    })
}

fn cluster() -> Fake {
    Fake::start(|request| {
        if request.path.ends_with("/taskrecords") {
            let dear = json!({"costUSD": "1.25", "inputTokens": 120_000, "outputTokens": 5000, "cacheReadTokens": 1});
            return list(&[
                record("gone", "claude-code", &dear, "Succeeded"),
                record(
                    "here",
                    "claude-code",
                    &json!({"costUSD": "0.012224", "inputTokens": 2001}),
                    "Failed",
                ),
                record("free", "codex", &json!({"inputTokens": 10}), "Succeeded"),
            ]);
        }
        list(&[
            task(
                "here",
                &json!({"phase": "Failed", "usage": {"costUSD": "0.012224", "inputTokens": 2001},
                "startTime": "2026-01-02T09:00:00Z"}),
            ),
            task(
                "runs",
                &json!({"phase": "Running", "startTime": "2026-01-02T09:00:00Z"}),
            ),
            task("waits", &json!({"phase": "Waiting"})),
        ])
    })
}

#[test]
fn records_and_tasks_are_added_up_without_counting_any_twice() {
    let (fake, home) = (cluster(), Home::new());
    let done = home.against(&fake, &["cost", "--by", "agent"]);
    assert_eq!(done.code, 0, "{}", done.err);
    insta::assert_snapshot!(done.out + &done.err);
    let tasks = home.against(&fake, &["cost"]);
    insta::assert_snapshot!(tasks.out);
    assert!(tasks.out.lines().all(|l| l.len() <= 100));
}

#[test]
fn programs_get_exact_figures() {
    let (fake, home) = (cluster(), Home::new());
    let done = home.against(&fake, &["cost", "--by", "label=team", "-o", "csv"]);
    insta::assert_snapshot!(done.out);
    let done = home.against(&fake, &["cost", "-A", "-o", "json"]);
    let read: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(read["total"]["costUSD"], "1.262224");
    assert_eq!(
        (&read["total"]["runs"], &read["total"]["runsWithUnknownCost"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(read["groups"][0]["key"], "default/gone");
}

#[test]
fn an_older_cluster_without_records_counts_what_there_is() {
    let fake = Fake::start(|request| {
        if request.path.ends_with("/taskrecords") {
            return Reply::Text(404, "404 page not found\n".to_owned());
        }
        list(&[task(
            "a",
            &json!({"phase": "Succeeded", "startTime": "2026-01-02T09:00:00Z"}),
        )])
    });
    let home = Home::new();
    let done = home.against(&fake, &["cost"]);
    assert_eq!(done.code, 0);
    assert!(
        done.err.starts_with("warning: only tasks that still exist"),
        "{}",
        done.err
    );
    let none = home.against(&fake, &["cost", "--since", "1h"]);
    assert!(
        none.err.ends_with("No runs found in default namespace.\n"),
        "{}",
        none.err
    );
    assert_eq!(home.against(&fake, &["cost", "--by", "colour"]).code, 2);
}

#[test]
fn estimates_have_a_column_of_their_own() {
    let fake = Fake::start(|request| {
        if !request.path.ends_with("/taskrecords") {
            return list(&[]);
        }
        let tokens = |more: Value| {
            let mut usage = json!({"inputTokens": 120_000, "outputTokens": 5000, "cacheReadTokens": 40_000});
            usage
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            usage
        };
        let killed = tokens(json!({"costUSD": "1.5", "estimatedCostUSD": "0.25"}));
        list(&[
            record("killed", "claude-code", &killed, "Succeeded"),
            record(
                "by-table",
                "codex",
                &tokens(json!({"estimatedCostUSD": "0.12"})),
                "Succeeded",
            ),
            record("unpriced", "gemini", &tokens(json!({})), "Failed"),
        ])
    });
    let home = Home::new();
    let done = home.against(&fake, &["cost"]);
    assert!(done.out.lines().all(|l| l.chars().count() <= 100), "{}", done.out);
    insta::assert_snapshot!(done.out + &done.err);
    let done = home.against(&fake, &["cost", "-o", "json"]);
    let read: Value = serde_json::from_str(&done.out).unwrap();
    let total = &read["total"];
    assert_eq!(
        (&total["costUSD"], &total["estimatedCostUSD"]),
        (&json!("1.50"), &json!("0.37"))
    );
    assert_eq!(
        (&total["runsWithEstimatedCost"], &total["runsWithUnknownCost"]),
        (&json!(2), &json!(1))
    );
}
