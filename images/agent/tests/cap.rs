//! Caps on tokens and money with stand-ins for the agents: stopped in flight, work pushed, figures kept.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::process::Output;

use axon_api::TaskReason;
use support::server::{Server, cloned};
use support::{Pod, git, recorded, stream};

/// Ten dollars for a million tokens, of whatever kind.
const PRICE: &str = r#"{"input":"10","output":"10","cacheRead":"10","cacheWrite":"10"}"#;
const MAX_COST: &str = "AXON_MAX_COST_USD";
const MAX_TOKENS: &str = "AXON_MAX_TOKENS";

fn run(pod: &Pod, caps: &[(&str, &str)]) -> Output {
    let mut command = pod.command();
    command.args(["run", "x"]).envs(caps.iter().copied());
    command.output().unwrap()
}

fn warnings(output: &Output) -> usize {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines()
        .filter(|line| line.starts_with("warning: the run has spent"))
        .count()
}

/// A `claude` that has used 1750 tokens when it is silent.
fn silent() -> String {
    format!(
        "cat >/dev/null; git commit -q --allow-empty -m work; cat '{}'; exec sleep 60",
        stream(".killed")
    )
}

#[test]
fn a_run_that_reaches_its_cap_is_stopped_and_its_commits_are_pushed() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    for (n, (cap, words)) in [
        (&[(MAX_TOKENS, "1750")][..], "1750 tokens were used of 1750"),
        (
            &[(MAX_COST, "0.0175"), ("AXON_PRICE", PRICE)],
            "$0.0175 was spent of $0.0175",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let branch = format!("axon/{n}");
        let pod = Pod::new(&silent());
        let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", branch.as_str())]);
        let output = pod
            .command()
            .current_dir(&repo)
            .args(["run", "x"])
            .envs([("AXON_BRANCH", branch.as_str()), ("AXON_REPO", &server.url())])
            .envs(cap.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(143), "{output:?}");
        let report = pod.report();
        let message = report.message.unwrap();
        assert_eq!(
            (report.reason, report.is_final),
            (Some(TaskReason::BudgetExceeded), true)
        );
        assert!(message.starts_with(words), "{message}");
        assert!(
            message.ends_with(&format!(
                "; claude was stopped; new commits pushed to {branch}: 1"
            )),
            "{message}"
        );
        let usage = report.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(1000), Some(50)));
        assert_eq!(
            git(&remote, &["rev-parse", &branch]),
            git(&repo, &["rev-parse", "HEAD"])
        );
    }
}

#[test]
fn people_are_told_once_at_four_fifths_and_the_run_goes_on() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; cat '{0}'; sleep 0.6; cat '{0}'; sleep 0.6; exit 3",
        stream(".killed")
    ));
    let output = run(&pod, &[(MAX_TOKENS, "2187")]);
    assert_eq!(
        (output.status.code(), warnings(&output)),
        (Some(3), 1),
        "{output:?}"
    );
    let below = run(&pod, &[(MAX_TOKENS, "2188")]);
    assert_eq!((below.status.code(), warnings(&below)), (Some(3), 0), "{below:?}");
}

/// The program of an agent that goes on warning for ever once it has noted what it used.
fn noisy(agent: &str, journal: &str) -> String {
    let stream = recorded(&format!("{agent}.killed.jsonl"));
    let journal = journal.replace("PATH", &recorded(""));
    format!(
        "cat >/dev/null; cat '{stream}'; sleep 0.3; {journal}; while :; do echo noise >&2; sleep 0.05; done"
    )
}

#[test]
fn what_an_agent_notes_beside_its_output_is_watched_however_much_it_prints() {
    for (agent, journal, tokens) in [
        (
            "codex",
            "mkdir -p ~/.codex && cp -r 'PATH/codex.killed.sessions' ~/.codex/sessions",
            2102,
        ),
        (
            "gemini",
            "mkdir -p ~/.gemini/tmp/project && cp -r 'PATH/gemini.killed.chats' ~/.gemini/tmp/project/chats",
            3177,
        ),
        ("opencode", "true", 3502),
    ] {
        let cap = tokens.to_string();
        let pod = Pod::of(agent, agent, &noisy(agent, journal));
        let output = run(&pod, &[(MAX_TOKENS, &cap)]);
        let report = pod.report();
        let message = report.message.unwrap_or_default();
        assert_eq!(
            report.reason,
            Some(TaskReason::BudgetExceeded),
            "{agent}: {message}"
        );
        assert!(
            message.starts_with(&format!("{cap} tokens were used of {cap}")),
            "{agent}: {message}"
        );
        assert_eq!(output.status.code(), Some(143), "{agent}");
    }
}

#[test]
fn a_run_whose_last_answer_reaches_the_cap_is_the_success_that_it_says_it_is() {
    let script = format!(
        "cat >/dev/null; cat '{}'; exec sleep 60",
        recorded("opencode.jsonl")
    );
    for cap in [(MAX_TOKENS, "3502"), (MAX_COST, "0.009318")] {
        let pod = Pod::of("opencode", "opencode", &script);
        let output = run(&pod, &[cap]);
        let report = pod.report();
        assert_eq!(
            (output.status.code(), report.reason),
            (Some(0), None),
            "{:?}",
            report.message
        );
    }
}

#[test]
fn a_cap_that_cannot_be_watched_starts_nothing() {
    for (caps, words) in [
        (&[(MAX_COST, "5")][..], "AXON_MAX_COST_USD can't be watched"),
        (&[(MAX_COST, "five")], "AXON_MAX_COST_USD is \"five\""),
        (&[(MAX_TOKENS, "2M")], "AXON_MAX_TOKENS is \"2M\""),
        (&[(MAX_COST, "5"), ("AXON_PRICE", "5")], "AXON_PRICE: "),
    ] {
        let pod = Pod::new("echo > started");
        let output = run(&pod, caps);
        let report = pod.report();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(report.reason, Some(TaskReason::InvalidConfig));
        let message = report.message.unwrap();
        assert!(message.starts_with(words), "{message}");
        assert!(!pod.work().join("started").exists(), "{caps:?}");
    }
}
