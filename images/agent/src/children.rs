//! Keeps the key of the model from the programs that an agent starts, where a `printenv` in a build would print it.
//!
//! The CLIs' own ways do not do here: claude's wants bubblewrap and namespaces, gemini's takes git's token as well. So
//! the agents' shells, which are bash, forget the key when they begin, and MCP servers get it empty. What looks for it
//! still finds it: all of a pod's processes are of one user, and the CLI itself needs it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::agent::Launch;
use crate::env::Env;
use crate::subprocess::quoted;

/// Set to `true`, commands and MCP servers get the key as well: for agents that start agents.
pub const PASS_KEY: &str = "AXON_PASS_MODEL_KEY";
/// Name the file that is read before a command: by bash, and by claude, whose shells are login shells and don't.
const FILES: [&str; 2] = ["BASH_ENV", "CLAUDE_ENV_FILE"];

/// Returns which of the variables `keys`, those of the agent's credential, its children are not to have.
#[must_use]
pub fn hidden(env: &Env, keys: Vec<&'static str>) -> Vec<&'static str> {
    if env.text(PASS_KEY) == Some("true") {
        Vec::new()
    } else {
        keys
    }
}

/// Makes the agent's shells forget `hidden`. A file that the pod's own environment names for them is read after that.
pub fn forget(env: &Env, hidden: &[&str], launch: &mut Launch) {
    if hidden.is_empty() {
        return;
    }
    for name in FILES {
        let mut text = format!("unset {}\n", hidden.join(" "));
        if let Some(own) = env.path(name) {
            let own = quoted(&own.to_string_lossy());
            let _ = writeln!(text, "if [ -r {own} ]; then . {own}; fi");
        }
        let file = env.home().join(".axon").join(name.to_lowercase());
        launch.set.push((name, file.clone().into()));
        launch.files.push((file, text));
    }
}

/// Returns MCP servers so that those that are programs have none of `hidden`, but for a value that the Task gives them.
/// What is no such document stays as it is: the agent has its own words for that.
#[must_use]
pub fn servers_without(servers: String, hidden: &[&str]) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(&servers) else {
        return servers;
    };
    let all = value.get_mut("mcpServers").and_then(Value::as_object_mut);
    let Some(all) = all.filter(|_| !hidden.is_empty()) else {
        return servers;
    };
    let programs = all.values_mut().filter_map(Value::as_object_mut);
    for server in programs.filter(|server| server.contains_key("command")) {
        let env = server.entry("env").or_insert_with(|| Map::new().into());
        if let Some(env) = env.as_object_mut() {
            for name in hidden {
                env.entry(*name).or_insert_with(|| "".into());
            }
        }
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 2] = ["A_KEY", "B_KEY"];

    #[test]
    fn a_shell_of_the_agent_does_not_know_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("it's mine");
        std::fs::write(&own, "OWN=read\n").unwrap();
        let home = dir.path().to_str().unwrap();
        for own in ["", own.to_str().unwrap(), "/not/there"] {
            let env: Env = [("HOME", home), (FILES[0], own)].into_iter().collect();
            let mut launch = Launch::default();
            forget(&env, &KEYS, &mut launch);
            for (file, text) in &launch.files {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, text).unwrap();
            }
            let output = std::process::Command::new("bash")
                .args(["-c", "echo \"$A_KEY|$B_KEY|$OTHER|$OWN\""])
                .envs([("A_KEY", "a"), ("B_KEY", "b"), ("OTHER", "o")])
                .envs(launch.set)
                .output()
                .unwrap();
            let read = if own.ends_with("mine") { "read" } else { "" };
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                format!("||o|{read}\n"),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn programs_get_an_empty_key_and_keep_what_the_task_gives_them() {
        let servers = r#"{"mcpServers":{"a":{"command":"x","env":{"A_KEY":"own"}},"b":{"command":"y"},"c":{"url":"z"}}}"#;
        let changed: Value = serde_json::from_str(&servers_without(servers.into(), &KEYS)).unwrap();
        let env = |name: &str| changed["mcpServers"][name]["env"].clone();
        assert_eq!(env("a"), serde_json::json!({"A_KEY": "own", "B_KEY": ""}));
        assert_eq!(env("b"), serde_json::json!({"A_KEY": "", "B_KEY": ""}));
        assert_eq!(env("c"), Value::Null);
        for odd in [
            "[]",
            "x",
            r#"{"mcpServers":{"a":1}}"#,
            r#"{"mcpServers":{"a":{"command":"x","env":1}}}"#,
        ] {
            assert_eq!(servers_without(odd.into(), &KEYS), odd);
        }
    }

    #[test]
    fn who_wants_it_passes_the_key_on() {
        let env: Env = [(PASS_KEY, "true")].into_iter().collect();
        assert!(hidden(&env, KEYS.to_vec()).is_empty());
        assert_eq!(hidden(&Env::default(), KEYS.to_vec()), KEYS);
        let mut launch = Launch::default();
        forget(&env, &[], &mut launch);
        assert_eq!(launch, Launch::default());
    }
}
