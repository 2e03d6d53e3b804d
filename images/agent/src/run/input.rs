//! What the pod gives to the agent.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;

use axon_api::contract::env as names;
use serde_json::Value;

use crate::agent::Setup;
use crate::agent::plugin::Plugin;
use crate::env::Env;
use crate::failure::Failure;

/// Reads the contract's variables and files.
///
/// # Errors
/// `InvalidConfig` for a missing prompt, a file that can't be read, or malformed MCP servers.
pub fn read<'a>(env: &'a Env, args: &[OsString]) -> Result<Setup<'a>, Failure> {
    let instructions = text_or_file(env, names::AGENTS_MD, names::AGENTS_MD_FILE)?;
    let servers = text_or_file(env, names::MCP_SERVERS, names::MCP_SERVERS_FILE)?;
    Ok(Setup {
        env,
        prompt: prompt(env, args)?,
        model: env.text(names::MODEL).map(str::to_owned),
        instructions,
        mcp_servers: servers.map(|text| mcp_servers(&text)).transpose()?.flatten(),
        plugins: plugins(env)?,
    })
}

fn prompt(env: &Env, args: &[OsString]) -> Result<Vec<u8>, Failure> {
    let prompt = match (env.path(names::PROMPT_FILE), args) {
        (Some(path), _) => fs::read(path).map_err(|error| unreadable(names::PROMPT_FILE, &error))?,
        (None, [prompt]) => prompt.clone().into_vec(),
        (None, []) => Vec::new(),
        (None, _) => {
            return Err(Failure::invalid(format!(
                "{} arguments given: the prompt must be one",
                args.len()
            )));
        }
    };
    if prompt.trim_ascii().is_empty() {
        return Err(Failure::invalid(format!(
            "the prompt is empty: give it as the one argument or name its file in {}",
            names::PROMPT_FILE
        )));
    }
    Ok(prompt)
}

fn text_or_file(env: &Env, name: &str, file: &str) -> Result<Option<String>, Failure> {
    match env.path(file) {
        Some(path) => fs::read_to_string(path)
            .map(Some)
            .map_err(|error| unreadable(file, &error)),
        None => Ok(env.text(name).map(str::to_owned)),
    }
}

fn unreadable(variable: &str, error: &io::Error) -> Failure {
    Failure::invalid(format!("can't read the file that {variable} names: {error}"))
}

/// Returns the text itself, or `None` when it names no server.
fn mcp_servers(text: &str) -> Result<Option<String>, Failure> {
    let servers = serde_json::from_str::<Value>(text).ok().and_then(|value| {
        value
            .get("mcpServers")
            .and_then(Value::as_object)
            .map(serde_json::Map::len)
    });
    match servers {
        Some(0) => Ok(None),
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(Failure::invalid(format!(
            "{} is not of the form {{\"mcpServers\": {{NAME: {{...}}}}}}",
            names::MCP_SERVERS
        ))),
    }
}

fn plugins(env: &Env) -> Result<Vec<Plugin>, Failure> {
    let Some(root) = env.path(names::PLUGIN_DIR) else {
        return Ok(Vec::new());
    };
    let unreadable = |error: io::Error| {
        Failure::invalid(format!("can't read plugin directory {}: {error}", root.display()))
    };
    let mut dirs = Vec::new();
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            dirs.push(path);
        }
    }
    dirs.sort();
    dirs.into_iter().map(Plugin::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(pairs: &[(&str, &str)], args: &[&str]) -> String {
        let env: Env = pairs.iter().copied().collect();
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        read(&env, &args).unwrap_err().message
    }

    #[test]
    fn files_win_over_values() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.into_os_string()
        };
        let servers = r#"{"mcpServers":{"x":{}}}"#;
        let env: Env = [
            (names::PROMPT_FILE, file("prompt", "from the file\n")),
            (names::AGENTS_MD, "value".into()),
            (names::AGENTS_MD_FILE, file("agents.md", "file")),
            (names::MCP_SERVERS, "{}".into()),
            (names::MCP_SERVERS_FILE, file("mcp.json", servers)),
            (names::MODEL, "m".into()),
        ]
        .into_iter()
        .collect();
        let setup = read(&env, &["from the argument".into()]).unwrap();
        assert_eq!(setup.prompt, b"from the file\n");
        assert_eq!(setup.instructions.as_deref(), Some("file"));
        assert_eq!(setup.mcp_servers.as_deref(), Some(servers));
        assert_eq!(setup.model.as_deref(), Some("m"));
    }

    #[test]
    fn plugins_are_the_directories_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("file"), "").unwrap();
        let env: Env = [(names::PLUGIN_DIR, dir.path().as_os_str())]
            .into_iter()
            .collect();
        let setup = read(&env, &["p".into()]).unwrap();
        let dirs: Vec<_> = setup.plugins.iter().map(|plugin| plugin.dir.clone()).collect();
        assert_eq!(dirs, [dir.path().join("a"), dir.path().join("b")]);
        assert_eq!((setup.mcp_servers, setup.instructions), (None, None));
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        for args in [&[][..], &[""], &[" \n"]] {
            assert!(fault(&[], args).starts_with("the prompt is empty"));
        }
        assert!(fault(&[], &["a", "b"]).contains("2 arguments"));
        assert!(fault(&[(names::PROMPT_FILE, "/none")], &["x"]).contains(names::PROMPT_FILE));
        assert!(fault(&[(names::MCP_SERVERS, "[]")], &["x"]).contains("mcpServers"));
        assert!(fault(&[(names::PLUGIN_DIR, "/none")], &["x"]).contains("/none"));
    }

    #[test]
    fn no_server_is_no_configuration() {
        assert_eq!(mcp_servers(r#"{"mcpServers":{}}"#).unwrap(), None);
    }
}
