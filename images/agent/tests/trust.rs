//! `axon-agent workspace` for a tree that anybody may have written.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test stops at the fault"
)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::server::{Server, cloned};
use support::{Pod, git};

const PULL: (&str, &str) = ("AXON_BASE_BRANCH", "refs/pull/7/head");
const BASE: (&str, &str) = ("AXON_TRUST", "Base");

fn put(dir: &Path, path: impl AsRef<Path>, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(dir: &Path, path: &str) -> String {
    fs::read_to_string(dir.join(path)).unwrap()
}

/// Replaces the tree of the seed and pushes it.
fn push(server: &Server, to: &str, orphan: bool, write: impl FnOnce(&Path)) {
    let seed = server.root.path().join("seed");
    if orphan {
        git(&seed, &["checkout", "-q", "--orphan", "proposal"]);
    }
    git(&seed, &["rm", "-q", "-r", "-f", "."]);
    write(&seed);
    git(&seed, &["add", "-A", "-f"]);
    git(&seed, &["commit", "-q", "-m", to]);
    let remote = server.root.path().join("repo.git");
    let refs = format!("HEAD:{to}");
    git(&seed, &["push", "-q", "-f", remote.to_str().unwrap(), &refs]);
}

/// A server whose `main` configures agents, and whose pull request 7 does so in every way that it can.
fn hostile(outside: &Path) -> Server {
    let server = Server::start();
    push(&server, "refs/heads/main", false, |dir| {
        put(dir, "CLAUDE.md", "base");
        symlink("CLAUDE.md", dir.join("AGENTS.md")).unwrap();
        symlink("scripts/evil", dir.join("GEMINI.md")).unwrap();
        put(dir, ".claude/settings.json", "base\nbase\n");
        put(dir, ".claude/skills/x/SKILL.md", "base");
        put(dir, ".gemini/settings.json", "base");
        put(dir, ".gemini/commands/x.toml", "base");
        put(dir, ".env", "base");
        for dir_of_both in ["sub", "gone", "link", "file"] {
            put(dir, format!("{dir_of_both}/CLAUDE.md"), "base");
        }
        put(dir, "scripts/evil", "base");
    });
    push(&server, "refs/pull/7/head", true, |dir| {
        put(dir, ".gitattributes", "settings.json text eol=crlf\n");
        put(dir, "CLAUDE.md", "evil");
        put(dir, "AGENTS.md", "evil");
        put(dir, "evil/settings.json", "evil");
        symlink("evil", dir.join(".claude")).unwrap();
        put(dir, ".gemini", "evil");
        put(dir, ".mcp.json", "evil");
        put(dir, ".codex/config.toml", "evil");
        put(dir, "opencode.json", "evil");
        put(dir, ".env", "evil");
        put(dir, "sub/CLAUDE.md", "evil");
        put(dir, "sub/code", "");
        put(dir, "sub/.claude/settings.json", "evil");
        put(dir, format!("{}CLAUDE.md", "d/".repeat(60)), "evil");
        put(dir, OsStr::from_bytes(b"\xff/.claude/settings.json"), "evil");
        put(dir, "new\nline/.claude/settings.json", "evil");
        symlink(outside, dir.join("link")).unwrap();
        put(dir, "file", "");
        put(dir, "scripts/evil", "evil");
        put(dir, "fixtures/.env", "evil");
        put(dir, "src/main.rs", "evil");
    });
    server
}

/// Returns the files of a directory that hold a text, but for git's own.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() || path.ends_with(".git") {
            continue;
        }
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read_to_string(&path).is_ok_and(|content| content == text) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_proposed_tree_is_configured_by_the_default_branch() {
    let outside = tempfile::tempdir().unwrap();
    let server = hostile(outside.path());
    let pod = Pod::new("");
    // Without this the test could not fail: the files are there if the tree is trusted.
    let (repo, text) = cloned(&pod, &server, &[PULL]);
    assert_eq!(holding(&repo, "evil").len(), 16, "{text}");
    assert!(!text.contains("trust"), "{text}");

    let (repo, text) = cloned(&pod, &server, &[PULL, BASE]);
    let evil = [
        "evil/settings.json",
        "fixtures/.env",
        "scripts/evil",
        "src/main.rs",
    ];
    assert_eq!(holding(&repo, "evil"), evil.map(|path| repo.join(path)), "{text}");
    for path in [
        "CLAUDE.md",
        "AGENTS.md",
        ".claude/skills/x/SKILL.md",
        ".gemini/commands/x.toml",
        "sub/CLAUDE.md",
    ] {
        assert_eq!(read(&repo, path), "base", "{path}");
    }
    for path in [
        ".env",
        ".gemini/settings.json",
        "GEMINI.md",
        "gone",
        ".mcp.json",
        "sub/.claude",
    ] {
        assert!(fs::symlink_metadata(repo.join(path)).is_err(), "{path}");
    }
    assert_eq!(read(&repo, ".claude/settings.json"), "base\nbase\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let line = text.lines().find(|line| line.contains("trust Base:")).unwrap();
    for part in [
        "13 paths of the checked-out tree left out (.claude, ",
        "; 6 paths of main in their places (.claude/settings.json, ",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(
        git(&repo, &["rev-parse", "refs/axon/base"]),
        git(&server.root.path().join("repo.git"), &["rev-parse", "main"])
    );
}

#[test]
fn commits_of_the_agent_hold_none_of_it_and_later_checkouts_bring_none() {
    let outside = tempfile::tempdir().unwrap();
    let server = hostile(outside.path());
    for pairs in [
        vec![PULL, BASE],
        vec![PULL, BASE, ("AXON_BRANCH", "axon/7")],
        // A reviewer begins at the default branch.
        vec![BASE],
    ] {
        let pod = Pod::new("");
        let (repo, text) = cloned(&pod, &server, &pairs);
        assert_eq!(git(&repo, &["status", "--porcelain"]), "", "{text}");
        put(&repo, "work", "done");
        put(&repo, "CLAUDE.md", "changed");
        put(&repo, ".claude/settings.local.json", "mine");
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "-a", "-m", "work"]);
        assert_eq!(git(&repo, &["diff", "--name-only", "HEAD~1", "HEAD"]), "work");
        assert_eq!(git(&repo, &["status", "--porcelain"]), "");
        let evil = holding(&repo, "evil");
        put(&repo, "src/main.rs", "changed");
        for args in [
            &["stash", "-q", "-u"][..],
            &["stash", "pop", "-q"],
            &["checkout", "-q", "--", "."],
            &["restore", "."],
            &["reset", "-q", "--hard"],
        ] {
            git(&repo, args);
        }
        assert_eq!(holding(&repo, "evil"), evil, "nothing comes by the way");

        // What `gh pr checkout` does.
        git(&repo, &["fetch", "-q", "origin", "refs/pull/7/head"]);
        git(&repo, &["checkout", "-q", "-B", "pr", "FETCH_HEAD"]);
        let found = holding(&repo, "evil");
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(git(&repo, &["status", "--porcelain"]), "");
    }
}

#[test]
fn without_a_default_branch_nothing_configures() {
    let outside = tempfile::tempdir().unwrap();
    let server = hostile(outside.path());
    let remote = server.root.path().join("repo.git");
    let tree = git(&remote, &["rev-parse", "main^{tree}"]);
    let breakages: [(&str, &dyn Fn()); 2] = [
        ("the default branch can't be read", &|| {
            let object = remote.join("objects").join(&tree[..2]).join(&tree[2..]);
            fs::remove_file(object).unwrap();
        }),
        ("the repository has no default branch", &|| {
            git(&remote, &["symbolic-ref", "HEAD", "refs/heads/none"]);
        }),
    ];
    for (words, breaks) in breakages {
        breaks();
        let pod = Pod::new("");
        let (repo, text) = cloned(&pod, &server, &[PULL, BASE]);
        assert!(text.contains(words), "{text}");
        for path in ["CLAUDE.md", "AGENTS.md", ".claude", ".mcp.json", "sub/CLAUDE.md"] {
            assert!(fs::symlink_metadata(repo.join(path)).is_err(), "{path}");
        }
        assert_eq!(git(&repo, &["status", "--porcelain"]), "");
    }
}
