use serde_json::{Value, json};

use super::*;

fn task(name: &str, spec: &Value, status: &Value) -> Task {
    let mut full = json!({"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}});
    for (key, value) in spec.as_object().unwrap() {
        full[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task",
        "metadata": {"name": name, "namespace": "d", "creationTimestamp": "2026-01-02T09:00:00Z"},
        "spec": full, "status": status,
    }))
    .unwrap()
}

fn now() -> Timestamp {
    "2026-01-02T10:00:00Z".parse().unwrap()
}

fn answer(tasks: &[Task], name: &str) -> Answer {
    World::new(tasks, &[], "", now()).explain(name).unwrap()
}

fn shown(answer: &Answer) -> String {
    let links = answer
        .links
        .iter()
        .map(|l| format!("  {} | {} | {} | {}\n", l.object, l.phase, l.reason, l.evidence));
    format!(
        "{}\n{}next: {}",
        answer.summary,
        links.collect::<String>(),
        answer.next.join(" / ")
    )
}

fn waits() -> Value {
    json!({"phase": "Waiting", "reason": "WaitingForDependencies"})
}

#[test]
fn a_chain_leads_to_who_holds_the_branch() {
    let tasks = [
        task("merge", &json!({"dependsOn": ["done", "tests"]}), &waits()),
        task("done", &json!({}), &json!({"phase": "Succeeded"})),
        task(
            "tests",
            &json!({"branch": "b"}),
            &json!({"phase": "Waiting", "reason": "WaitingForBranch", "message": "waits for branch b, which Task scaffold works on"}),
        ),
        task(
            "scaffold",
            &json!({"branch": "b"}),
            &json!({"phase": "Running", "reason": "AgentRunning", "jobName": "scaffold", "podName": "scaffold-x",
                "startTime": "2026-01-02T09:48:00Z"}),
        ),
    ];
    insta::assert_snapshot!(shown(&answer(&tasks, "merge")), @r"
    merge waits for tests, which waits for branch b, held by scaffold for 12m, which has run for 12m.
      task/merge | Waiting | WaitingForDependencies | created 60m ago
      task/tests | Waiting | WaitingForBranch | waits for branch b, which Task scaffold works on; created 60m ago
      task/scaffold | Running | AgentRunning | started 12m ago; pod scaffold-x
    next: kubectl axon logs scaffold -f
    ");
}

#[test]
fn the_secret_that_is_wrong_is_the_one_to_mend() {
    let workspaces: Vec<Workspace> = serde_json::from_value(json!([
        {"metadata": {"name": "app"}, "spec": {"repo": "https://h.io/o/r", "secretRef": {"name": "git"}}}
    ]))
    .unwrap();
    let spec = json!({"credentials": {"type": "api-key", "secretRef": {"name": "claude"}}, "workspaceRef": {"name": "app"}});
    let next = |status: Value| {
        let tasks = [task("t", &spec, &status)];
        let world = World::new(&tasks, &workspaces, " -n x", now());
        world.explain("t").unwrap().next.join(" / ")
    };
    let waiting = |message: &str| json!({"phase": "Waiting", "reason": "SecretNotFound", "message": message});
    let failed = |start: Option<&str>| json!({"phase": "Failed", "reason": "AuthFailed", "startTime": start});
    for (status, expected) in [
        (
            waiting("waits for Secret git of Workspace app, which does not exist"),
            "kubectl create secret generic git --from-literal=GITHUB_TOKEN=VALUE -n x",
        ),
        (
            waiting("the pod can't start: couldn't find key ANTHROPIC_API_KEY in Secret x/claude"),
            "kubectl edit secret claude -n x",
        ),
        (
            failed(None),
            "kubectl describe secret git -n x / kubectl axon retry t -n x",
        ),
        (
            failed(Some("2026-01-02T09:48:00Z")),
            "kubectl describe secret claude -n x / kubectl axon retry t -n x",
        ),
    ] {
        assert_eq!(next(status.clone()), expected, "{status}");
    }
}

#[test]
fn failures_lead_to_the_first_one() {
    let tasks = [
        task(
            "c",
            &json!({"dependsOn": ["b"]}),
            &json!({"phase": "Failed", "reason": "DependencyFailed"}),
        ),
        task(
            "b",
            &json!({"dependsOn": ["a"]}),
            &json!({"phase": "Failed", "reason": "DependencyFailed"}),
        ),
        task(
            "a",
            &json!({"workspaceRef": {"name": "w"}}),
            &json!({"phase": "Failed", "reason": "CloneFailed", "message": "repository\nnot found",
                "completionTime": "2026-01-02T09:55:00Z"}),
        ),
    ];
    let answer = answer(&tasks, "c");
    assert_eq!(
        answer.summary,
        "c failed because it depends on b, which failed because it depends on a, which failed 5m ago: the repository \
         could not be cloned, or the branch not be set up: repository; not found."
    );
    assert_eq!(
        answer.next,
        [
            "kubectl axon logs a -c workspace",
            "kubectl axon get workspace w -o yaml",
            "kubectl axon retry a"
        ]
    );
}

#[test]
fn a_host_that_cannot_be_reached_leads_to_the_network_policy() {
    for (message, is_named) in [
        (
            "fatal: unable to access 'https://git.lab/x/': Failed to connect to git.lab port 443 after 130201 ms",
            true,
        ),
        (
            "ssh: connect to host git.lab port 2222: Connection timed out",
            true,
        ),
        ("fatal: unable to access: Could not resolve host: git.lab", true),
        ("fatal: repository not found", false),
    ] {
        let failed = json!({"phase": "Failed", "reason": "CloneFailed", "message": message});
        let tasks = [task("a", &json!({"workspaceRef": {"name": "w"}}), &failed)];
        let answer = answer(&tasks, "a");
        assert_eq!(
            answer.summary.contains("NetworkPolicy axon-agents"),
            is_named,
            "{}",
            answer.summary
        );
        let opens = |next: &String| next.contains("--agent-network-allow");
        assert_eq!(answer.next.iter().any(opens), is_named, "{:?}", answer.next);
    }
    let said = "annotation axon.io/allow-egress of namespace team can't be used: \"x\" is no CIDR";
    let refused = json!({"phase": "Waiting", "reason": "PodRefused", "message": said});
    let answer = answer(&[task("a", &json!({}), &refused)], "a");
    assert!(answer.summary.contains(said), "{}", answer.summary);
    assert_eq!(answer.next, ["kubectl axon doctor"]);
}

#[test]
fn what_does_not_move_by_itself_is_named_first() {
    let tasks = [
        task("m", &json!({"dependsOn": ["runs", "ghost", "fresh"]}), &waits()),
        task("runs", &json!({}), &json!({"phase": "Running"})),
        task("fresh", &json!({}), &json!({})),
    ];
    let answer = answer(&tasks, "m");
    assert_eq!(
        answer.summary,
        "m waits for ghost (and 2 others), which does not exist."
    );
    assert_eq!(answer.next, ["kubectl axon run --name ghost -p PROMPT"]);
    assert_eq!(answer.links.len(), 4);
}

#[test]
fn the_queue_of_a_branch_is_counted() {
    let queued = json!({"phase": "Waiting", "reason": "WaitingForBranch"});
    let tasks: Vec<Task> = ["a", "b", "c"]
        .iter()
        .map(|name| task(name, &json!({"branch": "x"}), &queued))
        .collect();
    let third = answer(&tasks, "c").summary;
    assert_eq!(
        third,
        "c waits for branch x as number 3 in its queue, behind a, b, which waited for branch x, which is free by now, \
         and starts soon."
    );
}

#[test]
fn a_circle_of_waiting_ends() {
    let tasks = [
        task("a", &json!({"dependsOn": ["b"]}), &waits()),
        task("b", &json!({"dependsOn": ["a"]}), &waits()),
    ];
    assert_eq!(
        answer(&tasks, "a").summary,
        "a waits for b, which waits for a: a circle."
    );
}

#[test]
fn every_reason_has_words_and_a_next_step() {
    use strum::IntoEnumIterator as _;
    for phase in TaskPhase::iter() {
        for reason in TaskReason::iter() {
            let spec = json!({"branch": "b", "dependsOn": ["x"]});
            let status = json!({"phase": phase, "reason": reason, "message": "m"});
            let tasks = [task("t", &spec, &status)];
            let answer = answer(&tasks, "t");
            assert!(answer.summary.len() > "t .".len(), "{phase} {reason}");
            let soon = answer.summary.contains("soon") || answer.summary.contains("deleted by now");
            assert!(
                !answer.next.is_empty() || soon,
                "{phase} {reason}: {}",
                answer.summary
            );
        }
    }
}

#[test]
fn spawners_say_what_stops_them() {
    let of = |object: Value| explain_spawner("s", &object, "", now());
    let suspended = of(json!({"spec": {"suspend": true}, "status": {"phase": "Suspended"}}));
    assert_eq!(suspended.summary, "s is suspended.");
    assert_eq!(suspended.next, ["kubectl axon resume taskspawner s"]);
    let broken = of(json!({"spec": {}, "status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "False", "reason": "Unauthorized", "message": "not ready"},
        {"type": "Stalled", "status": "True", "reason": "Unauthorized", "message": ""},
        {"type": "SourceReachable", "status": "False", "reason": "Unauthorized", "message": "GitHub says 401"}]}}));
    assert_eq!(broken.summary, "s has a problem (Unauthorized): GitHub says 401.");
    assert_eq!(broken.links.len(), 4);
    let partly = of(json!({"spec": {}, "status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "reason": "Running"},
        {"type": "ItemsBlocked", "status": "True", "reason": "NameTaken", "message": "7: there is a task s-7"}]}}));
    assert_eq!(
        partly.summary,
        "s is at work, but not all items can become tasks: 7: there is a task s-7."
    );
    let full =
        of(json!({"spec": {"maxTotalTasks": 3}, "status": {"phase": "Running", "totalTasksCreated": 3}}));
    assert_eq!(
        full.summary,
        "s has made all of the 3 tasks that maxTotalTasks allows."
    );
    let busy = of(json!({"spec": {"maxConcurrency": 2}, "status": {"phase": "Running", "activeTasks": 2}}));
    assert!(busy.summary.ends_with("maxConcurrency is 2."));
    let status = json!({"phase": "Running", "activeTasks": 10, "maxConcurrency": 10});
    let busy = of(json!({"spec": {}, "status": status}));
    assert_eq!(
        busy.summary,
        "s makes no more tasks while 10 are active: maxConcurrency is 10, the operator's default."
    );
    let open = of(json!({"spec": {"maxConcurrency": 0}, "status": status}));
    assert!(open.summary.starts_with("s is at work"), "{}", open.summary);
    let fine =
        of(json!({"spec": {}, "status": {"phase": "Running", "lastDiscoveryTime": "2026-01-02T09:58:00Z"}}));
    assert_eq!(fine.summary, "s is at work, and looked for work 2m ago.");
    assert!(of(json!({"spec": {}})).summary.contains("not been taken up"));
    let paused = json!({"type": "Suspended", "status": "True", "reason": "WorkspacePaused",
        "message": "workspace \"app\" is paused: annotation axon.io/paused"});
    let paused = of(json!({"spec": {}, "status": {"phase": "Suspended", "conditions": [paused]}}));
    assert_eq!(
        paused.summary,
        "s is paused: workspace \"app\" is paused: annotation axon.io/paused."
    );
}

#[test]
fn a_stop_is_said_once() {
    let status = json!({"phase": "Failed", "reason": "Stopped", "completionTime": "2026-01-02T09:57:00Z",
        "message": "stopped on request: new commits pushed to work: 1"});
    let summary = answer(&[task("t", &json!({}), &status)], "t").summary;
    assert_eq!(
        summary,
        "t was stopped on request 3m ago: new commits pushed to work: 1."
    );
}

#[test]
fn a_queue_is_named_and_no_sentence_ends_twice() {
    let queued = task(
        "t",
        &json!({}),
        &json!({"phase": "Pending", "reason": "Queued", "jobName": "t",
            "message": "the Job waits in queue agents (spec.suspend), which starts its pod when there is room"}),
    );
    let told = answer(&[queued], "t");
    assert_eq!(
        told.summary,
        "t is queued: the Job waits in queue agents (spec.suspend), which starts its pod when there is room."
    );
    assert_eq!(told.next, ["kubectl describe job t", "kubectl axon stop t"]);
    let full = task(
        "t",
        &json!({}),
        &json!({"phase": "Failed", "reason": "Evicted", "completionTime": "2026-01-02T09:59:00Z",
            "message": "pod t-x was evicted: The node was low on resource: memory. "}),
    );
    let summary = answer(&[full], "t").summary;
    assert!(
        summary.ends_with("memory.") && !summary.ends_with(".."),
        "{summary}"
    );
}
