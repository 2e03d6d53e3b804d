//! Who else uses a Workspace or Secret that is about to be replaced: others may share it without knowing.

use axon_api::git::Repository;
use kube::api::ListParams;
use serde::Deserialize;

use super::ensure::Change;
use crate::cluster::Cluster;
use crate::cluster::task_summary::{Meta, Named, Status};
use crate::error::Result;
use crate::format::count;
use crate::kinds::Kind;

/// Users that are named; the rest is counted.
const MOST_NAMED: usize = 4;

/// What of a Task, and of a TaskSpawner's template, says what it uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Needs {
    workspace_ref: Option<Named>,
    credentials: Credentials,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    secret_ref: Option<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TaskNeeds {
    metadata: Meta,
    spec: Needs,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SpawnerNeeds {
    metadata: Meta,
    spec: SpawnerSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpawnerSpec {
    task_template: Needs,
}

/// What of a Workspace says which Secret it uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WorkspaceNeeds {
    metadata: Meta,
    spec: WorkspaceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WorkspaceSpec {
    secret_ref: Option<Named>,
}

/// All of a namespace that may use something: Tasks that have not ended, and TaskSpawners.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// As `task/NAME`.
    all: Vec<(String, Needs)>,
    workspaces: Vec<WorkspaceNeeds>,
}

impl Users {
    /// Reads who there is.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self> {
        let (place, every) = (Some(cluster.namespace.as_str()), ListParams::default());
        let (mut tasks, mut spawners, mut workspaces) = (Vec::new(), Vec::new(), Vec::new());
        futures::try_join!(
            cluster.list(Kind::Task, place, &every, |page| tasks.extend(page)),
            cluster.list(Kind::TaskSpawner, place, &every, |page| spawners.extend(page)),
            cluster.list(Kind::Workspace, place, &every, |page| workspaces.extend(page)),
        )?;
        Ok(Self::new(tasks, spawners, workspaces))
    }

    fn new(tasks: Vec<TaskNeeds>, spawners: Vec<SpawnerNeeds>, workspaces: Vec<WorkspaceNeeds>) -> Self {
        let ended = |task: &TaskNeeds| task.status.phase.is_some_and(axon_api::TaskPhase::is_terminal);
        let tasks = tasks.into_iter().filter(|task| !ended(task));
        let tasks = tasks.map(|task| (format!("task/{}", task.metadata.name), task.spec));
        let spawners = spawners.into_iter().map(|spawner| {
            (
                format!("taskspawner/{}", spawner.metadata.name),
                spawner.spec.task_template,
            )
        });
        Self {
            all: tasks.chain(spawners).collect(),
            workspaces,
        }
    }

    /// Returns who uses the Workspace.
    pub(crate) fn of_workspace(&self, name: &str) -> Vec<&str> {
        self.that(|needs| is(needs.workspace_ref.as_ref(), name))
    }

    /// Returns who uses the Secret, for the agent or, by a Workspace, for the repository.
    pub(crate) fn of_secret(&self, name: &str) -> Vec<&str> {
        let with_it = self
            .workspaces
            .iter()
            .filter(|w| is(w.spec.secret_ref.as_ref(), name));
        let workspaces: Vec<&str> = with_it.map(|w| w.metadata.name.as_str()).collect();
        self.that(|needs| {
            is(needs.credentials.secret_ref.as_ref(), name)
                || workspaces.iter().any(|w| is(needs.workspace_ref.as_ref(), w))
        })
    }

    fn that(&self, uses: impl Fn(&Needs) -> bool) -> Vec<&str> {
        let all = self.all.iter().filter(|(_, needs)| uses(needs));
        all.map(|(title, _)| title.as_str()).collect()
    }
}

fn is(reference: Option<&Named>, name: &str) -> bool {
    reference.is_some_and(|reference| reference.name == name)
}

/// Names users: `task/a, task/b and 3 others`.
pub(crate) fn named(users: &[&str]) -> String {
    let (shown, rest) = users.split_at(users.len().min(MOST_NAMED));
    match (shown, rest) {
        ([first @ .., last], []) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (shown, []) => shown.join(", "),
        (shown, rest) => format!("{} and {}", shown.join(", "), count(rest.len(), "other")),
    }
}

/// Returns the old and the new repository, if the change is one of repositories.
pub(crate) fn moved(change: &Change) -> Option<(&str, &str)> {
    let Change::ReplaceWorkspace { workspace, was, .. } = change else {
        return None;
    };
    let key = |url: &str| Repository::parse(url).map_or_else(|_| url.to_owned(), |repo| repo.key());
    let now = workspace.spec.repo.as_str();
    (key(was) != key(now)).then_some((was, now))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<T> {
        let all = values.iter().cloned();
        all.map(|value| serde_json::from_value(value).unwrap()).collect()
    }

    #[test]
    fn who_has_ended_uses_nothing() {
        let task = |name: &str, workspace: &str, secret: &str, phase: Option<&str>| {
            json!({"metadata": {"name": name}, "spec": {"workspaceRef": {"name": workspace},
                "credentials": {"secretRef": {"name": secret}}}, "status": {"phase": phase}})
        };
        let users = Users::new(
            read(&[
                task("new", "w", "s", None),
                task("waits", "w", "other", Some("Waiting")),
                task("done", "w", "s", Some("Succeeded")),
                task("elsewhere", "x", "s", Some("Running")),
            ]),
            read(&[
                json!({"metadata": {"name": "ts"}, "spec": {"taskTemplate": {"workspaceRef": {"name": "w"}}}}),
            ]),
            read(&[json!({"metadata": {"name": "w"}, "spec": {"secretRef": {"name": "git"}}})]),
        );
        let of_w = ["task/new", "task/waits", "taskspawner/ts"];
        assert_eq!(users.of_workspace("w"), of_w);
        assert_eq!(users.of_workspace("nobody's"), [""; 0]);
        assert_eq!(users.of_secret("s"), ["task/new", "task/elsewhere"]);
        assert_eq!(users.of_secret("git"), of_w);
    }

    #[test]
    fn users_are_named_or_counted() {
        assert_eq!(named(&["a"]), "a");
        assert_eq!(named(&["a", "b", "c"]), "a, b and c");
        assert_eq!(named(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 others");
    }

    #[test]
    fn a_repository_is_the_same_however_it_is_written() {
        let change = |was: &str, now: &str| Change::ReplaceWorkspace {
            workspace: Box::new(
                serde_json::from_value(json!({"metadata": {"name": "w"}, "spec": {"repo": now}})).unwrap(),
            ),
            ours: true,
            was: was.to_owned(),
        };
        let same = change("https://h.io/Org/app.git", "git@h.io:org/app");
        assert_eq!(moved(&same), None);
        let other = change("https://h.io/org/app.git", "https://h.io/org/shop.git");
        assert_eq!(
            moved(&other),
            Some(("https://h.io/org/app.git", "https://h.io/org/shop.git"))
        );
    }
}
