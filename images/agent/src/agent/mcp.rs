//! MCP servers, out of the form in which they come: `{"mcpServers": {NAME: {...}}}`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::failure::Failure;

/// How to reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A program that speaks over its standard input and output.
    Stdio {
        /// Its name.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// What is set in its environment.
        env: BTreeMap<String, String>,
    },
    /// Streamable HTTP.
    Http(Remote),
    /// HTTP with server-sent events, the older form.
    Sse(Remote),
}

/// A server of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: String,
    /// What is sent with each request.
    pub headers: BTreeMap<String, String>,
}

/// A server with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// How to reach it.
    pub transport: Transport,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    mcp_servers: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    command: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Reads the servers of a run, sorted by name.
///
/// # Errors
/// `InvalidConfig` for what is no server, by name where there is one.
pub fn servers(text: Option<&str>) -> Result<Vec<Server>, Failure> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let file: File = serde_json::from_str(text)
        .map_err(|error| Failure::invalid(format!("the MCP servers are malformed: {error}")))?;
    let server = |(name, entry): (String, Entry)| {
        let fault = |what: &str| Failure::invalid(format!("MCP server {name:?} {what}"));
        let kind = entry
            .kind
            .as_deref()
            .unwrap_or(if entry.command.is_empty() { "http" } else { "stdio" });
        let transport = match kind {
            "stdio" if entry.command.is_empty() => return Err(fault("needs a command")),
            "stdio" => Transport::Stdio {
                command: entry.command,
                args: entry.args,
                env: entry.env,
            },
            "http" | "sse" if entry.url.is_empty() => return Err(fault("needs a url")),
            "http" | "sse" => {
                let remote = Remote {
                    url: entry.url,
                    headers: entry.headers,
                };
                match kind {
                    "http" => Transport::Http(remote),
                    _ => Transport::Sse(remote),
                }
            }
            other => return Err(fault(&format!("is of the unknown type {other:?}"))),
        };
        Ok(Server { name, transport })
    };
    file.mcp_servers.into_iter().map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_what_it_needs() {
        let text = r#"{"mcpServers": {
            "b": {"type": "http", "url": "http://h/mcp", "headers": {"X-A": "1"}},
            "a": {"command": "node", "args": ["x"], "env": {"K": "v"}},
            "c": {"type": "sse", "url": "http://h/sse"}}}"#;
        let found = servers(Some(text)).unwrap();
        let names: Vec<_> = found.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(
            found[0].transport,
            Transport::Stdio {
                command: "node".into(),
                args: vec!["x".into()],
                env: [("K".into(), "v".into())].into()
            }
        );
        assert!(matches!(&found[1].transport, Transport::Http(r) if r.headers["X-A"] == "1"));
        assert!(matches!(&found[2].transport, Transport::Sse(r) if r.url == "http://h/sse"));
        assert!(servers(None).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_server_is_named() {
        for (entry, what) in [
            (r#"{"type":"stdio"}"#, "needs a command"),
            (r#"{"type":"http"}"#, "needs a url"),
            ("{}", "needs a url"),
            (r#"{"type":"ws","url":"x"}"#, "unknown type \"ws\""),
        ] {
            let text = format!(r#"{{"mcpServers":{{"mine":{entry}}}}}"#);
            let message = servers(Some(&text)).unwrap_err().message;
            assert!(
                message.contains("\"mine\"") && message.contains(what),
                "{message}"
            );
        }
        assert!(servers(Some("[]")).is_err());
    }
}
