//! What is kept of the objects that Tasks and spawners refer to.

use axon_api::v1alpha1::TaskBudget;
use axon_api::{AgentConfig, TaskSpawner, Workspace, labels};
use kube::ResourceExt as _;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::json;

use super::part::{LARGE, keep_metadata, mark};
use super::prune::{Keep, prune};
use super::seen::{Names, Seen, hollow};

macro_rules! seen {
    ($kind:ident, $keep:expr, $spec:expr) => {
        impl Seen for $kind {
            const KIND: &'static str = stringify!($kind);

            fn read(json: &str) -> serde_json::Result<Self> {
                let (object, is_part): (Self, bool) = read(json, $keep)?;
                let mut object = object;
                if is_part {
                    mark(&mut object.metadata, true);
                }
                Ok(object)
            }

            fn revision(&self) -> Option<String> {
                self.resource_version()
            }

            fn of_names(names: &Names) -> Option<Self> {
                hollow(names, &$spec)
            }
        }
    };
}

seen!(Workspace, |member| member != "files", json!({"repo": ""}));
seen!(AgentConfig, |_| false, json!({}));
// The Task is made of the spawner as it is then. A template's pod is a hundred times as large in memory as in JSON.
seen!(
    TaskSpawner,
    |member| !matches!(
        member,
        "promptTemplate" | "podOverrides" | "branch" | "model" | "image" | "dependsOn"
    ),
    json!({"when": {}, "taskTemplate": {"type": "codex", "credentials": {"type": "none"}}})
);

/// The books are read whole: the definition bounds them.
impl Seen for TaskBudget {
    const KIND: &'static str = "TaskBudget";

    fn read(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(&prune(json, &|path, _| match path {
            ["metadata"] => Keep::Each,
            ["metadata", "annotations" | "labels"] => Keep::Nothing,
            ["metadata", member] => keep_metadata(member),
            _ => Keep::All,
        })?)
    }

    fn revision(&self) -> Option<String> {
        self.resource_version()
    }

    fn of_names(names: &Names) -> Option<Self> {
        hollow(names, &json!({"limit": {}, "window": {}}))
    }
}

/// Reads an object whole, or of a large one what `keep` keeps of its spec, and says whether it is such a part.
fn read<K: DeserializeOwned>(json: &str, keep: impl Fn(&str) -> bool) -> serde_json::Result<(K, bool)> {
    let is_part = json.len() > LARGE;
    let pruned = prune(json, &|path, _| match path {
        ["metadata" | "spec"] | ["spec", "taskTemplate" | "when"] | ["metadata", "annotations"] => Keep::Each,
        ["spec", "when", "githubIssues"] => Keep::Each,
        // Two hundred people and labels fit a spawner, which is read whole before it polls.
        [
            "spec",
            "when",
            "githubIssues",
            "authors" | "commentsFrom" | "labels" | "excludeLabels",
        ] if is_part => Keep::Nothing,
        // Who stops spawners must not have to know how large their Workspace is.
        ["metadata", "annotations", labels::PAUSED] => Keep::All,
        ["metadata", "annotations", key] if !is_part && *key != super::LAST_APPLIED => Keep::All,
        ["metadata", "annotations", _] => Keep::Nothing,
        ["metadata", "labels"] | ["status"] if is_part => Keep::Nothing,
        ["metadata", member] => keep_metadata(member),
        ["spec", "taskTemplate", "podOverrides"] => Keep::Nothing,
        ["spec", member] | ["spec", "taskTemplate", member] if is_part && !keep(member) => Keep::Nothing,
        _ => Keep::All,
    })?;
    if pruned.len() > LARGE {
        let bytes = pruned.len();
        let text = format!("it has {bytes} bytes even without its texts, and {LARGE} are the most");
        return Err(serde_json::Error::custom(text));
    }
    Ok((serde_json::from_str(&pruned)?, is_part))
}

#[cfg(test)]
mod tests {
    use super::super::part::is_part;
    use super::*;

    fn workspace(content: usize) -> Workspace {
        let object = json!({
            "metadata": {"name": "w", "labels": {"a": "b"}, "finalizers": ["f"],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "axon.io/x": "y", "axon.io/paused": "true"}},
            "spec": {"repo": "https://h/o/r", "secretRef": {"name": "s"}, "files": [{"path": "a", "content": "x".repeat(content)}]},
        });
        Workspace::read(&object.to_string()).unwrap()
    }

    #[test]
    fn a_small_object_is_kept_whole_and_of_a_large_one_what_decisions_need() {
        let small = workspace(10);
        assert!(!is_part(&small.metadata) && small.spec.files.len() == 1);
        assert_eq!(small.metadata.annotations.unwrap().len(), 2);
        let large = workspace(100_000);
        assert!(is_part(&large.metadata) && large.spec.files.is_empty());
        assert_eq!(
            (large.spec.repo.as_str(), large.metadata.labels),
            ("https://h/o/r", None)
        );
        assert!(large.spec.secret_ref.is_some());
        let kept = large.metadata.annotations.unwrap();
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["axon.io/paused"]);
    }

    #[test]
    fn what_has_no_end_even_so_is_not_kept() {
        let object = json!({"metadata": {"name": "w"}, "spec": {"repo": "x".repeat(LARGE)}});
        let error = Workspace::read(&object.to_string()).unwrap_err().to_string();
        assert!(error.contains("16384"), "{error}");
    }

    #[test]
    fn the_pod_of_a_template_is_read_only_when_a_task_is_made() {
        let mut spawner = crate::spawner::fixtures::github("s");
        spawner.spec.task_template.prompt_template = Some("x".repeat(LARGE));
        spawner.spec.task_template.pod_overrides =
            serde_json::from_value(json!({"volumes": [{"name": "v"}]})).unwrap();
        let large = TaskSpawner::read(&serde_json::to_string(&spawner).unwrap()).unwrap();
        assert!(is_part(&large.metadata) && large.spec.task_template.prompt_template.is_none());
        spawner.spec.task_template.prompt_template = Some("short".into());
        let small = TaskSpawner::read(&serde_json::to_string(&spawner).unwrap()).unwrap();
        assert!(!is_part(&small.metadata) && small.spec.task_template.pod_overrides.is_none());
        assert_eq!(small.spec.task_template.prompt_template.as_deref(), Some("short"));
    }

    #[test]
    fn every_spawner_that_is_accepted_is_kept() {
        let mut spawner = crate::spawner::fixtures::github("s");
        // The longest that the definition takes, in a character of which the API server writes six.
        let people = json!({"associations": ["OWNER"], "users": vec!["<".repeat(100); 256]});
        let github = spawner.spec.when.github_issues.as_mut().unwrap();
        github.authors = serde_json::from_value(people).unwrap();
        github.comments_from.clone_from(&github.authors);
        github.labels = vec!["<".repeat(50); 100];
        github.exclude_labels.clone_from(&github.labels);
        spawner.spec.task_template.branch = Some("<".repeat(4096));
        spawner.spec.task_template.depends_on = vec!["d".repeat(63); 100];
        let written = serde_json::to_string(&spawner).unwrap().replace('<', "\\u003c");
        let kept = TaskSpawner::read(&written).unwrap();
        assert!(is_part(&kept.metadata) && kept.spec.when.github_issues.is_some());
        assert_eq!(
            kept.spec.task_template.workspace_ref,
            spawner.spec.task_template.workspace_ref
        );
    }
}
