//! What git knows at the end of a run: branch, pull requests, commit, base branch.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axon_api::contract::env as names;
use axon_api::git::Repository;
use axon_api::usage::Usage;
use serde::Deserialize;

use super::view::View;
use crate::env::Env;
use crate::subprocess::Call;
use crate::token_file;

/// Time for each command.
const LIMIT: Duration = Duration::from_secs(30);
/// Time for each command when the pod is about to be killed.
const SHORT_LIMIT: Duration = Duration::from_secs(2);

/// What is known about the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    branch: Option<String>,
    pull_requests: Vec<String>,
    commit: Option<String>,
    /// Branch that origin/HEAD points to.
    default_branch: Option<String>,
}

/// What `gh` is asked of each pull request.
const FIELDS: &str = "url,headRefOid,headRepository,headRepositoryOwner,isCrossRepository";
/// Most pull requests of one name of a branch that are looked at: strangers' forks can have it, too.
const MOST: &str = "200";

/// A pull request as `gh` prints it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PullRequest {
    url: String,
    head_ref_oid: String,
    head_repository: Option<Named>,
    head_repository_owner: Option<Login>,
    is_cross_repository: Option<bool>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Login {
    login: String,
}

impl PullRequest {
    /// Returns whether this run's commits are what it proposes: a branch's name alone can be anybody's, in a fork.
    fn is_of(&self, repository: Option<&str>, commits: &[String]) -> bool {
        let is_here = match (repository, &self.head_repository, &self.head_repository_owner) {
            (Some(path), Some(Named { name }), Some(Login { login })) => {
                path.eq_ignore_ascii_case(&format!("{login}/{name}"))
            }
            _ => self.is_cross_repository == Some(false),
        };
        is_here && commits.contains(&self.head_ref_oid)
    }
}

impl Facts {
    /// Asks `git`, and `gh` for pull requests. What can't be found out is left out. `hurry` is for a pod that is being
    /// stopped; `cancel` ends the wait for `gh`.
    #[must_use]
    pub fn gather(env: &Env, view: Option<&View>, hurry: bool, cancel: &AtomicBool) -> Self {
        let Some(view) = view else {
            return Self::default();
        };
        let limit = if hurry { SHORT_LIMIT } else { LIMIT };
        let branch = view.branch().map(str::to_owned);
        let commit = view.answer(["rev-parse", "--verify", "--quiet", "HEAD"], limit);
        let default_branch = view.answer(
            ["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"],
            limit,
        );
        // Last, since it asks the network.
        let pull_requests = match &branch {
            Some(branch) if !hurry && may_ask_gh(env) => {
                let pushed = format!("refs/remotes/origin/{branch}");
                let pushed = view.answer(["rev-parse", "--verify", "--quiet", &pushed], limit);
                // The branch on the remote may lack what was not pushed.
                let commits: Vec<String> = commit.iter().cloned().chain(pushed).collect();
                let repository = env.text(names::REPO).and_then(|url| Repository::parse(url).ok());
                let path = repository.as_ref().map(|repository| repository.path.as_str());
                let all = pull_requests(env, view, branch, limit, cancel);
                let ours = all.into_iter().filter(|pull| pull.is_of(path, &commits));
                ours.map(|pull| pull.url).collect()
            }
            _ => Vec::new(),
        };
        Self {
            branch,
            pull_requests,
            commit,
            default_branch: default_branch.and_then(|head| head.strip_prefix("origin/").map(str::to_owned)),
        }
    }

    /// Returns the `key: value` lines in the contract's order.
    #[must_use]
    pub fn outputs(&self, base_branch: Option<&str>, usage: &Usage) -> Vec<String> {
        let tokens = |count: Option<i64>| count.map(|count| count.to_string());
        let base = base_branch
            .map(|name| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned())
            .or_else(|| self.default_branch.clone());
        let pull_requests = self.pull_requests.iter().map(|url| ("pr", Some(url.clone())));
        [("branch", self.branch.clone())]
            .into_iter()
            .chain(pull_requests)
            .chain([
                ("commit", self.commit.clone()),
                ("base-branch", base),
                ("cost-usd", usage.cost_usd.clone()),
                ("input-tokens", tokens(usage.input_tokens)),
                ("output-tokens", tokens(usage.output_tokens)),
            ])
            .filter_map(|(key, value)| Some((key, value?)))
            // One line each, or a value could pass for another key.
            .filter(|(_, value)| !value.is_empty() && !value.contains(char::is_control))
            .map(|(key, value)| format!("{key}: {value}"))
            .collect()
    }
}

fn may_ask_gh(env: &Env) -> bool {
    let tokens = [names::GH_TOKEN, names::GITHUB_TOKEN, names::GH_ENTERPRISE_TOKEN];
    tokens.iter().any(|name| env.text(name).is_some()) && env.program("gh").is_some()
}

/// Asks in the clone, whose remotes say in which repository a pull request may be: gh has git read them, and no more. Its own
/// configuration in the home directory is not used.
fn pull_requests(
    env: &Env,
    view: &View,
    branch: &str,
    limit: Duration,
    cancel: &AtomicBool,
) -> Vec<PullRequest> {
    // Merged and closed ones are what a run did as well.
    let args = [
        "--head", branch, "--state", "all", "--limit", MOST, "--json", FIELDS,
    ];
    let mut call = Call::new("gh", ["pr", "list"].into_iter().chain(args));
    call.set.extend(view.variables().iter().cloned());
    call.set.extend([
        ("GH_CONFIG_DIR", view.home().join("gh").into()),
        ("GH_PROMPT_DISABLED", "1".into()),
        ("GH_NO_UPDATE_NOTIFIER", "1".into()),
        ("NO_COLOR", "1".into()),
    ]);
    call.set.extend(token_file::for_gh(env));
    answer(call, limit, cancel)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn answer(call: Call, limit: Duration, cancel: &AtomicBool) -> Option<String> {
    let call = Call {
        limit: Some(limit),
        ..call
    };
    let output = call.run(cancel).ok().filter(crate::subprocess::Output::success)?;
    let text = output.stdout.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_the_contract_s_order_and_only_what_is_known() {
        let facts = Facts {
            branch: Some("b".into()),
            pull_requests: vec!["https://h/1".into(), "https://h/2".into()],
            commit: Some("abc".into()),
            default_branch: Some("main".into()),
        };
        let usage = Usage {
            cost_usd: Some("0.10".into()),
            input_tokens: Some(1),
            output_tokens: Some(2),
            cache_read_tokens: Some(3),
            ..Usage::default()
        };
        assert_eq!(
            facts.outputs(Some("develop"), &usage),
            [
                "branch: b",
                "pr: https://h/1",
                "pr: https://h/2",
                "commit: abc",
                "base-branch: develop",
                "cost-usd: 0.10",
                "input-tokens: 1",
                "output-tokens: 2"
            ]
        );
        assert_eq!(
            facts.outputs(None, &Usage::default()).last().unwrap(),
            "base-branch: main"
        );
        assert!(Facts::default().outputs(None, &Usage::default()).is_empty());
        assert_eq!(
            Facts::default().outputs(Some("main"), &Usage::default()),
            ["base-branch: main"]
        );
    }

    #[test]
    fn a_pull_request_is_the_run_s_by_its_repository_and_its_commit() {
        let commits = ["c1".to_owned(), "c2".to_owned()];
        let pull = |owner: &str, commit: &str, crosses: &str| {
            let text = format!(
                r#"{{"url": "u", "headRefOid": "{commit}", "headRepository": {{"id": "x", "name": "App"}},
                    "headRepositoryOwner": {{"login": "{owner}"}}, "isCrossRepository": {crosses}}}"#
            );
            serde_json::from_str::<PullRequest>(&text).unwrap()
        };
        for (pull, repository, is_ours) in [
            (pull("acme", "c1", "false"), Some("acme/app"), true),
            (pull("Acme", "c2", "false"), Some("acme/app"), true),
            (pull("acme", "c3", "false"), Some("acme/app"), false),
            (pull("stranger", "c1", "true"), Some("acme/app"), false),
            // The Workspace's repository is a fork, and the pull request is upstream.
            (pull("me", "c1", "true"), Some("me/app"), true),
            (pull("me", "c1", "true"), None, false),
            (pull("me", "c1", "false"), None, true),
            (pull("me", "c1", "null"), None, false),
        ] {
            assert_eq!(
                pull.is_of(repository, &commits),
                is_ours,
                "{repository:?} {}",
                pull.head_ref_oid
            );
        }
        let deleted =
            r#"{"url": "u", "headRefOid": "c1", "headRepository": null, "isCrossRepository": true}"#;
        let deleted: PullRequest = serde_json::from_str(deleted).unwrap();
        assert!(!deleted.is_of(Some("acme/app"), &commits), "a fork that is gone");
    }

    #[test]
    fn no_value_passes_for_another_line() {
        let outputs = Facts::default().outputs(Some("x\ncommit: fake"), &Usage::default());
        assert!(outputs.is_empty());
    }
}
