//! What the leader keeps of a Task, and when it needs the whole of it.

use axon_api::{Task, TaskReason, TaskStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::json;

use crate::kube::watch::{Keep, LARGE, Names, Seen, hollow, is_part, keep_metadata, mark, prune};
use crate::task::build::prompt;
use crate::task::decide::unknown_reasons::restore_reasons;
use crate::task::observe::has_ended;

/// Bytes of what other Tasks need of one. A hundred dependencies with the longest names, all of which have succeeded, fit.
const MOST: usize = 2 * LARGE;

impl Seen for Task {
    const KIND: &'static str = "Task";

    fn read(json: &str) -> serde_json::Result<Self> {
        let kept = prune(json, &|path, value| match path {
            ["metadata" | "spec"] => Keep::Each,
            ["metadata", member] => keep_metadata(member),
            // Read when the Job is created; until then it only counts whether it asks for the dependencies' results.
            ["spec", "prompt"] if value.contains("{{") => Keep::Instead(prompt::SOME_TEMPLATE),
            ["spec", "prompt"] => Keep::Instead("\"\""),
            ["spec", "podOverrides" | "image" | "stallTimeout" | "retryOf"] => Keep::Nothing,
            _ => Keep::All,
        })?;
        let is_long = kept.len() > LARGE;
        let kept = if is_long { for_others(&kept)? } else { kept };
        if kept.len() > MOST {
            let bytes = kept.len();
            let text = format!("what it waits for is {bytes} bytes of JSON, and {MOST} are the most");
            return Err(serde_json::Error::custom(text));
        }
        let mut task: Self = serde_json::from_str(&kept)?;
        if let Some(status) = task
            .status
            .as_mut()
            .filter(|status| status.reason == Some(TaskReason::Unknown))
        {
            if is_long {
                status.conditions = serde_json::from_str::<Told>(json)?.status.conditions;
            }
            restore_reasons(status);
            if is_long {
                status.conditions.clear();
            }
        }
        let over = has_ended(&task);
        if json.len() > LARGE {
            mark(&mut task.metadata, is_long && !over);
        }
        if over {
            task.status = task.status.take().map(finished);
            task.spec.model = None;
        }
        Ok(task)
    }

    fn revision(&self) -> Option<String> {
        self.resource_version()
    }

    fn of_names(names: &Names) -> Option<Self> {
        hollow(
            names,
            &json!({"type": "codex", "prompt": "", "credentials": {"type": "none"}}),
        )
    }
}

/// Sources of a Task's reason that older definitions refused.
#[derive(Deserialize)]
struct Told {
    status: ToldStatus,
}

#[derive(Deserialize)]
struct ToldStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// Returns what other Tasks need of one whose status or labels are long.
fn for_others(json: &str) -> serde_json::Result<String> {
    prune(json, &|path, _| match path {
        ["metadata" | "spec" | "status"] => Keep::Each,
        ["metadata", "labels"] | ["spec", "model"] => Keep::Nothing,
        [
            "status",
            "phase"
            | "reason"
            | "jobName"
            | "githubToken"
            | "satisfiedDependencies"
            | "completionTime"
            | "budgets",
        ]
        | ["status", "observedGeneration"] => Keep::All,
        ["status", _] => Keep::Nothing,
        _ => Keep::All,
    })
}

/// Returns what counts of the status of a Task that has ended: thousands may be there.
fn finished(status: TaskStatus) -> TaskStatus {
    TaskStatus {
        phase: status.phase,
        reason: status.reason,
        job_name: status.job_name,
        completion_time: status.completion_time,
        github_token: status.github_token,
        satisfied_dependencies: status.satisfied_dependencies,
        budgets: status.budgets,
        observed_generation: status.observed_generation,
        ..TaskStatus::default()
    }
}

/// Returns true if no decision may be made on what is kept of a Task: its status would be written without what was left
/// out, or its prompt has to be checked first.
#[must_use]
pub fn must_be_whole(task: &Task) -> bool {
    let seen = task.status.as_ref().and_then(|s| s.observed_generation);
    is_part(&task.metadata)
        || has_ended(task) && seen != task.metadata.generation
        || task.status.is_none() && prompt::is_template(task)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kube::watch::is_large;
    use crate::task::github_token::rules::has_left_one;

    #[expect(clippy::needless_pass_by_value, reason = "the cases write them in place")]
    fn read(spec: Value, status: Value) -> Task {
        let mut task = json!({
            "metadata": {"name": "t", "generation": 1, "labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": []},
            "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}, "model": "m", "branch": "b",
                "dependsOn": ["x"], "podOverrides": {"env": []}},
            "status": status,
        });
        for (key, value) in spec.as_object().unwrap() {
            task["spec"][key] = value.clone();
        }
        Task::read(&task.to_string()).unwrap()
    }

    #[test]
    fn the_reason_is_the_true_one_also_where_the_definitions_lack_it() {
        for filler in [10, 30_000] {
            let task = read(
                json!({}),
                json!({"phase": "Waiting", "reason": "Unknown", "message": "m".repeat(filler), "conditions": [{
                    "type": "Ready", "status": "False", "reason": "WaitingForBranch", "message": "m",
                    "lastTransitionTime": "2026-11-30T06:00:00Z"}]}),
            );
            let status = task.status.unwrap();
            assert_eq!(status.reason, Some(TaskReason::WaitingForBranch));
            assert_eq!(
                status.conditions.is_empty(),
                filler > 10,
                "what is long is not kept"
            );
        }
    }

    #[test]
    fn a_task_is_kept_without_its_prompt_and_pod() {
        let task = read(
            json!({"prompt": "p".repeat(1_000_000)}),
            json!({"phase": "Waiting", "message": "m"}),
        );
        assert_eq!((task.spec.prompt.as_str(), &task.spec.pod_overrides), ("", &None));
        assert_eq!(
            (task.spec.branch(), task.spec.model.as_deref()),
            (Some("b"), Some("m"))
        );
        assert_eq!(task.status.as_ref().unwrap().message.as_deref(), Some("m"));
        assert!(task.metadata.labels.is_some() && task.metadata.annotations.is_none());
        assert!(is_large(&task.metadata) && !must_be_whole(&task));
    }

    #[test]
    fn a_template_is_checked_before_it_waits_and_known_as_one_afterwards() {
        let new = read(json!({"prompt": "{{.Deps}}"}), Value::Null);
        assert!(prompt::is_template(&new) && must_be_whole(&new));
        let told = read(json!({"prompt": "{{.Deps}}"}), json!({"phase": "Waiting"}));
        assert!(
            prompt::is_template(&told) && !must_be_whole(&told) && prompt::ParsedPrompt::parse(&told).is_ok()
        );
        assert!(!must_be_whole(&read(json!({}), Value::Null)));
    }

    #[test]
    fn of_a_finished_task_little_is_kept() {
        let status = json!({"phase": "Succeeded", "message": "m", "outputs": ["a: b"], "observedGeneration": 1,
            "results": {"a": "b"}, "satisfiedDependencies": ["x"], "completionTime": "2026-01-01T00:00:00Z"});
        let task = read(json!({}), status);
        let kept = task.status.clone().unwrap();
        assert!(kept.outputs.is_empty() && kept.results.is_empty() && kept.message.is_none());
        assert!(kept.completion_time.is_some() && kept.satisfied_dependencies == ["x"]);
        assert!(!must_be_whole(&task));
        let edited = read(json!({}), json!({"phase": "Failed", "observedGeneration": 0}));
        assert!(must_be_whole(&edited), "its status is about to be written");
        let token = json!({"secretName": "t-github-token", "expirationTime": "2026-01-01T01:00:00Z",
            "renewTime": "2026-01-01T00:45:00Z"});
        let message = "m".repeat(LARGE);
        for message in ["m", &message] {
            let status =
                json!({"phase": "Failed", "observedGeneration": 1, "githubToken": token, "message": message});
            let left = read(json!({}), status);
            assert!(has_left_one(&left) && !must_be_whole(&left));
        }
    }

    #[test]
    fn a_long_status_is_read_for_each_decision() {
        let outputs = json!({"y": ["o".repeat(LARGE)]});
        let status =
            json!({"phase": "Waiting", "satisfiedDependencies": ["y"], "dependencyOutputs": outputs});
        let task = read(json!({}), status);
        assert!(must_be_whole(&task));
        assert_eq!(task.status.unwrap().satisfied_dependencies, ["y"]);
        let ended = read(
            json!({}),
            json!({"phase": "Failed", "observedGeneration": 1, "message": "m".repeat(LARGE)}),
        );
        assert!(is_large(&ended.metadata) && !must_be_whole(&ended));
    }

    #[test]
    fn what_is_gone_can_be_named_although_it_could_not_be_read() {
        use axon_api::v1alpha1::TaskSpawner;
        use axon_api::{AgentConfig, Workspace};
        use kube::Resource as _;
        let names: Names =
            serde_json::from_value(json!({"namespace": "n", "name": "x", "uid": "u"})).unwrap();
        let of =
            |meta: &kube::core::ObjectMeta| (meta.namespace.clone(), meta.name.clone(), meta.uid.clone());
        let all = [
            of(Task::of_names(&names).unwrap().meta()),
            of(Workspace::of_names(&names).unwrap().meta()),
            of(AgentConfig::of_names(&names).unwrap().meta()),
            of(TaskSpawner::of_names(&names).unwrap().meta()),
        ];
        for one in all {
            assert_eq!(one, (Some("n".into()), Some("x".into()), Some("u".into())));
        }
    }
}
