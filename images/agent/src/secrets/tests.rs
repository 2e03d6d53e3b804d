//! Secrets in the agent's output, each form of which must be masked.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

#[test]
fn urls_lose_their_user_part() {
    for (text, clean) in [
        (
            "fatal: 'https://u:p@ss@h/x' and http://tok@h:1/y",
            "fatal: 'https://h/x' and http://h:1/y",
        ),
        (
            "ssh://git@h/x git@h:x https://h/@x",
            "ssh://git@h/x git@h:x https://h/@x",
        ),
        ("ssh://u:p@h/x ://", "ssh://h/x ://"),
    ] {
        assert_eq!(without_userinfo(text), clean);
    }
}

#[test]
fn tokens_of_all_kinds_are_hidden_and_short_values_are_not() {
    let env: Env = [
        ("GITHUB_TOKEN", "ghp_12345678"),
        ("ANTHROPIC_API_KEY", "ghp_12345678-longer"),
        ("CODEX_API_KEY", "short"),
        ("AXON_REPO", "https://u:passpass1@h/x"),
    ]
    .into_iter()
    .collect();
    assert_eq!(
        Secrets::of(&env).scrub("a ghp_12345678-longer b ghp_12345678 c short d passpass1"),
        "a *** b *** c short d ***"
    );
}

#[test]
fn names_of_variables_stay_though_a_value_holds_them() {
    for value in [
        "export ANTHROPIC_API_KEY=sk-ant-api03-AbCdEfGhIjKl",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC",
        "${ANTHROPIC_API_KEY}",
        "ANTHROPIC_BASE_URL=https://h\nANTHROPIC_API_KEY=sk-ant-api03-AbCdEfGhIjKl",
    ] {
        let env: Env = [("ANTHROPIC_API_KEY", value)].into_iter().collect();
        let secrets = Secrets::of(&env);
        let said = "error: ANTHROPIC_API_KEY is malformed, see ANTHROPIC_BASE_URL";
        assert_eq!(secrets.scrub(said), said, "{value}");
        for text in [
            value,
            "sk-ant-api03-AbCdEfGhIjKl",
            "x ANTHROPIC_API_KEY=sk-ant-api03-Ab y",
        ] {
            let clean = secrets.scrub(text);
            let has_key = value.contains("sk-ant");
            assert!(!has_key || !clean.contains("ant-api03"), "{value}: {clean}");
        }
    }
}

#[test]
fn parts_lines_and_other_writings_of_a_token_are_hidden() {
    let env: Env = [
        ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-AbCdEfGh\nIjKlMnOpQrStUv"),
        ("GITHUB_TOKEN", "ghp/1234+5678=abcd"),
    ]
    .into_iter()
    .collect();
    let secrets = Secrets::of(&env);
    for (text, clean) in [
        (
            "bad header \"Bearer sk-ant-oat01-AbCdEfGh\"",
            "bad header \"Bearer ***\"",
        ),
        ("rest: IjKlMnOpQrStUv", "rest: ***"),
        ("cut sk-ant-oat01-Ab…", "cut ***…"),
        (r"json sk-ant-oat01-AbCdEfGh\nIjKlMnOpQrStUv", "json ***"),
        ("url ?t=ghp%2F1234%2B5678%3Dabcd&x", "url ?t=***&x"),
    ] {
        assert_eq!(secrets.scrub(text), clean);
    }
    // What git sends, and what `http.extraHeader` may hold.
    let header = BASE64_STANDARD.encode("x-access-token:ghp/1234+5678=abcd");
    for text in [
        format!("Authorization: Basic {header}"),
        format!("Authorization: Basic {}…", &header[..header.len() - 8]),
    ] {
        let clean = secrets.scrub(&text);
        assert!(
            clean.starts_with("Authorization: Basic eC1hY2Nlc3MtdG9rZW46") && clean.contains("***"),
            "{clean}"
        );
        assert!(
            clean.len() <= "Authorization: Basic eC1hY2Nlc3MtdG9rZW46Z***".len() + 4,
            "{clean}"
        );
    }
}

#[test]
fn a_renewed_token_is_hidden_as_it_is_now() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let env: Env = [("AXON_GITHUB_TOKEN_FILE", file.path())].into_iter().collect();
    let secrets = Secrets::of(&env);
    for token in ["ghs_12345678", "ghs_abcdefgh"] {
        std::fs::write(file.path(), token).unwrap();
        assert_eq!(secrets.scrub(&format!("a {token} b")), "a *** b");
        let header = BASE64_STANDARD.encode(format!("u:{token}"));
        let clean = secrets.scrub(&header);
        assert!(clean.contains("***") && clean.len() < 12, "{clean}");
    }
}

#[test]
fn what_servers_have_from_secrets_is_hidden_unless_it_is_no_secret() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("0/env");
    std::fs::create_dir_all(&dir).unwrap();
    for (key, value) in [
        ("GITHUB_HOST", "https://ghe.example.com"),
        ("HOOK", "https://hooks.example.com/x?key=k-12345678"),
        ("LOGIN", "https://bot@db.example.com"),
        ("ORG", "acme-corp"),
        ("AUTH", "Bearer tok-12345678\n"),
        ("BASIC", "basic Ym90OnNlY3JldA"),
        ("TITLE", "release of everything"),
        ("KEY", "abcdefghijklmnopqrst"),
    ] {
        std::fs::write(dir.join(key), value).unwrap();
    }
    let env: Env = [(names::MCP_SECRETS_DIR, root.path())].into_iter().collect();
    let secrets = Secrets::of(&env);
    for (text, scrubbed, as_fact) in [
        (
            "https://ghe.example.com/acme-corp/r/pull/1",
            "https://ghe.example.com/***/r/pull/1",
            None,
        ),
        (
            "x https://hooks.example.com/x?key=k-12345678",
            "x ***",
            Some("x ***"),
        ),
        ("x https://bot@db.example.com/y", "x ***/y", Some("x ***/y")),
        (
            "a tok-12345678 b Bearer tok-12345678",
            "a *** b ***",
            Some("a *** b ***"),
        ),
        ("Ym90OnNlY3JldA", "***", Some("***")),
        ("everything is a release", "everything is a release", None),
        ("abcdefghijklmnopqrst", "***", Some("***")),
    ] {
        assert_eq!(secrets.scrub(text), scrubbed);
        assert_eq!(secrets.scrub_fact(text), as_fact.unwrap_or(text));
    }
}

#[test]
fn words_are_told_from_tokens() {
    for (value, is) in [
        ("acme-corp", true),
        ("AcmeCorp", true),
        ("Team_42/apps.prod", true),
        ("12345", false),
        ("550e8400-e29b-41d4-a716-446655440000", false),
        ("ghp_16charsandmore1x", false),
        ("sk-abcdefghijklmnop", false),
        ("s3cret", false),
    ] {
        assert_eq!(is_words(value), is, "{value}");
    }
}

#[test]
fn the_tokens_of_a_log_in_are_hidden_one_by_one() {
    let login = r#"{"auth_mode":"chatgptAuth","tokens":{"access_token":"access-1234","list":["refresh-1234"]},"n":1}"#;
    let env: Env = [("CODEX_API_KEY", login)].into_iter().collect();
    assert_eq!(
        Secrets::of(&env).scrub(&format!("access-1234 refresh-1234 chatgptAuth {login}")),
        "*** *** chatgptAuth ***"
    );
}
