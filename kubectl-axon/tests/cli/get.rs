//! `get` and `delete` against a cluster.

use super::fake::not_found;
use super::*;

const TASKS: &str = "/apis/axon.io/v1alpha1/namespaces/default/tasks";

fn two_tasks() -> Vec<Value> {
    vec![
        task(
            "fix-login",
            &json!({"phase": "Succeeded", "reason": "Completed",
            "results": {"branch": "fix/login"}, "usage": {"costUSD": "0.012224", "inputTokens": 2001, "outputTokens": 101},
            "startTime": "2026-01-02T09:00:00Z", "completionTime": "2026-01-02T09:04:12Z", "podName": "fix-login-x"}),
        ),
        task(
            "nightly",
            &json!({"phase": "Waiting", "reason": "WaitingForBranch"}),
        ),
    ]
}

/// The age at the end of each line changes from day to day.
fn without_age(text: &str) -> String {
    text.lines()
        .map(|line| line.rsplit_once(' ').map_or(line, |(rest, _)| rest.trim_end()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn tables_look_like_kubectls() {
    let fake = Fake::start(|_| list(&two_tasks()));
    let home = Home::new();
    let narrow = home.against(&fake, &["get", "tasks"]);
    assert_eq!(narrow.code, 0, "{}", narrow.err);
    insta::assert_snapshot!(without_age(&narrow.out), @r"
    NAME        TYPE          PHASE       REASON             BRANCH      COST
    fix-login   claude-code   Succeeded   Completed          fix/login   $0.0122
    nightly     claude-code   Waiting     WaitingForBranch   -           -
    ");
    let wide = home.against(&fake, &["get", "task", "-A", "-o", "wide", "--no-headers"]);
    insta::assert_snapshot!(without_age(&wide.out), @r"
    default   fix-login   claude-code   Succeeded   Completed          fix/login   $0.0122   -   -   2001   101   4m12s   fix-login-x
    default   nightly     claude-code   Waiting     WaitingForBranch   -           -         -   -   -      -     -       -
    ");
    let names = home.against(&fake, &["get", "tasks", "-o", "name"]);
    assert_eq!(names.out, "task.axon.io/fix-login\ntask.axon.io/nightly\n");
}

#[test]
fn spawners_fit_a_hundred_columns_and_wide_ones_say_when_and_who() {
    let cron = json!({"kind": "TaskSpawner", "metadata": {"name": "self-development-strategist", "namespace": "default",
            "creationTimestamp": "2026-01-02T09:00:00Z"},
        "spec": {"when": {"cron": {"schedule": "0 9 * * 1-5", "timeZone": "Europe/Berlin"}}, "pollInterval": "5m",
            "taskTemplate": {"type": "claude-code", "workspaceRef": {"name": "axon"}}},
        "status": {"phase": "Suspended", "activeTasks": 1, "totalDiscovered": 1, "totalTasksCreated": 1234,
            "runner": "axon-operator-7c9d-x2x4z"}});
    let github = json!({"kind": "TaskSpawner", "metadata": {"name": "fix-bugs", "namespace": "default", "creationTimestamp": "2026-01-02T09:00:00Z"},
        "spec": {"when": {"githubIssues": {}}, "pollInterval": "1m",
            "taskTemplate": {"type": "codex", "workspaceRef": {"name": "axon"}}},
        "status": {"phase": "Failed", "conditions": [{"type": "Ready", "status": "False", "reason": "RateLimited"}]}});
    let fake = Fake::start(move |_| list(&[cron.clone(), github.clone()]));
    let home = Home::new();
    let narrow = home.against(&fake, &["get", "taskspawners"]);
    assert!(
        narrow.out.lines().all(|line| line.chars().count() <= 100),
        "{}",
        narrow.out
    );
    insta::assert_snapshot!(without_age(&narrow.out), @r"
    NAME                          SOURCE              PHASE       ACTIVE   DISCOVERED   TASKS
    self-development-strategist   cron: 0 9 * * 1-5   Suspended   1        1            1234
    fix-bugs                      axon                Failed      -        -            -
    ");
    let wide = home.against(&fake, &["get", "ts", "-o", "wide"]);
    let rows: Vec<Vec<&str>> = wide
        .out
        .lines()
        .map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        rows[0][6..13],
        [
            "REASON", "TYPE", "MODEL", "WHEN", "LAST RUN", "NEXT RUN", "RUNNER"
        ]
    );
    assert_eq!(
        rows[1][6..13],
        [
            "-",
            "claude-code",
            "-",
            "0 9 * * 1-5 Europe/Berlin",
            "-",
            "-",
            "axon-operator-7c9d-x2x4z"
        ]
    );
    assert_eq!(
        rows[2][6..13],
        ["RateLimited", "codex", "-", "every 1m", "-", "-", "-"]
    );
}

#[test]
fn lists_come_in_pages_and_only_the_labelled() {
    let fake = Fake::start(|request| {
        let more = if request.query.contains("continue=next") {
            ""
        } else {
            "next"
        };
        Reply::Json(
            200,
            json!({"metadata": {"continue": more, "resourceVersion": "1"}, "items": two_tasks()}),
        )
    });
    let done = Home::new().against(&fake, &["get", "tasks", "-l", "a=b", "-o", "name"]);
    assert_eq!(done.out.lines().count(), 4);
    assert!(
        fake.requests()
            .iter()
            .all(|r| r.has("limit=500") && r.has("labelSelector=a%3Db")),
        "{:?}",
        fake.requests()
    );
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let fake = Fake::start(|_| list(&[]));
    let home = Home::new();
    let here = home.against(&fake, &["get", "ws"]);
    assert_eq!(
        (here.code, here.out.as_str(), here.err.as_str()),
        (0, "", "No resources found in default namespace.\n")
    );
    let everywhere = home.against(&fake, &["get", "ws", "-A"]);
    assert_eq!(everywhere.err, "No resources found.\n");
    let json = home.against(&fake, &["get", "ws", "-o", "json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&json.out).unwrap()["items"],
        json!([])
    );
}

#[test]
fn objects_are_printed_whole_and_without_bookkeeping() {
    let fake = Fake::start(|request| {
        if request.path == TASKS {
            list(&two_tasks())
        } else {
            Reply::Json(200, two_tasks().remove(0))
        }
    });
    let home = Home::new();
    let one = home.against(&fake, &["get", "task/fix-login", "-o", "yaml"]);
    let read: Value = axon_api::yaml::from_str(&one.out).unwrap();
    assert_eq!(
        (&read["kind"], &read["metadata"]["managedFields"]),
        (&json!("Task"), &Value::Null)
    );
    let all = home.against(&fake, &["get", "tasks", "-o", "json"]);
    let read: Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(read["kind"], "List");
    assert_eq!(read["items"][1]["kind"], "Task");
    let detail = home.against(&fake, &["get", "task", "fix-login", "-d"]);
    assert!(
        detail.out.contains("Cost:               $0.0122\n"),
        "{}",
        detail.out
    );
}

#[test]
fn a_missing_object_is_exit_code_5() {
    let fake = Fake::start(|request| match request.path.as_str() {
        path if path.ends_with("/there") => Reply::Json(200, task("there", &json!({}))),
        _ => not_found("nope"),
    });
    let home = Home::new();
    for words in [
        &["get", "task", "nope"][..],
        &["logs", "nope"],
        &["logs", "nope", "-f"],
        &["delete", "task", "nope"],
    ] {
        let done = home.against(&fake, words);
        assert_eq!(done.code, 5, "{words:?}: {}", done.err);
        assert_eq!(
            done.err, "error: task \"nope\" does not exist in namespace default\n",
            "{words:?}"
        );
    }
    let both = home.against(&fake, &["get", "tasks", "there", "nope", "-o", "name"]);
    assert_eq!(
        (both.code, both.out.as_str()),
        (5, "task.axon.io/there\n"),
        "{}",
        both.err
    );
}

#[test]
fn changes_are_printed_below_the_table() {
    let fake = Fake::start(|request| {
        if !request.query.contains("watch=true") {
            return list(&two_tasks());
        }
        let event = json!({"type": "MODIFIED", "object": task("nightly", &json!({"phase": "Running"}))});
        Reply::Open(format!("{event}\n"))
    });
    let home = Home::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-axon"))
        .args(["get", "tasks", "-w", "--server", &fake.url()])
        .env_clear()
        .env("HOME", home.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let lines: Vec<String> = lines.take(4).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    insta::assert_snapshot!(without_age(&lines.join("\n")), @r"
    NAME        TYPE          PHASE       REASON             BRANCH      COST
    fix-login   claude-code   Succeeded   Completed          fix/login   $0.0122
    nightly     claude-code   Waiting     WaitingForBranch   -           -
    nightly     claude-code   Running     -                  -           -
    ");
}

#[test]
fn tasks_are_sorted_by_age() {
    let mut tasks = two_tasks();
    tasks[0]["metadata"]["creationTimestamp"] = json!("2026-01-03T09:00:00Z");
    let fake = Fake::start(move |_| list(&tasks));
    let done = Home::new().against(&fake, &["get", "tasks", "-o", "name"]);
    assert_eq!(done.out, "task.axon.io/nightly\ntask.axon.io/fix-login\n");
}

#[test]
fn a_watch_outlives_a_server_that_is_away_for_a_moment() {
    let watches = std::sync::atomic::AtomicUsize::new(0);
    let fake = Fake::start(move |request| {
        if !request.query.contains("watch=true") {
            return list(&two_tasks());
        }
        match watches.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::Broken(String::new()),
            1 => Reply::Text(500, "away".to_owned()),
            _ => {
                let event = json!({"type": "MODIFIED", "object": task("back", &json!({}))});
                Reply::Open(format!("{event}\n"))
            }
        }
    });
    let home = Home::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-axon"))
        .args(["get", "tasks", "-w", "-o", "name", "--server", &fake.url()])
        .env_clear()
        .env("HOME", home.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let last = lines.map(Result::unwrap).nth(2);
    child.kill().unwrap();
    assert_eq!(last.as_deref(), Some("task.axon.io/back"));
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(said.matches("connection lost, trying again").count(), 1, "{said}");
}

#[test]
fn delete_waits_until_the_object_is_gone() {
    let polls = std::sync::atomic::AtomicUsize::new(0);
    let fake = Fake::start(move |request| {
        if request.method == "DELETE" {
            let details = json!({"name": "a", "kind": "tasks", "uid": "uid-a"});
            return Reply::Json(
                200,
                json!({"kind": "Status", "status": "Success", "details": details}),
            );
        }
        match polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => Reply::Json(200, task("a", &json!({}))),
            _ => not_found("a"),
        }
    });
    let done = Home::new().against(&fake, &["delete", "task/a"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/a deleted\n"),
        "{}",
        done.err
    );
    assert_eq!(fake.requests().len(), 4);
}

#[test]
fn an_object_that_does_not_go_is_exit_code_4() {
    let fake = Fake::start(|request| {
        let mut object = task("a", &json!({}));
        object["metadata"]["finalizers"] = json!(["example.com/hold"]);
        let _ = request;
        Reply::Json(200, object)
    });
    let done = Home::new().against(&fake, &["delete", "task", "a", "--timeout", "300ms"]);
    assert_eq!(done.code, 4);
    assert!(
        done.err.contains("(finalizers: example.com/hold)"),
        "{}",
        done.err
    );
}

#[test]
fn deleting_all_needs_a_yes() {
    let fake = Fake::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", TASKS) => list(&two_tasks()),
        ("DELETE", _) => Reply::Json(200, json!({"kind": "Status", "status": "Success"})),
        _ => not_found("x"),
    });
    let home = Home::new();
    let refused = home.against(&fake, &["delete", "tasks", "--all"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("2 tasks in namespace default") && refused.err.contains("-y"),
        "{}",
        refused.err
    );
    assert!(fake.writes().is_empty());
    let done = home.against(&fake, &["delete", "tasks", "--all", "-y"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/fix-login deleted\ntask/nightly deleted\n"),
        "{}",
        done.err
    );
}

#[test]
fn lists_are_chosen_sorted_and_labelled_as_kubectl_does() {
    let mut tasks = two_tasks();
    tasks[1]["metadata"]["labels"] = json!({"team": "core", "axon.io/item": "7"});
    let fake = Fake::start(move |_| list(&tasks));
    let home = Home::new();
    let sorted = home.against(
        &fake,
        &[
            "get",
            "tasks",
            "-o",
            "name",
            "--sort-by",
            "{.status.usage.costUSD}",
            "--field-selector",
            "metadata.name!=x",
        ],
    );
    assert_eq!(
        sorted.out, "task.axon.io/nightly\ntask.axon.io/fix-login\n",
        "{}",
        sorted.err
    );
    assert!(
        fake.requests()[0].has("fieldSelector=metadata.name%21%3Dx"),
        "{:?}",
        fake.requests()
    );
    let json = home.against(
        &fake,
        &["get", "tasks", "-o", "json", "--sort-by", ".metadata.name"],
    );
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(read["items"][0]["metadata"]["name"], "fix-login");
    let labelled = home.against(&fake, &["get", "tasks", "--show-labels"]);
    let last = |n: usize| {
        labelled
            .out
            .lines()
            .nth(n)
            .unwrap()
            .split_whitespace()
            .last()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        [last(0), last(1), last(2)],
        ["LABELS", "-", "axon.io/item=7,team=core"]
    );
}

#[test]
fn what_only_kubectl_can_print_is_an_error_with_kubectls_command() {
    let home = Home::new();
    for (words, command) in [
        (
            &[
                "get",
                "ts",
                "nightly",
                "-n",
                "ci",
                "-o",
                "jsonpath={.status.phase}",
            ][..],
            "kubectl get taskspawners.axon.io nightly -n ci -o 'jsonpath={.status.phase}'",
        ),
        (
            &[
                "get",
                "tasks",
                "-A",
                "-l",
                "team!=core",
                "-o",
                "custom-columns=N:.metadata.name",
            ],
            "kubectl get tasks.axon.io -l 'team!=core' -A -o custom-columns=N:.metadata.name",
        ),
        (
            &["get", "tasks", "-o", "go-template={{.}}"],
            "kubectl get tasks.axon.io -o 'go-template={{.}}'",
        ),
    ] {
        let done = home.run(words);
        assert_eq!(done.code, 2, "{words:?}");
        assert!(done.err.contains(command), "{}", done.err);
    }
    let unknown = home.run(&["get", "tasks", "-o", "xml"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.err.contains("[possible values: json, yaml, name, wide]"),
        "{}",
        unknown.err
    );
    let path = home.run(&["get", "tasks", "--sort-by", ".a[*]"]);
    assert_eq!(path.code, 2, "{}", path.err);
}
