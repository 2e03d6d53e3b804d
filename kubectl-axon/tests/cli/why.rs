//! `why` against a cluster.

use super::fake::not_found;
use super::*;

#[test]
fn the_answer_comes_first_and_the_next_command_last() {
    let fake = Fake::start(|request| {
        if request.path.ends_with("/workspaces") {
            return list(&[]);
        }
        let mut second = task(
            "second",
            &json!({"phase": "Waiting", "reason": "WaitingForDependencies", "message": "waits for first (does not exist yet)"}),
        );
        second["spec"]["dependsOn"] = json!(["first"]);
        list(&[second])
    });
    let home = Home::new();
    let done = home.against(&fake, &["why", "second", "-n", "default"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(
        lines.first(),
        Some(&"second waits for first, which does not exist.")
    );
    assert!(
        lines[2].starts_with("  task/second: Waiting (WaitingForDependencies)"),
        "{}",
        done.out
    );
    assert_eq!(
        lines.last(),
        Some(&"next: kubectl axon run --name first -p PROMPT -n default")
    );
    let json = home.against(&fake, &["why", "task/second", "-o", "json"]);
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read["links"][1]["phase"], "Missing");
    let missing = home.against(&fake, &["why", "nope"]);
    assert_eq!(missing.code, 5, "{}", missing.err);
    assert_eq!(home.against(&fake, &["why", "ws/x"]).code, 2);
}

#[test]
fn why_a_pod_was_refused_is_quoted_from_the_jobs_events() {
    let may_read = |may: bool| {
        Fake::start(move |request| {
            if request.path.ends_with("/events") {
                assert!(request.query.contains("FailedCreate"), "{}", request.query);
                let event = |time: &str, text: &str| {
                    json!({"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {}, "reason": "FailedCreate",
                        "lastTimestamp": time, "message": text})
                };
                let old = event("2026-01-02T09:00:00Z", "Error creating: old");
                let new = event(
                    "2026-01-02T09:01:00Z",
                    "Error creating: pods \"t-x\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=1",
                );
                return match may {
                    true => list(&[new, old]),
                    false => Reply::Json(
                        403,
                        json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "no"}),
                    ),
                };
            }
            if request.path.ends_with("/workspaces") {
                return list(&[]);
            }
            let message = "the Job has no pod after 5 s: a quota or policy may refuse it";
            list(&[task(
                "t",
                &json!({"phase": "Pending", "reason": "PodRefused", "message": message, "jobName": "t"}),
            )])
        })
    };
    let home = Home::new();
    let done = home.against(&may_read(true), &["why", "t"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.starts_with(
            "t can't have its pod for now: pods \"t-x\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=1.\n"
        ) && done.out.ends_with("next: kubectl describe resourcequota team\nnext: kubectl describe job t\n"),
        "{}",
        done.out
    );
    let blind = home.against(&may_read(false), &["why", "t"]);
    assert!(
        blind
            .out
            .starts_with("t can't have its pod for now: the Job has no pod after 5 s"),
        "{}",
        blind.out
    );
    assert!(
        blind.out.ends_with("next: kubectl describe job t\n"),
        "{}",
        blind.out
    );
}

#[test]
fn spawners_are_explained_too() {
    let fake = Fake::start(|request| {
        if request.path.ends_with("/taskspawners/s") {
            return Reply::Json(
                200,
                json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "s"},
                    "spec": {"suspend": true}, "status": {"phase": "Suspended"}}),
            );
        }
        not_found("x")
    });
    let home = Home::new();
    let done = home.against(&fake, &["why", "ts/s"]);
    assert!(
        done.out.starts_with("s is suspended.\n"),
        "{}{}",
        done.out,
        done.err
    );
    assert_eq!(home.against(&fake, &["why", "ts/x"]).code, 5);
}
