//! `axon-agent workspace` with real git against a real server.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::fs;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use axon_agent::workspace::remote::Remote;
use axon_api::TaskReason;
use support::server::{Server, cloned, refused, workspace};
use support::{Pod, credential_fill, git};

fn head(repo: &Path) -> String {
    git(repo, &["rev-parse", "HEAD"])
}

fn branch(repo: &Path) -> String {
    git(repo, &["rev-parse", "--abbrev-ref", "HEAD"])
}

#[test]
fn every_kind_of_ref_is_checked_out() {
    let server = Server::start();
    let (two, first) = (server.id("v1^{commit}"), server.id("main~2"));
    for (reference, commit, on) in [
        (None, "main", "main"),
        (Some("main"), "main", "main"),
        (Some("topic"), "topic", "topic"),
        (Some("refs/heads/topic"), "topic", "topic"),
        (Some("v1"), "v1^{commit}", "HEAD"),
        (Some(two.as_str()), "v1^{commit}", "HEAD"),
        (Some(&first[..10]), "main~2", "HEAD"),
    ] {
        let pod = Pod::new("");
        let pairs: Vec<_> = reference
            .map(|name| ("AXON_BASE_BRANCH", name))
            .into_iter()
            .collect();
        let (repo, text) = cloned(&pod, &server, &pairs);
        assert_eq!(head(&repo), server.id(commit), "{reference:?}");
        assert_eq!(branch(&repo), on, "{reference:?}");
        assert_eq!(git(&repo, &["status", "--porcelain"]), "");
        assert!(text.contains("cloned in "), "{text}");
        if on != "HEAD" {
            let upstream = git(&repo, &["rev-parse", "--abbrev-ref", "@{upstream}"]);
            assert_eq!(upstream, format!("origin/{on}"));
            assert_eq!(git(&repo, &["rev-list", "--count", "HEAD"]), "1");
        }
        if reference.is_none() {
            let default = git(&repo, &["symbolic-ref", "refs/remotes/origin/HEAD"]);
            assert_eq!(default, "refs/remotes/origin/main");
        }
    }
}

#[test]
fn a_server_that_gives_out_no_single_commit_gives_all() {
    let server = Server::start();
    let pod = Pod::new("");
    // Version 0 of the protocol serves advertised refs only.
    fs::write(pod.dir("home/.gitconfig"), "[protocol]\nversion = 0\n").unwrap();
    let first = server.id("main~2");
    let (repo, text) = cloned(&pod, &server, &[("AXON_BASE_BRANCH", &first)]);
    assert_eq!(head(&repo), first);
    assert!(text.contains("fetching all"), "{text}");
}

#[test]
fn a_new_branch_starts_at_the_ref_and_can_be_pushed() {
    let server = Server::start();
    let pod = Pod::new("");
    let pairs = [("AXON_BRANCH", "axon/new"), ("AXON_BASE_BRANCH", "topic")];
    let (repo, text) = cloned(&pod, &server, &pairs);
    assert_eq!(
        (branch(&repo), head(&repo)),
        ("axon/new".into(), server.id("topic"))
    );
    assert!(text.contains("created from"), "{text}");
    fs::write(repo.join("more"), "x").unwrap();
    git(&repo, &["add", "."]);
    let author = Command::new("git")
        .current_dir(&repo)
        .args(["commit", "-q", "-m", "more"])
        .env("HOME", "/nowhere")
        .status();
    assert!(author.unwrap().success());
    assert_eq!(
        git(&repo, &["log", "-1", "--format=%an <%ae>"]),
        "axon-agent <axon-agent@users.noreply.axon.io>"
    );
    git(&repo, &["push", "-q", "origin", "axon/new"]);
    git(&repo, &["diff", "--quiet", "origin/topic", "HEAD~1"]);

    let next = Pod::new("");
    let (again, text) = cloned(
        &next,
        &server,
        &[
            ("AXON_BRANCH", "axon/new"),
            ("AXON_BASE_BRANCH", "main"),
            // The default branch is not fetched once more, which would cut its history off.
            ("AXON_TRUST", "Base"),
        ],
    );
    assert_eq!((branch(&again), head(&again)), ("axon/new".into(), head(&repo)));
    assert!(text.contains("continuing at"), "{text}");
    assert_eq!(
        git(&again, &["rev-parse", "--abbrev-ref", "@{upstream}"]),
        "origin/axon/new"
    );
    // Where the branch left its base is there, so that only its own work shows.
    let changes = git(&again, &["log", "--format=%s", "origin/main..HEAD"]);
    assert_eq!(changes, "more\ntopic two\ntopic one");
    assert_eq!(
        git(&again, &["merge-base", "origin/main", "HEAD"]),
        server.id("main~2")
    );
}

/// Runs `axon-agent` in the clone with an agent that is this script and does not end well.
fn run_and_fail(repo: &Path, branch: &str, script: &str) -> (String, String) {
    let pod = Pod::new(&format!("cat >/dev/null; {script}; echo broken >&2; exit 3"));
    let output = pod
        .command()
        .current_dir(repo)
        .args(["run", "x"])
        .env("AXON_BRANCH", branch)
        .env("AXON_REPO", git(repo, &["remote", "get-url", "origin"]))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report = pod.report();
    assert_eq!(report.reason, Some(TaskReason::AgentError));
    (report.message.unwrap(), report.outputs.join("\n"))
}

#[test]
fn a_failed_run_saves_what_it_has_committed_and_nothing_else_wherever_its_branch_began() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    let there = || git(&remote, &["branch", "--format=%(refname:short)"]);
    let two = server.id("v1^{commit}");
    for (n, reference) in [("1", "v1"), ("2", two.as_str()), ("3", "topic")] {
        let pod = Pod::new("");
        let branch = format!("axon/{n}");
        let pairs = [("AXON_BRANCH", branch.as_str()), ("AXON_BASE_BRANCH", reference)];
        let (repo, _) = cloned(&pod, &server, &pairs);
        let (message, _) = run_and_fail(&repo, &branch, "true");
        assert_eq!(message, "claude exited with code 3: broken", "{reference}");
        assert!(!there().contains(&branch), "{reference}: nothing was done");

        let commit = "echo x > new; git add new; git commit -qm new";
        let (message, outputs) = run_and_fail(&repo, &branch, commit);
        let saved = format!("claude exited with code 3: broken; new commits pushed to {branch}: 1");
        assert_eq!(message, saved, "{reference}");
        assert!(outputs.contains(&format!("commit: {}", head(&repo))), "{outputs}");
        // Once more, as the next attempt does: it goes on from there and finds nothing to save.
        let next = Pod::new("");
        let (again, text) = cloned(&next, &server, &pairs);
        assert!(text.contains("continuing at"), "{text}");
        assert_eq!(head(&again), head(&repo));
        let (message, _) = run_and_fail(&again, &branch, "true");
        assert_eq!(message, "claude exited with code 3: broken");
    }
    // What somebody else has pushed meanwhile is never overwritten.
    let pod = Pod::new("");
    let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", "axon/1")]);
    let theirs = server.id("lone");
    git(&remote, &["update-ref", "refs/heads/axon/1", &theirs]);
    let commit = "echo y > new; git add new; git commit -qm mine";
    let (message, _) = run_and_fail(&repo, "axon/1", commit);
    assert!(
        message.contains("new commits on axon/1 could not be pushed: 1"),
        "{message}"
    );
    assert_eq!(git(&remote, &["rev-parse", "axon/1"]), theirs);
}

#[test]
fn any_other_branch_can_be_fetched_by_its_name() {
    let server = Server::start();
    let pod = Pod::new("");
    let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", "axon/new")]);
    git(&repo, &["fetch", "-q", "--depth=1", "origin", "topic"]);
    assert_eq!(git(&repo, &["rev-parse", "origin/topic"]), server.id("topic"));
    git(&repo, &["checkout", "-q", "topic"]);
    assert_eq!((branch(&repo), head(&repo)), ("topic".into(), server.id("topic")));
    git(&repo, &["fetch", "-q", "origin"]);
    assert_eq!(git(&repo, &["rev-parse", "origin/lone"]), server.id("lone"));
    git(&repo, &["checkout", "-q", "axon/new"]);
}

#[test]
fn a_branch_that_is_the_ref_and_one_without_common_history() {
    let server = Server::start();
    let pod = Pod::new("");
    let (repo, _) = cloned(
        &pod,
        &server,
        &[("AXON_BRANCH", "topic"), ("AXON_BASE_BRANCH", "topic")],
    );
    assert_eq!((branch(&repo), head(&repo)), ("topic".into(), server.id("topic")));
    // Once more, over what is there.
    let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", "lone")]);
    assert_eq!((branch(&repo), head(&repo)), ("lone".into(), server.id("lone")));
}

#[test]
fn an_empty_repository_is_a_start_too() {
    let server = Server::start();
    let pod = Pod::new("");
    let url = server.url().replace("repo.git", "empty.git");
    let output = workspace(&pod, &url, &[("AXON_BRANCH", "first")]);
    assert!(output.status.success(), "{output:?}");
    let repo = pod.dir("repo");
    assert_eq!(git(&repo, &["symbolic-ref", "HEAD"]), "refs/heads/first");
}

#[test]
fn failures_name_what_was_wanted() {
    let server = Server::start();
    let pod = Pod::new("");
    let absent = "ffffffffffffffffffffffffffffffffffffffff";
    for name in ["gone", "refs/heads/gone", absent, "fffffff"] {
        let (reason, message) = refused(&pod, &server.url(), &[("AXON_BASE_BRANCH", name)]);
        assert_eq!(reason, TaskReason::CloneFailed);
        assert!(
            message.contains(name) && message.contains(&server.url()),
            "{message}"
        );
    }
    let (reason, message) = refused(&pod, &server.url().replace("repo", "other"), &[]);
    assert_eq!(reason, TaskReason::CloneFailed);
    assert!(message.contains("not exported"), "{message}");
    for (pairs, part) in [
        (("AXON_BRANCH", "a..b"), "a..b"),
        (("AXON_BASE_BRANCH", "--upload-pack=x"), "--upload-pack"),
    ] {
        let (reason, message) = refused(&pod, &server.url(), &[pairs]);
        assert_eq!(reason, TaskReason::InvalidConfig);
        assert!(message.contains(part), "{message}");
    }
    let (reason, message) = refused(&pod, "https://user:secret-word@/x", &[]);
    assert_eq!(reason, TaskReason::InvalidConfig);
    assert!(!message.contains("secret-word"), "{message}");
}

#[test]
fn an_unreachable_server_is_tried_again_and_no_secret_shows() {
    let pod = Pod::new("");
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://bot@127.0.0.1:{port}/o/r.git");
    let output = workspace(&pod, &url, &[("GITHUB_TOKEN", "ghp_sesame_sesame")]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.matches("trying again in").count(), 3, "{text}");
    let report = pod.report();
    assert_eq!(report.reason, Some(TaskReason::CloneFailed));
    let message = pod.message();
    // Once, after the last try.
    assert_eq!(text.matches("service mesh").count(), 1, "{text}");
    assert!(message.contains("docs/pipelines.md"), "{message}");
    assert!(!text.contains("sesame") && !message.contains("sesame"), "{text}");
}

#[test]
fn files_and_plugins_are_written() {
    let server = Server::start();
    let pod = Pod::new("");
    let input = pod.work();
    let files = r#"[{"path":"docs/NOTE.md","content":"hi\n"},{"path":"file","content":"$(X) `id`"}]"#;
    fs::write(input.join("files.json"), files).unwrap();
    let plugins = r#"[{"name":"team","skills":[{"name":"deploy","content":"S"}],"agents":[{"name":"rev","content":"A"}]}]"#;
    fs::write(input.join("plugins.json"), plugins).unwrap();
    let pairs = [("AXON_INPUT_DIR", input.to_str().unwrap())];
    let (repo, _) = cloned(&pod, &server, &pairs);
    assert_eq!(fs::read_to_string(repo.join("docs/NOTE.md")).unwrap(), "hi\n");
    assert_eq!(fs::read_to_string(repo.join("file")).unwrap(), "$(X) `id`");
    let plugin = |path: &str| fs::read_to_string(pod.plugin_dir().join(path)).unwrap();
    assert_eq!(plugin("team/skills/deploy/SKILL.md"), "S");
    assert_eq!(plugin("team/agents/rev.md"), "A");

    for (key, text, part) in [
        (
            "files.json",
            r#"[{"path":".git/hooks/x","content":""}]"#,
            ".git/hooks/x",
        ),
        ("files.json", "{", "files.json"),
        ("plugins.json", r#"[{"name":"../x"}]"#, "../x"),
    ] {
        let good = fs::read_to_string(input.join(key)).unwrap();
        fs::write(input.join(key), text).unwrap();
        let (reason, message) = refused(&pod, &server.url(), &pairs);
        assert_eq!(reason, TaskReason::InvalidConfig);
        assert!(message.contains(part), "{message}");
        fs::write(input.join(key), good).unwrap();
    }
}

#[test]
fn without_a_repository_there_is_no_clone() {
    let pod = Pod::new("");
    let output = pod.command().arg("workspace").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!pod.dir("repo").exists());
}

#[test]
fn the_clone_s_helper_answers_git_for_its_host_only_with_and_without_us() {
    let with_us = Pod::new("");
    let program = Path::new(env!("CARGO_BIN_EXE_axon-agent"));
    std::os::unix::fs::symlink(program, with_us.dir("bin").join("axon-agent")).unwrap();
    for (pod, url, user) in [
        (&with_us, "https://h:8443/o/r", "x-access-token"),
        (&with_us, "https://bot@h:8443/o/r", "bot"),
        (&Pod::new(""), "https://h:8443/o/r", "x-access-token"),
        (&Pod::new(""), "https://bot@h:8443/o/r", "bot"),
    ] {
        let remote = Remote::parse(url, true).unwrap();
        let fill_with = |url: &str, token: &str| {
            let mut git = pod.dress(Command::new("git"));
            git.env("GITHUB_TOKEN", token)
                .env("AXON_GITHUB_TOKEN_FILE", pod.work().join("token"))
                .args(["-c", "credential.helper=!echo password=stored; true"]);
            credential_fill(git, &remote.credential, url)
        };
        let fill = |url: &str| fill_with(url, "tok\\n %s")[0].clone();
        let answer = fill(url);
        assert!(answer.contains(&format!("username={user}\n")), "{answer}");
        assert!(answer.contains("password=tok\\n %s\n"), "{answer}");
        for other in ["https://h/o/r", "http://h:8443/o/r", "https://evil.example/o/r"] {
            assert!(!fill(other).contains("tok"), "{other}");
        }
        // Files that became Secrets end with a line break, which belongs to no token; one in the middle is a mistake.
        for around in ["tok\n", "tok\r\n"] {
            let [answer, _] = fill_with(url, around);
            assert!(answer.contains("password=tok\n"), "{answer}");
        }
        let [answer, said] = fill_with(url, "tok\nhost=evil.example\n");
        assert!(!answer.contains("tok") && !answer.contains("evil"), "{answer}");
        assert!(said.contains("has a line break in its middle"), "{said}");
        // The token of a GitHub App is renewed while the agent works.
        for renewed in ["ghs_second", "ghs_third"] {
            fs::write(pod.work().join("token"), format!("{renewed}\n")).unwrap();
            let answer = fill(url);
            assert!(answer.contains(&format!("password={renewed}\n")), "{answer}");
        }
        fs::remove_file(pod.work().join("token")).unwrap();
    }
}

#[test]
fn a_branch_that_can_not_be_pushed_is_refused_before_the_agent_is_paid() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    for (there, wanted) in [("axon", "axon/fix-1"), ("axon/fix-2/old", "axon/fix-2")] {
        git(&remote, &["branch", there, "main"]);
        let pod = Pod::new("");
        let report = refused(&pod, &server.url(), &[("AXON_BRANCH", wanted)]);
        assert_eq!(report.0, TaskReason::InvalidConfig, "{}", report.1);
        assert!(
            report.1.contains(there) && report.1.contains("spec.branch"),
            "{}",
            report.1
        );
        git(&remote, &["branch", "-q", "-D", there]);
        let pod = Pod::new("");
        let (repo, _) = cloned(&pod, &server, &[("AXON_BRANCH", wanted)]);
        assert_eq!(branch(&repo), wanted);
    }
}

#[test]
fn a_head_that_points_nowhere_is_no_empty_repository() {
    let server = Server::start();
    let remote = server.root.path().join("repo.git");
    git(&remote, &["symbolic-ref", "HEAD", "refs/heads/gone"]);
    let pod = Pod::new("");
    let report = refused(&pod, &server.url(), &[("AXON_BRANCH", "axon/fix-1")]);
    assert_eq!(report.0, TaskReason::CloneFailed, "{}", report.1);
    assert!(
        report.1.contains("topic") && report.1.contains("main") && report.1.contains("spec.ref"),
        "{}",
        report.1
    );
    assert!(
        report
            .1
            .contains("points to a branch that is not there (it has lone, main, topic)"),
        "{}",
        report.1
    );
    // What the Task names is there.
    for pair in [("AXON_BASE_BRANCH", "topic"), ("AXON_BRANCH", "topic")] {
        let pod = Pod::new("");
        let (repo, _) = cloned(&pod, &server, &[pair]);
        assert_eq!(branch(&repo), "topic");
    }
}

#[test]
fn a_repository_without_a_branch_is_empty_only_without_any_ref() {
    for kept in ["refs/tags/v1", "refs/pull/7/head"] {
        let server = Server::start();
        let remote = server.root.path().join("repo.git");
        git(&remote, &["update-ref", kept, "main"]);
        let all = git(&remote, &["for-each-ref", "--format=%(refname)"]);
        for name in all.lines().filter(|name| *name != kept) {
            git(&remote, &["update-ref", "-d", name]);
        }
        let pod = Pod::new("");
        let (reason, message) = refused(&pod, &server.url(), &[("AXON_BRANCH", "axon/fix-1")]);
        assert_eq!(reason, TaskReason::CloneFailed, "{message}");
        let shown = kept.trim_start_matches("refs/tags/");
        assert!(
            message.contains(&format!("it has {shown})")) && message.contains("spec.ref"),
            "{message}"
        );
        // What the message names is a ref to start from.
        let pod = Pod::new("");
        let pairs = [("AXON_BRANCH", "axon/fix-1"), ("AXON_BASE_BRANCH", shown)];
        let (repo, _) = cloned(&pod, &server, &pairs);
        assert!(repo.join("file").exists());
    }
}

#[test]
fn a_host_without_credentials_and_a_full_name_of_a_branch_are_told_of() {
    let server = Server::read_only();
    let pod = Pod::new("");
    let (_, text) = cloned(&pod, &server, &[("AXON_BRANCH", "refs/heads/q")]);
    assert!(
        text.contains("use an https:// or ssh:// URL") && !text.contains("token"),
        "{text}"
    );
    assert!(text.contains("refs/heads/refs/heads/q: write \"q\""), "{text}");
    for off in ["off", "No"] {
        let pod = Pod::new("");
        let (_, text) = cloned(&pod, &server, &[("AXON_BRANCH", "q"), ("AXON_PUSH_CHECK", off)]);
        assert!(!text.contains("warning: "), "{text}");
    }
    let (reason, message) = refused(&Pod::new(""), &server.url(), &[("AXON_PUSH_CHECK", "disabled")]);
    assert_eq!(reason, TaskReason::InvalidConfig);
    assert!(message.contains("AXON_PUSH_CHECK"), "{message}");
}

#[test]
fn large_files_are_told_of_wherever_they_are_set_up() {
    let attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n";
    let wide: Vec<u8> = attributes.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let broken = [b"# caf\xe9\n", attributes.as_bytes()].concat();
    for (path, content, told) in [
        (".gitattributes", attributes.as_bytes(), true),
        ("art/textures/.gitattributes", attributes.as_bytes(), true),
        ("art/.gitattributes", &broken, true),
        ("art/.gitattributes", &wide, true),
        ("art/notes", attributes.as_bytes(), false),
        ("art/.gitattributes", b"*.bin -text\n", false),
        (".gitattributes", b"  # we do not use filter=lfs here\n", false),
    ] {
        let server = Server::start();
        let seed = server.root.path().join("seed");
        let file = seed.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        git(&seed, &["add", "."]);
        git(&seed, &["commit", "-q", "-m", "large files"]);
        git(&seed, &["push", "-q", "../repo.git", "HEAD:refs/heads/large"]);
        let pod = Pod::new("");
        let (_, text) = cloned(&pod, &server, &[("AXON_BASE_BRANCH", "large")]);
        assert_eq!(text.contains("Git LFS"), told, "{path}: {text}");
    }
}

/// Git runs it as `ssh`: the near end of the connection is real, and so is the far one as far as the key may go.
const SSH: &str = r#"for last; do :; done
case "$last" in
    *git-receive-pack*) test -z "$REFUSAL" || { printf '%s\n' "$REFUSAL" >&2; exit 1; } ;;
esac
cd "$SERVER" && exec sh -c "$(printf %s "$last" | sed "s|'/|'|")""#;

#[test]
fn a_key_that_can_only_read_is_told_before_the_agent_is_paid() {
    let server = Server::start();
    let root = server.root.path().to_str().unwrap();
    let branch = ("AXON_BRANCH", "axon/new");
    for (refusal, reason) in [
        (
            "ERROR: The key you are authenticating with has been marked as read only.",
            Some(TaskReason::AuthFailed),
        ),
        (
            "ERROR: Permission to o/r.git denied to deploy key",
            Some(TaskReason::AuthFailed),
        ),
        (
            "ERROR: This repository was archived so it is read-only.",
            Some(TaskReason::CloneFailed),
        ),
        (
            "Unauthorized use is prohibited.\nConnection closed by 192.0.2.1 port 22",
            None,
        ),
    ] {
        let pod = Pod::new("");
        pod.program("ssh", SSH);
        let pairs = [("SERVER", root), ("REFUSAL", refusal), branch];
        let url = "ssh://git@git.example/repo.git";
        if let Some(reason) = reason {
            assert!(!workspace(&pod, url, &pairs).status.success());
            let report = pod.report();
            let message = report.message.unwrap();
            assert_eq!(report.reason, Some(reason), "{message}");
            assert!(
                message.contains(refusal) && message.contains("axon/new"),
                "{message}"
            );
            assert!(message.contains("AXON_PUSH_CHECK=off"), "{message}");
            assert!(!pod.dir("repo").join("file").exists(), "{message}");
        }
        let pairs = if reason.is_some() { &pairs[..2] } else { &pairs };
        let output = workspace(&pod, url, pairs);
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && log.contains("warning: "), "{log}");
        assert!(log.contains(refusal.lines().last().unwrap()), "{log}");
    }
    let pod = Pod::new("");
    pod.program("ssh", SSH);
    let url = "git@git.example:repo.git";
    let output = workspace(&pod, url, &[("SERVER", root), ("REFUSAL", ""), branch]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !log.contains("warning: "), "{log}");
}

#[test]
fn rules_of_github_for_the_branch_are_told_and_fail_nothing() {
    let server = Server::start();
    for (curl, found) in [
        (
            r#"cat > "$HOME/config"; echo "$*" > "$HOME/args"; echo '[{"type":"pull_request"}]'; echo '{"protected":true}'"#,
            Some("branch protection, pull_request"),
        ),
        ("cat >/dev/null; echo '[]'; exit 22", None),
        ("sleep 60", None),
    ] {
        let pod = Pod::new("");
        pod.program("curl", curl);
        let here = server.url().replace("repo.git", "");
        let near = format!("[url \"{here}\"]\n\tinsteadOf = https://github.com/o/\n");
        fs::write(pod.dir("home/.gitconfig"), near).unwrap();
        let pairs = [("AXON_BRANCH", "topic"), ("GITHUB_TOKEN", "ghp_sesame_sesame")];
        let output = workspace(&pod, "https://github.com/o/repo.git", &pairs);
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        assert_eq!(log.contains("warning: "), found.is_some(), "{log}");
        let Some(found) = found else { continue };
        assert!(
            log.contains(&format!(
                "pushes to branch \"topic\" of https://github.com/o/repo.git: {found}"
            )),
            "{log}"
        );
        let read = |name: &str| fs::read_to_string(pod.dir("home").join(name)).unwrap();
        assert!(read("config").contains("Bearer ghp_sesame_sesame") && !read("args").contains("sesame"));
        assert!(read("args").contains("https://api.github.com/repos/o/repo/branches/topic"));
        let pod = Pod::new("");
        pod.program("curl", "echo asked >&2; exit 1");
        fs::write(
            pod.dir("home/.gitconfig"),
            format!("[url \"{here}\"]\n\tinsteadOf = https://git.example/o/\n"),
        )
        .unwrap();
        let output = workspace(&pod, "https://git.example/o/repo.git", &pairs);
        assert!(output.status.success() && !String::from_utf8(output.stderr).unwrap().contains("asked"));
    }
}
