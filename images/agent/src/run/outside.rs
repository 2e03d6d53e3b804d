//! Where MCP servers start if the checked-out tree is not trusted: outside of it. `npx` takes a package out of the working
//! directory before the registry's, and `python3 -m` a module.

use std::path::Path;

use serde_json::{Value, json};

use crate::failure::Failure;

/// Starts the command that its arguments name in another directory (GNU coreutils 8.28).
const ENV: &str = "/usr/bin/env";

/// Returns the servers so that those that are programs start in `dir`. What is no such document stays as it is.
///
/// # Errors
/// `InvalidConfig` for a program that is named by a path from the checkout.
pub fn servers(text: String, dir: &Path) -> Result<String, Failure> {
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
        return Ok(text);
    };
    let all = value.get_mut("mcpServers").and_then(Value::as_object_mut);
    for (name, server) in all.into_iter().flatten() {
        let command = server.get("command").and_then(Value::as_str).unwrap_or_default();
        if command.is_empty() {
            continue;
        }
        if command.contains('/') && !command.starts_with(['/', '$']) {
            return Err(Failure::invalid(format!(
                "MCP server {name:?}: its command is {command:?}, a program of the checked-out tree, which is not trusted \
                 (trust: Base): name one by its absolute path, or one that the image has"
            )));
        }
        let own = server
            .get("args")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let args = [json!("-C"), json!(dir), json!(command)];
        let args: Vec<Value> = args.into_iter().chain(own).collect();
        if let Some(server) = server.as_object_mut() {
            server.insert("command".to_owned(), json!(ENV));
            server.insert("args".to_owned(), json!(args));
        }
    }
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_start_elsewhere_and_other_servers_stay_as_they_are() {
        let text = r#"{"mcpServers":{"a":{"command":"npx","args":["-y","x"],"env":{"K":"v"}},"b":{"url":"u"},"c":{"command":"/bin/x"}}}"#;
        let changed: Value = serde_json::from_str(&servers(text.into(), Path::new("/h")).unwrap()).unwrap();
        assert_eq!(
            changed["mcpServers"],
            json!({
                "a": {"command": ENV, "args": ["-C", "/h", "npx", "-y", "x"], "env": {"K": "v"}},
                "b": {"url": "u"},
                "c": {"command": ENV, "args": ["-C", "/h", "/bin/x"]},
            })
        );
        assert_eq!(servers("nonsense".into(), Path::new("/h")).unwrap(), "nonsense");
    }

    #[test]
    fn a_program_of_the_tree_is_refused_by_name() {
        for command in ["./server", "tools/mcp", "../x/y"] {
            let text = json!({"mcpServers": {"mine": {"command": command}}}).to_string();
            let message = servers(text, Path::new("/h")).unwrap_err().message;
            assert!(
                message.contains("\"mine\"") && message.contains(command),
                "{message}"
            );
        }
    }

    #[test]
    fn what_the_tree_has_under_the_same_name_is_not_found() {
        let (tree, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(tree.path().join("package"), "of the tree\n").unwrap();
        let script = "if [ -e package ]; then cat package; else echo elsewhere; fi";
        let text = json!({"mcpServers": {"mine": {"command": "sh", "args": ["-c", script]}}}).to_string();
        let run = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            let server = &value["mcpServers"]["mine"];
            let args = server["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(|arg| arg.as_str().unwrap());
            let output = std::process::Command::new(server["command"].as_str().unwrap())
                .args(args)
                .current_dir(tree.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{value} {output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(run(&text), "of the tree\n");
        assert_eq!(run(&servers(text, home.path()).unwrap()), "elsewhere\n");
    }
}
