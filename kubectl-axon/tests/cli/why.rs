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
        lines[2].starts_with("  task/second   Waiting   WaitingForDependencies"),
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
