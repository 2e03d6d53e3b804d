//! Small objects for the tests of this module.

use axon_api::TaskSpawner;

use crate::spawner::source::item::Item;

/// A spawner with a GitHub source.
pub(crate) fn github(name: &str) -> TaskSpawner {
    with_when(
        name,
        "{githubIssues: {labels: [bug], excludeLabels: [axon/needs-input]}}",
    )
}

/// A spawner with a schedule.
pub(crate) fn cron(name: &str, schedule: &str) -> TaskSpawner {
    with_when(name, &format!("{{cron: {{schedule: \"{schedule}\"}}}}"))
}

fn with_when(name: &str, when: &str) -> TaskSpawner {
    axon_api::yaml::from_str(&format!(
        "{{apiVersion: axon.io/v1alpha1, kind: TaskSpawner,
          metadata: {{name: {name}, namespace: team, uid: uid-1, generation: 1, resourceVersion: '1',
            creationTimestamp: '2026-01-01T00:00:00Z'}},
          spec: {{when: {when}, taskTemplate: {{type: claude-code, workspaceRef: {{name: w}},
            credentials: {{type: api-key, secretRef: {{name: key}}}}}}}}}}"
    ))
    .expect("the fixture is a TaskSpawner")
}

/// An issue.
pub(crate) fn issue(number: i64) -> Item {
    Item {
        id: number.to_string(),
        number,
        title: format!("issue {number}"),
        body: format!("body of {number}").into(),
        url: format!("https://github.com/org/repo/issues/{number}"),
        labels: vec!["bug".into()],
        ..Item::default()
    }
}
