//! Cases of what travels by ConfigMap, and of what is refused.

use super::*;
use crate::task::fixtures::{task, workspace};

fn config(spec: &Value) -> AgentConfig {
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": {"name": "c"}, "spec": spec
    }))
    .unwrap()
}

#[test]
fn a_plain_task_needs_no_files() {
    let inputs = gather(&task("t"), Some(&workspace("https://h/x")), None).unwrap();
    assert!(inputs.is_empty() && inputs.secrets.is_empty(), "{inputs:?}");
}

#[test]
fn a_nul_is_named_before_anything_runs() {
    let mut t = task("t");
    t.spec.pod_overrides = serde_json::from_value(json!({"env": [{"name": "A", "value": "x\0"}]})).unwrap();
    let error = gather(&t, None, None).unwrap_err().to_string();
    assert!(
        error.starts_with("podOverrides.env \"A\" has a NUL character (U+0000)"),
        "{error}"
    );
    let config = config(&json!({"agentsMD": "be\0kind"}));
    let error = gather(&task("t"), None, Some(&config)).unwrap_err().to_string();
    assert!(
        error.starts_with("AgentConfig c: agentsMD has a NUL character (U+0000)"),
        "{error}"
    );
}

#[test]
fn a_long_prompt_goes_by_file() {
    let mut t = task("t");
    t.spec.prompt = "x".repeat(200 * 1024);
    let inputs = gather(&t, None, None).unwrap();
    assert_eq!(inputs.files[input::PROMPT].len(), 200 * 1024);
    assert!(!inputs.fits_env(input::PROMPT));
}

#[test]
fn a_file_that_leaves_the_clone_is_refused_before_anything_runs() {
    for path in ["../x", "/abs", "a\\b", ".", " "] {
        let mut w = workspace("https://h/x");
        w.spec.files = serde_json::from_value(json!([{"path": path, "content": ""}])).unwrap();
        let error = gather(&task("t"), Some(&w), None).unwrap_err().to_string();
        assert!(
            error.contains("Workspace w") && error.contains(&format!("{path:?}")),
            "{error}"
        );
    }
}

#[test]
fn a_repository_that_git_could_read_otherwise_is_refused_before_anything_runs() {
    for repo in [
        "git@127.0.0.1/admin/x?y=:o/r",
        "git@h#:o/r",
        "https://%67ithub.com/o/r",
        "",
    ] {
        let error = gather(&task("t"), Some(&workspace(repo)), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("Workspace w") && error.contains("is not a repository URL"),
            "{error}"
        );
    }
}

#[test]
fn mcp_servers_are_sorted_and_without_empty_members() {
    let c = config(&json!({"mcpServers": [
        {"name": "z", "type": "stdio", "command": "npx", "args": ["-y"]},
        {"name": "a", "type": "http", "url": "https://x", "headers": {"Authorization": "Bearer t"}}]}));
    let text = gather(&task("t"), None, Some(&c)).unwrap().files[input::MCP_SERVERS].clone();
    assert_eq!(
        text,
        r#"{"mcpServers":{"a":{"headers":{"Authorization":"Bearer t"},"type":"http","url":"https://x"},"z":{"args":["-y"],"command":"npx","type":"stdio"}}}"#
    );
}

#[test]
fn values_from_secrets_go_as_directories() {
    let c = config(&json!({"mcpServers": [
        {"name": "z", "type": "stdio", "command": "x", "envFrom": {"secretRef": {"name": "s"}}},
        {"name": "a", "type": "http", "url": "https://x", "headersFrom": {"secretRef": {"name": "t"}}}]}));
    let text = gather(&task("t"), None, Some(&c)).unwrap().files[input::MCP_SERVERS].clone();
    assert_eq!(
        text,
        r#"{"mcpServers":{"a":{"headersDir":"/axon/mcp/1/headers","type":"http","url":"https://x"},"z":{"command":"x","envDir":"/axon/mcp/0/env","type":"stdio"}}}"#
    );
}

/// Text that can hardly be packed: the digits of a generator, in base 64.
fn noise(bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let digit = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 33) as usize % 64])
    };
    (0..bytes).map(digit).collect()
}

#[test]
fn a_megabyte_of_plugins_fits() {
    let plugins = |content: String| {
        config(
            &json!({"agentsMD": "short", "plugins": [{"name": "p", "skills": [{"name": "s", "content": content}]}]}),
        )
    };
    let small = gather(&task("t"), None, Some(&plugins("x".repeat(500_000)))).unwrap();
    assert!(small.packed.is_empty(), "what fits stays readable");
    let large = gather(&task("t"), None, Some(&plugins(noise(1_200_000)))).unwrap();
    assert!(large.has(input::PLUGINS) && !large.files.contains_key(input::PLUGINS));
    assert_eq!(large.files[input::AGENTS_MD], "short");
    let unpacked = axon_api::gzip::unpack(&large.packed["plugins.json.gz"]).unwrap();
    assert!(unpacked.contains(&noise(1_200_000)));
    let error = gather(&task("t"), None, Some(&plugins(noise(1_500_000))))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("plugins.json.gz") && error.contains("1048576"),
        "{error}"
    );
}

#[test]
fn names_that_leave_their_folder_and_duplicates_are_refused() {
    for (spec, words) in [
        (json!({"plugins": [{"name": "../x"}]}), "plugins[].name"),
        (
            json!({"plugins": [{"name": "p", "skills": [{"name": "..", "content": ""}]}]}),
            "skills",
        ),
        (
            json!({"plugins": [{"name": "p", "agents": [{"name": "a\\b", "content": ""}]}]}),
            "agents",
        ),
        (
            json!({"mcpServers": [{"name": "m", "type": "stdio", "command": "x"}, {"name": "m", "type": "stdio", "command": "x"}]}),
            "twice",
        ),
        (
            json!({"mcpServers": [{"name": "m", "type": "stdio"}]}),
            "needs command",
        ),
        (json!({"mcpServers": [{"name": "m", "type": "sse"}]}), "needs url"),
        (
            json!({"mcpServers": [{"name": "m", "type": "stdio", "command": "x", "headersFrom": {"secretRef": {"name": "s"}}}]}),
            "no use for headersFrom: use envFrom",
        ),
        (
            json!({"mcpServers": [{"name": "m", "type": "http", "url": "x", "envFrom": {"secretRef": {"name": "s"}}}]}),
            "no use for envFrom: use headersFrom",
        ),
    ] {
        let error = gather(&task("t"), None, Some(&config(&spec)))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(words) && error.contains("AgentConfig c"),
            "{error}"
        );
    }
}
