//! `wait`, against a cluster whose Tasks move on when they are watched.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::fake::not_found;
use super::*;

/// What becomes of a Task once it is watched.
#[derive(Clone)]
enum Then {
    Is(Value),
    Deleted,
}

/// Serves Tasks by name: a status, and what a watch tells.
fn cluster(tasks: &[(&str, Value, Then)]) -> Fake {
    let tasks: BTreeMap<String, (Value, Then)> = tasks
        .iter()
        .map(|(name, status, then)| ((*name).to_owned(), (status.clone(), then.clone())))
        .collect();
    let now: Mutex<BTreeMap<String, Value>> = Mutex::default();
    Fake::start(move |request| {
        let mut now = now.lock().unwrap();
        let current = |now: &BTreeMap<String, Value>, name: &str| {
            let (first, _) = &tasks[name];
            task(name, now.get(name).unwrap_or(first))
        };
        let name = request.path.rsplit('/').next().unwrap();
        if request.query.contains("watch=true") {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut told = String::new();
            for (name, (_, then)) in &tasks {
                if request.query.contains("fieldSelector")
                    && !request.query.ends_with(&format!("%3D{name}"))
                    && !request.query.contains(&format!("%3D{name}&"))
                {
                    continue;
                }
                if let Then::Is(status) = then {
                    now.insert(name.clone(), status.clone());
                }
                let kind = if matches!(then, Then::Deleted) {
                    "DELETED"
                } else {
                    "MODIFIED"
                };
                told += &format!("{}\n", json!({"type": kind, "object": current(&now, name)}));
            }
            return Reply::Stream(told);
        }
        if name == "tasks" {
            let all: Vec<Value> = match request.query.contains("labelSelector=none") {
                true => Vec::new(),
                false => tasks.keys().map(|name| current(&now, name)).collect(),
            };
            return list(&all);
        }
        match tasks.contains_key(name) {
            true => Reply::Json(200, current(&now, name)),
            false => not_found(name),
        }
    })
}

fn running() -> Value {
    json!({"phase": "Running", "reason": "AgentRunning"})
}

fn failed() -> Value {
    json!({"phase": "Failed", "reason": "AgentError", "message": "it broke"})
}

fn succeeded() -> Value {
    json!({"phase": "Succeeded", "reason": "Completed"})
}

#[test]
fn waiting_ends_when_all_have_ended_whatever_their_ends() {
    let tasks = [
        ("a", succeeded(), Then::Is(succeeded())),
        ("b", running(), Then::Is(failed())),
        (
            "c",
            json!({"phase": "Waiting", "reason": "WaitingForBranch"}),
            Then::Is(succeeded()),
        ),
    ];
    let done = Home::new().against(&cluster(&tasks), &["wait", "a", "task/b", "c", "a"]);
    assert_eq!(done.code, 3, "{}", done.err);
    let mut lines: Vec<&str> = done.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "task/a Succeeded",
            "task/b Failed (AgentError): it broke",
            "task/c Succeeded"
        ]
    );
    assert!(
        done.err.contains("[wait] task/b is Running (AgentRunning)\n"),
        "{}",
        done.err
    );

    let good = Home::new().against(
        &cluster(&tasks),
        &["wait", "a", "c", "--timeout", "1m", "-o", "name"],
    );
    assert_eq!(
        (good.code, good.out.as_str()),
        (0, "task.axon.io/a\ntask.axon.io/c\n"),
        "{}",
        good.err
    );
}

#[test]
fn what_is_printed_is_the_tasks_and_nothing_else() {
    let tasks = [
        ("a", running(), Then::Is(failed())),
        ("b", succeeded(), Then::Deleted),
    ];
    let home = Home::new();
    let one = home.against(&cluster(&tasks), &["wait", "a", "-o", "json"]);
    let read: Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!(
        (one.code, &read["kind"], &read["status"]["phase"]),
        (3, &json!("Task"), &json!("Failed"))
    );
    assert_eq!(read["metadata"].get("managedFields"), None);
    let all = home.against(&cluster(&tasks), &["wait", "-l", "team=a", "-o", "json"]);
    let read: Value = serde_json::from_str(&all.out).unwrap();
    let names: Vec<&Value> = read["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["metadata"]["name"])
        .collect();
    assert_eq!((all.code, names), (3, vec![&json!("a"), &json!("b")]));
}

#[test]
fn what_does_not_end_or_is_not_there_has_its_exit_code() {
    let tasks = [
        ("a", running(), Then::Is(running())),
        ("b", running(), Then::Deleted),
        ("c", running(), Then::Is(succeeded())),
    ];
    let home = Home::new();
    for timeout in ["0", "300ms"] {
        let late = home.against(&cluster(&tasks), &["wait", "a", "--timeout", timeout]);
        assert_eq!((late.code, late.out.as_str()), (4, ""), "{}", late.err);
        assert!(
            late.err.contains("error: 1 of 1 task not ended after 0s: a is Running (AgentRunning)\nhint: see why: kubectl axon why a\n"),
            "{}",
            late.err
        );
    }
    let deleted = home.against(&cluster(&tasks), &["wait", "b", "c"]);
    assert_eq!(
        (deleted.code, deleted.out.as_str()),
        (5, "task/c Succeeded\n"),
        "{}",
        deleted.err
    );
    assert!(
        deleted
            .err
            .contains("error: task \"b\" was deleted before it had ended\n"),
        "{}",
        deleted.err
    );
    for words in [&["wait", "c", "nobody"][..], &["wait", "-l", "none=x"]] {
        let missing = home.against(&cluster(&tasks), words);
        assert_eq!(
            (missing.code, missing.out.as_str()),
            (5, ""),
            "{words:?}: {}",
            missing.err
        );
    }
    for words in [
        &["wait"][..],
        &["wait", "a", "-l", "x"],
        &["wait", "ws/a"],
        &["wait", "a", "--timeout", "x"],
    ] {
        assert_eq!(home.against(&cluster(&tasks), words).code, 2, "{words:?}");
    }
}
