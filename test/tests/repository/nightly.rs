//! A night that fails has one issue, and advisories are part of every night.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::release::program;
use super::root;

fn nightly() -> Value {
    let text = std::fs::read_to_string(root().join(".github/workflows/nightly.yaml")).unwrap();
    axon_api::yaml::from_str(&text).unwrap()
}

/// Reports a failure where `gh` knows this issue; returns how it was called after its first call.
fn report(folder: &Path, open: &str) -> String {
    let log = folder.join("log");
    program(
        &folder.join("gh"),
        &format!(
            "case \"$1 $2\" in 'issue list') echo '{open}' ;; *) echo \"$@\" >{} ;; esac\n",
            log.display()
        ),
    );
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let done = Command::new(root().join("hack/report-failure.sh"))
        .args(["The nightly run fails", "full failure", "https://r.example/1"])
        .env("PATH", path)
        .env("GITHUB_REPOSITORY", "o/r")
        .status()
        .unwrap();
    assert!(done.success());
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn a_night_that_fails_opens_one_issue_and_the_next_one_adds_to_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        report(folder.path(), ""),
        "issue create --repo o/r --title The nightly run fails --body full failure: https://r.example/1\n"
    );
    assert_eq!(
        report(folder.path(), "7"),
        "issue comment 7 --repo o/r --body full failure: https://r.example/1\n"
    );
}

#[test]
fn every_night_runs_everything_and_asks_for_advisories() {
    let workflow = nightly();
    assert!(workflow["on"]["schedule"][0]["cron"].is_string());
    let jobs = &workflow["jobs"];
    let commands = |job: &str| -> String {
        let steps = jobs[job]["steps"].as_array().unwrap().iter();
        steps
            .filter_map(|step| step["run"].as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(commands("full").ends_with(".ci/run full"));
    for wanted in ["cargo deny --locked check advisories", "govulncheck ./cmd/"] {
        assert!(commands("advisories").contains(wanted), "{wanted}");
    }
    let needs = &jobs["report"]["needs"];
    assert_eq!(needs, &serde_json::json!(["full", "advisories"]));
    assert_eq!(jobs["report"]["if"], "${{ failure() }}");
}
