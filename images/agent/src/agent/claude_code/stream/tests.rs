use std::fs;

use super::*;

fn recorded(name: &str) -> Vec<u8> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streams");
    fs::read(format!("{dir}/claude-code{name}.jsonl")).unwrap()
}

fn fold<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> (ClaudeStream, Vec<&'a [u8]>) {
    let mut stream = ClaudeStream::default();
    let forwarded = lines
        .into_iter()
        .filter(|line| stream.line(line) == Line::Forward);
    let forwarded = forwarded.collect();
    (stream, forwarded)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn is_result(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|event| event["type"] == "result")
}

fn counts(usage: &Usage) -> [Option<i64>; 4] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ]
}

fn failed(name: &str) -> (TaskReason, String) {
    match fold(lines(&recorded(name))).0.verdict() {
        Some(Verdict::Failed { reason, message }) => (reason, message),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_finished_run_has_the_result_s_figures() {
    let text = recorded("");
    let (mut stream, forwarded) = fold(lines(&text));
    assert_eq!(stream.verdict(), Some(Verdict::Done));
    assert_eq!(
        counts(&stream.usage()),
        [Some(2001), Some(101), Some(1000), Some(400)]
    );
    assert_eq!(stream.usage().cost_usd.as_deref(), Some("0.012224"));
    assert_eq!(forwarded.concat(), text);
}

#[test]
fn partial_messages_add_up_to_the_result_and_stay_out_of_the_log() {
    let text = recorded(".partial");
    let (mut stream, forwarded) = fold(lines(&text));
    let (mut killed, _) = fold(lines(&text).filter(|line| !is_result(line)));
    assert_eq!(
        counts(&stream.usage()),
        [Some(3003), Some(153), Some(1500), Some(600)]
    );
    assert_eq!(counts(&killed.usage()), counts(&stream.usage()));
    assert_eq!((killed.verdict(), killed.usage().cost_usd), (None, None));
    let kinds: Vec<String> = forwarded
        .iter()
        .map(|line| {
            serde_json::from_slice::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "system",
            "assistant",
            "assistant",
            "user",
            "assistant",
            "assistant",
            "user",
            "assistant",
            "result"
        ]
    );
}

#[test]
fn a_killed_run_keeps_what_it_spent() {
    let (mut stream, _) = fold(lines(&recorded(".killed")));
    assert_eq!(stream.verdict(), None);
    assert_eq!(
        counts(&stream.usage()),
        [Some(1000), Some(50), Some(500), Some(200)]
    );
}

#[test]
fn sub_agents_are_in_the_figures_that_the_cost_is_of() {
    for (name, all, killed) in [
        (".subagent", [5004, 254, 2500, 1000], [4002, 103, 2000, 800]),
        (
            ".subagent-background",
            [6005, 305, 3000, 1200],
            [6005, 155, 3000, 1200],
        ),
    ] {
        let text = recorded(name);
        let (mut stream, _) = fold(lines(&text));
        assert_eq!(counts(&stream.usage()), all.map(Some), "{name}");
        let (mut stream, _) = fold(lines(&text).filter(|line| !is_result(line)));
        assert_eq!(counts(&stream.usage()), killed.map(Some), "{name}");
    }
}

#[test]
fn messages_after_a_result_are_added_to_it() {
    let text = recorded(".partial");
    let renamed = String::from_utf8(text.clone())
        .unwrap()
        .replace("\"msg_", "\"msg_later_");
    let again = renamed.into_bytes();
    let (mut stream, _) = fold(lines(&text).chain(lines(&again).filter(|line| !is_result(line))));
    assert_eq!(
        counts(&stream.usage()),
        [Some(6006), Some(306), Some(3000), Some(1200)]
    );
    assert_eq!(stream.usage().cost_usd.as_deref(), Some("0.018372"));
}

#[test]
fn failures_have_a_reason_and_claude_s_words() {
    assert_eq!(
        failed(".error400"),
        (
            TaskReason::AgentError,
            "API Error: 400 scripted bad request".into()
        )
    );
    assert_eq!(
        failed(".error401"),
        (
            TaskReason::AuthFailed,
            "Invalid API key · Fix external API key".into()
        )
    );
    assert_eq!(failed(".error403").0, TaskReason::AuthFailed);
    assert_eq!(failed(".error429").0, TaskReason::RateLimited);
    assert_eq!(
        failed(".no-credential"),
        (TaskReason::AuthFailed, "Not logged in · Please run /login".into())
    );
    assert_eq!(failed(".error-midway").0, TaskReason::AgentError);
}

#[test]
fn a_command_of_its_own_is_no_work() {
    let message = "claude ended without asking the model: /login isn't available in this environment.";
    assert_eq!(failed(".command"), (TaskReason::AgentError, message.to_owned()));
    // After work of the model such a result takes nothing back.
    let (work, command) = (recorded(""), recorded(".command"));
    let both = lines(&work).chain(lines(&command).filter(|line| is_result(line)));
    assert_eq!(fold(both).0.verdict(), Some(Verdict::Done));
}

#[test]
fn a_failure_midway_keeps_the_cost() {
    let usage = fold(lines(&recorded(".error-midway"))).0.usage();
    assert_eq!(counts(&usage), [Some(1000), Some(50), Some(500), Some(200)]);
    assert_eq!(usage.cost_usd.as_deref(), Some("0.0061"));
}

#[test]
fn a_result_without_is_error_is_judged_by_its_subtype() {
    let verdict = |json: &str| fold([json.as_bytes()]).0.verdict();
    assert_eq!(
        verdict(r#"{"type":"result","subtype":"success"}"#),
        Some(Verdict::Done)
    );
    let Some(Verdict::Failed { reason, message }) =
        verdict(r#"{"type":"result","subtype":"error_max_turns"}"#)
    else {
        panic!("no failure");
    };
    assert_eq!(
        (reason, message.as_str()),
        (TaskReason::AgentError, "claude ended with error_max_turns")
    );
}

#[test]
fn digits_of_the_cost_are_kept() {
    for cost in ["0.10", "0.1234567890123456789", "1e-7", "0"] {
        let json = format!(r#"{{"type":"result","is_error":false,"total_cost_usd":{cost}}}"#);
        assert_eq!(fold([json.as_bytes()]).0.usage().cost_usd.as_deref(), Some(cost));
    }
    let odd = br#"{"type":"result","is_error":false,"total_cost_usd":"free"}"#;
    assert_eq!(fold([odd.as_slice()]).0.usage().cost_usd, None);
}

#[test]
fn other_lines_go_through_and_change_nothing() {
    let odd: [&[u8]; 10] = [
        b"plain text\n",
        b"\n",
        b"\xff\xfe\n",
        b"{",
        b"[1]",
        b"{\"type\":7}",
        b"{\"type\":\"new\",\"event\":1,\"message\":[]}",
        b"{\"type\":\"assistant\",\"message\":{\"id\":3}}",
        b"{\"type\":\"assistant\",\"message\":\"x\"}",
        b"{\"type\":\"system\",\"subtype\":\"status\",\"status\":\"compacting\"}",
    ];
    let (mut stream, forwarded) = fold(odd);
    assert_eq!(forwarded.len(), odd.len());
    assert!(stream.usage().is_empty());
}

/// Returns the verdict on a session that calls tools of these ids and ends with a result of these fields.
fn verdict_of(calls: &[&str], result: &str) -> Verdict {
    let mut stream = ClaudeStream::default();
    for id in calls {
        let call = format!(
            r#"{{"type":"assistant","message":{{"id":"m-{id}","content":[{{"type":"tool_use","id":"{id}","name":"Bash"}}],"usage":{{"input_tokens":null,"output_tokens":1}}}}}}"#
        );
        stream.line(call.as_bytes());
    }
    stream.line(
        format!(r#"{{"type":"result","num_turns":3,"usage":{{"input_tokens":1.5}},{result}}}"#).as_bytes(),
    );
    stream.verdict().unwrap()
}

#[test]
fn of_two_fields_that_contradict_each_other_the_error_counts() {
    for (result, is_good) in [
        (r#""subtype":"success","is_error":false"#, true),
        (r#""subtype":"success""#, true),
        (r#""subtype":"success","is_error":true"#, false),
        (r#""subtype":"error_max_turns","is_error":false"#, false),
        (
            r#""subtype":"error_during_execution","is_error":false,"errors":[]"#,
            false,
        ),
        (r#""subtype":"error_of_tomorrow""#, false),
        (r#""subtype":"interrupted""#, false),
        (r#""subtype":null,"is_error":null"#, true),
    ] {
        assert_eq!(verdict_of(&[], result) == Verdict::Done, is_good, "{result}");
    }
    let Verdict::Failed { message, .. } = verdict_of(&[], r#""subtype":"error_max_turns","is_error":false"#)
    else {
        panic!("no failure");
    };
    assert_eq!(message, "claude ended with error_max_turns");
}

#[test]
fn a_success_without_a_single_tool_that_was_allowed_is_none() {
    let denials = |ids: &[&str]| {
        let all = ids
            .iter()
            .map(|id| format!(r#"{{"tool_name":"Bash","tool_use_id":"{id}"}}"#));
        let all = all.collect::<Vec<_>>().join(",");
        format!(r#""subtype":"success","is_error":false,"permission_denials":[{all}]"#)
    };
    assert_eq!(verdict_of(&["a"], &denials(&[])), Verdict::Done);
    assert_eq!(
        verdict_of(&["a", "b", "c"], &denials(&["a", "b"])),
        Verdict::DoneBut("2 tool calls were denied (Bash)".into())
    );
    for calls in [&["a", "b"][..], &[]] {
        let Verdict::Failed { reason, message } = verdict_of(calls, &denials(&["a", "b"])) else {
            panic!("no failure: {calls:?}");
        };
        assert_eq!(reason, TaskReason::ToolsDenied);
        assert!(message.contains("2 tool calls were denied (Bash)"), "{message}");
    }
}
