use axon_api::agents::{AgentType, CredentialType};
use clap::Parser as _;

use super::*;
use crate::error::Kind;
use crate::objects::plan::WantedSecret;

fn args(words: &[&str]) -> Args {
    Args::try_parse_from([&["run", "-p", "do it"], words].concat()).unwrap()
}

fn planned(words: &[&str], config: &Config) -> Result<Plan> {
    plan(&args(words), config, "do it".into(), "t")
}

fn config(yaml: &str) -> Config {
    axon_api::yaml::from_str(yaml).unwrap()
}

fn secret_of(plan: &Plan) -> (CredentialType, Option<String>) {
    let credentials = &plan.task.spec.credentials;
    (
        credentials.kind,
        credentials.secret_ref.as_ref().map(|r| r.name.clone()),
    )
}

#[test]
fn flags_win_over_the_file() {
    let file = config(
        "{secret: s1, credentialType: oauth, type: codex, model: m1, agentConfig: ac1, workspace: {name: w1}}",
    );
    let from_file = planned(&[], &file).unwrap();
    assert_eq!(secret_of(&from_file), (CredentialType::Oauth, Some("s1".into())));
    assert_eq!(from_file.task.spec.agent, AgentType::Codex);
    assert_eq!(from_file.task.spec.model.as_deref(), Some("m1"));
    assert_eq!(from_file.task.spec.workspace_ref, Some(NameRef::new("w1")));
    assert_eq!(from_file.task.spec.agent_config_ref, Some(NameRef::new("ac1")));
    let words = [
        "--secret",
        "s2",
        "--credential-type",
        "api-key",
        "-t",
        "gemini",
        "--model",
        "m2",
        "--workspace",
        "w2",
        "--agent-config",
        "ac2",
    ];
    let from_flags = planned(&words, &file).unwrap();
    assert_eq!(
        secret_of(&from_flags),
        (CredentialType::ApiKey, Some("s2".into()))
    );
    assert_eq!(from_flags.task.spec.agent, AgentType::Gemini);
    assert_eq!(from_flags.task.spec.model.as_deref(), Some("m2"));
    assert_eq!(from_flags.task.spec.workspace_ref, Some(NameRef::new("w2")));
    assert_eq!(from_flags.task.spec.agent_config_ref, Some(NameRef::new("ac2")));
}

#[test]
fn each_agent_has_a_credentials_secret_of_its_own() {
    for (agent, file, name, key) in [
        (
            "claude-code",
            "{oauthToken: x}",
            "axon-credentials-claude-code",
            "CLAUDE_CODE_OAUTH_TOKEN",
        ),
        (
            "claude-code",
            "{apiKey: x}",
            "axon-credentials-claude-code",
            "ANTHROPIC_API_KEY",
        ),
        ("codex", "{apiKey: x}", "axon-credentials-codex", "CODEX_API_KEY"),
        (
            "opencode",
            "{apiKey: x}",
            "axon-credentials-opencode",
            "OPENCODE_API_KEY",
        ),
    ] {
        let plan = planned(&["-t", agent], &config(file)).unwrap();
        let wanted = WantedSecret {
            name: name.into(),
            key,
            value: "x".into(),
            hosts: None,
        };
        assert_eq!(plan.secrets, [wanted]);
        assert_eq!(secret_of(&plan).1.as_deref(), Some(name));
    }
}

#[test]
fn an_agent_may_need_no_credential() {
    for (words, file) in [
        (&[][..], "{apiKey: none}"),
        (&[], "{oauthToken: none}"),
        (&["--credential-type", "none"], "{}"),
        (&["--credential-type", "none"], "{apiKey: x}"),
        (&[], "{credentialType: none}"),
    ] {
        let plan = planned(words, &config(file)).unwrap();
        assert_eq!(secret_of(&plan), (CredentialType::None, None), "{words:?} {file}");
        assert!(plan.secrets.is_empty());
    }
}

#[test]
fn a_token_is_for_the_host_of_its_repository() {
    for (repo, hosts) in [
        ("https://github.com/a/b", None),
        ("https://www.github.com/a/b", None),
        ("https://octo.ghe.com/a/b", Some("octo.ghe.com")),
        ("https://ghe.example:8443/a/b", Some("ghe.example:8443")),
        ("http://ghe.lab/a/b", Some("http://ghe.lab")),
    ] {
        let file = config(&format!(
            "{{apiKey: x, workspace: {{repo: '{repo}', token: ghp}}}}"
        ));
        let plan = planned(&[], &file).unwrap();
        assert_eq!(plan.secrets[1].hosts.as_deref(), hosts, "{repo}");
        let shown = plan.secrets[1].redacted(None);
        let annotation = shown["metadata"]["annotations"]["axon.io/hosts"].as_str();
        assert_eq!(annotation, hosts, "{repo}");
    }
}

#[test]
fn a_repository_in_the_file_becomes_a_workspace() {
    let file = config("{apiKey: x, workspace: {repo: 'https://example.com/a/b.git', ref: main, token: ghp}}");
    let plan = planned(&[], &file).unwrap();
    let workspace = plan.workspace.unwrap();
    assert_eq!(workspace.metadata.name.as_deref(), Some("axon-workspace"));
    assert_eq!(workspace.spec.reference.as_deref(), Some("main"));
    assert_eq!(
        workspace.spec.secret_ref,
        Some(NameRef::new("axon-workspace-credentials"))
    );
    assert_eq!(plan.secrets[1].key, "GITHUB_TOKEN");
    assert_eq!(plan.secrets[1].hosts.as_deref(), Some("example.com"));
    assert_eq!(plan.task.spec.workspace_ref, Some(NameRef::new("axon-workspace")));
    let other = planned(&["--workspace", "mine"], &file).unwrap();
    assert_eq!(
        other.workspace, None,
        "the flag makes the file's workspace irrelevant"
    );
    assert_eq!(other.secrets.len(), 1);
}

#[test]
fn all_flags_reach_the_task() {
    let words = [
        "--branch",
        "fix/x",
        "--timeout",
        "30m",
        "--env",
        "A=1",
        "--ttl",
        "1h",
        "--label",
        "team=a",
        "--image",
        "img",
        "--depends-on",
        "a,b",
        "--depends-on",
        "b",
        "--credential-type",
        "none",
    ];
    let task = planned(&words, &Config::default()).unwrap().task;
    insta::assert_yaml_snapshot!(serde_json::to_value(&task).unwrap(), @r#"
    apiVersion: axon.io/v1alpha1
    kind: Task
    metadata:
      labels:
        app.kubernetes.io/managed-by: kubectl-axon
        team: a
      name: t
    spec:
      branch: fix/x
      credentials:
        type: none
      dependsOn:
        - a
        - b
      image: img
      podOverrides:
        activeDeadlineSeconds: 1800
        env:
          - name: A
            value: "1"
      prompt: do it
      ttlSecondsAfterFinished: 3600
      type: claude-code
    "#);
}

#[test]
fn whatever_is_wrong_is_a_usage_error_that_names_its_source() {
    for (words, file, word) in [
        (&[][..], "{}", "no credential"),
        (&[], "{oauthToken: a, apiKey: b}", "both oauthToken and apiKey"),
        (&[], "{apiKey: a, type: x}", "type \"x\" of the config file"),
        (&[], "{secret: s, credentialType: x}", "credentialType \"x\""),
        (&[], "{apiKey: a, workspace: {repo: /tmp/x}}", "workspace.repo"),
        (
            &[],
            "{apiKey: a, workspace: {repo: 'https://bot:pw@h/x'}}",
            "holds a password",
        ),
        (&[], "{apiKey: a, workspace: {ref: x}}", "neither name nor repo"),
        (
            &[],
            "{apiKey: a, workspace: {repo: 'git@h:a/b', token: t}}",
            "workspace.token",
        ),
        (
            &["--credential-type", "oauth"],
            "{apiKey: a}",
            "--credential-type",
        ),
        (
            &["--secret", "s", "--credential-type", "none"],
            "{}",
            "exclude each other",
        ),
        (&["--branch", "a..b"], "{apiKey: a}", "--branch"),
        (&["--depends-on", "t"], "{apiKey: a}", "the task itself"),
        (&["--timeout", "10"], "{apiKey: a}", "--timeout"),
        (&["--env", "A"], "{apiKey: a}", "--env"),
        (&["--workspace", "A_B"], "{apiKey: a}", "--workspace"),
    ] {
        let error = planned(words, &config(file)).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains(word), "{word}: {error}");
    }
}

#[test]
fn printed_objects_hold_no_credential() {
    let file = config("{apiKey: s3cret, workspace: {repo: 'https://example.com/a/b', token: s3cret}}");
    let mut plan = planned(&[], &file).unwrap();
    plan.set_namespace("ns");
    let objects = plan.redacted_objects().unwrap();
    assert_eq!(objects.len(), 4);
    assert!(!serde_json::to_string(&objects).unwrap().contains("s3cret"));
    assert!(objects.iter().all(|o| o["metadata"]["namespace"] == "ns"));
}

#[test]
fn a_prompt_with_dependencies_must_be_a_template() {
    let with = |prompt: &str, words: &[&str]| {
        let words = [words, &["--secret", "s"]].concat();
        plan(&args(&words), &Config::default(), prompt.into(), "t")
    };
    let error = with("see\n{{index .Deps", &["--depends-on", "a"]).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("template: prompt:2"), "{error}");
    assert!(
        with(
            "{{index .Deps \"a\" \"Results\" \"branch\"}}",
            &["--depends-on", "a"]
        )
        .is_ok()
    );
    assert!(
        with("{{index .Deps", &[]).is_ok(),
        "without it the prompt is what it is"
    );
}

#[test]
fn a_cap_comes_from_flags_or_from_the_file() {
    let file = config("{apiKey: none, maxCost: '5', maxTokens: 2M}");
    let budget = |words: &[&str], config: &Config| planned(words, config).unwrap().task.spec.budget;
    assert_eq!(budget(&[], &config("{apiKey: none}")), None);
    let of_file = budget(&[], &file).unwrap();
    assert_eq!(
        (of_file.cost().unwrap().to_string(), of_file.tokens()),
        ("5.00".into(), Some(2_000_000))
    );
    let of_flags = budget(&["--max-cost", "2.50", "--max-tokens", "500k"], &file).unwrap();
    assert_eq!(
        (of_flags.cost().unwrap().to_string(), of_flags.tokens()),
        ("2.50".into(), Some(500_000))
    );
    let refused = planned(&["--max-cost", "much"], &file).unwrap_err();
    assert_eq!(refused.kind, Kind::Usage);
    assert!(refused.to_string().contains("--max-cost \"much\""));
    let bad_file = planned(&[], &config("{apiKey: none, maxTokens: lots}")).unwrap_err();
    assert!(bad_file.to_string().contains("--max-tokens \"lots\""));
}
