//! Which repositories a token of an App reaches, and what it may do there. Pure.
//!
//! GitHub's own default is everything that the installation has. A token for less has to be asked for, and nothing that the
//! installation lacks: GitHub refuses such a request as a whole.

use std::collections::{BTreeMap, BTreeSet};

use axon_api::v1alpha1::{GithubApp, GithubPermission as Level};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{self, Unread};
use super::repository::Repository;

/// Permissions of a Task: it pushes a branch, opens a pull request, and comments.
const TASK: [(&str, Level); 3] = [
    ("contents", Level::Write),
    ("issues", Level::Write),
    ("pull_requests", Level::Write),
];
/// Permissions of a poll. The operator never reads a repository's contents.
const POLLS: [(&str, Level); 2] = [("issues", Level::Read), ("pull_requests", Level::Read)];
/// Always asked for. Every App has it, so that no list of permissions is ever empty: GitHub takes that for all of them.
const METADATA: &str = "metadata";
/// Most bytes of the description of an installation; GitHub's has some 3 KiB.
const MAX_INSTALLATION: usize = 64 * 1024;
/// Most permissions that are kept of an installation, and most bytes of a name; GitHub has some 80, of up to 43 bytes.
const MAX_KEPT: (usize, usize) = (200, 64);

/// Repositories and permissions of a token request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    owner: String,
    repositories: BTreeSet<String>,
    /// Asked for as far as the installation has it.
    usual: BTreeMap<String, Level>,
    /// Asked for as it is.
    named: BTreeMap<String, Level>,
}

/// Why an installation can't give a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The repositories belong to another account than the one that is named here.
    Owner(String),
    /// Permissions that the installation lacks.
    Permissions(String),
}

impl Grant {
    /// Returns what a Task's token can do: work on the repository alone, unless its Workspace says otherwise.
    #[must_use]
    pub fn for_task(repository: &Repository, app: Option<&GithubApp>) -> Self {
        let mut grant = Self::new(repository, &TASK);
        for (name, level) in app.iter().flat_map(|app| &app.permissions) {
            grant.usual.remove(name);
            if *level != Level::None && name != METADATA {
                grant.named.insert(name.clone(), *level);
            }
        }
        let more = app.iter().flat_map(|app| &app.repositories);
        let others = more.filter(|name| !name.eq_ignore_ascii_case(&repository.name));
        grant.repositories.extend(others.cloned());
        grant
    }

    /// Returns what the operator's own token can do: read issues and pull requests of the repository.
    #[must_use]
    pub fn for_polls(repository: &Repository) -> Self {
        Self::new(repository, &POLLS)
    }

    fn new(repository: &Repository, permissions: &[(&str, Level)]) -> Self {
        let usual = permissions
            .iter()
            .map(|(name, level)| ((*name).to_owned(), *level));
        Self {
            owner: repository.owner.clone(),
            repositories: BTreeSet::from([repository.name.clone()]),
            usual: usual.collect(),
            named: BTreeMap::new(),
        }
    }

    /// Returns the body of the request to an installation.
    ///
    /// # Errors
    /// [`Lack`] if GitHub would refuse it.
    pub(super) fn body(&self, installation: &Installation) -> Result<Value, Lack> {
        // GitHub looks names up in the installation's account: that of another owner would be another repository.
        if let Some(account) = &installation.account
            && !account.eq_ignore_ascii_case(&self.owner)
        {
            return Err(Lack::Owner(account.clone()));
        }
        let lacks = |(name, level): &(&String, &Level)| installation.level(name) < **level;
        let lacking: Vec<String> = self
            .named
            .iter()
            .filter(lacks)
            .map(|(name, level)| format!("{name}: {level}"))
            .collect();
        if !lacking.is_empty() {
            return Err(Lack::Permissions(lacking.join(", ")));
        }
        let usual = self.usual.iter().filter_map(|(name, level)| {
            let level = installation.level(name).min(*level);
            (level != Level::None).then_some((name.as_str(), level))
        });
        let named = self.named.iter().map(|(name, level)| (name.as_str(), *level));
        let permissions: BTreeMap<&str, Level> =
            usual.chain(named).chain([(METADATA, Level::Read)]).collect();
        Ok(json!({ "repositories": self.repositories, "permissions": permissions }))
    }

    /// Returns the repositories, for messages.
    pub(super) fn repositories(&self) -> String {
        let names = self
            .repositories
            .iter()
            .map(|name| format!("{}/{name}", self.owner));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// An installation of an App, as GitHub's API describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// Login of its account; `None` for an enterprise, which has none.
    account: Option<String>,
    permissions: BTreeMap<String, Level>,
}

impl Installation {
    /// Reads GitHub's answer.
    ///
    /// # Errors
    /// If it is none, or a far too long one.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unread> {
        #[derive(Deserialize)]
        struct Account {
            login: Option<String>,
        }
        #[derive(Deserialize)]
        struct Answer {
            account: Option<Account>,
            permissions: BTreeMap<String, String>,
        }
        // What is cut off is not JSON any more.
        let answer: Answer = read::object(body.get(..MAX_INSTALLATION).unwrap_or(body))?;
        let account = answer.account.and_then(|account| account.login);
        let permissions = answer.permissions.into_iter().filter_map(|(name, level)| {
            let level = match level.as_str() {
                "read" => Level::Read,
                "write" | "admin" => Level::Write,
                _ => return None,
            };
            (name.len() <= MAX_KEPT.1).then_some((name, level))
        });
        Ok(Self {
            account: account.map(|login| login.chars().take(MAX_KEPT.1).collect()),
            permissions: permissions.take(MAX_KEPT.0).collect(),
        })
    }

    fn level(&self, name: &str) -> Level {
        self.permissions.get(name).copied().unwrap_or(Level::None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repository() -> Repository {
        Repository::of("https://github.com/Acme/Widgets").unwrap()
    }

    fn installation(permissions: &Value) -> Installation {
        let body = json!({"id": 88, "account": {"login": "acme"}, "permissions": permissions});
        Installation::read(body.to_string().as_bytes()).unwrap()
    }

    fn all() -> Installation {
        installation(
            &json!({"contents": "write", "issues": "write", "pull_requests": "write", "metadata": "read",
            "workflows": "write", "administration": "write", "repository_projects": "admin"}),
        )
    }

    fn app(spec: Value) -> GithubApp {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_tasks_token_is_for_one_repository_and_for_what_a_task_does() {
        let body = Grant::for_task(&repository(), None).body(&all()).unwrap();
        let permissions =
            json!({"contents": "write", "issues": "write", "pull_requests": "write", "metadata": "read"});
        assert_eq!(
            body,
            json!({"repositories": ["Widgets"], "permissions": permissions})
        );
    }

    #[test]
    fn the_operators_token_reads_and_has_no_contents() {
        let body = Grant::for_polls(&repository()).body(&all()).unwrap();
        let permissions = json!({"issues": "read", "pull_requests": "read", "metadata": "read"});
        assert_eq!(
            body,
            json!({"repositories": ["Widgets"], "permissions": permissions})
        );
    }

    #[test]
    fn what_the_installation_lacks_is_not_asked_for_by_default() {
        let few = installation(&json!({"contents": "read", "issues": "write", "metadata": "read"}));
        let body = Grant::for_task(&repository(), None).body(&few).unwrap();
        assert_eq!(
            body["permissions"],
            json!({"contents": "read", "issues": "write", "metadata": "read"})
        );
        // An empty list would mean everything.
        let none = installation(&json!({}));
        let body = Grant::for_polls(&repository()).body(&none).unwrap();
        assert_eq!(body["permissions"], json!({"metadata": "read"}));
    }

    #[test]
    fn a_workspace_widens_and_narrows_by_name() {
        let spec = app(
            json!({"repositories": ["Lib", "widgets"], "permissions": {"workflows": "write", "issues": "none", "contents": "read",
            "repository_projects": "write", "metadata": "none"}}),
        );
        let body = Grant::for_task(&repository(), Some(&spec)).body(&all()).unwrap();
        let permissions = json!({"contents": "read", "pull_requests": "write", "metadata": "read",
            "workflows": "write", "repository_projects": "write"});
        assert_eq!(
            body,
            json!({"repositories": ["Lib", "Widgets"], "permissions": permissions})
        );
    }

    #[test]
    fn what_a_workspace_names_and_the_installation_lacks_is_told() {
        let spec =
            app(json!({"permissions": {"workflows": "write", "contents": "write", "secrets": "read"}}));
        let few = installation(&json!({"contents": "write", "workflows": "read", "metadata": "read"}));
        let lack = Grant::for_task(&repository(), Some(&spec))
            .body(&few)
            .unwrap_err();
        assert_eq!(lack, Lack::Permissions("secrets: read, workflows: write".into()));
    }

    #[test]
    fn names_are_looked_up_in_the_owners_installation_only() {
        let other = Repository::of("https://github.com/evil/widgets").unwrap();
        let lack = Grant::for_task(&other, None).body(&all()).unwrap_err();
        assert_eq!(lack, Lack::Owner("acme".into()));
        let enterprise = json!({"account": {"slug": "corp"}, "permissions": {}}).to_string();
        let enterprise = Installation::read(enterprise.as_bytes()).unwrap();
        assert!(Grant::for_task(&other, None).body(&enterprise).is_ok());
    }

    #[test]
    fn no_long_or_odd_answer_is_an_installation() {
        let long = json!({"permissions": {"a": "x".repeat(MAX_INSTALLATION)}}).to_string();
        for body in [long.as_str(), "{}", "[]", "", r#"{"permissions": ["contents"]}"#] {
            assert!(Installation::read(body.as_bytes()).is_err());
        }
        let names = (0..1000).map(|n| (format!("p{n}"), json!("read")));
        let many = json!({"account": {"login": "o".repeat(1000)},
            "permissions": names.collect::<serde_json::Map<_, _>>()});
        let kept = Installation::read(many.to_string().as_bytes()).unwrap();
        assert_eq!(kept.permissions.len(), MAX_KEPT.0);
        assert_eq!(kept.account.unwrap().len(), MAX_KEPT.1);
    }

    proptest! {
        /// Whatever a Workspace names and an installation has, the request names the repository, never an empty list, and
        /// nothing that the installation lacks.
        #[test]
        fn no_request_is_for_more_than_the_installation_has(
            wanted in proptest::collection::btree_map("contents|issues|workflows|secrets", 0..3usize, 0..4),
            had in proptest::collection::btree_map("contents|issues|workflows|secrets", "none|read|write|admin", 0..4),
        ) {
            let levels = [Level::None, Level::Read, Level::Write];
            let spec = GithubApp {
                permissions: wanted.into_iter().map(|(name, level)| (name, levels[level])).collect(),
                ..GithubApp::default()
            };
            let has = installation(&json!(had));
            if let Ok(body) = Grant::for_task(&repository(), Some(&spec)).body(&has) {
                prop_assert_eq!(&body["repositories"], &json!(["Widgets"]));
                let asked: BTreeMap<String, Level> = serde_json::from_value(body["permissions"].clone()).unwrap();
                prop_assert_eq!(asked[METADATA], Level::Read);
                for (name, level) in asked.iter().filter(|(name, _)| *name != METADATA) {
                    prop_assert!(*level <= has.level(name) && *level != Level::None);
                }
            }
        }
    }
}
