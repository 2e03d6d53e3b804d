use std::fs;

use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!(
        "{}/tests/streams/codex{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
}

/// Reads a recorded stream together with its journal, if there is one.
fn fold(name: &str) -> CodexStream {
    let mut stream = CodexStream::new(path(&format!("{name}.sessions")));
    let text = fs::read(path(&format!("{name}.jsonl"))).unwrap();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        assert_eq!(stream.line(line), Line::Forward);
    }
    stream
}

fn counts(stream: &mut CodexStream) -> [i64; 4] {
    let usage = stream.usage();
    assert_eq!(usage.cost_usd, None);
    let counts = [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ];
    counts.map(Option::unwrap)
}

#[test]
fn a_finished_run_has_the_thread_s_figures_without_what_is_cached() {
    for (name, expected) in [("", [1001, 101, 1000, 0]), (".mcp", [1503, 153, 1500, 0])] {
        let mut stream = fold(name);
        assert_eq!(stream.verdict(), Some(Verdict::Done));
        assert_eq!(counts(&mut stream), expected, "{name}");
    }
}

#[test]
fn sub_agents_are_in_the_journal_alone() {
    let mut stream = fold(".subagent");
    // Three answers to the main thread and two to its sub-agent.
    assert_eq!(counts(&mut stream), [2504, 254, 2500, 0]);
    let mut without = CodexStream::new(path(".none"));
    let text = fs::read(path(".subagent.jsonl")).unwrap();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        without.line(line);
    }
    assert_eq!(counts(&mut without), [1503, 153, 1500, 0]);
}

#[test]
fn a_killed_run_keeps_what_it_spent() {
    let mut stream = fold(".killed");
    assert_eq!(stream.verdict(), None);
    assert_eq!(counts(&mut stream), [1001, 101, 1000, 0]);
}

#[test]
fn a_later_turn_s_figures_replace_those_before_it() {
    let mut stream = CodexStream::default();
    for n in [1000, 2500] {
        let line = format!(
            r#"{{"type":"turn.completed","usage":{{"input_tokens":{n},"cached_input_tokens":300,"cache_write_input_tokens":200,"output_tokens":7,"reasoning_output_tokens":5}}}}"#
        );
        stream.line(line.as_bytes());
    }
    assert_eq!(counts(&mut stream), [2000, 7, 300, 200]);
}

#[test]
fn the_journal_of_another_session_is_not_ours() {
    let mut stream = CodexStream::new(path(".subagent.sessions"));
    stream.line(br#"{"type":"thread.started","thread_id":"another"}"#);
    assert!(stream.usage().is_empty());
}

#[test]
fn errors_have_their_reason_and_the_provider_s_words() {
    for (name, reason, words) in [
        (".error400", TaskReason::AgentError, "scripted words"),
        (
            ".error401",
            TaskReason::AuthFailed,
            "unexpected status 401 Unauthorized: scripted words",
        ),
        (
            ".error403",
            TaskReason::AuthFailed,
            "unexpected status 403 Forbidden: scripted words",
        ),
        (
            ".error429",
            TaskReason::RateLimited,
            "exceeded retry limit, last status: 429 Too Many Requests",
        ),
    ] {
        match fold(name).verdict() {
            Some(Verdict::Failed {
                reason: found,
                message,
            }) => {
                assert_eq!(found, reason, "{name}");
                assert!(message.starts_with(words), "{name}: {message}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_event_is_passed_on() {
    let mut stream = CodexStream::default();
    for line in [
        &b"not json\n"[..],
        b"{}",
        b"[]",
        b"{\"type\":\"turn.failed\"}",
        b"\xff",
    ] {
        assert_eq!(stream.line(line), Line::Forward);
    }
    assert!(stream.usage().is_empty());
    assert!(matches!(
        stream.verdict(),
        Some(Verdict::Failed {
            reason: TaskReason::AgentError,
            ..
        })
    ));
}

#[test]
fn a_figure_that_cannot_be_read_is_unknown_and_decides_nothing() {
    for (usage, expected) in [
        ("null", None),
        ("{}", None),
        ("[]", None),
        ("[1,2,3,4]", None),
        (r#"{"input_tokens":null,"output_tokens":0.0}"#, None),
        (r#"{"input_tokens":1,"output_tokens":1e300}"#, None),
        (
            r#"{"input_tokens":12,"cached_input_tokens":null,"output_tokens":"7"}"#,
            Some((12, 7)),
        ),
        (r#"{"input_tokens":-3,"output_tokens":9223372036854775808}"#, None),
    ] {
        let mut stream = CodexStream::default();
        stream.line(format!(r#"{{"type":"turn.completed","usage":{usage}}}"#).as_bytes());
        assert_eq!(stream.verdict(), Some(Verdict::Done), "{usage}");
        let found = stream.usage();
        assert_eq!(found.input_tokens.zip(found.output_tokens), expected, "{usage}");
    }
}
