//! Branch names: the API server's rule against git itself.

use std::path::Path;

use axon_api::git::branch_fault;
use axon_test::control_plane;
use tokio::process::Command;

use super::manifest::Manifest;

const GOOD: &[&str] = &[
    "main",
    "feature/x-1",
    "a.b",
    "x@y",
    "@x",
    "x@",
    "HEADS",
    "head",
    "HEAD/x",
    "x/HEAD",
    "ünï/ß",
    "a-",
    "a/-b",
    "a.lockx",
    "lock",
    "a{b}",
    "a'b\"c",
    "a;b&c|d$e",
    "$(id)",
    "`id`",
    "a!b",
    "a#b",
    "a%b",
    "a,b",
    "a=b",
    "a+b",
    "a(b)",
    "a]b",
    "<a>",
    "a/b/c/d/e",
    "1",
    "a\u{a0}b",
    "refs/heads/x",
    "日本語",
];

const BAD: &[&str] = &[
    "-x", "--", "HEAD", "a b", " a", "a ", "a..b", "..", "a@{1}", "@{", "a//b", "/a", "a/", "/", "a.",
    "a/b.", ".a", "a/.b", ".", "a.lock", "a.lock/b", "a/b.lock", ".lock", "a~", "a^", "a:b", "a?", "a*",
    "a[b", "a\\b", "a\nb", "a\n", "\na", "a\tb", "a\rb", "a\u{1}b", "a\u{1f}b", "a\u{7f}b",
];

/// Git takes this as a branch, but reads it as `HEAD` wherever it is named.
const AMBIGUOUS: &str = "@";

async fn git(folder: &Path, args: &[&str]) -> bool {
    let mut git = Command::new("git");
    git.current_dir(folder).args(args);
    git.output().await.unwrap().status.success()
}

#[tokio::test]
async fn the_tables_say_what_git_says() {
    let repository = tempfile::tempdir().unwrap();
    assert!(git(repository.path(), &["init", "-q"]).await);
    for (names, is_good) in [(GOOD, true), (BAD, false)] {
        for name in names {
            let taken = git(repository.path(), &["check-ref-format", "--branch", name]).await;
            assert_eq!(taken, is_good, "git about {name:?}");
            assert_eq!(
                branch_fault(name).is_none(),
                is_good,
                "branch_fault about {name:?}"
            );
        }
    }
}

#[tokio::test]
async fn branches_that_git_takes_are_accepted() {
    let namespace = control_plane::namespace().await.unwrap();
    let longest = "b".repeat(244);
    for name in GOOD.iter().copied().chain([longest.as_str()]) {
        let created = Manifest::task()
            .with("/spec/branch", name)
            .create(&namespace)
            .await;
        assert!(created.is_ok(), "{name:?}: {created:?}");
    }
}

#[tokio::test]
async fn branches_that_git_refuses_are_refused() {
    let namespace = control_plane::namespace().await.unwrap();
    for name in BAD.iter().chain([&AMBIGUOUS]) {
        let message = Manifest::task()
            .with("/spec/branch", *name)
            .refusal(&namespace)
            .await;
        let expected = "branch is not a name that git accepts (see git-check-ref-format)";
        assert!(
            message.contains("spec.branch") && message.contains(expected),
            "{name:?}: {message}"
        );
    }
    let message = Manifest::task()
        .with("/spec/branch", "b".repeat(245))
        .refusal(&namespace)
        .await;
    assert!(
        message.contains("spec.branch") && message.contains("244"),
        "{message}"
    );
}
