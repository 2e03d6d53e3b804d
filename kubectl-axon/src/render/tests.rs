use super::*;

fn all(agent: AgentType, lines: &[&str]) -> Vec<Piece> {
    let mut renderer = Renderer::new(agent);
    let mut events: Vec<Event> = lines.iter().flat_map(|line| renderer.render(line)).collect();
    events.extend(renderer.finish());
    events.iter().flat_map(Event::pieces).collect()
}

/// Renders a log as a terminal shows it: `>` before stdout, `!` before faults.
fn shown(agent: AgentType, log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let lines = all(agent, &lines).into_iter().map(|piece| match piece {
        Piece::Text(text) => format!("> {text}\n"),
        Piece::Note(note) => format!("  {note}").trim_end().to_owned() + "\n",
        Piece::Fault(fault) => format!("! {fault}\n"),
    });
    lines.collect()
}

fn plain(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

#[test]
fn lines_that_are_no_events_pass_unchanged() {
    use strum::IntoEnumIterator as _;
    let lines = ["plain", "42", "  [1]", "{broken", ""];
    let expected: Vec<Piece> = lines.iter().take(4).map(|l| plain(l)).collect();
    for agent in AgentType::iter() {
        assert_eq!(all(agent, &lines), expected, "{agent}");
    }
}

#[test]
fn recorded_runs_read_well() {
    let runs = [
        (AgentType::Codex, include_str!("../../tests/streams/codex.jsonl")),
        (
            AgentType::Codex,
            include_str!("../../tests/streams/codex.mcp.jsonl"),
        ),
        (
            AgentType::Gemini,
            include_str!("../../tests/streams/gemini.jsonl"),
        ),
        (
            AgentType::Gemini,
            include_str!("../../tests/streams/gemini.mcp.jsonl"),
        ),
        (
            AgentType::OpenCode,
            include_str!("../../tests/streams/opencode.jsonl"),
        ),
        (
            AgentType::OpenCode,
            include_str!("../../tests/streams/opencode.mcp.jsonl"),
        ),
    ];
    let texts = runs.map(|(agent, log)| format!("# {agent}\n{}", shown(agent, log)));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn failures_are_told() {
    let log = r#"{"type":"item.completed","item":{"type":"command_execution","exit_code":2,"aggregated_output":"no\nsuch"}}
{"type":"item.completed","item":{"type":"mcp_tool_call","error":{"message":"refused"}}}
{"type":"error","message":"stream lost"}
{"type":"turn.failed","error":{"message":"401"}}"#;
    assert_eq!(
        shown(AgentType::Codex, log),
        "! [tool error] exit code 2: no\\nsuch\n! [tool error] refused\n! [error] stream lost\n! [result] failed: 401\n"
    );
    let log = r#"{"type":"tool_result","status":"error","output":"denied"}
{"type":"result","status":"error","error":{"message":"quota"},"stats":{}}"#;
    assert_eq!(
        shown(AgentType::Gemini, log),
        "! [tool error] denied\n! [result] failed (0 in / 0 out tokens, 0 from cache)\n! [error] quota\n"
    );
    let log = r#"{"type":"tool_use","part":{"tool":"bash","state":{"status":"error","input":{"command":"x"},"error":"no"}}}
{"type":"error","error":{"name":"APIError","data":{"message":"bad key"}}}"#;
    assert_eq!(
        shown(AgentType::OpenCode, log),
        "  [tool] bash: x\n! [tool error] no\n! [error] bad key\n"
    );
}

#[test]
fn what_comes_in_pieces_is_put_together_by_lines() {
    let part = |text: &str| {
        serde_json::json!({"type": "message", "role": "assistant", "content": text, "delta": true})
            .to_string()
    };
    let lines = [part("one "), part("line\nand "), part("another")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        all(AgentType::Gemini, &lines).split_off(2),
        [plain("one line"), plain("and another")]
    );
}

#[test]
fn events_of_any_shape_do_not_panic() {
    use strum::IntoEnumIterator as _;
    for agent in AgentType::iter() {
        for kind in [
            "item.started",
            "item.completed",
            "turn.completed",
            "message",
            "tool_use",
            "tool_result",
            "result",
            "text",
            "step_start",
            "step_finish",
            "error",
            "init",
            "x",
        ] {
            for rest in [
                r#""item":7"#,
                r#""item":{}"#,
                r#""part":[]"#,
                r#""part":{"state":1}"#,
                r#""stats":[1]"#,
            ] {
                let _ = shown(agent, &format!(r#"{{"type":"{kind}",{rest}}}"#));
            }
        }
    }
}

#[test]
fn the_block_of_outputs_is_left_out() {
    let lines = ["a", MARKER_START, "branch: x", "pr: y", MARKER_END, "b"];
    assert_eq!(all(AgentType::Codex, &lines), [plain("a"), plain("b")]);
}

#[test]
fn a_block_that_does_not_end_is_no_block() {
    let lines = [MARKER_START, "a", r#"{"type":"x"}"#, "b"];
    let left = [MARKER_START, "a", "b"].map(plain);
    assert_eq!(all(AgentType::Gemini, &lines), left);
    assert_eq!(
        all(AgentType::Codex, &[MARKER_START, MARKER_START]),
        [plain(MARKER_START), plain(MARKER_START)]
    );
}
