//! What a hostile "GitHub" costs in memory: the client of the operator, in a process of its own, against a server that
//! answers in all the ways that are meant to use memory up.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use axon_github::clock::Clock;
use axon_github::{
    Credential, Github, GithubError, GithubMetrics, Hosts, ListQuery, Listing, Options, Repository,
};

/// What the process may have at its peak. Its code, its threads and a debug build's stacks are some 30 MiB of it; the
/// container's limit is 256 MiB, for all of the operator.
const MOST: usize = 96 * 1024 * 1024;
/// Repositories that are listed at the same time.
const REPOSITORIES: usize = 8;
const MIB: usize = 1024 * 1024;

const CHILD: &str = "AXON_TEST_MEMORY_OF";

/// The form that is asked for, with what a listing says of it.
const FORMS: [(&str, &str); 11] = [
    // 48 MiB of this took an operator that read whole pages to 946 MB.
    ("zeros", "more than 8 MiB"),
    ("endless", "more than 8 MiB"),
    ("many", "more than 100 entries"),
    ("deep", "levels deep"),
    ("members", "ok 1"),
    ("labels", "ok 1"),
    ("texts", "ok 99"),
    ("pages", "ok 499"),
    ("zipped", "not GitHub's API"),
    ("headers", "can't be reached"),
    ("refusal", "403"),
];

#[test]
fn no_answer_takes_more_memory_than_there_is_for_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    for (form, told) in FORMS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(CHILD, format!("{url}/{form}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{form}: {said}");
        let word = |name: &str| {
            let line = said.lines().find_map(|line| line.split_once(name));
            line.unwrap_or_else(|| panic!("{form}: {said}"))
                .1
                .trim()
                .to_owned()
        };
        let peak: usize = word("peak=").parse().unwrap();
        println!("{form}: {} MiB; {}", peak / MIB, word("told="));
        assert!(peak < MOST, "{form}: {} MiB", peak / MIB);
        assert!(word("told=").contains(told), "{form}: {said}");
    }
}

/// The process that the test above measures. It is no test of its own.
#[test]
#[ignore = "the other test of this file starts it, with the server's address"]
fn child() {
    let whole = std::env::var(CHILD).unwrap();
    let (url, form) = whole.rsplit_once('/').unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let told = runtime.block_on(list_all(url, form));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: usize = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    println!("\npeak={}\ntold={told}", kib * 1024);
}

async fn list_all(url: &str, form: &str) -> String {
    let github = Github::new(
        Clock::system(),
        GithubMetrics::default(),
        &Options {
            hosts: Hosts::parse("http://127.0.0.1:*").unwrap(),
            time_limit: Some(Duration::from_secs(15)),
            ..Options::default()
        },
    );
    let lists = (0..REPOSITORIES).map(|n| {
        let github = github.clone();
        let repository = Repository::of(&format!("{url}/{form}/r{n}")).unwrap();
        async move {
            let query = ListQuery {
                caller: n.to_string(),
                issues: true,
                max_age: Duration::from_secs(60),
                ..ListQuery::default()
            };
            // A host that fails is left alone for a time by its account: each repository has one of its own.
            let credential = Credential::anonymous().in_namespace(&n.to_string());
            github.items(&repository, &credential, &query).await
        }
    });
    let all: Vec<Result<Listing, GithubError>> = futures::future::join_all(lists).await;
    let told = |result: &Result<Listing, GithubError>| match result {
        Ok(listing) => format!("ok {}", listing.items.len()),
        Err(error) => error.to_string(),
    };
    let distinct: std::collections::BTreeSet<String> = all.iter().map(told).collect();
    distinct.into_iter().collect::<Vec<_>>().join(" | ")
}

/// Answers requests for `/api/v3/repos/FORM/…` until the client has enough.
fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut path = String::new();
        let (mut line, mut is_conditional) = (String::new(), false);
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            is_conditional |= line.to_lowercase().starts_with("if-none-match:");
            if line == "\r\n" {
                break;
            }
        }
        let form = path.split('/').nth(4).unwrap_or_default().to_owned();
        let (status, headers, body) = if is_conditional {
            (304, String::new(), Vec::new())
        } else {
            answer(&form, &path)
        };
        let length = if form == "endless" {
            "Connection: close\r\n".to_owned()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let head = format!("HTTP/1.1 {status} x\r\n{headers}{length}\r\n");
        // The client may hang up at any byte.
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&body));
        if sent.is_err() || form == "endless" {
            return;
        }
    }
}

fn answer(form: &str, path: &str) -> (u16, String, Vec<u8>) {
    let ok = |body: Vec<u8>| (200, String::new(), body);
    let list = |entries: String| format!("[{entries}]").into_bytes();
    let zeros = |bytes: usize| format!("[{}0]", "0,".repeat(bytes / 2)).into_bytes();
    let item = |number: usize, more: &str| format!("{{\"number\":{number},\"title\":\"t\"{more}}}");
    match form {
        "zeros" | "endless" => ok(zeros(48 * MIB)),
        "many" => ok(zeros(7 * MIB)),
        "deep" => ok("[".repeat(7 * MIB).into_bytes()),
        "members" => {
            let unknown = format!(
                ",\"unknown\":[{}0],\"user\":{{\"x\":[{}0]}}",
                "{},".repeat(MIB / 8),
                "[],".repeat(MIB / 8)
            );
            ok(list(item(1, &unknown)))
        }
        "labels" => ok(list(item(
            1,
            &format!(",\"labels\":[{}\"l\"]", "{\"name\":\"a\"},".repeat(MIB / 16)),
        ))),
        "texts" => {
            let text = format!(",\"body\":\"\\n{}\"", "x".repeat(75_000));
            let items: Vec<String> = (1..=99).map(|number| item(number, &text)).collect();
            ok(list(items.join(",")))
        }
        "pages" => {
            let page = path
                .split("&page=")
                .nth(1)
                .and_then(|n| n.parse().ok())
                .unwrap_or(1usize);
            let text = format!(",\"body\":\"{}\"", "x".repeat(8_000));
            // A full page would have another one behind it.
            let count = if page < 5 { 100 } else { 99 };
            let items: Vec<String> = (1..=count).map(|n| item((page - 1) * 100 + n, &text)).collect();
            let next = if page < 5 {
                let first = path.split("&page=").next().unwrap_or_default();
                format!(
                    "Link: <http://h{first}&page={}>; rel=\"next\"\r\nETag: \"{page}\"\r\n",
                    page + 1
                )
            } else {
                format!("ETag: \"{page}\"\r\n")
            };
            (200, next, list(items.join(",")))
        }
        // Nothing is decompressed, so that nothing can grow.
        "zipped" => (
            200,
            "Content-Encoding: gzip\r\n".into(),
            b"\x1f\x8b\x08bomb".to_vec(),
        ),
        "headers" => (
            200,
            format!("X-Long: {}\r\n", "x".repeat(4 * MIB)),
            b"[]".to_vec(),
        ),
        "refusal" => (403, String::new(), vec![b'x'; 48 * MIB]),
        _ => (404, String::new(), b"{}".to_vec()),
    }
}
