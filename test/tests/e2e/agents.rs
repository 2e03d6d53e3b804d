//! Every agent does the same work in a pod, and its Task tells the truth about it.

use axon_api::{TaskPhase, TaskReason, TaskStatus};
use axon_fixtures::fingerprint;
use axon_fixtures::model::mcp::STDIO_BRIDGE;
use axon_test::agents::SAMPLES;
use axon_test::fixtures_client::model_url;
use serde_json::{Value, json};

use crate::bench::{Bench, CANARY, bench};
use crate::success::print_stages;

#[tokio::test]
async fn claude_code_does_all_of_it() {
    does_all_of_it("claude-code").await;
}

#[tokio::test]
async fn codex_does_all_of_it() {
    does_all_of_it("codex").await;
}

#[tokio::test]
async fn gemini_does_all_of_it() {
    does_all_of_it("gemini").await;
}

#[tokio::test]
async fn opencode_does_all_of_it() {
    does_all_of_it("opencode").await;
}

/// Clone, instructions, skill, sub-agent, MCP servers, edit, commit, push, `gh`, figures.
async fn does_all_of_it(kind: &str) {
    let sample = SAMPLES.iter().find(|sample| sample.kind == kind).unwrap();
    let b = bench().await;
    let run = model_url(&b.run_id("t"));
    let authorization = format!("Bearer {CANARY}");
    let servers: Vec<Value> = sample
        .mcp
        .iter()
        .map(|transport| match *transport {
            "stdio" => json!({"name": "mystdio", "type": "stdio", "command": "sh",
                "args": ["-c", STDIO_BRIDGE, "sh", format!("{run}/mcp/stdio")], "env": {"AUTHORIZATION": authorization}}),
            "http" => json!({"name": "myhttp", "type": "http", "url": format!("{run}/mcp"),
                "headers": {"Authorization": authorization}}),
            _ => json!({"name": "mysse", "type": "sse", "url": format!("{run}/sse"),
                "headers": {"Authorization": authorization}}),
        })
        .collect();
    let config = json!({"apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": {"name": "ac"}, "spec": {
        "agentsMD": "Always mention the word zebrafish.",
        "plugins": [{"name": "team",
            "skills": [{"name": "deploy", "content": "---\nname: deploy\ndescription: Ships quokkas to production\n---\nDo it."}],
            "agents": [{"name": "reviewer", "content": "---\nname: reviewer\ndescription: Counts wombats\n---\nLook."}]}],
        "mcpServers": servers}});
    b.namespace.apply(&config.to_string()).await.unwrap();
    let calls: Vec<String> = sample
        .mcp
        .iter()
        .map(|transport| format!("@tool mcp__my{transport}__ping {{\"text\": \"by {transport}\"}}"))
        .collect();
    let prompt = format!(
        "Do it all.\n{}\n\
         @bash printf 'made by an agent\\n' > hello.txt && git add hello.txt && git commit -q -m 'Add hello.txt'\n\
         @bash git push -q origin HEAD && echo pushed\n\
         @bash gh auth token --hostname \"$GH_HOST\" | grep -qxF \"$GITHUB_TOKEN\" && echo gh-has'-the-'token\n\
         @bash npx --version && node --version && npm --version && echo npx'-is-'there; \
         bash -lc 'test \"$PATH\" = \"$AXON_PATH\" && echo The-paTh-sTays' | tr T t\n\
         @say All of it is done.",
        calls.join("\n")
    );
    let spec = json!({"branch": "agent/all", "agentConfigRef": {"name": "ac"}});
    b.task_of(sample, "t", &prompt, spec).await;

    let status = b.until_succeeded("t").await;
    assert_eq!(status.reason, Some(TaskReason::Completed));
    b.assert_usage_is_the_models("t", &status).await;
    assert_results(&b, &status, "agent/all").await;
    print!("{kind}: ");
    print_stages(&b, "t", &status).await;
    let log = b.fixtures.log(&b.repository, "agent/all").await.unwrap();
    assert_eq!(log[0]["files"], json!(["hello.txt"]), "nothing else is committed");

    let expected: Vec<Value> = sample
        .mcp
        .iter()
        .map(|transport| {
            let text = format!("by {transport}");
            json!({"transport": transport, "arguments": {"text": text}, "authorization": fingerprint::of(&authorization)})
        })
        .collect();
    assert_eq!(
        b.fixtures.mcp_calls(&b.run_id("t")).await.unwrap(),
        json!(expected)
    );
    let bodies = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    for mark in [
        "zebrafish",
        "quokkas",
        "wombats",
        "pong:by stdio",
        "gh-has-the-token",
        "npx-is-there",
        "the-path-stays",
    ] {
        assert!(bodies.contains(mark), "{mark} did not reach the model of {kind}");
    }
    assert!(!bodies.contains(CANARY), "a credential is in the request");
}

/// Holds a Task's results against the git host and its usage.
async fn assert_results(b: &Bench, status: &TaskStatus, branch: &str) {
    let refs = b.fixtures.refs(&b.repository).await.unwrap();
    let pushed = &refs[&format!("refs/heads/{branch}")];
    let usage = status.usage.clone().unwrap();
    let figure = |count: Option<i64>| count.unwrap_or_default().to_string();
    let mut expected = vec![
        ("branch", branch.to_owned()),
        ("commit", pushed.clone()),
        ("base-branch", "main".to_owned()),
        ("input-tokens", figure(usage.input_tokens)),
        ("output-tokens", figure(usage.output_tokens)),
    ];
    expected.extend(usage.cost_usd.map(|cost| ("cost-usd", cost)));
    assert_eq!(status.results.len(), expected.len(), "{:?}", status.results);
    for (key, value) in expected {
        assert_eq!(status.results[key], value, "{key}");
        assert!(
            status.outputs.contains(&format!("{key}: {value}")),
            "{:?}",
            status.outputs
        );
    }
}

/// Ends the agent's own process: the one on the way up from the shell whose parent is the container's program.
/// Without `$(…)`, which not every agent's shell takes.
const CRASH: &str = "@bash p=$$; while read -r pid comm state q rest < /proc/$p/stat; test \"$q\" -gt 1; do p=$q; done; \
    kill -KILL $p; sleep 20";

#[tokio::test]
async fn what_goes_wrong_in_a_pod_is_told_as_it_was() {
    let b = bench().await;
    for sample in SAMPLES {
        let name = |what: &str| format!("{}-{what}", sample.kind);
        let branch = |what: &str| format!("agent/{}-{what}", sample.kind);
        let work = |what: &str| {
            format!(
                "@bash echo {what} > {}.txt && git add . && git commit -q -m {what} && git push -q origin HEAD",
                sample.kind
            )
        };
        for (what, prompt) in [
            ("refused", format!("{}\n@fail 401 no such key", work("refused"))),
            ("crash", format!("{}\n{CRASH}", work("crash"))),
            ("cut", format!("{}\n@cut 1\n@say done", work("cut"))),
            ("idle", "@bash git status\n@say nothing to do".to_owned()),
        ] {
            b.task_of(sample, &name(what), &prompt, json!({"branch": branch(what)}))
                .await;
        }
        for (what, reason) in [
            ("refused", TaskReason::AuthFailed),
            ("crash", TaskReason::AgentError),
        ] {
            let status = b.until_failed(&name(what), reason).await;
            assert_results(&b, &status, &branch(what)).await;
            if what == "crash" && sample.tells_after_tools {
                // Its last answer, whose tool was at work, is told nowhere: the first one is.
                let usage = status.usage.clone().unwrap();
                assert_eq!((usage.input_tokens, usage.output_tokens), (Some(1000), Some(50)));
            } else {
                b.assert_usage_is_the_models(&name(what), &status).await;
            }
        }
        // Gemini takes it for the end.
        let status = match sample.kind {
            "gemini" => b.until_failed(&name("cut"), TaskReason::AgentError).await,
            _ => b.until_succeeded(&name("cut")).await,
        };
        let totals = b.fixtures.totals(&b.run_id(&name("cut"))).await.unwrap();
        let used = status.usage.clone().unwrap();
        // Of the answer that broke off nobody is told how much of it counts.
        let least = i64::try_from(totals.output_tokens).unwrap();
        let output = used.output_tokens.unwrap();
        assert!((least..least + 50).contains(&output), "{used:?} and {totals:?}");
        let refs = b.fixtures.refs(&b.repository).await.unwrap();
        assert_eq!(
            status.results["commit"],
            refs[&format!("refs/heads/{}", branch("cut"))]
        );

        let status = b.until_succeeded(&name("idle")).await;
        b.assert_usage_is_the_models(&name("idle"), &status).await;
        assert_eq!(status.results["commit"], refs["refs/heads/main"]);
        assert!(!refs.contains_key(&format!("refs/heads/{}", branch("idle"))));
        assert_eq!(status.phase, Some(TaskPhase::Succeeded));
    }
}
