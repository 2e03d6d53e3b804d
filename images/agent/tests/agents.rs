//! `axon-agent run` with stand-ins for `codex`, `gemini` and `opencode`: what reaches each of them, and what is made of
//! the streams that the real ones left.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use axon_api::outputs::Report;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Pod, recorded};

const AGENTS: [&str; 3] = ["codex", "gemini", "opencode"];

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn replay(name: &str) -> String {
    format!("cat '{}'", recorded(name))
}

fn counts(report: &Report) -> [Option<i64>; 4] {
    let usage = &report.usage;
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ]
}

#[test]
fn prompts_arrive_byte_for_byte_and_streams_go_to_the_log() {
    for (agent, figures, cost) in [
        ("codex", [Some(1001), Some(101), Some(1000), Some(0)], None),
        ("gemini", [Some(1501), Some(172), Some(1500), None], None),
        (
            "opencode",
            [Some(2001), Some(101), Some(1000), Some(400)],
            Some("0.009318"),
        ),
    ] {
        let script = format!(
            "cat > got; printf '%s\\n' \"$@\" > args; {}",
            replay(&format!("{agent}.jsonl"))
        );
        let pod = Pod::of(agent, agent, &script);
        for prompt in ["-p", "--", "it's \"quoted\" `x` $(X)\n\n", "ünï\u{1f600}"] {
            let output = pod.command().args(["run", prompt]).output().unwrap();
            assert!(output.status.success(), "{agent}: {output:?}");
            assert_eq!(
                fs::read(pod.dir("got")).unwrap(),
                prompt.as_bytes(),
                "{agent}: {prompt}"
            );
            let log = String::from_utf8(output.stdout).unwrap();
            let stream = fs::read_to_string(recorded(&format!("{agent}.jsonl"))).unwrap();
            assert!(log.starts_with(&stream), "{agent}: {log}");
        }
        let report = pod.report();
        assert_eq!(counts(&report), figures, "{agent}");
        assert_eq!(report.usage.cost_usd.as_deref(), cost, "{agent}");
        assert_eq!((report.is_final, report.reason), (true, None));
    }
}

#[test]
fn the_end_of_a_process_alone_is_no_success() {
    for agent in AGENTS {
        let path = recorded(&format!("{agent}.jsonl"));
        let pod = Pod::of(agent, agent, &format!("cat >/dev/null; head -n 2 '{path}'"));
        let output = pod.command().args(["run", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{agent}");
        let report = pod.report();
        let message = format!("{agent} ended without a result");
        assert_eq!(
            (report.reason, report.message),
            (Some(TaskReason::AgentError), Some(message))
        );
    }
}

#[test]
fn errors_have_their_reason() {
    for (agent, code, status, reason) in [
        ("codex", 1, 401, TaskReason::AuthFailed),
        ("codex", 1, 429, TaskReason::RateLimited),
        ("gemini", 145, 401, TaskReason::AuthFailed),
        ("gemini", 1, 429, TaskReason::RateLimited),
        ("opencode", 1, 403, TaskReason::AuthFailed),
        ("opencode", 0, 400, TaskReason::AgentError),
    ] {
        let stream = replay(&format!("{agent}.error{status}.jsonl"));
        let pod = Pod::of(agent, agent, &format!("cat >/dev/null; {stream}; exit {code}"));
        let output = pod.command().args(["run", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code.max(1)), "{agent} {status}");
        assert_eq!(pod.report().reason, Some(reason), "{agent} {status}");
    }
}

#[test]
fn a_log_that_says_more_than_the_stream_is_the_evidence() {
    let script = format!(
        "cat >/dev/null; {}; echo 'Model not found: a/b' >&2; exit 1",
        replay("opencode.no-model.jsonl")
    );
    let pod = Pod::of("opencode", "opencode", &script);
    pod.command().args(["run", "x"]).output().unwrap();
    let message = pod.report().message.unwrap();
    assert_eq!(message, "opencode exited with code 1: Model not found: a/b");
}

#[test]
fn a_killed_run_keeps_what_the_agent_noted() {
    for (agent, journal, figures) in [
        (
            "codex",
            "mkdir -p ~/.codex && cp -r 'PATH/codex.killed.sessions' ~/.codex/sessions",
            [Some(1001), Some(101), Some(1000), Some(0)],
        ),
        (
            "gemini",
            "mkdir -p ~/.gemini/tmp/project && cp -r 'PATH/gemini.killed.chats' ~/.gemini/tmp/project/chats",
            [Some(1503), Some(174), Some(1500), None],
        ),
        ("opencode", "true", [Some(2001), Some(101), Some(1000), Some(400)]),
    ] {
        // The journal grows after the last line of output.
        let script = format!(
            "cat >/dev/null; echo $$ > pid; {}; sleep 0.3; {}; exec sleep 60",
            replay(&format!("{agent}.killed.jsonl")),
            journal.replace("PATH", &recorded(""))
        );
        for signal in [Signal::SIGKILL, Signal::SIGTERM] {
            let pod = Pod::of(agent, agent, &script);
            let mut child = pod
                .command()
                .args(["run", "x"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            until("figures", || {
                Report::parse(&pod.message()).is_some_and(|report| counts(&report) == figures)
            });
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            child.wait().unwrap();
            let report = pod.report();
            assert_eq!(counts(&report), figures, "{agent} {signal}");
            assert_eq!(report.is_final, signal == Signal::SIGTERM);
            let pid = fs::read_to_string(pod.dir("pid")).unwrap();
            let _ = kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL);
        }
    }
}

#[test]
fn what_a_task_gives_is_in_the_home_directory_and_not_in_the_checkout() {
    for (agent, files) in [
        (
            "codex",
            [
                ".codex/axon.config.toml",
                ".codex/AGENTS.md",
                ".codex/skills/team:deploy/SKILL.md",
                ".codex/agents/team:reviewer.toml",
            ],
        ),
        (
            "gemini",
            [
                ".gemini/settings.json",
                ".gemini/GEMINI.md",
                ".gemini/skills/team-deploy/SKILL.md",
                ".gemini/agents/team-reviewer.md",
            ],
        ),
        (
            "opencode",
            [
                ".config/opencode/opencode.json",
                ".config/opencode/AGENTS.md",
                ".config/opencode/skills/team:deploy/SKILL.md",
                ".config/opencode/agents/team:reviewer.md",
            ],
        ),
    ] {
        let stream = replay(&format!("{agent}.jsonl"));
        let pod = Pod::of(agent, agent, &format!("cat >/dev/null; env > ~/env; {stream}"));
        let plugins = pod.dir("plugins");
        fs::create_dir_all(plugins.join("team/skills/deploy")).unwrap();
        fs::create_dir_all(plugins.join("team/agents")).unwrap();
        fs::write(plugins.join("team/skills/deploy/SKILL.md"), "How to deploy").unwrap();
        fs::write(plugins.join("team/agents/reviewer.md"), "How to review").unwrap();
        let output = pod
            .command()
            .args(["run", "x"])
            .env("AXON_AGENTS_MD", "be kind")
            .env(
                "AXON_MCP_SERVERS",
                r#"{"mcpServers":{"net":{"type":"http","url":"http://h/mcp","headers":{"A":"secret"}}}}"#,
            )
            .env("AXON_PLUGIN_DIR", plugins)
            .env("OPENCODE_API_KEY", "sk-secret-value")
            .output()
            .unwrap();
        assert!(output.status.success(), "{agent}: {output:?}");
        let home = pod.dir("home");
        for file in files {
            let mode = fs::metadata(home.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{agent}: {file}");
        }
        assert!(
            fs::read_to_string(home.join(files[0]))
                .unwrap()
                .contains("http://h/mcp")
        );
        assert_eq!(fs::read_dir(pod.work()).unwrap().count(), 0, "{agent}");
        let env = fs::read_to_string(home.join("env")).unwrap();
        match agent {
            "gemini" => {
                let git = home.join(".axon/bin/git");
                assert_eq!(fs::metadata(&git).unwrap().permissions().mode() & 0o777, 0o700);
                assert!(env.contains(&format!("PATH={}:", git.parent().unwrap().display())));
                assert!(env.contains("GEMINI_CLI_NO_RELAUNCH=true"));
                assert!(env.contains(&format!("AXON_PATH={}:", git.parent().unwrap().display())));
            }
            "opencode" => {
                assert!(env.contains("AXON_PATH=/"));
                assert!(env.contains("ANTHROPIC_API_KEY=sk-secret-value"));
                assert!(!env.contains("OPENCODE_API_KEY"));
            }
            _ => {}
        }
    }
}

#[test]
fn what_an_agent_can_t_do_is_an_invalid_configuration() {
    let pod = Pod::of("codex", "codex", "exit 0");
    let output = pod
        .command()
        .args(["run", "x"])
        .env(
            "AXON_MCP_SERVERS",
            r#"{"mcpServers":{"old":{"type":"sse","url":"http://h"}}}"#,
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = pod.report();
    assert_eq!(report.reason, Some(TaskReason::InvalidConfig));
    assert!(report.message.unwrap().contains("\"old\" is of type sse"));
}
