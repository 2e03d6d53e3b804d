//! `tree` against a cluster.

use super::*;

const TASKS: &str = "/apis/axon.io/v1alpha1/namespaces/default/tasks";

fn with(name: &str, deps: &[&str], phase: &str) -> Value {
    let mut object = task(name, &json!({"phase": phase}));
    object["spec"]["dependsOn"] = json!(deps);
    object
}

fn pipeline() -> Vec<Value> {
    vec![
        with("a", &[], "Running"),
        with("b", &["a"], "Waiting"),
        with("c", &["a", "ghost"], "Waiting"),
        with("other", &[], "Running"),
    ]
}

/// Ages change from day to day.
fn without_age(text: &str) -> String {
    let shorten = |line: &str| {
        let cells: Vec<&str> = line
            .split("   ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        cells
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != 2)
            .map(|(_, c)| *c)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    text.lines().map(shorten).collect::<Vec<_>>().join("\n")
}

#[test]
fn one_paged_list_of_tasks_is_enough() {
    let fake = Fake::start(|request| match request.path.as_str() {
        TASKS if request.query.contains("continue=next") => Reply::Json(
            200,
            json!({"metadata": {"resourceVersion": "1"}, "items": pipeline()[2..]}),
        ),
        TASKS => Reply::Json(
            200,
            json!({"metadata": {"continue": "next", "resourceVersion": "1"}, "items": pipeline()[..2]}),
        ),
        _ => list(&[]),
    });
    let done = Home::new().against(&fake, &["tree"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(done.out.is_ascii(), "no locale, no Unicode: {}", done.out);
    assert!(done.out.contains("|- b"), "{}", done.out);
    assert!(
        done.out.contains("   c ^") || done.out.contains("`- c"),
        "{}",
        done.out
    );
    let of_tasks: Vec<Request> = fake.requests().into_iter().filter(|r| r.path == TASKS).collect();
    assert_eq!(of_tasks.len(), 2);
    assert!(of_tasks.iter().all(|r| r.has("limit=500")));
}

#[test]
fn a_name_shows_what_it_hangs_together_with() {
    let fake = Fake::start(|request| match request.path.as_str() {
        TASKS => list(&pipeline()),
        _ => Reply::Json(403, json!({"kind": "Status", "code": 403, "status": "Failure"})),
    });
    let home = Home::new();
    let done = home.against(&fake, &["tree", "task/b"]);
    assert_eq!(
        (done.code, done.err.as_str()),
        (0, ""),
        "spawners need not be seen"
    );
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(
        lines[1].starts_with("a") && lines[2].starts_with("`- b <"),
        "{}",
        done.out
    );
    assert!(!done.out.contains("other"), "{}", without_age(&done.out));
    let missing = home.against(&fake, &["tree", "nope"]);
    assert_eq!(missing.code, 5);
    assert!(
        missing
            .err
            .starts_with("error: task \"nope\" does not exist in namespace default\nhint: "),
        "{}",
        missing.err
    );
    let json = home.against(&fake, &["tree", "--all", "-o", "json"]);
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read["nodes"].as_array().unwrap().len(), 5);
    assert_eq!(home.against(&fake, &["tree", "ws/x"]).code, 2);
}

#[test]
fn what_ended_long_ago_is_not_shown_unless_asked_for() {
    let mut old = with("old", &[], "Succeeded");
    old["status"]["completionTime"] = json!("2026-01-02T09:05:00Z");
    let fake = Fake::start(move |request| match request.path.as_str() {
        TASKS => list(std::slice::from_ref(&old)),
        _ => list(&[]),
    });
    let home = Home::new();
    let done = home.against(&fake, &["tree"]);
    assert_eq!(
        (done.out.as_str(), done.err.as_str()),
        (
            "",
            "1 pipeline in default namespace ended more than a day ago; --all shows them too.\n"
        )
    );
    let all = home.against(&fake, &["tree", "--all"]);
    assert!(all.out.contains("old"), "{}", all.out);
}

#[test]
fn a_watch_draws_again_when_something_changes() {
    let fake = Fake::start(|request| {
        if request.query.contains("watch=true") {
            let event = json!({"type": "MODIFIED", "object": with("a", &[], "Succeeded")});
            return Reply::Open(format!("{event}\n"));
        }
        match request.path.as_str() {
            TASKS => list(&pipeline()[..1]),
            _ => list(&[]),
        }
    });
    let home = Home::new();
    let mut command = home.command();
    command.args(["tree", "--watch", "--all", "--server", &fake.url()]);
    // A watch has no end of its own.
    let output = command
        .timeout(std::time::Duration::from_secs(3))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, second) = text.split_once("\n\n").unwrap_or_else(|| panic!("{text}"));
    assert!(
        first.contains("Running") && second.contains("Succeeded"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no terminal: {text}");
}
