//! TaskSpawners: whether they work, and who can start an agent by them.

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{GithubIssues, spawner_condition};

use super::guards::some_of;
use super::{Facts, Finding, Verdict, bad, ok, unknown};

/// What matters here of a TaskSpawner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpawnerFacts {
    /// Its name.
    pub name: String,
    /// True if it reads issues or pull requests.
    pub reads_github: bool,
    /// True if everybody on GitHub can start an agent by it.
    pub is_open: bool,
    /// Message of the condition `PermissionUnknown`, while that is True.
    pub permission_unknown: Option<String>,
    /// Message of the condition `Stalled`, while that is True.
    pub stalled: Option<String>,
}

impl SpawnerFacts {
    /// Returns them of an object.
    #[must_use]
    pub fn of(spawner: TaskSpawner) -> Self {
        let source = spawner.spec.when.github_issues.as_ref();
        let conditions = spawner.status.map(|status| status.conditions).unwrap_or_default();
        let while_true = |name: &str| {
            let condition = conditions
                .iter()
                .find(|c| c.type_ == name && c.status == "True")?;
            Some(format!("{}: {}", condition.reason, condition.message))
        };
        Self {
            name: spawner.metadata.name.unwrap_or_default(),
            reads_github: source.is_some(),
            is_open: source.is_some_and(GithubIssues::is_open_to_strangers),
            permission_unknown: while_true(spawner_condition::PERMISSION_UNKNOWN),
            stalled: while_true(spawner_condition::STALLED),
        }
    }
}

/// Says nothing where there is nothing to say: most namespaces have no TaskSpawner.
pub(crate) fn spawners(facts: &Facts) -> Vec<Finding> {
    match &facts.spawners {
        Ok(spawners) => [working(facts, spawners), gate(facts, spawners)]
            .into_iter()
            .flatten()
            .collect(),
        Err(why) => vec![unknown("taskspawners", why)],
    }
}

fn describe(facts: &Facts, name: &str) -> String {
    let (namespace, flags) = (&facts.namespace, &facts.flags);
    format!("kubectl axon describe taskspawner {name} -n {namespace}{flags}")
}

fn working(facts: &Facts, spawners: &[SpawnerFacts]) -> Option<Finding> {
    let check = "taskspawners";
    let stalled = |spawner: &&SpawnerFacts| spawner.stalled.is_some();
    let Some(first) = spawners.iter().find(stalled) else {
        let works = || ok(check, format!("none of {} is stalled", spawners.len()));
        return (!spawners.is_empty()).then(works);
    };
    let others = match spawners.iter().filter(stalled).count() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let why = crate::format::gist(first.stalled.as_deref().unwrap_or_default(), 200);
    Some(bad(
        check,
        Verdict::Fail,
        format!("{} is stalled{others}: {why}", first.name),
        describe(facts, &first.name),
    ))
}

fn gate(facts: &Facts, spawners: &[SpawnerFacts]) -> Option<Finding> {
    let check = "author gate";
    let readers: Vec<&SpawnerFacts> = spawners.iter().filter(|spawner| spawner.reads_github).collect();
    let open: Vec<String> = readers
        .iter()
        .filter(|spawner| spawner.is_open)
        .map(|spawner| spawner.name.clone())
        .collect();
    if !open.is_empty() {
        return Some(bad(
            check,
            Verdict::Warn,
            format!("everybody on GitHub can start agents by {}", some_of(&open)),
            "leave githubIssues.authors out, so that only people with write permission can",
        ));
    }
    if let Some((unsure, why)) = readers
        .iter()
        .find_map(|spawner| Some((spawner, spawner.permission_unknown.as_deref()?)))
    {
        return Some(bad(
            check,
            Verdict::Warn,
            format!("{}: {}", unsure.name, crate::format::gist(why, 200)),
            describe(facts, &unsure.name),
        ));
    }
    (!readers.is_empty()).then(|| {
        ok(
            check,
            "only people with write permission start agents, or approve who does",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_tells_who_can_use_it_and_whether_it_works() {
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "Because", "message": "of this",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let object = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "fix"},
            "spec": {"when": {"githubIssues": {"authors": {"associations": ["ALL"]}}},
                "taskTemplate": {"type": "codex", "credentials": {"type": "none"}, "workspaceRef": {"name": "w"}}},
            "status": {"conditions": [condition("Stalled", "True"), condition("PermissionUnknown", "False")]},
        });
        assert_eq!(
            SpawnerFacts::of(serde_json::from_value(object).unwrap()),
            SpawnerFacts {
                name: "fix".into(),
                reads_github: true,
                is_open: true,
                permission_unknown: None,
                stalled: Some("Because: of this".into()),
            }
        );
    }
}
