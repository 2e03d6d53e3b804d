//! `axon-agent run` with a stand-in for `claude`: what reaches the agent, signals, exit codes, reports.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use axon_api::TaskReason;
use axon_api::outputs::{self};
use support::{Pod, git, stream};

#[test]
fn prompts_arrive_byte_for_byte() {
    let pod = Pod::new(&format!(
        "cat > got; printf '%s\\n' \"$@\" > args; cat '{}'",
        stream("")
    ));
    let long = "0123456789abcdef\n".repeat(200 * 1024 / 17);
    for prompt in [
        "plain",
        "it's \"quoted\" `x` $(X) ${Y} $$ \\ %s",
        "line one\nline two\n\n",
        "--help",
        "-p",
        "--",
        "ünï\u{1f600}",
    ] {
        let output = pod.command().args(["run", prompt]).output().unwrap();
        assert!(output.status.success(), "{prompt}: {output:?}");
        assert_eq!(fs::read(pod.dir("got")).unwrap(), prompt.as_bytes());
        assert!(!fs::read_to_string(pod.dir("args")).unwrap().contains("quoted"));
    }
    fs::write(pod.dir("prompt"), &long).unwrap();
    let output = pod
        .command()
        .env("AXON_PROMPT_FILE", pod.dir("prompt"))
        .args(["run", "not this"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(pod.dir("got")).unwrap() == long.as_bytes());
}

#[test]
fn the_contract_s_entry_point_is_the_same_program() {
    let pod = Pod::new(&format!("cat > got; cat '{}'", stream("")));
    let link = pod.dir("axon_entrypoint.sh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_axon-agent"), &link).unwrap();
    let output = pod.dress(Command::new(&link)).arg("--version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(pod.dir("got")).unwrap(), "--version");
}

#[test]
fn a_good_run_reports_git_facts_and_figures_and_keeps_the_stream() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; git checkout -q -b work; git commit -q --allow-empty -m x; cat '{}'",
        stream("")
    ));
    git(&pod.work(), &["init", "-q", "-b", "main"]);
    git(&pod.work(), &["commit", "-q", "--allow-empty", "-m", "seed"]);
    let output = pod
        .command()
        .env("AXON_BASE_BRANCH", "main")
        .args(["run", "x"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let commit = git(&pod.work(), &["rev-parse", "HEAD"]);
    let expected = [
        "branch: work".to_owned(),
        format!("commit: {commit}"),
        "base-branch: main".to_owned(),
        "cost-usd: 0.012224".to_owned(),
        "input-tokens: 2001".to_owned(),
        "output-tokens: 101".to_owned(),
    ];
    let log = String::from_utf8(output.stdout).unwrap();
    let recorded = fs::read_to_string(stream("")).unwrap();
    assert_eq!(log, recorded + &outputs::marker_block(&expected));
    let report = pod.report();
    assert_eq!(report.outputs, expected);
    assert_eq!((report.is_final, report.reason), (true, None));
    assert_eq!(report.usage.cache_read_tokens, Some(1000));
    assert_eq!(git(&pod.work(), &["status", "--porcelain"]), "");
}

#[test]
fn a_good_run_tells_what_it_has_not_pushed() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; git checkout -q -b work; git commit -q --allow-empty -m x; $PUSH; cat '{}'",
        stream("")
    ));
    let remote = pod.dir("remote.git");
    fs::create_dir(&remote).unwrap();
    git(&remote, &["init", "-q", "--bare", "-b", "main"]);
    git(&pod.work(), &["init", "-q", "-b", "main"]);
    git(&pod.work(), &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(
        &pod.work(),
        &["remote", "add", "origin", remote.to_str().unwrap()],
    );
    git(&pod.work(), &["push", "-q", "origin", "main"]);
    for (push, told) in [("true", true), ("git push -q origin work", false)] {
        git(&pod.work(), &["checkout", "-q", "main"]);
        let _ = Command::new("git")
            .current_dir(pod.work())
            .args(["branch", "-q", "-D", "work"])
            .output();
        let output = pod
            .command()
            .args(["run", "x"])
            .env("PUSH", push)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8(output.stderr).unwrap();
        let line = "commits on branch work that were not pushed and end with the pod: 1\n";
        assert_eq!(log.contains(line), told, "{push}: {log}");
    }
}

#[test]
fn a_prompt_that_begins_with_a_slash_is_a_prompt_unless_the_repository_has_such_a_command() {
    let pod = Pod::new(&format!("cat > got; cat '{}'", stream("")));
    let run = |prompt: &str| {
        assert!(pod.command().args(["run", prompt]).status().unwrap().success());
        fs::read_to_string(pod.dir("got")).unwrap()
    };
    assert_eq!(run("/fix-issue 12"), " /fix-issue 12");
    fs::create_dir_all(pod.work().join(".claude/commands")).unwrap();
    fs::write(pod.work().join(".claude/commands/fix-issue.md"), "Fix it").unwrap();
    assert_eq!(run("/fix-issue 12"), "/fix-issue 12");
    assert_eq!(run("/login returns 500"), " /login returns 500");
    let mut command = pod.command();
    command.args(["run", "/fix-issue 12"]).env("AXON_TRUST", "Base");
    assert!(command.status().unwrap().success());
    assert_eq!(fs::read_to_string(pod.dir("got")).unwrap(), " /fix-issue 12");
}

/// Makes a repository with one commit on the branch `work`, and returns that.
fn repository(pod: &Pod) -> String {
    git(&pod.work(), &["init", "-q", "-b", "work"]);
    git(&pod.work(), &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&pod.work(), &["rev-parse", "HEAD"])
}

/// A pull request as `gh pr list --json` prints it.
fn pull(number: u32, is_cross_repository: bool, commit: &str) -> String {
    format!(
        r#"{{"url":"https://h/pull/{number}","isCrossRepository":{is_cross_repository},"headRefOid":"{commit}",
            "headRepository":{{"id":"R_1","name":"repo"}},"headRepositoryOwner":{{"id":"U_1","login":"o{number}"}}}}"#
    )
}

#[test]
fn pull_requests_come_from_gh_when_there_is_a_token() {
    let pod = Pod::new(&format!("cat '{}'", stream("")));
    let commit = repository(&pod);
    let pulls = [
        pull(1, false, &commit),
        pull(2, true, &commit),
        pull(3, false, &"0".repeat(40)),
    ]
    .join(",");
    pod.program(
        "gh",
        &format!("test \"$1 $2 $3 $4\" = 'pr list --head work' && echo '[{pulls}]'"),
    );
    // As in our images: not where an agent could write.
    let bin = pod.dir("bin");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o555)).unwrap();
    let with = |token: &str| {
        let output = pod.command().env("GH_TOKEN", token).args(["run", "x"]).output();
        assert!(output.unwrap().status.success());
        pod.report().outputs
    };
    // Not the one of a fork, and not the one with other commits.
    assert_eq!(
        with("token-token")[..3],
        [
            "branch: work",
            "pr: https://h/pull/1",
            &format!("commit: {commit}")
        ]
    );
    assert!(!with("").iter().any(|line| line.starts_with("pr")));
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn failures_have_a_code_a_reason_and_evidence_without_secrets() {
    let killed = "cat >/dev/null; kill -9 $$".to_owned();
    let replay = |name: &str, code: i32| format!("cat >/dev/null; cat '{}'; exit {code}", stream(name));
    for (script, code, reason, message) in [
        (
            replay(".error401", 1),
            1,
            TaskReason::AuthFailed,
            "Invalid API key · Fix external API key",
        ),
        (
            replay(".error429", 0),
            1,
            TaskReason::RateLimited,
            "API Error: Request rejected (429) · slow down",
        ),
        (
            "echo 'no: sk-secret-value' >&2; exit 3".into(),
            3,
            TaskReason::AgentError,
            "claude exited with code 3: no: ***",
        ),
        (
            "printf 'no line end'".into(),
            1,
            TaskReason::AgentError,
            "claude ended without a result",
        ),
        (killed, 137, TaskReason::AgentError, "claude was ended by SIGKILL"),
    ] {
        let pod = Pod::new(&script);
        let output = pod
            .command()
            .env("ANTHROPIC_API_KEY", "sk-secret-value")
            .env("AXON_BASE_BRANCH", "main")
            .args(["run", "x"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}");
        let report = pod.report();
        assert_eq!(
            (report.reason, report.message.as_deref()),
            (Some(reason), Some(message))
        );
        assert!(report.is_final);
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(
            format!("\n{log}").contains(&format!("\n{}\n", outputs::MARKER_START)),
            "{log}"
        );
    }
}

#[test]
fn what_can_t_run_is_an_invalid_configuration() {
    let pod = Pod::new("exit 0");
    let fault = |mut command: Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(pod.report().reason, Some(TaskReason::InvalidConfig));
        pod.report().message.unwrap()
    };
    let mut command = pod.command();
    command.args(["run"]);
    assert!(fault(command).starts_with("the prompt is empty"));
    let mut command = pod.command();
    command.args(["run", "x"]).env("AXON_AGENT_TYPE", "nonsense");
    assert_eq!(
        fault(command),
        "agent type nonsense is not supported by this image"
    );
    let mut command = pod.command();
    let servers = r#"{"mcpServers":{"tickets":{"type":"stdio","command":"no-such-npx"}}}"#;
    command.args(["run", "x"]).env("AXON_MCP_SERVERS", servers);
    let message = fault(command);
    assert!(
        message.contains("\"tickets\"") && message.contains("no-such-npx"),
        "{message}"
    );
    let mut command = pod.command();
    command.args(["run", "x"]).env("PATH", "/nowhere");
    assert!(fault(command).starts_with("can't start claude"));
}

#[test]
fn a_malformed_key_starts_nothing_and_its_variable_is_named() {
    for (key, part) in [
        (
            "export ANTHROPIC_API_KEY=sk-ant-api03-sesame-sesame",
            "the name of a variable",
        ),
        ("ANTHROPIC_API_KEY", "the name of a variable"),
        ("${ANTHROPIC_API_KEY}", "a reference"),
        (" \n", "is empty"),
    ] {
        let pod = Pod::new("touch started");
        let output = pod
            .command()
            .args(["run", "x"])
            .env("ANTHROPIC_API_KEY", key)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let report = pod.report();
        assert_eq!(report.reason, Some(TaskReason::InvalidConfig), "{text}");
        let message = report.message.unwrap();
        assert!(
            message.starts_with("ANTHROPIC_API_KEY ") && message.contains(part),
            "{message}"
        );
        assert!(text.contains(&message) && !text.contains("sesame"), "{text}");
        assert!(!pod.dir("started").exists(), "{key}");
    }
}

#[test]
fn configuration_goes_to_the_home_directory_and_empty_credentials_go_away() {
    let pod = Pod::new(&format!(
        "cat >/dev/null; env > seen; printf '%s\\n' \"$@\" > args; cat '{}'",
        stream("")
    ));
    fs::create_dir_all(pod.dir("plugins/team")).unwrap();
    let output = pod
        .command()
        .args(["run", "x"])
        .env("ANTHROPIC_API_KEY", "")
        .env("ANTHROPIC_AUTH_TOKEN", "of-a-gateway")
        .env("AXON_AGENTS_MD", "be kind")
        .env("AXON_MCP_SERVERS", "{\"mcpServers\":{\"a\":{}}}")
        .env("AXON_PLUGIN_DIR", pod.dir("plugins"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = fs::read_to_string(pod.dir("seen")).unwrap();
    assert!(!seen.contains("ANTHROPIC_API_KEY"));
    assert!(seen.contains("DISABLE_AUTOUPDATER=1"));
    let args = fs::read_to_string(pod.dir("args")).unwrap();
    assert!(args.contains("--plugin-dir") && args.contains("plugins/team") && args.ends_with("-p\n"));
    assert!(args.contains("--mcp-config") && args.contains("--strict-mcp-config"));
    assert_eq!(
        fs::read_to_string(pod.dir("home/.claude/CLAUDE.md")).unwrap(),
        "be kind"
    );
    assert!(pod.dir("home/.claude/axon-mcp.json").is_file());
}

#[test]
fn credentials_lose_the_line_break_that_files_end_with() {
    let pod = Pod::new(&format!("cat >/dev/null; env > seen; cat '{}'", stream("")));
    let commit = repository(&pod);
    pod.program(
        "gh",
        &format!(
            "test \"$GH_TOKEN\" = ghp_1 && echo '[{}]'",
            pull(1, false, &commit)
        ),
    );
    let output = pod
        .command()
        .args(["run", "x"])
        .envs([
            ("GITHUB_TOKEN", "ghp_1\n"),
            ("GH_TOKEN", "ghp_1\r\n"),
            ("ANTHROPIC_API_KEY", "sk-1\n"),
            ("GH_ENTERPRISE_TOKEN", "two\nlines"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = format!("\n{}", fs::read_to_string(pod.dir("seen")).unwrap());
    for line in [
        "GITHUB_TOKEN=ghp_1",
        "GH_TOKEN=ghp_1",
        "ANTHROPIC_API_KEY=sk-1",
        "GH_ENTERPRISE_TOKEN=two\nlines",
    ] {
        assert!(seen.contains(&format!("\n{line}\n")), "{line}: {seen}");
    }
    assert!(!seen.contains("ghp_1\r") && !seen.contains("\n\n"), "{seen}");
    assert!(pod.report().outputs.contains(&"pr: https://h/pull/1".to_owned()));
}

#[test]
fn a_closed_log_does_not_end_the_run() {
    let recorded = stream("");
    let pod = Pod::new(&format!(
        "cat >/dev/null; for i in $(seq 200); do cat '{recorded}'; done; echo > done"
    ));
    let mut child = pod
        .command()
        .args(["run", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(pod.dir("work/done").exists());
    assert_eq!(pod.report().reason, None);
}

/// Hands a pod to the user that images run as, and returns a copy of the program that this user can start. Root reads all
/// processes, so the test would pass for the wrong reason, or fail for one.
fn as_agent_user(pod: &Pod) -> Command {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    const UID: u32 = 61100;
    let program = pod.dir("axon-agent");
    fs::copy(env!("CARGO_BIN_EXE_axon-agent"), &program).unwrap();
    let mut command = pod.dress(Command::new(&program));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        let mut all = vec![pod.root().to_owned()];
        while let Some(path) = all.pop() {
            std::os::unix::fs::chown(&path, Some(UID), Some(UID)).unwrap();
            if path.is_dir() {
                all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        command.uid(UID).gid(UID);
    }
    command
}

#[test]
fn tools_of_the_agent_cannot_read_this_program_or_write_its_log() {
    let ended = fs::read_to_string(stream("")).unwrap();
    let pod = Pod::new(
        r#"cat >/dev/null; id -u > uid; P=$PPID; tr '\0' ' ' < /proc/$P/cmdline > parent
        sleep 60 & echo "$!" > child
        for p in "$P" "$!"; do
            : > "open-$p"
            head -c 1 /proc/$p/environ > /dev/null 2>&1 && echo environ >> "open-$p"
            ls /proc/$p/fd/ > /dev/null 2>&1 && echo fd >> "open-$p"
            (exec 3< /proc/$p/mem) 2> /dev/null && echo mem >> "open-$p"
            (exec 3< /proc/$p/maps) 2> /dev/null && head -c 1 /proc/$p/maps > /dev/null 2>&1 && echo maps >> "open-$p"
        done
        (printf 'forged\n' > /proc/$P/fd/1) 2> /dev/null
        (printf 'forged\n' > /proc/$P/fd/2) 2> /dev/null
        echo "$P" > parent-pid; cat ended"#,
    );
    fs::write(pod.work().join("ended"), ended).unwrap();
    let output = as_agent_user(&pod)
        .args(["run", "x"])
        .env("GITHUB_TOKEN", "ghp_0123456789")
        .output()
        .expect("the test needs a user that is not root: run it as root, or as any other user");
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| fs::read_to_string(pod.dir(name)).unwrap().trim().to_owned();
    assert_ne!(read("uid"), "0");
    assert!(read("parent").contains("axon-agent run"), "{}", read("parent"));
    let opened = |pid: &str| read(&format!("open-{}", read(pid)));
    assert_eq!(opened("parent-pid"), "", "of this program");
    // What a process of the same user may read otherwise: without this, the test could not fail.
    let child = opened("child");
    assert!(
        child.contains("environ") && child.contains("fd") && child.contains("maps"),
        "{child}"
    );
    let log = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(!log.concat().contains("forged"), "{log:?}");
    // Its own files and its children work as before.
    assert!(pod.report().is_final);
    assert_eq!(pod.report().usage.cost_usd.as_deref(), Some("0.012224"));
}

#[test]
fn a_forged_result_lowers_no_figure() {
    let pod = Pod::new(&format!(
        r#"cat >/dev/null; cat '{}'; printf '%s\n' '{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"total_cost_usd":0,"usage":{{"input_tokens":1,"output_tokens":1}},"result":"ok"}}'"#,
        stream("")
    ));
    let output = pod.command().args(["run", "x"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let usage = pod.report().usage;
    assert_eq!(
        (usage.cost_usd.as_deref(), usage.input_tokens),
        (Some("0.012224"), Some(2001))
    );
}
