//! The URL of a repository is read by the API server's rules, by our own parser, by the policy add-on and by git: all must
//! agree on every form.

use std::process::Command;

use axon_api::git::{Repository, ref_fault};
use axon_test::control_plane;
use futures::StreamExt;

use super::manifest::Manifest;

use axon_fixtures::git_urls::{REFS, Ref, URLS};

/// Requests at a time.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn the_rule_of_the_api_server_is_the_parsers() {
    let namespace = control_plane::namespace().await.unwrap();
    let forms = URLS.iter().map(|(form, _)| {
        let namespace = &namespace;
        async move {
            let created = Manifest::workspace(form).create(namespace).await;
            let parsed = Repository::parse(form);
            match created {
                Ok(_) if parsed.is_ok() => None,
                Err(status) if parsed.is_err() && status.message.contains("spec.repo") => None,
                created => Some(format!("{form:?}: {created:?}, {parsed:?}")),
            }
        }
    });
    let wrong: Vec<_> = futures::stream::iter(forms)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_rule_for_refs_is_the_agents() {
    let namespace = control_plane::namespace().await.unwrap();
    for (name, outcome) in REFS {
        let workspace = Manifest::workspace("https://github.com/o/r").with("/spec/ref", *name);
        let created = workspace.create(&namespace).await;
        let is_refused = matches!(outcome, Ref::Refused(_));
        assert_eq!(created.is_err(), is_refused, "{name:?}: {created:?}");
        assert_eq!(
            !name.is_empty() && ref_fault(name).is_some(),
            is_refused,
            "{name:?}"
        );
    }
}

/// A form that hides something, or a page, says in which of the rules it is.
#[tokio::test]
async fn the_api_server_names_what_is_wrong() {
    let namespace = control_plane::namespace().await.unwrap();
    for (form, words) in [
        ("https://github.com/o/r/tree/main", "not the address of a page"),
        (
            "https://gitlab.com/g/s/r/-/tree/main",
            "not the address of a page",
        ),
        (
            "https://git.example/o/r.git#develop",
            "'?' or '#': name the branch",
        ),
        ("https://git.example/o/../r", "'.', '..'"),
        ("https://127.1/o/r", "127.0.0.1, not 127.1"),
        ("acme/app", "USER@HOST:"),
        ("https://[1:2]/o/r", "[2001:db8::1]"),
    ] {
        let message = Manifest::workspace(form).refusal(&namespace).await;
        assert!(
            message.contains("spec.repo") && message.contains(words),
            "{form}: {message}"
        );
    }
}

/// Returns the place, with the user, the port and the path that git tells `ssh` to reach.
fn place_of_git(url: &str) -> Option<(String, Option<String>, String)> {
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
    let port = words.iter().position(|word| *word == "-p");
    let port = port.map(|at| words[at + 1].to_owned());
    let path = words[command]
        .strip_prefix("git-upload-pack ")?
        .trim_matches('\'');
    Some(((*place).to_owned(), port, path.to_owned()))
}

/// The host without its user, in brackets if it is an IPv6 address.
fn host_of_git(url: &str) -> Option<String> {
    let (place, _, _) = place_of_git(url)?;
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
    for (form, _) in URLS {
        let Ok(repository) = Repository::parse(form) else {
            continue;
        };
        if !repository.is_ssh {
            continue;
        }
        let (place, port, path) = place_of_git(form).unwrap_or_else(|| panic!("{form}"));
        let host = host_of_git(form).unwrap();
        assert!(
            host.eq_ignore_ascii_case(repository.host_name()),
            "{form}: {host}"
        );
        let own = repository.host.strip_prefix(repository.host_name()).unwrap();
        let port = port.filter(|port| port != "22").map(|port| format!(":{port}"));
        assert_eq!(port.unwrap_or_default(), own, "{form}");
        let path = path.trim_matches('/');
        assert_eq!(
            path.strip_suffix(".git").unwrap_or(path),
            repository.path,
            "{form}"
        );
        // The user is whom the URL names, and no option.
        let user = place.split_once('@').map(|(user, _)| user);
        let written = form
            .split_once("://")
            .map_or(*form, |(_, rest)| rest)
            .split('/')
            .next()
            .unwrap();
        assert_eq!(user, written.split_once('@').map(|(user, _)| user), "{form}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    // Why these are refused: git takes the first for a local path, and goes to another host for the others.
    assert_eq!(host_of_git("git@127.0.0.1/admin/x?y=:o/r"), None);
    assert_eq!(host_of_git("ssh://h%2fx/o/r").as_deref(), Some("h"));
    assert_eq!(
        host_of_git("ssh://evil.example%2fx@github.com/o/r").as_deref(),
        Some("evil.example")
    );
    let (_, port, path) = place_of_git("ssh://git.example%3a2222/o%2f..%2fr").unwrap();
    assert_eq!((port.as_deref(), path.as_str()), (Some("2222"), "/o/../r"));
}
