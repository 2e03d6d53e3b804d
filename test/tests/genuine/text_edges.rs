//! Texts at the begin and the end of a prompt, the longest ones, and those that no channel carries.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use axon_api::TaskReason;
use axon_api::limits::{MAX_CONTENT, MAX_PROMPT};
use serde_json::{Value, json};

use super::Cli;
use super::text::strings;
use super::texts::{BEGINS, reads_file};

/// Prompts whose begin a CLI could take for its own, and whose end it could cut.
pub async fn begins(cli: &Cli, env: &[(&str, &str)]) {
    cli.put("work/notes.md", "NOTES\n");
    let mut wrong = Vec::new();
    for (n, begin) in BEGINS.iter().enumerate() {
        let run = &format!("begin-{n}");
        let prompt = format!("{begin}\n@say fin \t\r\n\n");
        let ended = cli.run(run, &prompt, env).await;
        let is_command = matches!(cli.kind, "claude-code" | "gemini") && begin.starts_with('/');
        let reads_file = reads_file(cli.kind, begin);
        let expected = if is_command {
            format!(" {prompt}")
        } else if reads_file {
            let is_gemini = cli.kind == "gemini";
            // Where one name is a file, gemini puts a blank before each that could be one, and cuts the end.
            let spaced = || prompt.replace("\n@", "\n @").replace("me@", "me @");
            if is_gemini {
                spaced().trim_end().to_owned()
            } else {
                prompt
            }
        } else {
            prompt
        };
        let found = cli.get(run, "prompt").await;
        let bodies = cli.get(run, "record?bodies=1").await;
        if bodies.contains("NOTES") != reads_file {
            wrong.push(format!(
                "{}, {begin:?}: a file is read: {}",
                cli.kind, !reads_file
            ));
        }
        if (ended.code, ended.report.reason) != (Some(0), None) || found != expected {
            let message = ended.report.message.unwrap_or_default();
            wrong.push(format!(
                "{}, {begin:?}: {:?} {message}, found {found:?}",
                cli.kind, ended.code
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    nothing_ran(cli, &[]);
}

/// The longest prompt and the longest instructions, of characters of four bytes.
pub async fn is_long(cli: &Cli, env: &[(&str, &str)]) {
    let (begin, end) = ("Begin ", "\n@say fin");
    let text = "\u{1f600}".repeat(MAX_PROMPT - begin.len() - end.len());
    let prompt = format!("{begin}{text}{end}");
    let prompt_file = cli.put("prompt", &prompt);
    let instructions = format!("BEGIN{}END", "\u{1f680}".repeat(MAX_CONTENT - 8));
    let instructions_file = cli.put("agents.md", &instructions);
    let mut all = vec![
        ("AXON_PROMPT_FILE", prompt_file.to_str().unwrap()),
        ("AXON_AGENTS_MD_FILE", instructions_file.to_str().unwrap()),
    ];
    all.extend(env);
    let ended = cli.run("long", "", &all).await;
    assert_eq!(ended.code, Some(0), "{:.2000}\n{:.2000}", ended.log, ended.errors);
    assert!(cli.get("long", "prompt").await == prompt);
    let mut recorded = Vec::new();
    strings(
        &cli.json("long", "record?bodies=1").await["requests"],
        &mut recorded,
    );
    assert!(recorded.iter().any(|text| text.contains(&instructions)));
}

/// Texts that no channel carries are refused by name, and the model is not asked.
pub async fn is_refused(cli: &Cli, env: &[(&str, &str)]) {
    let server = |server: Value| json!({"mcpServers": {"mine": server}}).to_string();
    let stdio = |field: &str, value: Value| {
        let mut entry = json!({"type": "stdio", "command": "sh"});
        entry[field] = value;
        server(entry)
    };
    let http = |url: &str, headers: Value| server(json!({"type": "http", "url": url, "headers": headers}));
    let empty = "the prompt is empty";
    let mut cases: Vec<(&[u8], String, &str)> = vec![
        (b"", String::new(), empty),
        (b" \t\r\n", String::new(), empty),
        (
            b"ab\xed\xa0\x80",
            String::new(),
            "the prompt is not UTF-8 at byte 2",
        ),
    ];
    for (servers, words) in [
        (
            stdio("args", json!(["a\0b"])),
            "args[0] has the control character U+0000",
        ),
        (
            stdio("env", json!({"A": "a\0b"})),
            "env \"A\" has the control character U+0000",
        ),
        (
            stdio("env", json!({"A": "x".repeat(1 << 17)})),
            "env \"A\" is 131074 bytes long",
        ),
        (
            http("http://h/\r\n", json!({})),
            "url has the control character U+000D",
        ),
        (
            http("http://h/", json!({"X": "a\nb"})),
            "headers \"X\" has the control character U+000A",
        ),
        (
            http("http://h/", json!({"a b": "x"})),
            "headers \"a b\" is no name",
        ),
    ] {
        cases.push((b"@say x", servers, words));
    }
    if cli.kind == "opencode" {
        let words = "headers \"X\" has a character beyond U+00FF";
        cases.push((b"@say x", http("http://h/", json!({"X": "日"})), words));
    }
    for (prompt, servers, words) in cases {
        let file = cli.put("mcp.json", &servers);
        let mut command = cli.command("refused", env);
        if !servers.is_empty() {
            command.env("AXON_MCP_SERVERS_FILE", &file);
        }
        let child = command
            .arg("run")
            .arg(OsString::from_vec(prompt.to_vec()))
            .spawn()
            .unwrap();
        let ended = cli.ended(child).await;
        assert_eq!(
            (ended.code, ended.report.reason),
            (Some(1), Some(TaskReason::InvalidConfig)),
            "{words}"
        );
        let message = ended.report.message.unwrap_or_default();
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(cli.json("refused", "record").await["requests"], json!([]));
}

/// No text was run as a command: none but the files `allowed` is there.
pub fn nothing_ran(cli: &Cli, allowed: &[&str]) {
    let entries = fs::read_dir(cli.path("work")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let ran: Vec<String> = names.filter(|name| name.starts_with("ran")).collect();
    assert_eq!(ran, allowed, "a text was run as a command");
}
