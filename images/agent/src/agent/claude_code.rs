//! Claude Code.

mod stream;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use axon_api::agents::AgentType;
use serde_json::{Value, json};

use super::plugin::Plugin;
use super::slash::as_prompt;
use super::{Agent, Launch, Place, Setup, Stream, base, literal};
use crate::env::Env;
use crate::failure::Failure;

/// Anthropic's `claude`.
pub struct ClaudeCode;

/// Switches for a container: no telemetry, no updates. A user's own value stays.
const DEFAULTS: [&str; 2] = ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"];
/// Moves all of Claude's files away from `~/.claude`.
const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";

impl Agent for ClaudeCode {
    fn program(&self) -> &'static str {
        "claude"
    }

    fn kind(&self) -> AgentType {
        AgentType::ClaudeCode
    }

    fn literal(&self, value: &str, place: Place) -> Result<String, &'static str> {
        Ok(literal::for_claude(value, place))
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Failure> {
        let config = setup
            .env
            .path(CONFIG_DIR)
            .map_or_else(|| setup.env.home().join(".claude"), Path::to_owned);
        let mut files: Vec<(PathBuf, String)> = Vec::new();
        let mut args: Vec<OsString> = [
            "--dangerously-skip-permissions",
            "--output-format",
            "stream-json",
            "--verbose",
            // Each API message's own figures: all that is left of a run that is killed before its result.
            "--include-partial-messages",
        ]
        .map(Into::into)
        .into();
        if let Some(model) = &setup.model {
            args.extend(["--model".into(), model.into()]);
        }
        for plugin in &setup.plugins {
            args.extend(["--plugin-dir".into(), plugin.dir.clone().into()]);
        }
        if let Some(servers) = &setup.mcp_servers {
            let file = config.join("axon-mcp.json");
            args.extend(["--mcp-config".into(), file.clone().into()]);
            files.push((file, with_utf8_headers(servers)));
        }
        let is_base = base::applies(setup);
        if is_base || setup.mcp_servers.is_some() {
            // A cloned repository's .mcp.json adds no servers to those that the Task names.
            args.push("--strict-mcp-config".into());
        }
        if is_base {
            // Without its settings, hooks, commands, skills, sub-agents and CLAUDE.md.
            args.extend(["--setting-sources", "user"].map(Into::into));
        }
        args.push("-p".into());
        if let Some(instructions) = base::instructions(setup, &["CLAUDE.md", "AGENTS.md"]) {
            files.push((config.join("CLAUDE.md"), instructions));
        }
        let unset = self.kind().credential_variables().into_iter();
        // Set but empty, it hides a credential that claude has by other means.
        let unset = unset.filter(|name| setup.env.is_set(name) && setup.env.text(name).is_none());
        Ok(Launch {
            args,
            set: DEFAULTS
                .into_iter()
                .filter(|name| !setup.env.is_set(name))
                .map(|name| (name, "1".into()))
                .chain(literal::variables(setup.mcp_servers.as_deref()))
                .collect(),
            unset: unset.collect(),
            files,
            programs: Vec::new(),
            // Standard input takes any size, and a leading dash is no option there.
            stdin: as_prompt(&setup.prompt, |name| {
                names_skill(name, &setup.plugins) || (!is_base && names_file(name))
            }),
        })
    }

    fn stream(&self, _: &Env) -> Box<dyn Stream + Send> {
        Box::<stream::ClaudeStream>::default()
    }
}

/// Returns the servers so that their headers are sent in UTF-8. What is no such document stays as it is: claude has its own words
/// for that.
fn with_utf8_headers(servers: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(servers) else {
        return servers.to_owned();
    };
    let all = value.get_mut("mcpServers").and_then(Value::as_object_mut);
    let mut changed = false;
    for server in all.into_iter().flat_map(|all| all.values_mut()) {
        if let Some(headers) = server.get_mut("headers")
            && let Ok(values) = serde_json::from_value(headers.clone())
        {
            let sent = json!(literal::utf8(&values));
            changed |= *headers != sent;
            *headers = sent;
        }
    }
    if changed {
        value.to_string()
    } else {
        servers.to_owned()
    }
}

fn names_skill(name: &str, plugins: &[Plugin]) -> bool {
    let mut skills = plugins.iter().flat_map(|plugin| &plugin.skills);
    skills.any(|skill| skill.name == name)
}

/// Looks for a command or a skill of the repository, in which claude works.
fn names_file(name: &str) -> bool {
    let own = Path::new(".claude");
    let path = name.replace(':', "/");
    own.join("commands").join(format!("{path}.md")).is_file()
        || own.join("skills").join(&path).join("SKILL.md").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::plugin::Document;

    fn plugin(dir: &str) -> Plugin {
        Plugin {
            dir: dir.into(),
            ..Plugin::default()
        }
    }

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

    #[test]
    fn the_least_there_is() {
        let env: Env = [("HOME", "/h")].into_iter().collect();
        let launch = ClaudeCode.launch(&setup(&env)).unwrap();
        assert_eq!(
            launch.args,
            [
                "--dangerously-skip-permissions",
                "--output-format",
                "stream-json",
                "--verbose",
                "--include-partial-messages",
                "-p"
            ]
        );
        assert_eq!(launch.stdin, b"-x");
        assert!(launch.files.is_empty() && launch.unset.is_empty());
        assert_eq!(
            launch.set,
            [
                ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
                ("DISABLE_AUTOUPDATER", "1".into())
            ]
        );
    }

    #[test]
    fn a_slash_begins_a_command_only_if_somebody_gave_it() {
        let deploy = Document {
            name: "team:deploy".into(),
            ..Document::default()
        };
        let plugins = [Plugin {
            skills: vec![deploy],
            ..plugin("/p/team")
        }];
        for (prompt, stdin) in [
            ("/login returns 500", " /login returns 500"),
            ("/", " /"),
            ("/etc/passwd is public", " /etc/passwd is public"),
            ("/../team:x", " /../team:x"),
            ("//", " //"),
            ("/team:deploy now", "/team:deploy now"),
            ("/team:other now", " /team:other now"),
            ("fix /login", "fix /login"),
            ("\n/login", "\n/login"),
            ("", ""),
        ] {
            let given = as_prompt(prompt.as_bytes(), |name| names_skill(name, &plugins));
            assert_eq!(given, stdin.as_bytes(), "{prompt}");
        }
        assert_eq!(as_prompt(b"/mine\n1", |name| name == "mine"), b"/mine\n1");
    }

    #[test]
    fn headers_are_sent_in_utf8() {
        let text = r#"{"mcpServers":{"a":{"headers":{"X":"é"},"env":{"X":"é"}},"b":{}}}"#;
        let expected = json!({"mcpServers": {"a": {"headers": {"X": "Ã©"}, "env": {"X": "é"}}, "b": {}}});
        let found: Value = serde_json::from_str(&with_utf8_headers(text)).unwrap();
        assert_eq!(found, expected);
        for text in [
            "{}",
            "é",
            r#"{"mcpServers":["é"]}"#,
            r#"{"mcpServers": {"a":{"headers":{"X":"e"}}}}"#,
        ] {
            assert_eq!(with_utf8_headers(text), text);
        }
    }

    #[test]
    fn everything_there_is() {
        let env: Env = [
            ("HOME", "/h"),
            ("ANTHROPIC_API_KEY", ""),
            ("CLAUDE_CODE_OAUTH_TOKEN", "tok"),
            ("DISABLE_AUTOUPDATER", "0"),
        ]
        .into_iter()
        .collect();
        let launch = ClaudeCode
            .launch(&Setup {
                model: Some("opus".into()),
                instructions: Some("be kind".into()),
                mcp_servers: Some("{}".into()),
                plugins: vec![plugin("/p/a"), plugin("/p/b")],
                ..setup(&env)
            })
            .unwrap();
        assert_eq!(
            launch.args[5..],
            [
                "--model",
                "opus",
                "--plugin-dir",
                "/p/a",
                "--plugin-dir",
                "/p/b",
                "--mcp-config",
                "/h/.claude/axon-mcp.json",
                "--strict-mcp-config",
                "-p"
            ]
        );
        let files = [
            ("/h/.claude/axon-mcp.json", "{}"),
            ("/h/.claude/CLAUDE.md", "be kind"),
        ];
        assert_eq!(launch.files, files.map(|(path, text)| (path.into(), text.into())));
        assert_eq!(launch.unset, ["ANTHROPIC_API_KEY"]);
        assert_eq!(
            launch.set,
            [("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into())]
        );
    }

    #[test]
    fn a_tree_that_is_not_trusted_gives_no_settings_servers_and_commands() {
        let env: Env = [("HOME", "/h"), ("AXON_TRUST", "Base")].into_iter().collect();
        for mcp_servers in [None, Some("{}".into())] {
            let args = ClaudeCode
                .launch(&Setup {
                    mcp_servers,
                    ..setup(&env)
                })
                .unwrap()
                .args;
            assert!(
                args.ends_with(&["--strict-mcp-config", "--setting-sources", "user", "-p"].map(Into::into)),
                "{args:?}"
            );
        }
    }

    #[test]
    fn another_config_directory_holds_the_files() {
        let env: Env = [("CLAUDE_CONFIG_DIR", "/c")].into_iter().collect();
        let launch = ClaudeCode
            .launch(&Setup {
                instructions: Some("x".into()),
                ..setup(&env)
            })
            .unwrap();
        assert_eq!(launch.files, [("/c/CLAUDE.md".into(), "x".into())]);
    }
}
