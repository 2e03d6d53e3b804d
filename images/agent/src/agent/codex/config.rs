//! Codex's configuration, in TOML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::agent::mcp::{Remote, Server, Transport};
use crate::agent::plugin::Document;
use crate::failure::Failure;

/// Switches for a container: credentials in a file, since there is no key ring; no telemetry, no updates, no
/// downloads of plugins; and an end to waiting for a network that is not there, since nobody is there to see it. A login
/// shell would begin with the distribution's `PATH`, without what the image and we have put there.
const SWITCHES: &str = r#"cli_auth_credentials_store = "file"
check_for_update_on_startup = false
allow_login_shell = false

[analytics]
enabled = false

[otel]
metrics_exporter = "none"

[features]
plugins = false
apps = false
unbounded_connection_retries = false
"#;

/// Returns the text of our profile.
///
/// # Errors
/// `InvalidConfig` for a server of a kind that Codex can't talk to.
pub(super) fn profile(base_url: Option<&str>, servers: &[Server]) -> Result<String, Failure> {
    let mut text = String::new();
    if let Some(url) = base_url {
        line(&mut text, "openai_base_url", &string(url));
    }
    text.push_str(SWITCHES);
    for Server { name, transport } in servers {
        let _ = write!(text, "\n[mcp_servers.{}]\n", string(name));
        match transport {
            Transport::Stdio { command, args, env } => {
                line(&mut text, "command", &string(command));
                let args: Vec<String> = args.iter().map(|arg| string(arg)).collect();
                line(&mut text, "args", &format!("[{}]", args.join(", ")));
                line(&mut text, "env", &table(env));
            }
            Transport::Http(Remote { url, headers }) => {
                line(&mut text, "url", &string(url));
                line(&mut text, "http_headers", &table(headers));
            }
            Transport::Sse(_) => {
                return Err(Failure::invalid(format!(
                    "MCP server {name:?} is of type sse, which codex does not offer; it offers stdio and http"
                )));
            }
        }
    }
    Ok(text)
}

/// Returns the setting that has Codex read no configuration, hooks, instructions and rules of the project in `dir`, whatever
/// the user's own configuration says of it.
pub(super) fn untrusted(dir: &Path) -> String {
    let dir = string(&dir.to_string_lossy());
    format!("projects={{{dir}={{trust_level=\"untrusted\"}}}}")
}

/// Returns the file of a sub-agent.
pub(super) fn agent(name: &str, agent: &Document) -> String {
    let mut text = String::new();
    line(&mut text, "name", &string(name));
    line(&mut text, "description", &string(&agent.description));
    line(&mut text, "developer_instructions", &string(agent.body.trim()));
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

/// JSON's strings are TOML's, but for one character that JSON leaves as it is.
fn string(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\x7f', "\\u007f")
}

fn table(pairs: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{} = {}", string(key), string(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::mcp::servers;

    #[test]
    fn servers_become_tables_and_no_text_leaves_its_quotes() {
        let text = r#"{"mcpServers": {
            "a.b \"c\"": {"command": "node", "args": ["x\n\\", "\u007f"], "env": {"K-1": "v'"}},
            "net": {"type": "http", "url": "http://h", "headers": {"Authorization": "Bearer t"}}}}"#;
        let profile = profile(Some("http://m/v1"), &servers(Some(text)).unwrap()).unwrap();
        assert!(
            profile.starts_with("openai_base_url = \"http://m/v1\"\ncli_auth"),
            "{profile}"
        );
        let tables = profile
            .split_once("unbounded_connection_retries = false\n\n")
            .unwrap()
            .1;
        assert_eq!(
            tables,
            "[mcp_servers.\"a.b \\\"c\\\"\"]\ncommand = \"node\"\nargs = [\"x\\n\\\\\", \"\\u007f\"]\n\
             env = {\"K-1\" = \"v'\"}\n\n\
             [mcp_servers.\"net\"]\nurl = \"http://h\"\nhttp_headers = {\"Authorization\" = \"Bearer t\"}\n"
        );
    }

    #[test]
    fn sse_is_refused_by_name() {
        let text = r#"{"mcpServers":{"old":{"type":"sse","url":"http://h"}}}"#;
        let failure = profile(None, &servers(Some(text)).unwrap()).unwrap_err();
        assert!(
            failure.message.contains("\"old\"") && failure.message.contains("sse"),
            "{failure}"
        );
        assert!(!profile(None, &[]).unwrap().contains("openai_base_url"));
    }
}
