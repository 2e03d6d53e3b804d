//! The source of the agent CLI's configuration: the checked-out tree, or the repository's default branch.

use crate::v1alpha1::{TaskSpec, Trust, WorkspaceSpec};

/// Refs that only those can write who can push to the repository. All others, such as `refs/pull/7/head`, hold what anybody
/// may propose.
const PUSHED: [&str; 2] = ["refs/heads/", "refs/tags/"];

/// Returns whose configuration counts for a Task: what the Task says, or its Workspace, or else the rule for its ref.
#[must_use]
pub fn of(task: &TaskSpec, workspace: Option<&WorkspaceSpec>) -> Trust {
    let said = task.trust.or(workspace.and_then(|workspace| workspace.trust));
    said.unwrap_or_else(|| by_ref(workspace.and_then(WorkspaceSpec::reference)))
}

/// Returns the rule for a Workspace's ref. A name without `refs/` is a branch, a tag or a commit of the repository.
fn by_ref(reference: Option<&str>) -> Trust {
    let is_proposed = reference.is_some_and(|name| {
        name.starts_with("refs/") && !PUSHED.iter().any(|prefix| name.starts_with(prefix))
    });
    if is_proposed { Trust::Base } else { Trust::Ref }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_pushed_configures_by_default() {
        for (reference, trust) in [
            (None, Trust::Ref),
            (Some("main"), Trust::Ref),
            (Some("v1.2"), Trust::Ref),
            (Some("refs/heads/topic"), Trust::Ref),
            (Some("refs/tags/v1"), Trust::Ref),
            // A branch that is called so.
            (Some("pull/7/head"), Trust::Ref),
            (Some("refs/pull/7/head"), Trust::Base),
            (Some("refs/pull/7/merge"), Trust::Base),
            (Some("refs/merge-requests/7/head"), Trust::Base),
            (Some("refs/changes/34/1234/1"), Trust::Base),
        ] {
            assert_eq!(by_ref(reference), trust, "{reference:?}");
        }
    }

    #[test]
    fn the_task_wins_over_its_workspace_and_both_over_the_rule() {
        let task = |trust: Option<Trust>| -> TaskSpec {
            let json = serde_json::json!({"type": "codex", "prompt": "p", "credentials": {"type": "none"}, "trust": trust});
            serde_json::from_value(json).unwrap()
        };
        let workspace = |trust: Option<Trust>| -> WorkspaceSpec {
            let json =
                serde_json::json!({"repo": "https://h/o/r", "ref": "refs/pull/7/head", "trust": trust});
            serde_json::from_value(json).unwrap()
        };
        let all = [None, Some(Trust::Ref), Some(Trust::Base)];
        for (of_task, of_workspace) in all.into_iter().flat_map(|a| all.map(|b| (a, b))) {
            let expected = of_task.or(of_workspace).unwrap_or(Trust::Base);
            assert_eq!(of(&task(of_task), Some(&workspace(of_workspace))), expected);
            assert_eq!(of(&task(of_task), None), of_task.unwrap_or(Trust::Ref));
        }
    }
}
