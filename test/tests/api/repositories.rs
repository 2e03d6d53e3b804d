//! The URL of a repository is read by the API server's rule, by our own parser and by git: all three must agree.

use std::process::Command;

use axon_api::git::Repository;
use axon_test::control_plane;

use super::manifest::Manifest;

/// Forms that git and `git@HOST:PATH` have, and what hides something in them.
const FORMS: [&str; 34] = [
    "git@h:o/r",
    "git@h.example:o/r.git",
    "git@build_host:o/r",
    "git@h:/abs/r",
    "git@h:~u/r",
    "git@[::1]:o/r",
    "git@[2001:db8::1]:o/r",
    "ssh://git@h/o/r",
    "ssh://h:2222/o/r",
    "ssh://git@[::1]:2222/o/r",
    "git@127.0.0.1/admin/x?y=:o/r",
    "git@127.0.0.1/admin/y#:o/r",
    "git@u@127.0.0.1/z?:o/r",
    "git@h#:o/r",
    "git@h?x:o/r",
    "git@u@h:o/r",
    "git@h%2f:o/r",
    "git@-oProxyCommand=id:o/r",
    "git@[h:22]:o/r",
    "git@[::1:o/r",
    "git@[]:o/r",
    "git@h:",
    "git@h:o/r?x",
    "git@h:o/r#x",
    "ssh://a@b@c/o/r",
    "https://h?@github.com/o/r",
    "ssh://github.com?@h/o/r",
    "ssh://github.com#@h/o/r",
    "ssh://h%2fx/o/r",
    "ssh://h%20x/o/r",
    "ssh://-oProxyCommand=id/o/r",
    "https://h/o/r?x#y",
    "https://a\\@b/o/r",
    "https://u@h:8443/a%20b/r",
];

#[tokio::test]
async fn the_rule_of_the_api_server_is_the_parsers() {
    let namespace = control_plane::namespace().await.unwrap();
    for form in FORMS {
        let created = Manifest::workspace(form).create(&namespace).await;
        let parsed = Repository::parse(form);
        assert_eq!(created.is_ok(), parsed.is_ok(), "{form}: {created:?}, {parsed:?}");
    }
}

/// Returns the host, without a user, that git tells `ssh` to reach.
fn host_of_git(url: &str) -> Option<String> {
    let output = Command::new("git")
        .args(["ls-remote", "--", url])
        // The words of the command are git's arguments for `ssh`, which they are printed instead of.
        .env("GIT_SSH_COMMAND", r#"sh -c 'printf "%s\n" "$@" >&2; exit 1' ssh"#)
        .env("GIT_SSH_VARIANT", "ssh")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let words: Vec<&str> = said.lines().collect();
    let command = words
        .iter()
        .position(|word| word.starts_with("git-upload-pack "))?;
    let place = words[..command].last()?;
    let host = place.rsplit('@').next()?;
    Some(if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    })
}

#[test]
fn git_reaches_the_host_that_the_parser_tells() {
    let mut compared = 0;
    for form in FORMS {
        if let Ok(repository) = Repository::parse(form)
            && repository.is_ssh
        {
            assert_eq!(
                host_of_git(form).as_deref(),
                Some(repository.host_name()),
                "{form}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 10);
    // Why these are refused: git takes the first for a local path, and goes to another host for the second.
    assert_eq!(host_of_git("git@127.0.0.1/admin/x?y=:o/r"), None);
    assert_eq!(host_of_git("ssh://h%2fx/o/r").as_deref(), Some("h"));
}
