//! What the pod gives to the agent.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use axon_api::contract::env as names;
use serde_json::{Map, Value};

use super::mcp_check;
use crate::agent::carried;
use crate::agent::plugin::Plugin;
use crate::agent::{Place, Setup};
use crate::env::Env;
use crate::failure::Failure;
use crate::mcp_secrets;

/// Writes a value out of a Secret for the agent at hand ([`crate::agent::Agent::literal`]).
type Literal<'a> = &'a dyn Fn(&str, Place) -> Result<String, &'static str>;

/// Reads the contract's variables and files.
///
/// # Errors
/// `InvalidConfig` for a missing prompt, a file that can't be read, or MCP servers that are malformed or not there.
pub fn read<'a>(env: &'a Env, args: &[OsString], literal: Literal<'_>) -> Result<Setup<'a>, Failure> {
    let instructions = text_or_file(env, names::AGENTS_MD, names::AGENTS_MD_FILE)?;
    let servers = text_or_file(env, names::MCP_SERVERS, names::MCP_SERVERS_FILE)?;
    Ok(Setup {
        env,
        prompt: prompt(env, args)?,
        model: env.text(names::MODEL).map(str::to_owned),
        instructions,
        mcp_servers: servers
            .map(|text| mcp_servers(env, &text, literal))
            .transpose()?
            .flatten(),
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
    if let Err(error) = std::str::from_utf8(&prompt) {
        return Err(Failure::invalid(format!(
            "the prompt is not UTF-8 at byte {}: correct it there",
            error.valid_up_to()
        )));
    }
    Ok(prompt)
}

fn text_or_file(env: &Env, name: &str, file: &str) -> Result<Option<String>, Failure> {
    match env.path(file) {
        Some(path) => fs::read_to_string(path)
            .map(Some)
            .map_err(|error| unreadable(file, &error)),
        None => match (env.path(name), env.text(name)) {
            (Some(_), None) => Err(Failure::invalid(format!("{name} is not UTF-8"))),
            (_, text) => Ok(text.map(str::to_owned)),
        },
    }
}

fn unreadable(variable: &str, error: &io::Error) -> Failure {
    Failure::invalid(format!("can't read the file that {variable} names: {error}"))
}

/// Returns the text with the values out of Secrets in their places, or `None` when it names no server.
fn mcp_servers(env: &Env, text: &str, literal: Literal<'_>) -> Result<Option<String>, Failure> {
    let mut value = serde_json::from_str::<Value>(text).ok();
    let servers = value
        .as_mut()
        .and_then(|value| value.get_mut("mcpServers"))
        .and_then(Value::as_object_mut);
    let Some(servers) = servers else {
        return Err(Failure::invalid(format!(
            "{} is not of the form {{\"mcpServers\": {{NAME: {{...}}}}}}",
            names::MCP_SERVERS
        )));
    };
    if servers.is_empty() {
        return Ok(None);
    }
    let mut changed = false;
    for (name, server) in servers {
        let Some(server) = server.as_object_mut() else {
            continue;
        };
        carried::check(name, server)?;
        for (dir, place) in [("headersDir", Place::Header), ("envDir", Place::Environment)] {
            changed |= fill_in(name, server, (dir, place), literal)?;
        }
        mcp_check::check(env, name, server)?;
    }
    Ok(match value {
        Some(value) if changed => Some(value.to_string()),
        _ => Some(text.to_owned()),
    })
}

/// Replaces the member `dir`, a directory, by its files' contents in the member `values`, where they win.
fn fill_in(
    name: &str,
    server: &mut Map<String, Value>,
    (dir, place): (&str, Place),
    literal: Literal<'_>,
) -> Result<bool, Failure> {
    let values = match place {
        Place::Header => "headers",
        Place::Environment => "env",
    };
    let Some(path) = server.remove(dir) else {
        return Ok(false);
    };
    let path = path.as_str().unwrap_or_default();
    let found = mcp_secrets::read(Path::new(path)).map_err(|error| {
        Failure::invalid(format!(
            "MCP server {name:?}: can't read the Secret's {values}: {error}"
        ))
    })?;
    let target = server
        .entry(values)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| Failure::invalid(format!("MCP server {name:?}: {values} is no map")))?;
    // As they are, before they are written for the agent.
    let plain = found
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()));
    let plain = Map::from_iter([(values.to_owned(), Value::Object(plain.collect()))]);
    carried::check(name, &plain)?;
    for (key, value) in found {
        let value = literal(&value, place)
            .map_err(|fault| Failure::invalid(format!("MCP server {name:?}: the Secret's {key} {fault}")))?;
        target.insert(key, Value::String(value));
    }
    Ok(true)
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
    use serde_json::json;

    use super::*;

    fn as_it_is(value: &str, _: Place) -> Result<String, &'static str> {
        Ok(value.to_owned())
    }

    fn fault(pairs: &[(&str, &str)], args: &[&str]) -> String {
        let env: Env = pairs.iter().copied().collect();
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        read(&env, &args, &as_it_is).unwrap_err().message
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
        let setup = read(&env, &["from the argument".into()], &as_it_is).unwrap();
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
        let setup = read(&env, &["p".into()], &as_it_is).unwrap();
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
    fn what_is_no_utf8_is_named_and_not_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        // Half of a surrogate pair, as some programs write it.
        let bytes = b"ab\xed\xa0\x80".to_vec();
        fs::write(&file, &bytes).unwrap();
        let fault = |pairs: &[(&'static str, OsString)], prompt: &[u8]| {
            let env: Env = pairs.iter().cloned().collect();
            let args = [OsString::from_vec(prompt.to_vec())];
            read(&env, &args, &as_it_is).unwrap_err().message
        };
        assert_eq!(
            fault(&[], &bytes),
            "the prompt is not UTF-8 at byte 2: correct it there"
        );
        for name in [names::PROMPT_FILE, names::AGENTS_MD_FILE, names::MCP_SERVERS_FILE] {
            let message = fault(&[(name, file.clone().into())], b"x");
            assert!(message.contains("UTF-8"), "{message}");
        }
        for name in [names::AGENTS_MD, names::MCP_SERVERS] {
            let message = fault(&[(name, OsString::from_vec(bytes.clone()))], b"x");
            assert_eq!(message, format!("{name} is not UTF-8"));
        }
    }

    #[test]
    fn values_that_no_server_can_have_are_refused_wherever_they_come_from() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("TOKEN"), "a\0b").unwrap();
        for server in [
            json!({"type": "stdio", "command": "/bin/sh", "envDir": dir.path()}),
            json!({"type": "stdio", "command": "/bin/sh", "env": {"TOKEN": "a\0b"}}),
        ] {
            let text = json!({"mcpServers": {"tickets": server}}).to_string();
            let failure = mcp_servers(&Env::default(), &text, &as_it_is).unwrap_err();
            let words = "MCP server \"tickets\": env \"TOKEN\" has";
            assert!(failure.message.starts_with(words), "{}", failure.message);
        }
    }

    #[test]
    fn values_of_secrets_take_their_places_and_win() {
        let dir = tempfile::tempdir().unwrap();
        let headers = dir.path().join("0/headers");
        fs::create_dir_all(&headers).unwrap();
        fs::write(headers.join("Authorization"), "Bearer from-the-secret\n").unwrap();
        let text = json!({"mcpServers": {
            "a": {"type": "http", "url": "http://h", "headersDir": headers,
                  "headers": {"Authorization": "Bearer inline", "X-Team": "core"}},
            "b": {"type": "stdio", "command": "/bin/sh"}}});
        let read = mcp_servers(&Env::default(), &text.to_string(), &as_it_is)
            .unwrap()
            .unwrap();
        let read: Value = serde_json::from_str(&read).unwrap();
        assert_eq!(
            read["mcpServers"]["a"],
            json!({"type": "http", "url": "http://h",
                   "headers": {"Authorization": "Bearer from-the-secret", "X-Team": "core"}})
        );
        assert_eq!(read["mcpServers"]["b"], text["mcpServers"]["b"]);
    }

    #[test]
    fn a_server_whose_secret_is_not_there_is_named() {
        let text = r#"{"mcpServers":{"tickets":{"type":"stdio","command":"x","envDir":"/none"}}}"#;
        let failure = mcp_servers(&Env::default(), text, &as_it_is).unwrap_err();
        assert!(failure.message.contains("\"tickets\""), "{}", failure.message);
        assert_eq!(failure.reason, axon_api::TaskReason::InvalidConfig);
    }

    #[test]
    fn no_server_is_no_configuration() {
        assert_eq!(
            mcp_servers(&Env::default(), r#"{"mcpServers":{}}"#, &as_it_is).unwrap(),
            None
        );
    }
}
