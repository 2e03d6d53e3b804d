use super::*;
use crate::agent::plugin::Plugin;

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
    pairs
        .iter()
        .copied()
        .chain([("HOME", "/h"), ("PATH", "/bin")])
        .collect()
}

fn document(name: &str) -> Document {
    let text = "---\ndescription: What it does\ntools: Read, Bash\n---\nHow\n";
    Document::parse(name.into(), text)
}

fn settings_of(launch: &Launch) -> Value {
    serde_json::from_str(&launch.files[0].1).unwrap()
}

#[test]
fn the_least_there_is() {
    let launch = Gemini.launch(&setup(&env(&[]))).unwrap();
    assert_eq!(launch.args, ["--yolo", "--output-format", "stream-json"]);
    assert_eq!(launch.stdin, b"-x");
    assert_eq!(launch.files.len(), 1);
    assert_eq!(launch.files[0].0, Path::new("/h/.gemini/settings.json"));
    let settings = settings_of(&launch);
    assert_eq!(settings["security"]["auth"]["selectedType"], "gemini-api-key");
    assert_eq!(settings["privacy"]["usageStatisticsEnabled"], false);
    assert_eq!(launch.programs[0].0, Path::new("/h/.axon/bin/git"));
    let set = [
        ("GEMINI_CLI_TRUST_WORKSPACE", "true".into()),
        ("GEMINI_CLI_NO_RELAUNCH", "true".into()),
        ("PATH", "/h/.axon/bin:/bin".into()),
    ];
    assert_eq!(launch.set, set);
    assert!(launch.unset.is_empty());
}

#[test]
fn everything_there_is() {
    let env = env(&[
        ("GEMINI_CLI_HOME", "/g"),
        ("GEMINI_API_KEY", ""),
        ("GEMINI_CLI_NO_RELAUNCH", "false"),
        ("GOOGLE_GENAI_USE_VERTEXAI", "true"),
    ]);
    let servers = r#"{"mcpServers":{"a":{"command":"node","args":["x"],"env":{"K":"v"}},
        "b":{"type":"http","url":"http://h","headers":{"X":"1"}},"c":{"type":"sse","url":"http://s"}}}"#;
    let launch = Gemini
        .launch(&Setup {
            model: Some("gemini-2.5-pro".into()),
            instructions: Some("be kind".into()),
            mcp_servers: Some(servers.into()),
            plugins: vec![Plugin {
                skills: vec![document("team:deploy")],
                agents: vec![document("My team:reviewer")],
                ..Plugin::default()
            }],
            ..setup(&env)
        })
        .unwrap();
    assert_eq!(
        launch.args[3..],
        [
            "--model",
            "gemini-2.5-pro",
            "--allowed-mcp-server-names",
            "a",
            "--allowed-mcp-server-names",
            "b",
            "--allowed-mcp-server-names",
            "c"
        ]
    );
    let settings = settings_of(&launch);
    assert_eq!(settings["security"]["auth"]["selectedType"], "vertex-ai");
    let expected = json!({
        "a": {"command": "node", "args": ["x"], "env": {"K": "v"}},
        "b": {"type": "http", "url": "http://h", "headers": {"X": "1"}},
        "c": {"type": "sse", "url": "http://s", "headers": {}},
    });
    assert_eq!(settings["mcpServers"], expected);
    let rest: Vec<_> = launch.files[1..]
        .iter()
        .map(|(path, text)| (path.to_str().unwrap(), text.as_str()))
        .collect();
    assert_eq!(
        rest,
        [
            ("/g/.gemini/GEMINI.md", "be kind"),
            (
                "/g/.gemini/skills/team-deploy/SKILL.md",
                "---\nname: \"team-deploy\"\ndescription: \"What it does\"\ntools: \"Read, Bash\"\n---\nHow\n"
            ),
            (
                "/g/.gemini/agents/my-team-reviewer.md",
                "---\nname: \"my-team-reviewer\"\ndescription: \"What it does\"\n---\nHow\n"
            ),
        ]
    );
    assert_eq!(launch.unset, ["GEMINI_API_KEY"]);
    assert!(
        !launch
            .set
            .iter()
            .any(|(name, _)| *name == "GEMINI_CLI_NO_RELAUNCH")
    );
}

#[test]
fn names_that_gemini_makes_the_same_are_refused() {
    let env = env(&[]);
    let plugins = vec![Plugin {
        skills: vec![document("a:b"), document("a-b")],
        ..Plugin::default()
    }];
    let failure = Gemini
        .launch(&Setup {
            plugins,
            ..setup(&env)
        })
        .unwrap_err();
    assert!(
        failure.message.contains("\"a:b\" and \"a-b\" are both \"a-b\""),
        "{failure}"
    );
}
