use super::*;

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

fn paths(launch: &Launch) -> Vec<&str> {
    launch
        .files
        .iter()
        .map(|(path, _)| path.to_str().unwrap())
        .collect()
}

fn document(name: &str) -> Document {
    Document {
        name: name.into(),
        description: "What it \"does\"".into(),
        body: "\nHow\n".into(),
        ..Document::default()
    }
}

#[test]
fn the_least_there_is() {
    let launch = Codex.launch(&setup(&env(&[]))).unwrap();
    assert_eq!(
        launch.args,
        [
            "exec",
            "--dangerously-bypass-approvals-and-sandbox",
            "--skip-git-repo-check",
            "--json",
            "--profile",
            "axon",
            "-"
        ]
    );
    assert_eq!(launch.stdin, b"-x");
    assert_eq!(paths(&launch), ["/h/.codex/axon.config.toml"]);
    assert!(launch.unset.is_empty() && launch.set.is_empty());
}

#[test]
fn everything_there_is() {
    let env = env(&[
        ("CODEX_HOME", "/c"),
        ("OPENAI_BASE_URL", "http://m/v1"),
        ("CODEX_API_KEY", "sk"),
    ]);
    let launch = Codex
        .launch(&Setup {
            model: Some("gpt-5.5".into()),
            instructions: Some("be kind".into()),
            mcp_servers: Some(r#"{"mcpServers":{"x":{"command":"node"}}}"#.into()),
            plugins: vec![Plugin {
                skills: vec![document("team:deploy")],
                agents: vec![document("team:reviewer")],
                ..Plugin::default()
            }],
            ..setup(&env)
        })
        .unwrap();
    assert_eq!(launch.args[6..], ["--model", "gpt-5.5", "-"]);
    assert_eq!(
        paths(&launch),
        [
            "/c/axon.config.toml",
            "/c/AGENTS.md",
            "/c/skills/team:deploy/SKILL.md",
            "/c/agents/team:reviewer.toml"
        ]
    );
    assert!(launch.files[0].1.contains("openai_base_url = \"http://m/v1\""));
    assert!(launch.files[0].1.contains("[mcp_servers.\"x\"]"));
    assert_eq!(launch.files[1].1, "be kind");
    assert!(
        launch.files[2]
            .1
            .starts_with("---\nname: \"team:deploy\"\ndescription: ")
    );
    assert_eq!(
        launch.files[3].1,
        "name = \"team:reviewer\"\ndescription = \"What it \\\"does\\\"\"\ndeveloper_instructions = \"How\"\n"
    );
    assert!(launch.unset.is_empty());
}

#[test]
fn a_credential_is_a_key_or_a_log_in_or_nothing() {
    let login = r#"{"auth_mode":"chatgpt","tokens":{}}"#;
    for (value, unset, file) in [("sk-1", false, false), ("", true, false), (login, true, true)] {
        let launch = Codex.launch(&setup(&env(&[("CODEX_API_KEY", value)]))).unwrap();
        assert_eq!(launch.unset == ["CODEX_API_KEY"], unset, "{value}");
        let written = launch.files.iter().find(|(path, _)| path.ends_with("auth.json"));
        assert_eq!(
            written.map(|(_, text)| text == login),
            file.then_some(true),
            "{value}"
        );
    }
}

#[test]
fn another_variable_s_key_is_used_where_there_is_none() {
    for (pairs, set) in [
        (&[("OPENAI_API_KEY", "k")][..], true),
        (&[("OPENAI_API_KEY", "k"), ("CODEX_API_KEY", "")], true),
        (&[("OPENAI_API_KEY", "k"), ("CODEX_API_KEY", "c")], false),
    ] {
        let launch = Codex.launch(&setup(&env(pairs))).unwrap();
        assert_eq!(launch.set == [("CODEX_API_KEY", "k".into())], set, "{pairs:?}");
        assert!(launch.unset.is_empty());
    }
}

#[test]
fn what_codex_would_leave_out_in_silence_is_refused() {
    let env = env(&[]);
    let fault = |skills: &[&str]| {
        let plugin = Plugin {
            skills: skills.iter().map(|name| document(name)).collect(),
            ..Plugin::default()
        };
        let setup = Setup {
            plugins: vec![plugin.clone(), plugin],
            ..setup(&env)
        };
        Codex.launch(&setup).unwrap_err().message
    };
    assert!(fault(&["team:deploy"]).contains("\"team:deploy\""));
    let long = "x".repeat(65);
    let plugin = Plugin {
        skills: vec![document(&long)],
        ..Plugin::default()
    };
    let setup = Setup {
        plugins: vec![plugin],
        ..setup(&env)
    };
    assert!(Codex.launch(&setup).unwrap_err().message.contains(&long));
}

#[test]
fn a_log_in_that_codex_would_renew_comes_with_advice() {
    let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
    let advice = |credential: &str| {
        let env: Env = [("CODEX_API_KEY", credential)].into_iter().collect();
        Codex.advice(&env, now)
    };
    let login = |at: &str| format!(r#"{{"last_refresh":"{at}","tokens":{{}}}}"#);
    let said = advice(&login("2026-11-13T07:59:59.123456Z")).unwrap();
    assert!(
        said.contains("10 days old") && said.contains("codex login"),
        "{said}"
    );
    for fresh in [
        login("2026-11-16T08:00:01Z").as_str(),
        &login("2099-01-01T00:00:00Z"),
        &login("soon"),
        "{}",
        "sk-key",
    ] {
        assert_eq!(advice(fresh), None, "{fresh}");
    }
}

#[test]
fn a_tree_that_is_not_trusted_configures_nothing() {
    let args = Codex
        .launch(&setup(&env(&[("AXON_TRUST", "Base")])))
        .unwrap()
        .args;
    let dir = std::env::current_dir().unwrap();
    let setting = format!("projects={{\"{}\"={{trust_level=\"untrusted\"}}}}", dir.display());
    assert!(
        args.ends_with(&["--config".into(), setting.into(), "-".into()]),
        "{args:?}"
    );
}
