//! Every command against a cluster in which every text is an attack on the terminal that shows it.

use std::collections::BTreeSet;

use super::*;

/// Title and clipboard of the terminal, its screen, the order and the sight of characters, and a line of ours.
const EVIL: &str = "PWNED\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{85}\u{202e}\u{2066}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{e0041}\u{fe01}\r\nFORGED line";

/// What is never printed.
fn is_forbidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "False", "reason": EVIL, "message": EVIL, "lastTransitionTime": "2026-01-02T09:00:00Z"})
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name, "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 1,
        "creationTimestamp": "2026-01-02T09:00:00Z",
        "labels": {"axon.io/task": "t", "axon.io/taskspawner": EVIL, "team": EVIL}, "annotations": {"note": EVIL},
    })
}

fn usage() -> Value {
    json!({"costUSD": format!("1{EVIL}"), "estimatedCostUSD": EVIL, "inputTokens": i64::MAX, "outputTokens": -5})
}

fn task(name: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": metadata(name),
        "spec": {"type": "claude-code", "prompt": EVIL, "model": EVIL, "image": EVIL, "branch": EVIL,
            "credentials": {"type": "api-key", "secretRef": {"name": EVIL}}, "workspaceRef": {"name": EVIL},
            "agentConfigRef": {"name": EVIL}, "dependsOn": [EVIL, "other"]},
        "status": {"phase": "Failed", "reason": "AgentError", "message": EVIL, "jobName": EVIL, "podName": EVIL,
            "startTime": "2026-01-02T09:00:00Z", "completionTime": "2026-01-02T09:01:00Z",
            "outputs": [format!("branch: {EVIL}"), EVIL],
            "results": {"branch": EVIL, "commit": EVIL, "pr": EVIL, "k": EVIL, EVIL: EVIL},
            "attempts": [{"podName": EVIL, "exitCode": 1, "reason": "AgentError", "message": EVIL, "usage": usage()}],
            "usage": usage(), "conditions": [condition("Ready"), condition(EVIL)]},
    })
}

fn spawner(name: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": metadata(name),
        "spec": {"when": {"cron": {"schedule": EVIL, "timeZone": EVIL}}, "pollInterval": EVIL,
            "taskTemplate": {"type": "codex", "model": EVIL, "credentials": {"type": "none"}, "workspaceRef": {"name": EVIL}}},
        "status": {"phase": "Failed", "message": EVIL, "runner": EVIL, "deploymentName": EVIL,
            "conditions": [condition("Ready"), condition("SourceReachable")]},
    })
}

fn workspace(name: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": metadata(name),
        "spec": {"repo": EVIL, "ref": EVIL, "secretRef": {"name": EVIL}, "files": [{"path": EVIL, "content": EVIL}]},
    })
}

fn agent_config(name: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": metadata(name),
        "spec": {"agentsMD": EVIL, "plugins": [{"name": EVIL}], "mcpServers": [{"name": EVIL, "type": "http", "url": EVIL}]},
    })
}

fn record(name: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskRecord", "metadata": metadata(name),
        "spec": {"taskName": EVIL, "taskUID": EVIL, "type": "claude-code", "model": EVIL, "workspace": EVIL, "taskSpawner": EVIL,
            "taskLabels": {"team": EVIL}, "phase": "Failed", "reason": "AgentError", "startTime": "2026-01-02T09:00:00Z",
            "completionTime": "2026-01-02T09:01:00Z", "attempts": 1, "usage": usage()},
    })
}

fn pod() -> Value {
    let ended = json!({"terminated": {"exitCode": 1, "reason": EVIL, "message": EVIL}});
    let container = |name: &str, state: &Value| json!({"name": name, "state": state, "image": EVIL, "imageID": EVIL, "ready": false, "restartCount": 0});
    let mut metadata = metadata("t-pod");
    metadata["labels"]["axon.io/task"] = "t".into();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": EVIL, "containers": []},
        "status": {"phase": "Failed", "reason": EVIL, "message": EVIL,
            "initContainerStatuses": [container("workspace", &json!({"waiting": {"reason": EVIL, "message": EVIL}}))],
            "containerStatuses": [container("agent", &ended)]},
    })
}

fn event() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": metadata("e"), "involvedObject": {"kind": "Task", "name": "t"},
        "type": EVIL, "reason": EVIL, "message": EVIL, "lastTimestamp": "2026-01-02T09:00:00Z",
    })
}

fn log() -> String {
    // A line of a log has no line end in it.
    let evil = EVIL.replace("\r\n", "");
    let events = [
        json!({"type": "system", "subtype": "init", "model": EVIL, "mcp_servers": [{"name": EVIL, "status": EVIL}]}).to_string(),
        json!({"type": "assistant", "message": {"id": "1", "content": [{"type": "text", "text": evil},
            {"type": "tool_use", "name": EVIL, "input": {"command": EVIL}}]}})
        .to_string(),
        json!({"type": "result", "is_error": true, "subtype": EVIL, "result": EVIL, "total_cost_usd": 1}).to_string(),
        format!("no event: {evil}"),
    ];
    world::stamped(&(events.join("\n") + "\n")) + &format!("the kubelet: {evil}\n")
}

fn status(code: u16) -> Reply {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => EVIL,
    };
    let cause = json!({"reason": EVIL, "message": EVIL, "field": EVIL});
    Reply::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": EVIL,
            "details": {"name": EVIL, "kind": EVIL, "causes": [cause]}}),
    )
}

/// Answers for an object or a list of its kind.
fn of_kind(request: &Request, kind: &str, make: impl Fn(&str) -> Value) -> Reply {
    if request.path.ends_with(kind) {
        return list(&[make("t"), make(EVIL)]);
    }
    Reply::Json(200, make("t"))
}

type Cluster = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A cluster with an operator, which answers what spawners would create.
fn hostile() -> Cluster {
    let asked = std::sync::Mutex::new(Value::Null);
    Box::new(move |request| {
        let reply = answer(request);
        let mut asked = asked.lock().unwrap();
        if let Some(id) = request.body.pointer("/metadata/annotations/axon.io~1request") {
            *asked = id.clone();
        }
        match reply {
            Reply::Json(200, mut object) if object["kind"] == "TaskSpawner" && !asked.is_null() => {
                let item = json!({"item": EVIL, "outcome": "Create", "task": EVIL, "branch": EVIL, "reason": EVIL, "title": EVIL,
                    "url": EVIL, "message": EVIL, "prompt": EVIL});
                object["metadata"]["annotations"]["axon.io/request"] = asked.clone();
                object["status"]["answer"] =
                    json!({"request": asked.clone(), "generation": 1, "items": [item]});
                Reply::Json(200, object)
            }
            reply => reply,
        }
    })
}

fn answer(request: &Request) -> Reply {
    let path = request.path.as_str();
    if path.ends_with("accessreviews") {
        let mut review = request.body.clone();
        review["status"] = json!({"allowed": false, "reason": EVIL, "evaluationError": EVIL});
        return Reply::Json(201, review);
    }
    if request.query.contains("watch=true") {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let object = if path.ends_with("/pods") { pod() } else { task("t") };
        return Reply::Stream(format!("{}\n", json!({"type": "MODIFIED", "object": object})));
    }
    if request.method == "POST" && path.ends_with("/tasks") {
        return Reply::Json(201, task("t"));
    }
    if request.method != "GET" && !path.contains("axon.io") {
        return status(422);
    }
    match path {
        "/version" => Reply::Json(
            200,
            json!({"major": EVIL, "minor": EVIL, "gitVersion": EVIL, "gitCommit": EVIL, "gitTreeState": "", "buildDate": "",
                "goVersion": "", "compiler": "", "platform": ""}),
        ),
        "/apis/apps/v1/namespaces/axon-system/deployments/axon-operator" => Reply::Json(
            200,
            json!({"metadata": metadata("axon-operator"), "status": {"readyReplicas": 2, "conditions": [condition(EVIL)]},
                "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [{"name": EVIL, "image": format!("r/axon-operator:{EVIL}")}]}}}}),
        ),
        _ if path.ends_with("/log") => Reply::Stream(log()),
        _ if path.ends_with("/pods") => list(&[pod()]),
        _ if path.contains("/pods/") => Reply::Json(200, pod()),
        _ if path.ends_with("/events") => list(&[event()]),
        _ if path.ends_with("/tasks") || path.contains("/tasks/") => of_kind(request, "/tasks", task),
        _ if path.contains("/taskspawners") => of_kind(request, "/taskspawners", spawner),
        _ if path.contains("/workspaces") => of_kind(request, "/workspaces", workspace),
        _ if path.contains("/agentconfigs") => of_kind(request, "/agentconfigs", agent_config),
        _ if path.contains("/taskrecords") => of_kind(request, "/taskrecords", record),
        _ => status(403),
    }
}

/// Command lines of each command; options `-o` are added to them.
const LINES: &[(&str, &[&[&str]])] = &[
    (
        "run",
        &[
            &["-p", "x", "--workspace", "t"],
            &["--from", "t"],
            &["-p", "x", "-w", "--credential-type", "none"],
            &["--from-task", "t"],
        ],
    ),
    (
        "logs",
        &[
            &["t"],
            &["t", "-f"],
            &["t", "--timestamps"],
            &["t", "-c", "workspace"],
            &["t", "--tail", "1"],
        ],
    ),
    ("wait", &[&["t"]]),
    ("tree", &[&["--all"], &["--all", "-A"], &["t"]]),
    ("why", &[&["t"], &["taskspawner/t"]]),
    (
        "cost",
        &[
            &[],
            &["-A", "--by", "model"],
            &["--by", "label=team"],
            &["--by", "workspace"],
        ],
    ),
    (
        "get",
        &[
            &["tasks"],
            &["tasks", "--show-labels"],
            &["tasks", "-A"],
            &["task", "t"],
            &["task", "t", "--detail"],
            &["taskspawners"],
            &["taskspawner", "t", "--detail"],
            &["workspaces"],
            &["workspace", "t", "--detail"],
            &["agentconfigs"],
            &["agentconfig", "t", "--detail"],
            &["taskrecords"],
            &["taskrecord", "t", "--detail"],
        ],
    ),
    (
        "describe",
        &[
            &["task", "t"],
            &["taskspawner", "t"],
            &["workspace", "t"],
            &["agentconfig", "t"],
            &["taskrecord", "t"],
        ],
    ),
    ("stop", &[&["t"]]),
    ("retry", &[&["t"]]),
    ("preview", &[&["t"]]),
    ("suspend", &[&["t"]]),
    ("resume", &[&["t"]]),
    (
        "delete",
        &[
            &["task", "t", "--timeout", "1s"],
            &["tasks", "--all", "-y", "--timeout", "1s"],
        ],
    ),
    (
        "create",
        &[
            &["workspace", "w", "--repo", "https://h/o/r"],
            &["agentconfig", "c", "--agents-md", "x"],
            &["taskspawner", "s", "--cron", "0 9 * * *", "-p", "x"],
        ],
    ),
    ("install", &[&["--timeout", "1s"]]),
    ("uninstall", &[&["-y", "--timeout", "1s"]]),
    ("doctor", &[&[]]),
    ("init", &[&[]]),
    ("config", &[&["view"], &["path"]]),
    ("completion", &[&["bash"], &["zsh"], &["fish"]]),
    ("options", &[&[]]),
    ("verify-image", &[&["img", "--timeout", "1s"]]),
    ("version", &[&[]]),
];

/// Returns all command lines: those above, each as it is and with every format that its command offers.
fn lines() -> Vec<Vec<String>> {
    let root = kubectl_axon::cli::command(kubectl_axon::term::output::PLUGIN);
    let mut all = Vec::new();
    for command in root.get_subcommands() {
        let name = command.get_name();
        let lines = LINES.iter().find(|(known, _)| *known == name);
        assert!(
            lines.is_some(),
            "no line of command {name} is tried against a hostile cluster"
        );
        let (_, lines) = lines.unwrap();
        for line in *lines {
            let whole: Vec<String> = std::iter::once(name)
                .chain(line.iter().copied())
                .map(str::to_owned)
                .collect();
            // Of a command with commands, such as create, it is theirs.
            let own = line
                .first()
                .and_then(|word| command.find_subcommand(word))
                .unwrap_or(command);
            let output = own.get_arguments().find(|arg| arg.get_long() == Some("output"));
            let formats = output.map(clap::Arg::get_possible_values).unwrap_or_default();
            for format in formats.iter().filter(|_| !line.contains(&"--detail")) {
                let mut with_format = whole.clone();
                with_format.extend(["-o".to_owned(), format.get_name().to_owned()]);
                all.push(with_format);
            }
            all.push(whole);
        }
    }
    all
}

/// Runs all lines, a few at a time, and returns those whose output reached the attack, and what is wrong.
fn attack(cluster: fn() -> Cluster) -> (BTreeSet<String>, Vec<String>) {
    let lines = std::sync::Mutex::new(lines().into_iter());
    let found = std::sync::Mutex::new((BTreeSet::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some(line) = lines.lock().unwrap().next() else {
                        return;
                    };
                    let (fake, home) = (Fake::start(cluster()), Home::new());
                    let words: Vec<&str> = line.iter().map(String::as_str).collect();
                    let done = home.against(&fake, &words);
                    let line = line.join(" ");
                    let mut found = found.lock().unwrap();
                    for (place, text) in [("stdout", &done.out), ("stderr", &done.err)] {
                        if let Some(c) = text.chars().find(|c| is_forbidden(*c)) {
                            found.1.push(format!("{line}: {c:?} in {place}"));
                        }
                        if text.lines().any(|line| line.starts_with("FORGED")) {
                            found.1.push(format!("{line}: a line of others in {place}"));
                        }
                        if text.contains("PWNED") {
                            found.0.insert(line.clone());
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn no_text_of_the_cluster_commands_the_terminal() {
    let (reached, wrong) = attack(hostile);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Without the attack in their output these would prove nothing.
    for line in [
        "logs t",
        "logs t -f",
        "logs t -o json",
        "logs t -c workspace",
        "tree --all",
        "tree --all -o wide",
        "tree --all -o json",
        "tree --all -o dot",
        "tree --all -o mermaid",
        "why t",
        "why taskspawner/t",
        "cost --by label=team",
        "cost -A --by model -o csv",
        "cost -A --by model -o json",
        "get tasks",
        "get tasks -o wide",
        "get tasks -o yaml",
        "get tasks -o json",
        "get task t -o name",
        "get task t --detail",
        "get taskspawners -o wide",
        "get workspaces",
        "get agentconfigs -o wide",
        "get taskrecords -o wide",
        "describe task t",
        "describe taskspawner t",
        "describe taskrecord t",
        "wait t",
        "version",
        "doctor",
        "preview t",
        "preview t -o yaml",
        "preview t -o name",
    ] {
        let known = line == "get task t -o name" || reached.contains(line);
        assert!(known, "{line} has shown nothing of the cluster: {reached:?}");
    }
}

#[test]
fn no_error_of_the_api_server_commands_the_terminal() {
    let clusters: [fn() -> Cluster; 3] = [
        || Box::new(|_| status(403)),
        || Box::new(|_| status(404)),
        || Box::new(|_| status(422)),
    ];
    let mut all = BTreeSet::new();
    for cluster in clusters {
        let (reached, wrong) = attack(cluster);
        all.extend(reached);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    // Most refusals are told in words of our own.
    assert!(all.len() > 10, "{all:?}");
}

#[test]
fn raw_logs_are_raw_where_no_terminal_is() {
    let fake = Fake::start(answer);
    let done = Home::new().against(&fake, &["logs", "t", "--raw"]);
    assert!(
        done.out.contains("no event: PWNED\u{1b}]0;t\u{7}"),
        "{:?}",
        done.out
    );
}

#[test]
fn json_and_yaml_of_a_hostile_object_come_back_as_they_were() {
    let fake = Fake::start(answer);
    let object = task("t");
    let read = |format: &str| {
        Home::new()
            .against(&fake, &["get", "task", "t", "-o", format])
            .out
    };
    let json: Value = serde_json::from_str(&read("json")).unwrap();
    let yaml: Value = axon_api::yaml::from_str(&read("yaml")).unwrap();
    assert_eq!(
        (&json["status"], &yaml["status"]),
        (&object["status"], &object["status"])
    );
    assert_eq!((&json["spec"], &yaml["spec"]), (&object["spec"], &object["spec"]));
}

#[test]
fn completion_offers_no_name_that_hides_something() {
    let fake = Fake::start(answer);
    let server = format!("--server={}", fake.url());
    let done = Home::new().run(&["__complete", &server, "logs", ""]);
    assert_eq!(done.out, "t\n:4\n", "{}", done.err);
}
