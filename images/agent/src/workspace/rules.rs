//! Rules of GitHub for the Task's branch. The credential may push, and they can refuse the push all the same. Git's protocol
//! does not tell of them, so that GitHub's API is asked, by `curl`. Who is exempt from a rule is not known here: what is
//! found is a line in the log.

use std::time::Duration;

use axon_api::git::Repository;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::clone::Clone;
use super::preflight::is_github;
use crate::say;
use crate::subprocess::Call;
use crate::token_file;

/// Longest time that both answers may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Rules that a push of commits to a branch can break. Others are about deleting it, or about its history.
const REFUSING: [&str; 13] = [
    "branch_name_pattern",
    "commit_author_email_pattern",
    "commit_message_pattern",
    "committer_email_pattern",
    "file_extension_restriction",
    "file_path_restriction",
    "max_file_path_length",
    "max_file_size",
    "merge_queue",
    "pull_request",
    "required_signatures",
    "required_status_checks",
    "workflows",
];

/// Returns what to ask the API about a branch, if the repository is on GitHub: the rules for its name and, if it is
/// there, whether it is protected.
fn questions(repository: &Repository, branch: &str, is_new: bool) -> Option<Vec<Url>> {
    let (owner, name) = repository.path.split_once('/')?;
    if !is_github(repository) {
        return None;
    }
    let ask = |path: &[&str]| {
        let mut url = Url::parse(&repository.github_api()).ok()?;
        let all = ["repos", owner, name].into_iter().chain(path.iter().copied());
        url.path_segments_mut().ok()?.pop_if_empty().extend(all);
        Some(url)
    };
    let mut all = vec![ask(&["rules", "branches", branch])?];
    if !is_new {
        all.push(ask(&["branches", branch])?);
    }
    Some(all)
}

/// Returns the names of what may refuse the push, from the answers one after another.
fn obstacles(answers: &str, is_new: bool) -> Vec<String> {
    let mut found = Vec::new();
    let values = serde_json::Deserializer::from_str(answers).into_iter::<Value>();
    for answer in values.map_while(Result::ok) {
        if answer.get("protected") == Some(&Value::Bool(true)) {
            found.push("branch protection".to_owned());
        }
        let rules = answer.as_array().into_iter().flatten();
        let kinds = rules.filter_map(|rule| Rule::deserialize(rule).ok());
        let whole = if is_new { "creation" } else { "update" };
        let refusing = |rule: &Rule| rule.kind == whole || REFUSING.contains(&rule.kind.as_str());
        found.extend(kinds.filter(refusing).map(|rule| rule.kind));
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
}

/// Returns the configuration of `curl` that sends the token: its arguments can be read by others. No token of GitHub's
/// has a character that would end the text.
fn configuration(token: &str) -> Option<String> {
    let is_plain = token
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    is_plain.then(|| format!("header = \"Authorization: Bearer {token}\"\n"))
}

impl Clone<'_> {
    /// Says which rules may refuse the run's pushes, if GitHub says so in time.
    pub(super) fn tell_of_rules(&self, repository: &Repository, branch: &str, is_new: bool) {
        let asked = questions(repository, branch, is_new);
        let input = token_file::token(self.env).and_then(|token| configuration(&token));
        let (Some(urls), Some(input)) = (asked, input) else {
            return;
        };
        // First the option that leaves the user's configuration aside.
        let options = [
            "--disable",
            "--silent",
            "--fail",
            "--config",
            "-",
            "--proto",
            "=https",
        ];
        let limits = ["--connect-timeout", "3", "--max-filesize", "1000000"];
        let headers = ["--header", "Accept: application/vnd.github+json"];
        let args = options.into_iter().chain(limits).chain(headers);
        let call = Call {
            limit: Some(LIMIT),
            input: Some(input),
            ..Call::new(
                "curl",
                args.map(str::to_owned).chain(urls.into_iter().map(String::from)),
            )
        };
        // A curl that is missing, fails or is ended has perhaps told of one of the two.
        let answers = self.start(&call).map(|output| output.stdout).unwrap_or_default();
        let found = obstacles(&answers, is_new);
        if !found.is_empty() {
            say!(
                "warning: GitHub may refuse pushes to branch {branch:?} of {}: {}",
                self.remote.shown,
                found.join(", ")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_github_is_asked_with_the_branch_as_one_word() {
        let asked = |url: &str, branch: &str, is_new: bool| {
            let repository = Repository::parse(url).unwrap();
            let all = questions(&repository, branch, is_new).unwrap_or_default();
            all.into_iter().map(String::from).collect::<Vec<_>>()
        };
        let rules = "https://api.github.com/repos/o/r/rules/branches";
        assert_eq!(
            asked("https://github.com/o/r.git", "axon/fix", true),
            [format!("{rules}/axon%2Ffix")]
        );
        assert_eq!(
            asked("git@github.com:o/r.git", "main", false),
            [
                format!("{rules}/main"),
                "https://api.github.com/repos/o/r/branches/main".to_owned()
            ]
        );
        assert_eq!(
            asked("https://acme.ghe.com/o/r", "x", true),
            ["https://api.acme.ghe.com/repos/o/r/rules/branches/x"]
        );
        for other in [
            "https://git.example.com/o/r",
            "https://api.example.com/o/r",
            "git@git.example.com:r",
        ] {
            assert!(asked(other, "x", true).is_empty(), "{other}");
        }
    }

    #[test]
    fn rules_that_a_push_can_break_are_named_and_others_are_not() {
        let rules = r#"[{"type":"deletion","ruleset_id":1},{"type":"pull_request","parameters":{}},{"type":"creation"},{"type":"update"}]"#;
        for (answers, is_new, found) in [
            (rules.to_owned(), true, &["creation", "pull_request"][..]),
            (
                format!("{rules}{{\"name\":\"main\",\"protected\":true}}"),
                false,
                &["branch protection", "pull_request", "update"],
            ),
            (r#"[]{"name":"main","protected":false}"#.to_owned(), false, &[]),
            (r#"{"message":"Not Found","status":"404"}"#.to_owned(), true, &[]),
            ("<html>".to_owned(), true, &[]),
            (String::new(), true, &[]),
        ] {
            assert_eq!(obstacles(&answers, is_new), found, "{answers}");
        }
    }

    #[test]
    fn no_token_is_more_than_a_header() {
        assert_eq!(
            configuration("ghp_1").as_deref(),
            Some("header = \"Authorization: Bearer ghp_1\"\n")
        );
        for odd in ["a\"b", "a\nurl = \"https://evil.example\"", "a\\b"] {
            assert_eq!(configuration(odd), None);
        }
    }
}
