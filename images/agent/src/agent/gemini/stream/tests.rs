use std::fs;

use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from(format!(
        "{}/tests/streams/gemini{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
}

/// Reads a recorded stream, without its result if `killed`, together with its journal, if there is one.
fn fold(name: &str, killed: bool) -> GeminiStream {
    let mut stream = GeminiStream::new(path(&format!("{name}.chats")));
    let text = fs::read(path(&format!("{name}.jsonl"))).unwrap();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !(killed && line.starts_with(b"{\"type\":\"result\"")) {
            assert_eq!(stream.line(line), Line::Forward);
        }
    }
    stream
}

/// Returns input, output and cache read tokens; nobody reports the others.
fn counts(stream: &mut GeminiStream) -> [i64; 3] {
    let usage = stream.usage();
    assert_eq!((usage.cost_usd, usage.cache_write_tokens), (None, None));
    [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens].map(Option::unwrap)
}

#[test]
fn a_finished_run_has_the_result_s_figures_with_the_thoughts_and_without_what_is_cached() {
    for (name, expected) in [("", [1501, 172, 1500]), (".mcp", [2506, 291, 2500])] {
        let mut stream = fold(name, false);
        assert_eq!(stream.verdict(), Some(Verdict::Done));
        assert_eq!(counts(&mut stream), expected, "{name}");
    }
}

#[test]
fn a_killed_run_keeps_what_its_journal_tells() {
    let mut stream = fold(".killed", true);
    assert_eq!(stream.verdict(), None);
    assert_eq!(counts(&mut stream), [1503, 174, 1500]);
}

#[test]
fn sub_agents_have_a_journal_of_their_own() {
    assert_eq!(counts(&mut fold(".subagent", false)), [2503, 288, 2500]);
    // Two messages each; the request that ended the sub-agent was not noted.
    assert_eq!(counts(&mut fold(".subagent", true)), [2002, 230, 2000]);
}

#[test]
fn the_journal_of_another_session_is_not_ours() {
    let mut stream = GeminiStream::new(path(".subagent.chats"));
    assert!(stream.usage().is_empty());
    stream.line(br#"{"type":"init","session_id":"another-session"}"#);
    assert!(stream.usage().is_empty());
}

#[test]
fn errors_have_their_reason_and_the_provider_s_words() {
    for (name, reason, words) in [
        (".error400", TaskReason::AgentError, "scripted words"),
        (".error401", TaskReason::AuthFailed, "scripted words"),
        (".error403", TaskReason::AuthFailed, "scripted words"),
        (
            ".error429",
            TaskReason::RateLimited,
            "[API Error: You have exhausted your daily quota",
        ),
    ] {
        let mut stream = fold(name, false);
        assert!(stream.usage().input_tokens > Some(0), "{name}");
        match stream.verdict() {
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
    let mut stream = GeminiStream::default();
    for line in [
        &b"not json\n"[..],
        b"{}",
        b"[]",
        b"{\"type\":\"init\",\"session_id\":\"x\"}",
        b"\xff",
    ] {
        assert_eq!(stream.line(line), Line::Forward);
    }
    assert!(stream.usage().is_empty() && stream.verdict().is_none());
    stream.line(b"{\"type\":\"result\",\"status\":\"error\"}");
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
    for (stats, expected) in [
        ("null", None),
        (
            r#"{"total_tokens":null,"input_tokens":12,"output_tokens":4}"#,
            Some((12, 4)),
        ),
        (
            r#"{"total_tokens":20,"input_tokens":12.0,"cached":null}"#,
            Some((12, 8)),
        ),
        (r#"{"total_tokens":"many","models":{}}"#, None),
    ] {
        let mut stream = GeminiStream::default();
        stream.line(format!(r#"{{"type":"result","status":"success","stats":{stats}}}"#).as_bytes());
        assert_eq!(stream.verdict(), Some(Verdict::Done), "{stats}");
        let found = stream.usage();
        assert_eq!(found.input_tokens.zip(found.output_tokens), expected, "{stats}");
    }
}
