//! `logs` and `run --watch` against a cluster whose state the test moves on.

use super::world::{World, ended, serve, stamped};
use super::*;

const STREAM: &str = include_str!("../streams/claude-code.jsonl");

#[test]
fn a_log_is_rendered_text_to_stdout_and_the_rest_to_stderr() {
    let marked = format!("{STREAM}---AXON_OUTPUTS_START---\nbranch: x\n---AXON_OUTPUTS_END---\n");
    let fake = serve(World::new("Succeeded", ended(), &stamped(&marked)), |_| {});
    let home = Home::new();
    let done = home.against(&fake, &["logs", "t"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "Step 1.\nThe greeting is committed.\n"),
        "{}",
        done.err
    );
    insta::assert_snapshot!(done.err);
    let raw = home.against(&fake, &["logs", "task/t", "--raw"]);
    assert_eq!((raw.out, raw.err.as_str()), (marked, ""));
    let request = fake
        .requests()
        .into_iter()
        .rfind(|r| r.path.ends_with("/log"))
        .unwrap();
    assert!(
        request.has("container=agent") && request.has("timestamps=true"),
        "{request:?}"
    );
}

#[test]
fn options_of_the_log_reach_the_server() {
    let fake = serve(World::new("Succeeded", ended(), &stamped("a\n")), |_| {});
    let home = Home::new();
    let done = home.against(
        &fake,
        &[
            "logs",
            "t",
            "--tail",
            "3",
            "--since",
            "2m",
            "--timestamps",
            "-c",
            "workspace",
        ],
    );
    assert_eq!(done.out, "2026-01-02T09:00:00.000000000Z a\n", "{}", done.err);
    let request = fake
        .requests()
        .into_iter()
        .rfind(|r| r.path.ends_with("/log"))
        .unwrap();
    for parameter in ["container=workspace", "tailLines=3", "sinceSeconds=120"] {
        assert!(request.has(parameter), "{request:?}");
    }
}

#[test]
fn a_log_can_begin_at_a_time() {
    let fake = serve(World::new("Succeeded", ended(), &stamped("a\n")), |_| {});
    let home = Home::new();
    let done = home.against(&fake, &["logs", "t", "--since-time", "2026-01-02T10:00:00+01:00"]);
    assert_eq!((done.code, done.out.as_str()), (0, "a\n"), "{}", done.err);
    let mut requests = fake.requests().into_iter();
    let request = requests.rfind(|r| r.path.ends_with("/log")).unwrap();
    assert!(
        request.query.contains("sinceTime=2026-01-02T09") && !request.query.contains("sinceSeconds"),
        "{request:?}"
    );
    for bad in [
        &["--since-time", "yesterday"][..],
        &["--since-time", "2026-01-02T09:00:00Z", "--since", "1m"],
    ] {
        let refused = home.against(&fake, &[&["logs", "t"], bad].concat());
        assert_eq!(refused.code, 2, "{}", refused.err);
    }
}

#[test]
fn why_there_is_no_log_is_told() {
    let mut world = World::new("Waiting", json!({}), "");
    world.pods = false;
    world.status =
        json!({"phase": "Waiting", "reason": "WaitingForBranch", "message": "task a holds branch b"});
    let done = Home::new().against(&serve(world.clone(), |_| {}), &["logs", "t"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err
            .contains("has no log yet; it is Waiting: task a holds branch b (WaitingForBranch)"),
        "{}",
        done.err
    );
    world.status = json!({"phase": "Failed", "reason": "InvalidConfig", "message": "bad"});
    let followed = Home::new().against(&serve(world, |_| {}), &["logs", "t", "-f"]);
    assert_eq!(followed.code, 1);
    assert!(
        followed.err.contains("has Failed: bad (InvalidConfig)"),
        "{}",
        followed.err
    );
}

#[test]
fn a_failed_clone_shows_its_log() {
    let mut world = World::new(
        "Failed",
        json!({"waiting": {"reason": "PodInitializing"}}),
        &stamped("fatal: not found\n"),
    );
    world.workspace = json!({"terminated": {"exitCode": 128}});
    world.status = json!({"phase": "Failed", "reason": "CloneFailed", "message": "fatal: not found"});
    for words in [&["logs", "t"][..], &["logs", "t", "-f"]] {
        let done = Home::new().against(&serve(world.clone(), |_| {}), words);
        assert_eq!(
            (done.code, done.out.as_str()),
            (0, "fatal: not found\n"),
            "{}",
            done.err
        );
        assert!(
            done.err
                .starts_with("the workspace could not be set up; its log:\n"),
            "{}",
            done.err
        );
        assert!(!done.err.contains("starting the agent"), "{}", done.err);
    }
}

#[test]
fn the_tail_counts_lines_that_are_shown() {
    let marked = format!("{STREAM}---AXON_OUTPUTS_START---\nbranch: x\n---AXON_OUTPUTS_END---\n");
    let fake = serve(World::new("Succeeded", ended(), &stamped(&marked)), |_| {});
    let home = Home::new();
    let whole = home.against(&fake, &["logs", "t"]).err;
    let last = whole.lines().last().unwrap();
    for words in [
        &["logs", "t", "--tail", "2"][..],
        &["logs", "t", "-f", "--tail", "2"],
    ] {
        let done = home.against(&fake, words);
        assert_eq!(done.out, "The greeting is committed.\n", "{words:?}");
        assert_eq!(done.err, format!("{last}\n"), "{words:?}");
    }
    let nothing = home.against(&fake, &["logs", "t", "--tail", "0"]);
    assert_eq!((nothing.out.as_str(), nothing.err.as_str()), ("", ""));
    let raw = home.against(&fake, &["logs", "t", "--raw", "--tail", "2"]);
    assert_eq!(raw.code, 0, "{}", raw.err);
    let asked: Vec<bool> = fake
        .requests()
        .iter()
        .filter(|r| r.path.ends_with("/log"))
        .map(|r| r.query.contains("tailLines"))
        .collect();
    assert_eq!(asked.last(), Some(&true), "raw lines are counted by the server");
    assert_eq!(asked.iter().filter(|tail| **tail).count(), 1);
}

#[test]
fn every_line_has_its_time() {
    let fake = serve(World::new("Succeeded", ended(), &stamped(STREAM)), |_| {});
    let done = Home::new().against(&fake, &["logs", "t", "--timestamps"]);
    for line in done.out.lines().chain(done.err.lines()) {
        assert!(
            line.starts_with("2026-01-02T09:00:0") && line.len() > 31,
            "{line:?}"
        );
    }
}

#[test]
fn words_of_the_kubelet_are_no_log() {
    let log = "unable to retrieve container logs for containerd://1234";
    let fake = serve(World::new("Succeeded", ended(), log), |_| {});
    let done = Home::new().against(&fake, &["logs", "t"]);
    assert_eq!((done.out.as_str(), done.err), ("", format!("{log}\n")));
}

#[test]
fn a_task_that_is_deleted_at_its_end_has_ended_all_the_same() {
    let home = Home::with_config("apiKey: none\n");
    for (phase, code, said) in [
        ("Succeeded", 0, "task/t Succeeded\n"),
        ("Failed", 3, "task/t Failed\n"),
        ("Running", 5, "task \"t\" in namespace default was deleted\n"),
    ] {
        let mut world = World::new("Running", json!({"running": {}}), &stamped(STREAM));
        world.exists = false;
        let fake = serve(world, move |world| {
            world.agent = ended();
            world.status = json!({"phase": phase});
            world.deleted = true;
        });
        let done = home.against(&fake, &["run", "-p", "x", "--name", "t", "-w"]);
        assert_eq!(done.code, code, "{}", done.err);
        assert!(done.err.contains(said), "{}", done.err);
    }
}

#[test]
fn a_log_that_may_not_be_read_is_not_asked_for_again() {
    let mut world = World::new("Running", json!({"running": {}}), "");
    let message = "pods \"t-pod\" is forbidden: User \"u\" cannot get resource \"pods/log\"";
    let status = json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": message});
    world.logs = vec![(403, status.to_string(), false)];
    let fake = serve(world, |_| {});
    let done = Home::new().against(&fake, &["logs", "t", "-f"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("user \"u\" is not allowed to get pod"),
        "{}",
        done.err
    );
    let tries = fake
        .requests()
        .iter()
        .filter(|r| r.path.ends_with("/log"))
        .count();
    assert_eq!(tries, 1, "{}", done.err);
}

#[test]
fn a_stream_that_breaks_is_taken_up_again_without_loss_or_repetition() {
    let text: String = (0..40).map(|i| format!("line {i}\n")).collect();
    let all = stamped(&text);
    let upto = |lines: usize| -> String { all.lines().take(lines).map(|l| format!("{l}\n")).collect() };
    let mut world = World::new("Running", json!({"running": {}}), "");
    // Breaks after 15 lines and in the middle of the 26th; a refusal in between; then the whole.
    world.logs = vec![
        (200, upto(15), true),
        (500, "no".into(), false),
        (200, upto(25) + "2026-01-02T09:00:02.500000000Z li", true),
        (200, all.clone(), false),
    ];
    let fake = serve(world, |world| {
        if world.calls >= 4 {
            world.agent = ended();
        }
    });
    let done = Home::new().against(&fake, &["logs", "t", "-f"]);
    assert_eq!((done.code, done.out), (0, text), "{}", done.err);
    let requests: Vec<Request> = fake
        .requests()
        .into_iter()
        .filter(|r| r.path.ends_with("/log"))
        .collect();
    assert!(
        requests[0].has("follow=true") && !requests[0].query.contains("sinceTime"),
        "{requests:?}"
    );
    assert!(requests[1].query.contains("sinceTime="), "{requests:?}");
}

#[test]
fn watching_ends_with_a_summary_and_the_tasks_own_exit_code() {
    let home = Home::with_config("apiKey: none\n");
    for (phase, code) in [("Succeeded", 0), ("Failed", 3)] {
        let mut world = World::new("Running", json!({"running": {}}), &stamped(STREAM));
        world.exists = false;
        let fake = serve(world, move |world| {
            world.agent = ended();
            world.status = json!({"phase": phase, "reason": "AgentError", "message": "it broke",
                "results": {"commit": "abc"}, "usage": {"costUSD": "0.5"}});
        });
        let done = home.against(&fake, &["run", "-p", "x", "--name", "t", "-w"]);
        assert_eq!(done.code, code, "{}", done.err);
        assert_eq!(done.out, "task/t created\nStep 1.\nThe greeting is committed.\n");
        let headline = if code == 0 {
            "task/t Succeeded\n"
        } else {
            "task/t Failed (AgentError): it broke\n"
        };
        assert!(done.err.contains(headline), "{}", done.err);
        assert!(
            done.err.ends_with("  commit    abc\n  cost      $0.5000\n"),
            "{}",
            done.err
        );
    }
}

#[test]
fn a_watched_task_is_printed_once_at_its_end_and_nothing_beside_it() {
    let home = Home::with_config("apiKey: none\n");
    for (words, phase, code) in [
        (
            &["run", "-p", "x", "--name", "t", "-w", "-o", "json"][..],
            "Failed",
            3,
        ),
        (
            &["run", "-p", "x", "--name", "t", "-w", "-o", "json"],
            "Succeeded",
            0,
        ),
    ] {
        let mut world = World::new("Running", json!({"running": {}}), &stamped(STREAM));
        world.exists = false;
        let fake = serve(world, move |world| {
            world.agent = ended();
            world.status = json!({"phase": phase, "results": {"commit": "abc"}});
        });
        let done = home.against(&fake, words);
        assert_eq!(done.code, code, "{}", done.err);
        let read: Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(
            (&read["status"]["phase"], &read["status"]["results"]["commit"]),
            (&json!(phase), &json!("abc"))
        );
        assert!(
            done.err.starts_with("task/t created\n") && done.err.contains("The greeting is committed.\n"),
            "{}",
            done.err
        );
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_the_task_alone_and_says_how_to_come_back() {
    let mut world = World::new("Pending", json!({}), "");
    world.workspace = json!({"running": {}});
    let fake = serve(world, |_| {});
    let words = ["logs", "t", "-f"];
    let done = Home::new().interrupted(&fake, &words, "[wait] cloning the repository");
    assert_eq!((done.code, done.out.as_str()), (130, ""), "{}", done.err);
    assert!(fake.writes().is_empty());
}

#[test]
fn events_of_all_agents_are_json_of_one_form() {
    let runs = [
        ("claude-code", include_str!("../streams/claude-code.mcp.jsonl")),
        ("codex", include_str!("../streams/codex.jsonl")),
        ("gemini", include_str!("../streams/gemini.jsonl")),
        ("opencode", include_str!("../streams/opencode.jsonl")),
    ];
    let mut all = String::new();
    for (agent, stream) in runs {
        let log = stamped(&format!("before\n{stream}"));
        let mut world = World::new("Succeeded", ended(), &log);
        world.agent_type = agent;
        let fake = serve(world, |_| {});
        let done = Home::new().against(&fake, &["logs", "t", "-o", "json"]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{agent}");
        let events: Vec<Value> = done
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events[0]["time"], "2026-01-02T09:00:00.000000000Z", "{agent}");
        assert!(
            events.iter().all(|event| event["type"].is_string()),
            "{agent}: {events:?}"
        );
        for wanted in ["line", "turn", "tool", "text", "result"] {
            assert!(
                events.iter().any(|event| event["type"] == wanted),
                "{agent}: {wanted}"
            );
        }
        let tail = Home::new().against(&fake, &["logs", "t", "-o", "json", "--tail", "1"]);
        let last: Value = serde_json::from_str(&tail.out).unwrap();
        assert_eq!(
            (&last["type"], &last["ok"]),
            (&json!("result"), &json!(true)),
            "{agent}"
        );
        all += &format!("# {agent}\n{}", done.out);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_help_names_every_type_of_event_and_its_fields() {
    let help = Home::new().run(&["logs", "--help"]).out;
    let source = include_str!("../../src/render/event.rs");
    let part = |begin: &str| source.split(begin).nth(1).unwrap().split("\n}").next().unwrap();
    let variants = part("pub enum Event {");
    let kebab = |name: &str| {
        name.replace("McpServer", "mcp-server")
            .replace("ToolError", "tool-error")
            .to_lowercase()
    };
    let mut names: Vec<String> = variants
        .lines()
        .filter(|line| line.starts_with("    ") && line.trim_start().starts_with(char::is_uppercase))
        .map(|line| kebab(line.trim().split(['{', '(']).next().unwrap().trim()))
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
    names.extend(
        [
            "costUSD",
            "inputTokens",
            "outputTokens",
            "cachedTokens",
            "durationMilliseconds",
        ]
        .map(str::to_owned),
    );
    for name in names {
        assert!(help.contains(&name), "{name}");
    }
}
