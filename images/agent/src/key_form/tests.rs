use super::*;

/// Checks a key in an environment with `others`; returns the message of the failure.
fn check_with(agent: AgentType, name: &str, key: &str, others: &[(&str, &str)]) -> Option<String> {
    let pairs = others.iter().copied().chain([(name, key), ("HOME", "/nowhere")]);
    let failure = check(&pairs.collect(), agent).err()?;
    assert_eq!(failure.reason, axon_api::TaskReason::InvalidConfig);
    Some(failure.message)
}

#[test]
fn a_malformed_key_is_told_by_its_fault_and_not_quoted() {
    use AgentType::{ClaudeCode, Codex, Gemini, OpenCode};
    for (agent, name, key, expected) in [
        (ClaudeCode, "ANTHROPIC_API_KEY", "sk-test-key", None),
        (ClaudeCode, "ANTHROPIC_API_KEY", "sk-ant-api03-x", None),
        (ClaudeCode, "CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-x", None),
        (
            ClaudeCode,
            "CLAUDE_CODE_OAUTH_TOKEN",
            "sk-ant-oat01-first\nsecond",
            Some("line break"),
        ),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "\"sk-ant-api03-secret\"",
            Some("in quotes"),
        ),
        (ClaudeCode, "ANTHROPIC_API_KEY", "sk-ant secret", Some("a blank")),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "sk-ant\u{a0}secret",
            Some("a blank"),
        ),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "sk-ant\u{2026}secret",
            Some("no key has"),
        ),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "sk-ant-oat01-secret",
            Some("CLAUDE_CODE_OAUTH_TOKEN"),
        ),
        (
            ClaudeCode,
            "CLAUDE_CODE_OAUTH_TOKEN",
            "sk-ant-api03-secret",
            Some("type: api-key"),
        ),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "{\"secret\": 1}",
            Some("JSON document"),
        ),
        (Codex, "CODEX_API_KEY", "{\n\"tokens\": {}\n}", None),
        (Codex, "CODEX_API_KEY", "sk-proj-x", None),
        (
            Codex,
            "CODEX_API_KEY",
            "sk-ant-api03-secret",
            Some("key of Anthropic"),
        ),
        (Gemini, "GEMINI_API_KEY", "AIza-x", None),
        (Gemini, "GEMINI_API_KEY", "AIza\r\nsecret", Some("line break")),
        (OpenCode, "OPENCODE_API_KEY", "sk-ant-api03-x", None),
        (OpenCode, "OPENCODE_API_KEY", "", None),
    ] {
        match (expected, check_with(agent, name, key, &[])) {
            (None, None) => {}
            (Some(part), Some(message)) => {
                assert!(message.starts_with(name) && message.contains(part), "{message}");
                assert!(
                    !message.contains("secret") && !message.contains("second"),
                    "{message}"
                );
            }
            (expected, found) => panic!("{key:?}: {expected:?}, {found:?}"),
        }
    }
}

#[test]
fn what_is_pasted_in_place_of_a_key_is_told_by_what_it_is() {
    let name = "ANTHROPIC_API_KEY";
    for (key, part) in [
        (
            "export ANTHROPIC_API_KEY=sk-ant-api03-secret",
            "the name of a variable",
        ),
        ("ANTHROPIC_API_KEY=sk-ant-api03-secret", "the name of a variable"),
        ("ANTHROPIC_API_KEY: sk-ant-api03-secret", "the name of a variable"),
        ("OPENAI_API_KEY=sk-secret", "the name of a variable"),
        ("${ANTHROPIC_API_KEY}", "a reference"),
        ("$(cat secret)", "a reference"),
        ("$MY_SECRET", "a reference"),
        ("{{ .Values.secret }}", "a reference"),
        ("<your-secret>", "text of an example"),
        ("sk-ant-...", "text of an example"),
        ("sk-ant-…", "text of an example"),
        ("changeme", "text of an example"),
        ("Change-Me", "text of an example"),
        ("your_api_key", "text of an example"),
        ("xxxxxxxx", "text of an example"),
        // sk-ant-api03-secret, with and without its line end, and in lines.
        ("c2stYW50LWFwaTAzLXNlY3JldA==", "base64 twice"),
        ("c2stYW50LWFwaTAzLXNlY3JldAo=", "base64 twice"),
        ("c2stYW50LWFw\naTAzLXNlY3JldAo=", "base64 twice"),
        ("ghp_secret", "token of GitHub (ghp_…)"),
        ("github_pat_secret", "token of GitHub (github_pat_…)"),
        ("sk-proj-secret", "key of OpenAI (sk-proj-…)"),
        ("AIzasecret", "key of Google (AIza…)"),
        ("", "is empty"),
        (" \n", "is empty"),
    ] {
        let message = check_with(AgentType::ClaudeCode, name, key, &[]).unwrap_or_default();
        assert!(
            message.starts_with(name) && message.contains(part),
            "{key:?}: {message}"
        );
        assert!(
            message.contains("Secret") && !message.contains("secret"),
            "{message}"
        );
        let secrets = crate::secrets::Secrets::of(&[(name, key)].into_iter().collect());
        assert_eq!(secrets.scrub(&message), message, "{key:?}");
    }
    for key in [
        "$ecret-word",
        "$5secret",
        "a$B_C",
        "c2stYW50",
        "sk-xxxx",
        "xx",
        "Zm9vYmFyYmF6",
    ] {
        let found = check_with(AgentType::ClaudeCode, name, key, &[]);
        let is_encoded = key == "c2stYW50";
        assert_eq!(found.is_some(), is_encoded, "{key}: {found:?}");
    }
}

#[test]
fn a_gateway_may_take_the_keys_of_others() {
    use AgentType::{ClaudeCode, Codex, Gemini, OpenCode};
    for (agent, name, key, gateway) in [
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "sk-proj-secret",
            "ANTHROPIC_BASE_URL",
        ),
        (
            ClaudeCode,
            "ANTHROPIC_API_KEY",
            "ghp_secret",
            "ANTHROPIC_BASE_URL",
        ),
        (ClaudeCode, "ANTHROPIC_API_KEY", "changeme", "ANTHROPIC_BASE_URL"),
        (Codex, "CODEX_API_KEY", "sk-ant-api03-secret", "OPENAI_BASE_URL"),
        (Codex, "CODEX_API_KEY", "github_pat_secret", "OPENAI_BASE_URL"),
        (
            Gemini,
            "GEMINI_API_KEY",
            "sk-proj-secret",
            "GOOGLE_GEMINI_BASE_URL",
        ),
        (OpenCode, "OPENCODE_API_KEY", "ghp_secret", "OPENAI_BASE_URL"),
    ] {
        let message = check_with(agent, name, key, &[]).unwrap_or_default();
        assert!(key == "changeme" || message.contains(gateway), "{message}");
        assert_eq!(
            check_with(agent, name, key, &[(gateway, "https://h/v1")]),
            None,
            "{key}"
        );
        let message = check_with(agent, name, "<key>", &[(gateway, "https://h/v1")]);
        assert!(message.is_some(), "{agent}");
    }
    for key in ["sk-proj-x", "sk-ant-api03-x", "AIza-x", ""] {
        assert_eq!(check_with(OpenCode, "OPENCODE_API_KEY", key, &[]), None, "{key}");
    }
}

#[test]
fn an_empty_key_hides_another_credential_and_is_none_itself() {
    let name = "ANTHROPIC_API_KEY";
    for (other, value) in [
        ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-x"),
        ("ANTHROPIC_AUTH_TOKEN", "x"),
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("ANTHROPIC_BASE_URL", "http://h"),
    ] {
        assert_eq!(
            check_with(AgentType::ClaudeCode, name, "", &[(other, value)]),
            None,
            "{other}"
        );
    }
    assert!(
        check_with(
            AgentType::ClaudeCode,
            name,
            "",
            &[("CLAUDE_CODE_OAUTH_TOKEN", " ")]
        )
        .is_some()
    );
    let home = tempfile::tempdir().unwrap();
    let env: Env = [(name, "".as_ref()), ("HOME", home.path().as_os_str())]
        .into_iter()
        .collect();
    assert!(check(&env, AgentType::ClaudeCode).is_err());
    std::fs::create_dir(home.path().join(".claude")).unwrap();
    assert_eq!(check(&env, AgentType::ClaudeCode), Ok(()));
    assert_eq!(check(&Env::default(), AgentType::ClaudeCode), Ok(()));
}
