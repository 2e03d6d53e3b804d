//! One Task at a time works on a branch of a repository.
//!
//! Holders and queue follow from Tasks and Jobs alone, so that a new leader sees the same. Only a Task that waits
//! for nothing but the branch queues: one that waits for a dependency would block that very dependency.

use jiff::Timestamp;

use crate::git::Repository;
use crate::{Task, TaskPhase, TaskReason, Workspace};

/// The key of a branch's lock: namespace, repository, branch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub String);

/// Returns the key of a Task that names a branch and works in `workspace`.
#[must_use]
pub fn key(task: &Task, workspace: Option<&Workspace>) -> Option<Key> {
    let branch = task.spec.branch()?;
    let namespace = task.metadata.namespace.as_deref().unwrap_or_default();
    let repository = match workspace {
        Some(w) => Repository::parse(&w.spec.repo).map_or_else(|_| w.spec.repo.clone(), |r| r.key()),
        None => String::new(),
    };
    // No part can contain a line break, so that two different triples never join to the same text.
    Some(Key(format!("{namespace}\n{repository}\n{branch}")))
}

/// A Task of the same key.
#[derive(Clone, Debug)]
pub struct Rival<'a> {
    /// The Task, which may hold the lock or want it.
    pub task: &'a Task,
    /// True when it has a Job.
    pub has_job: bool,
}

/// Whom a Task has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker<'a> {
    /// The Task of this name works on the branch.
    Holder(&'a str),
    /// Tasks that were created earlier wait for the branch too.
    Queue,
}

/// Returns whom `task` has to wait for, if anyone. `rivals` are the other Tasks with its key.
#[must_use]
pub fn blocker<'a>(task: &Task, rivals: &[Rival<'a>]) -> Option<Blocker<'a>> {
    let live = |t: &Task| {
        !t.status
            .as_ref()
            .and_then(|s| s.phase)
            .is_some_and(TaskPhase::is_terminal)
    };
    let holder = rivals.iter().find(|r| live(r.task) && r.has_job);
    let queued = |t: &Task| t.status.as_ref().and_then(|s| s.reason) == Some(TaskReason::WaitingForBranch);
    if let Some(holder) = holder {
        return Some(Blocker::Holder(
            holder.task.metadata.name.as_deref().unwrap_or_default(),
        ));
    }
    let older = rivals
        .iter()
        .any(|r| live(r.task) && queued(r.task) && order(r.task) < order(task));
    older.then_some(Blocker::Queue)
}

fn order(task: &Task) -> (Option<Timestamp>, &str) {
    (
        task.metadata.creation_timestamp.as_ref().map(|t| t.0),
        task.metadata.name.as_deref().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::{TaskStatus, WorkspaceSpec};

    fn task(name: &str) -> Task {
        crate::yaml::from_str(&format!(
            "{{apiVersion: axon.io/v1alpha1, kind: Task, metadata: {{name: {name}, namespace: team}},
              spec: {{type: claude-code, prompt: do it, credentials: {{type: none}}}}}}"
        ))
        .unwrap()
    }

    fn workspace(repo: &str) -> Workspace {
        let spec = WorkspaceSpec {
            repo: repo.to_owned(),
            reference: None,
            secret_ref: None,
            github_app: None,
            trust: None,
            files: Vec::new(),
        };
        Workspace::new("w", spec)
    }

    fn on_branch(name: &str, created: i64, phase: TaskPhase, reason: TaskReason) -> Task {
        let mut t = task(name);
        t.spec.branch = Some("b".into());
        t.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
        t.status = Some(TaskStatus {
            phase: Some(phase),
            reason: Some(reason),
            ..TaskStatus::default()
        });
        t
    }

    #[test]
    fn workspaces_of_one_repository_share_the_key_and_namespaces_do_not() {
        let mut t = task("a");
        t.spec.branch = Some("b".into());
        let https = workspace("https://github.com/o/r.git");
        let ssh = workspace("git@github.com:o/r");
        assert_eq!(key(&t, Some(&https)), key(&t, Some(&ssh)));
        let mut other = t.clone();
        other.metadata.namespace = Some("elsewhere".into());
        assert_ne!(key(&t, Some(&https)), key(&other, Some(&https)));
        t.spec.branch = None;
        assert_eq!(key(&t, Some(&https)), None);
    }

    #[test]
    fn a_job_holds_the_branch_until_its_task_is_terminal() {
        let me = on_branch("me", 5, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let running = on_branch("r", 9, TaskPhase::Running, TaskReason::AgentRunning);
        assert_eq!(
            blocker(
                &me,
                &[Rival {
                    task: &running,
                    has_job: true
                }]
            ),
            Some(Blocker::Holder("r"))
        );
        let done = on_branch("r", 9, TaskPhase::Succeeded, TaskReason::Completed);
        assert_eq!(
            blocker(
                &me,
                &[Rival {
                    task: &done,
                    has_job: true
                }]
            ),
            None
        );
    }

    #[test]
    fn the_queue_is_first_in_first_out_with_names_breaking_ties() {
        let me = on_branch("m", 5, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let older = on_branch("z", 4, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let same = on_branch("a", 5, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let younger = on_branch("b", 6, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let of = |t| Rival {
            task: t,
            has_job: false,
        };
        assert_eq!(
            blocker(&me, &[of(&same), of(&older), of(&younger)]),
            Some(Blocker::Queue)
        );
        assert_eq!(blocker(&me, &[of(&same), of(&younger)]), Some(Blocker::Queue));
        assert_eq!(blocker(&me, &[of(&younger)]), None);
    }

    #[test]
    fn who_waits_for_a_dependency_does_not_queue() {
        let me = on_branch("m", 5, TaskPhase::Waiting, TaskReason::WaitingForBranch);
        let dependent = on_branch("d", 1, TaskPhase::Waiting, TaskReason::WaitingForDependencies);
        assert_eq!(
            blocker(
                &me,
                &[Rival {
                    task: &dependent,
                    has_job: false
                }]
            ),
            None
        );
    }
}
