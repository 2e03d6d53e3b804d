use std::fs;

use super::*;

fn fold(name: &str) -> OpenCodeStream {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streams");
    let text = fs::read(format!("{dir}/opencode{name}.jsonl")).unwrap();
    let mut stream = OpenCodeStream::default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        assert_eq!(stream.line(line), Line::Forward);
    }
    stream
}

fn counts(stream: &mut OpenCodeStream) -> [i64; 4] {
    figures(stream).map(Option::unwrap)
}

fn figures(stream: &mut OpenCodeStream) -> [Option<i64>; 4] {
    let usage = stream.usage();
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ]
}

#[test]
fn a_finished_run_has_the_sum_over_its_steps() {
    for (name, cost, expected) in [
        ("", "0.009318", [2001, 101, 1000, 400]),
        (".mcp", "0.018708", [4006, 206, 2000, 800]),
    ] {
        let mut stream = fold(name);
        assert_eq!(stream.verdict(), Some(Verdict::Done));
        assert_eq!(counts(&mut stream), expected, "{name}");
        assert_eq!(stream.usage().cost_usd.as_deref(), Some(cost));
    }
}

#[test]
fn a_killed_run_keeps_the_steps_that_ended() {
    let mut stream = fold(".killed");
    assert_eq!(stream.verdict(), None);
    assert_eq!(counts(&mut stream), [2001, 101, 1000, 400]);
}

#[test]
fn errors_have_their_reason_and_the_provider_s_words() {
    for (name, reason) in [
        (".error400", TaskReason::AgentError),
        (".error401", TaskReason::AuthFailed),
        (".error403", TaskReason::AuthFailed),
    ] {
        let mut stream = fold(name);
        assert_eq!(counts(&mut stream), [1000, 50, 500, 200], "{name}");
        let message = "scripted words".to_owned();
        assert_eq!(
            stream.verdict(),
            Some(Verdict::Failed { reason, message }),
            "{name}"
        );
    }
    // Only the log, which is on standard error, has the reason.
    assert_eq!(fold(".no-model").verdict(), None);
}

fn step(id: &str, reason: &str, reasoning: i64, cost: &str) -> String {
    format!(
        r#"{{"type":"step_finish","part":{{"id":"{id}","reason":"{reason}","tokens":{{"input":10,"output":5,"reasoning":{reasoning},"cache":{{"read":1,"write":2}}}},"cost":{cost}}}}}"#
    )
}

#[test]
fn reasoning_is_output_and_no_price_is_no_cost() {
    let mut stream = OpenCodeStream::default();
    for (id, reason) in [("1", "tool-calls"), ("1", "tool-calls"), ("2", "stop")] {
        stream.line(step(id, reason, 3, "0").as_bytes());
    }
    assert_eq!(counts(&mut stream), [20, 16, 2, 4]);
    assert_eq!(stream.usage().cost_usd, None);
    stream.line(step("3", "stop", 0, "0.5").as_bytes());
    assert_eq!(stream.usage().cost_usd.as_deref(), Some("0.50"));
}

#[test]
fn only_a_model_that_stopped_by_itself_is_done() {
    for (reason, done) in [("stop", true), ("length", false), ("content-filter", false)] {
        let mut stream = OpenCodeStream::default();
        stream.line(step("1", reason, 0, "null").as_bytes());
        assert_eq!(stream.verdict() == Some(Verdict::Done), done, "{reason}");
        assert!(stream.verdict().is_some());
    }
    let mut stream = OpenCodeStream::default();
    stream.line(br#"{"type":"error","error":{"name":"ProviderAuthError","data":{"message":"no key"}}}"#);
    stream.line(step("1", "stop", 0, "1").as_bytes());
    assert_eq!(
        stream.verdict(),
        Some(Verdict::Failed {
            reason: TaskReason::AuthFailed,
            message: "no key".into()
        })
    );
}

#[test]
fn what_is_no_event_is_passed_on() {
    let mut stream = OpenCodeStream::default();
    for line in [
        &b"not json\n"[..],
        b"{}",
        b"[]",
        b"{\"type\":\"step_finish\"}",
        b"\xff",
    ] {
        assert_eq!(stream.line(line), Line::Forward);
    }
    assert!(stream.usage().is_empty() && stream.verdict().is_none());
    stream.line(b"{\"type\":\"error\"}");
    assert!(matches!(stream.verdict(), Some(Verdict::Failed { .. })));
}

#[test]
fn a_figure_that_cannot_be_read_is_unknown_and_decides_nothing() {
    let all = r#"{"input":10,"output":5,"reasoning":1,"cache":{"read":3,"write":2}}"#;
    for (tokens, expected) in [
        (all, [Some(10), Some(6), Some(3), Some(2)]),
        (
            r#"{"input":10,"output":5,"cache":null}"#,
            [Some(10), Some(5), None, None],
        ),
        (
            r#"{"input":1e300,"output":5,"cache":[1,2]}"#,
            [None, Some(5), None, None],
        ),
        (
            r#"{"input":null,"output":5,"cache":{"read":0,"write":null}}"#,
            [None, Some(5), Some(0), None],
        ),
        (
            r#"{"input":10.5,"output":"5","cache":[]}"#,
            [Some(10), Some(5), None, None],
        ),
        (
            r#"{"total":null,"input":-1,"output":5,"reasoning":{}}"#,
            [None, Some(5), None, None],
        ),
        ("[1,2]", [None; 4]),
    ] {
        let mut stream = OpenCodeStream::default();
        let line = format!(
            r#"{{"type":"step_finish","part":{{"id":"p","reason":"stop","cost":null,"tokens":{tokens}}}}}"#
        );
        stream.line(line.as_bytes());
        assert_eq!(stream.verdict(), Some(Verdict::Done), "{tokens}");
        assert_eq!(figures(&mut stream), expected, "{tokens}");
    }
    for part in [
        r#"{"reason":"stop","tokens":null}"#,
        r#"{"reason":"stop","tokens":7,"cost":"much"}"#,
        r#"{"id":null,"reason":"stop","tokens":{"input":null}}"#,
    ] {
        let mut stream = OpenCodeStream::default();
        stream.line(format!(r#"{{"type":"step_finish","part":{part}}}"#).as_bytes());
        assert_eq!(stream.verdict(), Some(Verdict::Done), "{part}");
        assert_eq!(stream.usage(), Usage::default(), "{part}");
    }
}
