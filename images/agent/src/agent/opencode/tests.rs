use super::*;
use crate::agent::plugin::{Document, Plugin};

fn setup(env: &Env) -> Setup<'_> {
    Setup {
        env,
        prompt: b"-x".to_vec(),
        model: None,
        instructions: None,
        mcp_servers: None,
        plugins: Vec::new(),
    }
}

fn env(pairs: &[(&str, &str)]) -> Env {
    pairs.iter().copied().chain([("HOME", "/h")]).collect()
}

fn document(name: &str) -> Document {
    let text = "---\ndescription: What it does\ntools: Read, Bash\n---\nHow\n";
    Document::parse(name.into(), text)
}

const ARGS: [&str; 9] = [
    "run",
    "--format",
    "json",
    "--auto",
    "--title",
    "axon",
    "--print-logs",
    "--log-level",
    "ERROR",
];

#[test]
fn the_least_there_is() {
    let launch = OpenCode.launch(&setup(&env(&[]))).unwrap();
    assert_eq!(launch.args, ARGS);
    assert_eq!(launch.stdin, b"-x");
    assert_eq!(launch.files.len(), 1);
    assert_eq!(launch.files[0].0, Path::new("/h/.config/opencode/opencode.json"));
    assert_eq!(launch.set, DEFAULTS.map(|name| (name, "1".into())));
    assert!(launch.unset.is_empty());
}

#[test]
fn everything_there_is() {
    let env = env(&[
        ("XDG_CONFIG_HOME", "/c"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "false"),
    ]);
    let servers = r#"{"mcpServers":{"a":{"command":"node","args":["x"],"env":{"K":"v"}},
        "b":{"type":"http","url":"http://h","headers":{"X":"1"}},"c":{"type":"sse","url":"http://s"}}}"#;
    let launch = OpenCode
        .launch(&Setup {
            model: Some("openai/gpt-5.5".into()),
            instructions: Some("be kind".into()),
            mcp_servers: Some(servers.into()),
            plugins: vec![Plugin {
                skills: vec![document("team:deploy")],
                agents: vec![document("team:reviewer")],
                ..Plugin::default()
            }],
            ..setup(&env)
        })
        .unwrap();
    assert_eq!(launch.args[..9], ARGS);
    assert_eq!(launch.args[9..], ["--model", "openai/gpt-5.5"]);
    let config: Value = serde_json::from_str(&launch.files[0].1).unwrap();
    let expected = json!({
        "a": {"type": "local", "command": ["node", "x"], "environment": {"K": "v"}},
        "b": {"type": "remote", "url": "http://h", "headers": {"X": "1"}, "oauth": false},
        "c": {"type": "remote", "url": "http://s", "headers": {}, "oauth": false},
    });
    assert_eq!(config["mcp"], expected);
    let rest: Vec<_> = launch.files[1..]
        .iter()
        .map(|(path, text)| (path.to_str().unwrap(), text.as_str()))
        .collect();
    assert_eq!(
        rest,
        [
            ("/c/opencode/AGENTS.md", "be kind"),
            (
                "/c/opencode/skills/team:deploy/SKILL.md",
                "---\nname: \"team:deploy\"\ndescription: \"What it does\"\ntools: \"Read, Bash\"\n---\nHow\n"
            ),
            (
                "/c/opencode/agents/team:reviewer.md",
                "---\ndescription: \"What it does\"\nmode: \"subagent\"\n---\nHow\n"
            ),
        ]
    );
    assert_eq!(launch.set.len(), 2);
}

#[test]
fn the_key_goes_to_the_provider_of_the_model() {
    let given = |model: Option<&str>, pairs: &[(&str, &str)]| {
        let (set, unset) = credential(&env(pairs), model);
        let set: Vec<_> = set
            .into_iter()
            .map(|(name, value)| (name, value.into_string().unwrap()))
            .collect();
        (set, unset)
    };
    let key = [("OPENCODE_API_KEY", "k")];
    let to = |names: &[&'static str]| {
        let set: Vec<_> = names.iter().map(|&name| (name, "k".to_owned())).collect();
        (set, vec!["OPENCODE_API_KEY"])
    };
    for (model, names) in [
        (None, &["ANTHROPIC_API_KEY"][..]),
        (Some("sonnet"), &["ANTHROPIC_API_KEY"]),
        (Some("anthropic/x"), &["ANTHROPIC_API_KEY"]),
        (Some("openai/x"), &["OPENAI_API_KEY"]),
        (
            Some("google/x"),
            &["GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"],
        ),
        (Some("groq/x/y"), &["GROQ_API_KEY"]),
        (Some("xai/x"), &["XAI_API_KEY"]),
        (Some("zai/x"), &["ZHIPU_API_KEY"]),
        (Some("other/x"), &["ANTHROPIC_API_KEY"]),
    ] {
        assert_eq!(given(model, &key), to(names), "{model:?}");
    }
    for own in ["opencode/x", "zen/x"] {
        assert_eq!(given(Some(own), &key), (vec![], vec![]));
    }
    // A provider's own variable stays, an empty credential is none.
    assert_eq!(given(None, &[key[0], ("ANTHROPIC_API_KEY", "mine")]).0, vec![]);
    assert_eq!(given(None, &[("OPENCODE_API_KEY", "")]), to(&[]));
    assert_eq!(given(None, &[]), (vec![], vec![]));
}

#[test]
fn a_tree_that_is_not_trusted_configures_nothing() {
    let launch = OpenCode.launch(&setup(&env(&[("AXON_TRUST", "Base")]))).unwrap();
    for name in [
        "OPENCODE_DISABLE_PROJECT_CONFIG",
        "OPENCODE_DISABLE_EXTERNAL_SKILLS",
    ] {
        assert!(launch.set.contains(&(name, "1".into())), "{name}");
    }
}

#[test]
fn a_header_that_is_not_sent_is_named() {
    let env = Env::default();
    let launch = |value: &str| {
        let servers =
            json!({"mcpServers": {"far": {"type": "http", "url": "http://h", "headers": {"X": value}}}});
        let setup = Setup {
            mcp_servers: Some(servers.to_string()),
            ..setup(&env)
        };
        OpenCode.launch(&setup)
    };
    assert!(launch("caf\u{e9}").is_ok());
    let message = launch("\u{65e5}").unwrap_err().message;
    assert!(
        message.starts_with("MCP server \"far\": headers \"X\" has a character beyond U+00FF"),
        "{message}"
    );
}
