//! Hostile texts on every way to the model and to MCP servers, held against what these recorded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use axon_fixtures::model::mcp::{Mcp, STDIO_BRIDGE};
use axon_fixtures::server::Background;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Cli;
use super::text_edges::nothing_ran;
use super::texts::{Channel, DESCRIPTION, TEXTS, description_of_skill, expected, is_carried};

/// An MCP server that keeps the requests that came.
#[derive(Default)]
struct Recorder {
    mcp: Mcp,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

async fn record(State(recorder): State<Arc<Recorder>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answer = recorder.mcp.post("x", "http", &head.headers, &body);
    let seen = (head.uri.to_string(), head.headers);
    recorder.seen.lock().unwrap().push(seen);
    answer
}

/// A text that one channel gave to a CLI, and the place where it arrived.
struct Matrix<'a> {
    cli: &'a Cli,
    root: String,
    wrong: Vec<String>,
}

impl Matrix<'_> {
    /// Returns the texts that the channel carries.
    fn texts(&self, channel: Channel) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let (cli, root) = (self.cli.kind, self.root.clone());
        let all = TEXTS
            .iter()
            .map(move |(name, text)| (*name, text.replace("ROOT", &root)));
        all.filter(move |(_, text)| is_carried(cli, channel, text))
    }

    /// Returns all of them in one text, each between marks.
    fn marked(&self, channel: Channel) -> String {
        let texts = self.texts(channel);
        let marked =
            texts.map(|(name, text)| format!("[{channel:?} {name}]\n{text}\n[end {channel:?} {name}]\n"));
        marked.collect()
    }

    /// Looks for the marks in what was recorded.
    fn check_marked(&mut self, channel: Channel, recorded: &[String]) {
        for (name, text) in self.texts(channel) {
            let (begin, end) = (
                format!("[{channel:?} {name}]\n"),
                format!("\n[end {channel:?} {name}]"),
            );
            let between = |text: &String| {
                let (_, rest) = text.split_once(&begin)?;
                Some(rest.split_once(&end)?.0.to_owned())
            };
            let found: Vec<String> = recorded.iter().filter_map(between).collect();
            let expected = expected(self.cli.kind, channel, name, &text, &self.root);
            // What the model has read with a tool is there as it is, too.
            let is_good =
                found.contains(&expected) && found.iter().all(|found| *found == expected || *found == text);
            if !is_good {
                self.note(channel, name, &expected, &found);
            }
        }
    }

    fn check(&mut self, channel: Channel, find: impl Fn(&str) -> Option<Vec<u8>>) {
        for (name, text) in self.texts(channel) {
            let expected = expected(self.cli.kind, channel, name, &text, &self.root);
            let found = find(name).map(|found| String::from_utf8_lossy(&found).into_owned());
            // An empty header need not be sent.
            let is_missing = found.is_none() && expected.is_empty() && channel_is_header(channel);
            if found.as_ref() != Some(&expected) && !is_missing {
                self.note(channel, name, &expected, &found);
            }
        }
    }

    fn note(&mut self, channel: Channel, name: &str, expected: &str, found: &dyn std::fmt::Debug) {
        let cli = self.cli.kind;
        self.wrong.push(format!(
            "{cli}, {channel:?}, {name}: expected {expected:?}, found {found:?}"
        ));
    }
}

fn channel_is_header(channel: Channel) -> bool {
    matches!(channel, Channel::Header | Channel::SecretHeader)
}

/// Collects all strings of a document.
pub fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, all)),
        Value::Object(values) => values.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}

/// Returns the name of a variable or header for a text. A shell passes on variables of these characters alone.
fn key(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.replace('-', "_"))
}

/// Returns the URL of a query with expansions in it, and what each CLI makes of it.
fn query(cli: &str, root: &str) -> (String, String) {
    let query = |dollar: &str, brace: &str, env: &str, file: &str| {
        format!("/mcp?a=%24HOME%0A%00&b={dollar}&c={brace}&d={env}&e={file}&f=")
    };
    let (env, file) = ("{env:HOME}", format!("{{file:{root}/outside.txt}}"));
    let home = format!("{root}/home");
    let becomes = match cli {
        "claude-code" => query("$HOME", &home, env, &file),
        "gemini" => query(&home, &home, env, &file),
        "opencode" => query("$HOME", "${HOME}", &home, "OUTSIDE"),
        _ => query("$HOME", "${HOME}", env, &file),
    };
    (query("$HOME", "${HOME}", env, &file) + "é", becomes + "%C3%A9")
}

/// All texts on every channel, in one run.
pub async fn arrives(cli: &Cli, env: &[(&str, &str)]) {
    let root = cli.root.path().to_str().unwrap().to_owned();
    let mut matrix = Matrix {
        cli,
        root: root.clone(),
        wrong: Vec::new(),
    };
    cli.put("work/notes.md", "NOTES\n");
    cli.put("outside.txt", "OUTSIDE");
    // OpenCode lists a skill's files with it; the images have the real one.
    let rg = cli.put("bin/rg", "#!/bin/sh\n");
    fs::set_permissions(&rg, fs::Permissions::from_mode(0o755)).unwrap();
    let document = |front: &str, channel| format!("---\n{front}\n---\n{}", matrix.marked(channel));
    let skill = document("name: deploy\ndescription: The skill", Channel::Skill);
    cli.put("plugins/team/skills/deploy/SKILL.md", &skill);
    // Front matter as editors leave it.
    let front = "name: x\r\ndescription: MARKED\r\n---\r\nbody";
    cli.put(
        "plugins/team/skills/marked/SKILL.md",
        &format!("\u{feff}---\r\n{front}"),
    );
    let front = "name: x\ndescription: BLANKS\n--- \nbody";
    cli.put("plugins/team/skills/blanks/SKILL.md", &format!("---  \n{front}"));
    let front = format!(
        "name: x\ndescription: {}",
        json!(format!("[skill]{DESCRIPTION}[end]"))
    );
    cli.put(
        "plugins/team/skills/told/SKILL.md",
        &format!("---\n{front}\n---\nbody"),
    );
    let front = format!(
        "name: reviewer\ndescription: {}",
        json!(format!("[agent]{DESCRIPTION}[end]"))
    );
    let agent = document(&front, Channel::SubAgent);
    cli.put("plugins/team/agents/reviewer.md", &agent);
    let instructions = cli.put("agents.md", &matrix.marked(Channel::Instructions));

    let recorder = Arc::new(Recorder::default());
    let far = Router::new().fallback(record).with_state(Arc::clone(&recorder));
    let far = Background::start(far).await.unwrap();
    let script = format!(
        "url=$1; shift; printf '%s\\0' \"$@\" > {root}/home/args; env -0 > {root}/home/env; set -- \"$url\"\n{STDIO_BRIDGE}"
    );
    let near = format!("{}/run/all/mcp/stdio", cli.model.url());
    let mut args = vec!["-c".to_owned(), script, "sh".to_owned(), near];
    args.extend(matrix.texts(Channel::Argument).map(|(_, text)| text));
    let named = |channel, prefix: &str| -> Map<String, Value> {
        let texts = matrix.texts(channel);
        texts
            .map(|(name, text)| (key(prefix, name), text.into()))
            .collect()
    };
    for (channel, dir) in [
        (Channel::SecretHeader, "secrets/0/headers"),
        (Channel::SecretVariable, "secrets/1/env"),
    ] {
        for (name, text) in matrix.texts(channel) {
            cli.put(&format!("{dir}/{}", key("S_", name)), &text);
        }
    }
    let (query, queried) = query(cli.kind, &root);
    let servers = json!({"mcpServers": {
        "far": {"type": "http", "url": format!("{}{query}", far.url()), "headers": named(Channel::Header, "T_"),
            "headersDir": cli.path("secrets/0/headers")},
        "near": {"type": "stdio", "command": "sh", "args": args, "env": named(Channel::Variable, "T_"),
            "envDir": cli.path("secrets/1/env")},
    }});
    let servers = cli.put("mcp.json", &servers.to_string());
    let steps = match cli.kind {
        "claude-code" => {
            "@tool Skill {\"skill\":\"team:deploy\"}\n\
             @tool Agent {\"description\":\"d\",\"prompt\":\"@say sub\",\"subagent_type\":\"team:reviewer\"}"
        }
        "gemini" => {
            "@tool activate_skill {\"name\":\"team-deploy\"}\n\
             @tool invoke_agent {\"agent_name\":\"team-reviewer\",\"prompt\":\"@say sub\"}"
        }
        "opencode" => {
            "@tool skill {\"name\":\"team:deploy\"}\n\
             @tool task {\"description\":\"d\",\"prompt\":\"@say sub\",\"subagent_type\":\"team:reviewer\"}"
        }
        // Codex has no tool for skills: a `$team:deploy` in the prompt loads one.
        _ => {
            "@tool spawn_agent {\"agent_type\":\"team:reviewer\",\"task_name\":\"t\",\"fork_turns\":\"none\",\
             \"message\":\"@say sub\"}\n@tool wait_agent {}"
        }
    };
    let prompt = format!(
        "Begin\n{}@tool mcp__far__ping {{\"text\": \"x\"}}\n@tool mcp__near__ping {{\"text\": \"x\"}}\n{steps}\n@say fin",
        matrix.marked(Channel::Prompt)
    );
    let (plugins, secrets) = (cli.path("plugins"), cli.path("secrets"));
    let mut all = vec![
        ("AXON_AGENTS_MD_FILE", instructions.to_str().unwrap()),
        ("AXON_MCP_SERVERS_FILE", servers.to_str().unwrap()),
        ("AXON_MCP_SECRETS_DIR", secrets.to_str().unwrap()),
        ("AXON_PLUGIN_DIR", plugins.to_str().unwrap()),
    ];
    all.extend(env);
    let ended = cli.run("all", &prompt, &all).await;
    let log = format!("{}\n{}", ended.log, ended.errors);
    assert_eq!((ended.code, ended.report.reason), (Some(0), None), "{log}");

    let record = cli.json("all", "record?bodies=1").await;
    let mut recorded = Vec::new();
    strings(&record["requests"], &mut recorded);
    matrix.check_marked(Channel::Prompt, &[cli.get("all", "prompt").await]);
    for channel in [Channel::Instructions, Channel::Skill, Channel::SubAgent] {
        matrix.check_marked(channel, &recorded);
    }
    for (begin, expected) in [
        ("[skill]", description_of_skill(cli.kind)),
        ("[agent]", DESCRIPTION),
    ] {
        let between = |text: &String| Some(text.split_once(begin)?.1.split_once("[end]")?.0.to_owned());
        let found: Vec<String> = recorded.iter().filter_map(between).collect();
        if !found.iter().any(|found| found == expected) {
            let cell = format!(
                "{}, description of {begin}: {expected:?}, found {found:?}",
                cli.kind
            );
            matrix.wrong.push(cell);
        }
    }
    let list = |name: &str| -> Vec<Vec<u8>> {
        let list = fs::read(cli.path(name)).unwrap_or_default();
        list.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    };
    let args = list("home/args");
    let position =
        |name: &str, matrix: &Matrix<'_>| matrix.texts(Channel::Argument).position(|(n, _)| n == name);
    let order: Vec<_> = TEXTS
        .iter()
        .map(|(name, _)| (*name, position(name, &matrix)))
        .collect();
    matrix.check(Channel::Argument, |name| {
        let (_, position) = order.iter().find(|(other, _)| *other == name)?;
        args.get((*position)?).cloned()
    });
    let variables = list("home/env");
    for (channel, prefix) in [(Channel::Variable, "T_"), (Channel::SecretVariable, "S_")] {
        matrix.check(channel, |name| {
            let name = key(prefix, name) + "=";
            variables
                .iter()
                .find_map(|line| line.strip_prefix(name.as_bytes()))
                .map(<[u8]>::to_vec)
        });
    }
    let seen = std::mem::take(&mut *recorder.seen.lock().unwrap());
    assert!(!seen.is_empty(), "{log}");
    for (channel, prefix) in [(Channel::Header, "T_"), (Channel::SecretHeader, "S_")] {
        matrix.check(channel, |name| {
            let value = seen[0].1.get(key(prefix, name))?;
            Some(value.as_bytes().to_vec())
        });
    }
    assert_eq!(
        matrix.wrong,
        Vec::<String>::new(),
        "{} cells\n{log}",
        matrix.wrong.len()
    );
    assert_eq!(seen[0].0, queried);
    // Calls of both servers came: no value kept one from starting.
    assert_eq!(recorder.mcp.calls("x").len(), 1);
    assert_eq!(cli.json("all", "mcp-calls").await.as_array().unwrap().len(), 1);

    let bodies = record["requests"].to_string();
    for mark in ["MARKED", "BLANKS"] {
        assert!(bodies.contains(mark), "{mark}");
    }
    let reads: &[&str] = match cli.kind {
        "claude-code" => &["NOTES", "OUTSIDE"],
        "gemini" => &["NOTES"],
        _ => &[],
    };
    for content in ["NOTES", "OUTSIDE"] {
        assert_eq!(bodies.contains(content), reads.contains(&content), "{content}");
    }
    nothing_ran(
        cli,
        if cli.kind == "claude-code" {
            &["ran-by-skill"]
        } else {
            &[]
        },
    );
}
