//! Forms of URLs and refs, with real git.
#![allow(clippy::unwrap_used, reason = "a failed test stops at the fault")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use axon_agent::workspace::remote::Remote;
use axon_api::TaskReason;
use axon_fixtures::git_urls::{REFS, Ref, SERVER, URLS, Url};
use support::server::{Server, cloned, refused, workspace};
use support::{Pod, credential_fill, git};

fn with_helper() -> Pod {
    let pod = Pod::new("");
    let program = Path::new(env!("CARGO_BIN_EXE_axon-agent"));
    std::os::unix::fs::symlink(program, pod.dir("bin").join("axon-agent")).unwrap();
    pod
}

/// Answers each request by `head`, and sends what it was asked: the first line, and whether there was a credential.
fn answering(head: impl Fn(&str) -> String + Send + 'static) -> (u16, mpsc::Receiver<(String, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let first = lines.first().cloned().unwrap_or_default();
            let _ = write!(
                stream,
                "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                head(&first)
            );
            let has_credential = lines
                .iter()
                .any(|line| line.to_ascii_lowercase().starts_with("authorization:"));
            if sender.send((first, has_credential)).is_err() {
                return;
            }
        }
    });
    (port, asked)
}

#[test]
fn git_gets_the_token_in_every_form_of_an_http_url() {
    let pod = with_helper();
    let mut asked = 0;
    for (form, outcome) in URLS {
        let Url::Taken(..) = outcome else { continue };
        if !form.starts_with("http") {
            continue;
        }
        let remote = Remote::parse(form, true).unwrap();
        let fill = |url: &str| {
            let mut git = pod.dress(Command::new("git"));
            git.env("GITHUB_TOKEN", "tok");
            credential_fill(git, &remote.credential, url)[0].clone()
        };
        let answer = fill(form);
        assert!(answer.contains("password=tok\n"), "{form}: {answer}");
        let other = if form.starts_with("https") {
            "http"
        } else {
            "https"
        };
        let other = form.replacen(form.split_once("://").unwrap().0, other, 1);
        for other in [
            other.as_str(),
            "https://evil.example/o/r",
            "https://build_host.evil.example/o/r",
        ] {
            assert!(!fill(other).contains("tok"), "{form}: {other}");
        }
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
}

/// An IPv6 address in its one spelling; everything else as it is.
fn address(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let parsed = inner.and_then(|(text, port)| Some((text.parse::<std::net::Ipv6Addr>().ok()?, port)));
    parsed.map_or_else(|| host.to_owned(), |(address, port)| format!("[{address}]{port}"))
}

/// git is sent to a proxy that notes the host and lets nothing through.
#[test]
fn git_asks_the_http_host_that_the_parser_tells() {
    let (port, asked) = answering(|_| "502 Bad Gateway".to_owned());
    let host_of_git = |url: &str| -> Option<String> {
        while asked.try_recv().is_ok() {}
        let output = Command::new("git")
            .args([
                "-c",
                &format!("http.proxy=http://127.0.0.1:{port}"),
                "ls-remote",
                "--",
                url,
            ])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:git:ssh")
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .output()
            .unwrap();
        assert!(!output.status.success());
        let (first, _) = asked.recv_timeout(std::time::Duration::from_secs(10)).ok()?;
        let target = first.split(' ').nth(1)?;
        let target = target.strip_prefix("http://").unwrap_or(target);
        Some(target.split('/').next()?.to_ascii_lowercase())
    };
    let mut compared = 0;
    for (form, outcome) in URLS {
        let Url::Taken(host, _) = outcome else { continue };
        if !form.starts_with("http") {
            continue;
        }
        let usual = if form.starts_with("https") { ":443" } else { ":80" };
        let found = host_of_git(form).unwrap();
        let found = found.strip_suffix(usual).unwrap_or(&found);
        assert_eq!(address(found), address(host), "{form}: {found}");
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
    // Why these are refused: git asks a host that is another for other programs.
    assert_eq!(
        host_of_git("http://%67it.example/o/r").as_deref(),
        Some("git.example")
    );
}

#[test]
fn a_host_that_redirects_gets_no_token_and_the_message_names_the_url() {
    let (target, asked) =
        answering(|_| "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"".to_owned());
    let (port, _first) = answering(move |first| {
        let path = first.split(' ').nth(1).unwrap_or_default();
        format!("301 Moved\r\nLocation: http://localhost:{target}{path}")
    });
    let pod = with_helper();
    let url = format!("http://127.0.0.1:{port}/acme/app.git");
    let output = workspace(&pod, &url, &[("GITHUB_TOKEN", "token-12345678")]);
    assert_eq!(output.status.code(), Some(1));
    let report = pod.report();
    assert_eq!(report.reason, Some(TaskReason::AuthFailed));
    let message = report.message.unwrap();
    let place = format!("redirects to http://localhost:{target}/acme/app.git, which is not encrypted");
    assert!(
        message.contains(&place) && message.contains("was not sent there"),
        "{message}"
    );
    let asked: Vec<_> = asked.try_iter().collect();
    assert!(!asked.is_empty());
    assert!(
        asked.iter().all(|(_, has_credential)| !has_credential),
        "{asked:?}"
    );
}

#[test]
fn refs_are_what_the_table_says() {
    let server = Server::start();
    let seed = server.root.path().join("repo.git");
    for name in SERVER.iter().filter(|name| **name != "refs/heads/main") {
        git(&seed, &["update-ref", name, "main~1"]);
    }
    for (name, outcome) in REFS {
        let pod = Pod::new("");
        let reference = [("AXON_BASE_BRANCH", *name)];
        let (branch, full) = match outcome {
            Ref::Default => (Some("main"), "refs/heads/main".to_owned()),
            Ref::Branch(branch) => (Some(*branch), format!("refs/heads/{branch}")),
            Ref::Full(full) => (None, (*full).to_owned()),
            // The ids of the table are none of this server's.
            Ref::Commit => continue,
            Ref::Missing(words) | Ref::Refused(words) => {
                let (reason, message) = refused(&pod, &server.url(), &reference);
                let is_refused = matches!(outcome, Ref::Refused(_));
                let expected = if is_refused {
                    TaskReason::InvalidConfig
                } else {
                    TaskReason::CloneFailed
                };
                assert_eq!(reason, expected, "{name:?}: {message}");
                assert!(message.contains(words), "{name:?}: {message}");
                continue;
            }
        };
        let (repo, _) = cloned(&pod, &server, &reference);
        assert_eq!(
            git(&repo, &["rev-parse", "HEAD"]),
            git(&seed, &["rev-parse", &full]),
            "{name:?}"
        );
        let on = git(&repo, &["rev-parse", "--abbrev-ref", "HEAD"]);
        assert_eq!(
            (on != "HEAD").then_some(on.trim_start_matches("heads/")),
            branch.map(|b| b.trim_start_matches("heads/")),
            "{name:?}"
        );
    }
}
