//! Values of MCP servers that no program's arguments, no environment and no request can have. Of a server that does not
//! start for one, the CLIs say nothing: they go on without its tools.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// Longest argument, and longest variable with its name, that Linux starts a program with; a NUL follows.
const LONGEST: usize = 128 * 1024 - 1;

/// Checks the values of a server before they are written for an agent.
///
/// # Errors
/// `InvalidConfig` with the server's name, the field, and what is wrong with it.
pub fn check(name: &str, server: &Map<String, Value>) -> Result<(), Failure> {
    match fault(server) {
        None => Ok(()),
        Some((field, fault)) => Err(Failure::invalid(format!(
            "MCP server {name:?}: {field} {fault}: correct the AgentConfig or its Secret"
        ))),
    }
}

fn fault(server: &Map<String, Value>) -> Option<(String, String)> {
    let text = |member: &str| server.get(member).and_then(Value::as_str);
    let args = server.get("args").and_then(Value::as_array).into_iter().flatten();
    let args = args.filter_map(Value::as_str).enumerate();
    let args = args.map(|(n, arg)| (format!("args[{n}]"), arg));
    let command = text("command").map(|command| ("command".to_owned(), command));
    for (field, value) in command.into_iter().chain(args) {
        if let Some(fault) = in_program(value, value.len()) {
            return Some((field, fault));
        }
    }
    for (key, value) in pairs(server, "env") {
        let fault = if key.is_empty() || key.contains(['=', '\0']) {
            Some("is no name of a variable".to_owned())
        } else {
            in_program(value, key.len() + 1 + value.len())
        };
        if let Some(fault) = fault {
            return Some((format!("env {key:?}"), fault));
        }
    }
    for (key, value) in pairs(server, "headers") {
        let fault = if is_token(key) {
            control(value, '\t')
        } else {
            Some("is no name of an HTTP header".to_owned())
        };
        if let Some(fault) = fault {
            return Some((format!("headers {key:?}"), fault));
        }
    }
    let fault = control(text("url")?, ' ')?;
    Some(("url".to_owned(), fault))
}

fn pairs<'a>(server: &'a Map<String, Value>, member: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = server.get(member).and_then(Value::as_object);
    let all = all.into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn in_program(value: &str, bytes: usize) -> Option<String> {
    if value.contains('\0') {
        return Some(has('\0'));
    }
    (bytes > LONGEST)
        .then(|| format!("is {bytes} bytes long, and a program is started with at most {LONGEST}"))
}

fn control(value: &str, allowed: char) -> Option<String> {
    let mut all = value.chars();
    all.find(|c| c.is_ascii_control() && *c != allowed).map(has)
}

fn has(c: char) -> String {
    format!("has the control character U+{:04X}", u32::from(c))
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(server: &Value) -> Option<String> {
        let fault = check("tickets", server.as_object().unwrap()).err();
        fault.map(|failure| failure.message)
    }

    #[test]
    fn what_every_channel_carries_is_taken() {
        for server in [
            json!({}),
            json!({"command": "x", "args": ["", "a\nb\u{1}\u{fffe}", "x".repeat(131_071)], "env": {"A": "\r\n$HOME", "a.b-c": ""}}),
            json!({"url": "https://h/é?a b=${X}", "headers": {"X-Key_1": "a\tb é \u{1f600} {env:X}", "a": ""}}),
            json!({"command": 1, "args": {}, "env": [], "headers": {"a": 1}, "url": null}),
        ] {
            assert_eq!(told(&server), None, "{server}");
        }
    }

    #[test]
    fn what_one_does_not_carry_is_named() {
        for (server, words) in [
            (
                json!({"command": "x\0"}),
                "command has the control character U+0000",
            ),
            (
                json!({"args": ["x", "a\0"]}),
                "args[1] has the control character U+0000",
            ),
            (
                json!({"args": ["x".repeat(131_072)]}),
                "args[0] is 131072 bytes long, and a program is started with at most 131071",
            ),
            (
                json!({"env": {"A": "x\0"}}),
                "env \"A\" has the control character U+0000",
            ),
            (
                json!({"env": {"A": "\u{1f600}".repeat(32 * 1024)}}),
                "env \"A\" is 131074 bytes long",
            ),
            (
                json!({"env": {"A=B": "x"}}),
                "env \"A=B\" is no name of a variable",
            ),
            (json!({"env": {"": "x"}}), "env \"\" is no name of a variable"),
            (
                json!({"headers": {"X": "a\r\nY: b"}}),
                "headers \"X\" has the control character U+000D",
            ),
            (
                json!({"headers": {"X": "\u{1b}"}}),
                "headers \"X\" has the control character U+001B",
            ),
            (
                json!({"headers": {"X Y": "a"}}),
                "headers \"X Y\" is no name of an HTTP header",
            ),
            (
                json!({"headers": {"é": "a"}}),
                "headers \"é\" is no name of an HTTP header",
            ),
            (
                json!({"url": "http://h/\nx"}),
                "url has the control character U+000A",
            ),
        ] {
            let message = told(&server).unwrap();
            assert!(
                message.starts_with(&format!("MCP server \"tickets\": {words}")),
                "{message}"
            );
            // A value may be a secret, and is not quoted.
            assert!(message.len() < 200, "{message}");
        }
    }
}
