//! Issues and pull requests become Tasks.

use axon_api::v1alpha1::TaskSpawnerPhase;
use axon_api::{Task, TaskSpawner};
use axon_fixtures::github::store::ItemSpec;
use axon_test::wait;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::{REPO, bug, world};
use crate::harness::{PATIENCE, SILENCE};

#[tokio::test]
async fn issues_of_the_match_become_tasks_with_all_their_variables() {
    let w = world().await;
    w.put(
        3,
        ItemSpec {
            title: "Crash".into(),
            body: Some("It crashes.".into()),
            labels: vec!["bug".into(), "p1".into()],
            ..ItemSpec::default()
        },
    );
    w.github
        .world()
        .store
        .comment(REPO, 3, ["Same here.".to_owned(), "Me too.".to_owned()]);
    w.put(
        4,
        ItemSpec {
            labels: vec!["bug".into(), "axon/needs-input".into()],
            ..ItemSpec::default()
        },
    );
    w.put(
        5,
        ItemSpec {
            labels: vec!["docs".into()],
            ..ItemSpec::default()
        },
    );
    w.put(
        6,
        ItemSpec {
            closed: true,
            ..bug()
        },
    );
    w.put(7, ItemSpec { pull: true, ..bug() });
    let all = "{{.ID}}|{{.Number}}|{{.Title}}|{{.Raw.Body}}|{{.URL}}|{{.Labels}}|{{.Raw.Comments}}|{{.Kind}}|{{.Time}}|{{.Schedule}}";
    let template = format!(
        "promptTemplate: \"{all}\"\nbranch: axon-task-{{{{.Number}}}}\nmodel: opus\nttlSecondsAfterFinished: 3600"
    );
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug], excludeLabels: [axon/needs-input]}}",
        &template,
    )
    .await;
    w.until_tasks(&["fix-3"]).await;
    let task = w.task("fix-3").await;
    let url = task.annotations()["axon.io/item-url"].clone();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with("/org/repo/issues/3"),
        "{url}"
    );
    assert_eq!(
        task.spec.prompt,
        format!("3|3|Crash|It crashes.|{url}|bug, p1|Same here.\n---\nMe too.|Issue||")
    );
    assert_eq!(task.spec.branch.as_deref(), Some("axon-task-3"));
    assert_eq!(
        (task.spec.model.as_deref(), task.spec.ttl_seconds_after_finished),
        (Some("opus"), Some(3600))
    );
    assert_eq!(
        (
            task.labels()["axon.io/taskspawner"].as_str(),
            task.labels()["axon.io/item"].as_str()
        ),
        ("fix", "3")
    );
    assert!(task.owner_references().is_empty());

    let status = w
        .until("fix", "says so", |s| {
            s.total_tasks_created == Some(1) && s.claims.is_empty()
        })
        .await;
    assert_eq!(
        (status.phase, status.total_discovered, status.active_tasks),
        (Some(TaskSpawnerPhase::Running), Some(1), Some(1))
    );
    assert_eq!(
        (status.deployment_name.as_deref(), status.runner.as_deref()),
        (Some("axon-operator"), Some("operator-under-test"))
    );
    assert!(status.last_discovery_time.is_some() && status.source.unwrap().ends_with("/org/repo"));
    assert_eq!(
        w.until_condition("fix", "Ready", "True", "Running").await,
        status.message.unwrap()
    );

    // Kinds are a filter too, and an edit counts at once.
    w.edit(
        "fix",
        json!({"spec": {"when": {"githubIssues": {"types": ["issues", "pulls"]}}}}),
    )
    .await;
    w.until_tasks(&["fix-3", "fix-7"]).await;
    assert!(w.task("fix-7").await.spec.prompt.contains("|PR|"));
    let events = wait::until("events", PATIENCE, async || {
        let all = w
            .bench
            .namespace
            .api::<Event>()
            .list(&ListParams::default())
            .await?;
        let of_spawner = |e: &Event| {
            e.regarding
                .as_ref()
                .is_some_and(|r| r.kind.as_deref() == Some("TaskSpawner"))
        };
        Ok(all
            .into_iter()
            .find(|e| of_spawner(e) && e.reason.as_deref() == Some("TaskCreated")))
    });
    events.await.unwrap();

    // Tasks outlive their spawner.
    let spawners = w.bench.namespace.api::<TaskSpawner>();
    spawners.delete("fix", &DeleteParams::default()).await.unwrap();
    wait::until_gone(&spawners, "fix", PATIENCE).await.unwrap();
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-3", "fix-7"]);
}

#[tokio::test]
async fn one_bad_item_does_not_stop_the_rest() {
    let w = world().await;
    w.put(
        1,
        ItemSpec {
            title: "two words".into(),
            ..bug()
        },
    );
    w.put(
        2,
        ItemSpec {
            title: "fine".into(),
            ..bug()
        },
    );
    w.apply(&crate::harness::task("fix-3", "")).await;
    w.put(
        3,
        ItemSpec {
            title: "taken".into(),
            ..bug()
        },
    );
    w.put(
        4,
        ItemSpec {
            title: "good".into(),
            ..bug()
        },
    );
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\nmaxConcurrency: 5",
        "branch: \"b-{{.Title}}\"",
    )
    .await;
    w.until_tasks(&["fix-2", "fix-3", "fix-4"]).await;
    let message = w
        .until_condition("fix", "ItemsBlocked", "True", "InvalidBranch")
        .await;
    for part in [
        "1: taskTemplate.branch renders to \"b-two words\", which has a space",
        "3: Task \"fix-3\" exists and is not this spawner's",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let status = w
        .until("fix", "counts two", |s| s.total_tasks_created == Some(2))
        .await;
    assert_eq!(
        (status.phase, status.active_tasks),
        (Some(TaskSpawnerPhase::Running), Some(2))
    );
    // What is mended goes on.
    w.put(
        1,
        ItemSpec {
            title: "one-word".into(),
            ..bug()
        },
    );
    w.bench
        .namespace
        .api::<Task>()
        .delete("fix-3", &DeleteParams::background())
        .await
        .unwrap();
    w.until_tasks(&["fix-1", "fix-2", "fix-3", "fix-4"]).await;
    w.until_condition("fix", "ItemsBlocked", "False", "NoneBlocked")
        .await;
}

#[tokio::test]
async fn a_bad_template_is_told_and_mended() {
    let w = world().await;
    w.put(1, bug());
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}",
        "promptTemplate: \"{{.Title\"",
    )
    .await;
    let message = w
        .until_condition("fix", "TemplateValid", "False", "InvalidTemplate")
        .await;
    assert!(
        message.starts_with("taskTemplate.promptTemplate can't be rendered"),
        "{message}"
    );
    let status = w
        .until("fix", "is failed", |s| s.phase == Some(TaskSpawnerPhase::Failed))
        .await;
    let reachable = status.conditions.iter().find(|c| c.type_ == "SourceReachable");
    assert_eq!(reachable, None, "nobody has asked");
    w.edit(
        "fix",
        json!({"spec": {"taskTemplate": {"promptTemplate": "{{.Title}}"}}}),
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    w.until_condition("fix", "Ready", "True", "Running").await;
}
