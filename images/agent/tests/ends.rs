//! Ends of a run with a stand-in for `claude`: signals, silence, and agents that go on after their last event.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use axon_api::outputs::Report;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Pod, alive, git, stream, until};

#[test]
fn sigterm_reaches_the_agent_and_the_report_keeps_what_was_spent() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; cat '{}'; trap 'echo bye; exit 143' TERM; echo > ready; while :; do sleep 0.05; done",
        stream(".killed")
    ));
    let child = pod
        .command()
        .args(["run", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("agent", || pod.dir("ready").exists());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\nbye\n"));
    let report = pod.report();
    assert_eq!(
        (report.reason, report.message.as_deref(), report.is_final),
        (Some(TaskReason::Stopped), Some("stopped by SIGTERM"), true)
    );
    assert_eq!(report.usage.input_tokens, Some(1000));
    assert_eq!(report.outputs, ["input-tokens: 1000", "output-tokens: 50"]);
}

#[test]
fn an_agent_that_ignores_sigterm_is_killed_after_its_grace() {
    let pod = Pod::new("trap '' TERM; echo > ready; while :; do sleep 0.05; done");
    let mut child = pod
        .command()
        .args(["run", "x"])
        .env("AXON_TERMINATION_GRACE_SECONDS", "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("agent", || pod.dir("ready").exists());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(pod.report().message.unwrap().contains("did not end in time"));
}

#[test]
fn sigkill_leaves_the_checkpoint() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; echo $$ > pid; cat '{}'; exec sleep 60",
        stream(".killed")
    ));
    git(&pod.work(), &["init", "-q", "-b", "work"]);
    let mut child = pod
        .command()
        .args(["run", "x"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let figures =
        || Report::parse(&pod.message()).is_some_and(|report| report.usage.output_tokens == Some(50));
    until("figures", figures);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let report = pod.report();
    assert_eq!((report.is_final, report.reason), (false, None));
    assert_eq!(
        (report.usage.input_tokens, report.usage.output_tokens),
        (Some(1000), Some(50))
    );
    assert_eq!(report.outputs, ["branch: work"]);
    let agent = fs::read_to_string(pod.dir("work/pid")).unwrap();
    let _ = kill(Pid::from_raw(agent.trim().parse().unwrap()), Signal::SIGKILL);
}

#[test]
fn nothing_of_the_agent_outlives_it() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; sleep 60 & echo $! > pid; cat '{}'",
        stream("")
    ));
    let started = Instant::now();
    let output = pod.command().args(["run", "x"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let pid = fs::read_to_string(pod.dir("work/pid")).unwrap();
    until("end of the leftover", || !alive(pid.trim()));
}

#[test]
fn an_agent_that_prints_nothing_for_too_long_is_ended() {
    let pod =
        Pod::new("cat >/dev/null; for n in 1 2 3 4; do echo $n >&2; sleep 0.5; done; echo > ready; sleep 60");
    let started = Instant::now();
    let output = pod
        .command()
        .args(["run", "x"])
        .env("AXON_STALL_TIMEOUT", "1s500ms")
        .output()
        .unwrap();
    assert!(pod.dir("ready").exists(), "words on standard error count");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(143));
    let report = pod.report();
    assert_eq!(
        (report.reason, report.is_final),
        (Some(TaskReason::Stalled), true)
    );
    assert!(report.message.unwrap().contains("printed nothing for 1.5s"));
    let output = pod
        .command()
        .args(["run", "x"])
        .env("AXON_STALL_TIMEOUT", "soon")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(pod.report().reason, Some(TaskReason::InvalidConfig));
}

#[test]
fn an_agent_that_is_done_and_does_not_end_is_taken_at_its_word() {
    let recorded = stream("");
    let failed = stream(".error429");
    for (stream, stall, code, reason) in [
        (&recorded, "", 0, None),
        // Silence counts for those that have said nothing yet.
        (&recorded, "1s", 0, None),
        (&failed, "1s", 143, Some(TaskReason::RateLimited)),
    ] {
        let pod = Pod::new(&format!("cat >/dev/null; cat '{stream}'; sleep 60 & sleep 60"));
        let started = Instant::now();
        let output = pod
            .command()
            .args(["run", "x"])
            .env("AXON_LINGER_SECONDS", "1")
            .env("AXON_STALL_TIMEOUT", stall)
            .output()
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "{stall}");
        assert_eq!(output.status.code(), Some(code), "{stall} {output:?}");
        let report = pod.report();
        assert_eq!((report.reason, report.is_final), (reason, true), "{stall}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("the agent is done"),
            "{output:?}"
        );
    }
}

#[test]
fn an_agent_that_is_done_is_not_kept_by_what_it_goes_on_printing() {
    let recorded = stream("");
    let status = r#"{"type":"system","subtype":"status","status":"compacting"}"#;
    for noise in [
        "echo busy >&2".to_owned(),
        format!("echo '{status}'"),
        "echo busy".to_owned(),
    ] {
        let pod = Pod::new(&format!(
            "cat >/dev/null; cat '{recorded}'; while :; do {noise}; sleep 0.2; done"
        ));
        let started = Instant::now();
        let output = pod
            .command()
            .args(["run", "x"])
            .env("AXON_LINGER_SECONDS", "1")
            .output()
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "{noise}");
        assert!(output.status.success(), "{noise} {output:?}");
        assert_eq!(pod.report().reason, None, "{noise}");
    }
}

#[test]
fn a_last_event_without_its_line_break_counts() {
    let recorded = fs::read_to_string(stream("")).unwrap();
    let unfinished = |rest: &str| {
        let pod = Pod::new(&format!("cat >/dev/null; cat ../stream; echo > ready; {rest}"));
        fs::write(pod.root().join("stream"), recorded.trim_end()).unwrap();
        pod
    };
    // A hang after it, with and without other output.
    for rest in ["sleep 60", "while :; do echo busy >&2; sleep 0.2; done"] {
        let pod = unfinished(rest);
        let started = Instant::now();
        let command = pod
            .command()
            .args(["run", "x"])
            .env("AXON_LINGER_SECONDS", "1")
            .output();
        let output = command.unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "{rest}");
        assert!(output.status.success(), "{rest} {output:?}");
        assert_eq!(pod.report().usage.input_tokens, Some(2001), "{rest}");
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(log.starts_with(recorded.trim_end()), "{rest}");
    }
    // A stop before the second in which it might have been completed is over.
    let pod = unfinished("exec sleep 60");
    let child = pod
        .command()
        .args(["run", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("result", || pod.dir("ready").exists());
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), pod.report().reason), (Some(0), None));
}

#[test]
fn an_agent_that_goes_on_after_a_result_has_its_time_again() {
    let recorded = stream("");
    let pod = Pod::new(&format!(
        "cat >/dev/null; for i in 1 2 3 4; do cat '{recorded}'; sleep 1; done; echo > ready"
    ));
    let output = pod
        .command()
        .args(["run", "x"])
        .env("AXON_LINGER_SECONDS", "3")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(pod.dir("work/ready").exists() || pod.dir("ready").exists());
}

#[test]
fn a_stop_after_the_last_event_takes_nothing_back() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; cat '{}'; echo > ready; sleep 60",
        stream("")
    ));
    let child = pod
        .command()
        .args(["run", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("result", || {
        pod.dir("work/ready").exists() || pod.dir("ready").exists()
    });
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), pod.report().reason), (Some(0), None));
}
