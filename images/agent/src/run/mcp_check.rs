//! Whether the programs of MCP servers are there. Of a server that does not start, no agent's CLI says anything: it goes
//! on without the tools, and so would the Task.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::env::Env;
use crate::failure::Failure;

/// Looks up the command of a server.
///
/// # Errors
/// `InvalidConfig` if there is no such program.
pub fn check(env: &Env, name: &str, server: &Map<String, Value>) -> Result<(), Failure> {
    let text = |member: &str| server.get(member).and_then(Value::as_str);
    let Some(command) = text("command").filter(|command| !command.is_empty()) else {
        return Ok(());
    };
    let own = server.get("env").and_then(|env| env.get("PATH"));
    let own = own.and_then(Value::as_str);
    // Some CLIs put variables in here; what comes of that, only they know.
    let is_open = [Some(command), own]
        .into_iter()
        .flatten()
        .any(|text| text.contains('$'));
    if text("type").is_some_and(|kind| kind != "stdio") || is_open {
        return Ok(());
    }
    let path = env.path("PATH").map(Path::as_os_str);
    if is_there(command, own.map(OsStr::new)) || is_there(command, path) {
        return Ok(());
    }
    let wanted = if command.contains('/') {
        "there is no such program in the container"
    } else {
        "there is no such program in the container's PATH"
    };
    Err(Failure::invalid(format!(
        "MCP server {name:?}: its command is {command:?}, and {wanted}: name one that the image has, use an image with \
         it (spec.image), or reach the server by http"
    )))
}

/// A name without a slash is looked up in the directories of `path`, any other one from the working directory.
fn is_there(command: &str, path: Option<&OsStr>) -> bool {
    if command.contains('/') {
        return is_program(Path::new(command));
    }
    let dirs = path.map(std::env::split_paths).into_iter().flatten();
    dirs.into_iter().any(|dir| is_program(&dir.join(command)))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_a_program_of_the_path_or_a_file() {
        let (ours, servers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = |dir: &tempfile::TempDir, name: &str, mode: u32| {
            let file = dir.path().join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let whole = program(&ours, "npx", 0o755);
        let text = program(&ours, "text", 0o644);
        program(&servers, "own", 0o755);
        let env: Env = [("PATH", ours.path())].into_iter().collect();
        let path = servers.path().to_str().unwrap();
        for (server, good) in [
            (json!({"type": "stdio", "command": "npx"}), true),
            (json!({"command": "npx"}), true),
            (json!({"command": "npx", "env": {"PATH": "/none"}}), true),
            (json!({"command": whole}), true),
            (json!({"command": "own", "env": {"PATH": path}}), true),
            (json!({"command": "${HOME}/x"}), true),
            (json!({"command": "x", "env": {"PATH": "$PATH:/y"}}), true),
            (json!({"type": "http", "url": "http://h"}), true),
            (
                json!({"type": "http", "url": "http://h", "command": "gone"}),
                true,
            ),
            (json!({}), true),
            (json!({"command": "own"}), false),
            (json!({"command": "text"}), false),
            (json!({"command": text}), false),
            (json!({"command": "/no/such"}), false),
            (json!({"command": ours.path().to_str().unwrap()}), false),
        ] {
            let result = check(&env, "tools", server.as_object().unwrap());
            assert_eq!(result.is_ok(), good, "{server}: {result:?}");
        }
        let gone = json!({"command": "uvx"});
        let failure = check(&env, "tools", gone.as_object().unwrap()).unwrap_err();
        assert_eq!(failure.reason, axon_api::TaskReason::InvalidConfig);
        for word in ["\"tools\"", "\"uvx\"", "spec.image"] {
            assert!(failure.message.contains(word), "{failure}");
        }
    }
}
