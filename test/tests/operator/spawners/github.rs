//! Issues and pull requests become Tasks.

use axon_api::v1alpha1::TaskSpawnerPhase;
use axon_api::{Task, TaskSpawner};
use axon_fixtures::github::faults::Fault;
use axon_fixtures::github::store::ItemSpec;
use axon_test::wait;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::preview::axon;
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
async fn an_item_runs_again_when_a_label_is_put_on_and_taken_off() {
    let w = world().await;
    w.put(1, bug());
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug], excludeLabels: [axon/needs-input]}}",
        "",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    let left = |t: &Task| {
        t.annotations()
            .get("axon.io/match")
            .is_some_and(|m| m.starts_with("left:"))
    };
    tokio::time::sleep(SILENCE * 2).await;
    w.label(1, "axon/needs-input", true);
    w.bench
        .namespace
        .wait_for("fix-1", "is marked", PATIENCE, left)
        .await
        .unwrap();
    w.label(1, "axon/needs-input", false);
    // Not while the first one runs.
    tokio::time::sleep(SILENCE).await;
    assert_eq!(w.tasks().await, ["fix-1"]);
    w.bench.succeed("fix-1", "{}").await;
    w.until_tasks(&["fix-1", "fix-1-r2"]).await;
    w.bench.succeed("fix-1-r2", "{}").await;
    // Once is enough, and an edit of the filter and back moves nothing.
    for labels in [json!(["typo"]), json!(["bug"])] {
        w.edit(
            "fix",
            json!({"spec": {"when": {"githubIssues": {"labels": labels}}}}),
        )
        .await;
        tokio::time::sleep(SILENCE * 2).await;
    }
    assert_eq!(w.tasks().await, ["fix-1", "fix-1-r2"]);
    w.label(1, "axon/needs-input", true);
    w.bench
        .namespace
        .wait_for("fix-1-r2", "is marked", PATIENCE, left)
        .await
        .unwrap();
    w.label(1, "axon/needs-input", false);
    w.until_tasks(&["fix-1", "fix-1-r2", "fix-1-r3"]).await;
    w.until("fix", "counts all", |s| s.total_tasks_created == Some(3))
        .await;
    // A run that a person repeats is the item's newest one.
    w.bench.succeed("fix-1-r3", "{}").await;
    w.bench
        .until_phase("fix-1-r3", axon_api::TaskPhase::Succeeded)
        .await;
    for args in [
        &["retry", "fix-1-r3"][..],
        &["retry", "fix-1", "--name", "by-hand"],
    ] {
        axon(&w, args).await.succeeded().unwrap();
    }
    let all = ["by-hand", "fix-1", "fix-1-r1", "fix-1-r2", "fix-1-r3"];
    w.until_tasks(&all).await;
    for name in ["fix-1-r1", "by-hand"] {
        w.bench.succeed(name, "{}").await;
        w.bench.until_phase(name, axon_api::TaskPhase::Succeeded).await;
    }
    tokio::time::sleep(SILENCE * 2).await;
    assert_eq!(w.tasks().await, all);
    w.label(1, "axon/needs-input", true);
    let marked = wait::until("the mark of the newest", PATIENCE, async || {
        let tasks = w
            .bench
            .namespace
            .api::<Task>()
            .list(&ListParams::default())
            .await?;
        let by_hand = |t: &&Task| ["by-hand", "fix-1-r1"].contains(&t.name_any().as_str());
        Ok(tasks.iter().filter(by_hand).any(left).then_some(()))
    });
    marked.await.unwrap();
    w.label(1, "axon/needs-input", false);
    w.until_tasks(&["by-hand", "fix-1", "fix-1-r1", "fix-1-r2", "fix-1-r3", "fix-1-r4"])
        .await;
}

#[tokio::test]
async fn a_task_that_is_gone_is_made_again_while_its_item_matches() {
    let w = world().await;
    w.put(1, bug());
    w.spawner("fix", "when: {githubIssues: {labels: [bug]}}", "")
        .await;
    let first = w.task("fix-1").await;
    let tasks = w.bench.namespace.api::<Task>();
    tasks.delete("fix-1", &DeleteParams::background()).await.unwrap();
    let again = |t: &Task| t.uid() != first.uid();
    w.bench
        .namespace
        .wait_for("fix-1", "is made again", PATIENCE, again)
        .await
        .unwrap();
    w.until("fix", "counts both", |s| s.total_tasks_created == Some(2))
        .await;
}

#[tokio::test]
async fn a_task_that_is_gone_is_not_made_again_by_what_another_spawner_saw_before() {
    let w = world().await;
    w.put(1, bug());
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 25s",
        "",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    // Its labels take a listing of their own, which is the newest at the next look of the first one.
    w.spawner(
        "other",
        "when: {githubIssues: {labels: [docs]}}\npollInterval: 1h",
        "",
    )
    .await;
    w.until("other", "has looked", |s| s.last_discovery_time.is_some())
        .await;
    w.github.world().store.remove_item(REPO, 1);
    w.put(2, bug());
    let tasks = w.bench.namespace.api::<Task>();
    tasks.delete("fix-1", &DeleteParams::background()).await.unwrap();
    w.until_tasks_within(&["fix-2"], PATIENCE * 2).await;
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
async fn what_blocks_an_item_is_found_without_its_comments() {
    let w = world().await;
    for (number, title) in [(1, "two words"), (2, "fine"), (3, "taken")] {
        let title = title.to_owned();
        w.put(number, ItemSpec { title, ..bug() });
        let said = [format!("about {number}")];
        w.github.world().store.comment(REPO, number, said);
    }
    w.apply(&crate::harness::task("fix-3", "")).await;
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 10m",
        "branch: \"b-{{.Title}}\"",
    )
    .await;
    w.until_tasks(&["fix-2", "fix-3"]).await;
    let message = w
        .until_condition("fix", "ItemsBlocked", "True", "InvalidBranch")
        .await;
    assert!(message.contains("3: Task \"fix-3\" exists"), "{message}");
    assert!(
        w.task("fix-2")
            .await
            .spec
            .prompt
            .contains("\nabout 2\n</untrusted-text ")
    );
    let asked = |number: u64| {
        let path = format!("/issues/{number}/comments");
        w.github.world().record.count(&path)
    };
    assert_eq!((asked(1), asked(2), asked(3)), (0, 1, 0));
}

#[tokio::test]
async fn the_newest_comment_is_read_whatever_form_the_pages_have() {
    let w = world().await;
    w.put(1, bug());
    w.github.world().store.comment(REPO, 1, ["one".to_owned()]);
    let path = format!("/repos/{REPO}/issues/1/comments");
    let page = |texts: std::ops::Range<usize>, next: &str| {
        let comment = |n: usize| {
            json!({"id": n, "body": format!("said {n}"), "user": {"login": "ann", "id": 7}, "author_association": "MEMBER",
                "updated_at": "2026-01-01T00:00:00Z"})
        };
        let link = format!("<http://127.0.0.1{path}?per_page=100&after={next}>; rel=\"next\"");
        Fault {
            path: path.clone(),
            status: Some(200),
            body: Some(texts.map(comment).collect()),
            headers: (!next.is_empty())
                .then(|| ("link".to_owned(), link))
                .into_iter()
                .collect(),
            ..Fault::default()
        }
    };
    // Places in the list instead of numbers: no page says which one is the last.
    for (texts, next) in [
        (1..101, "Y3Vyc29yOjEwMA%3D%3D"),
        (101..201, "Y3Vyc29yOjIwMA%3D%3D"),
        (201..203, ""),
    ] {
        w.github.world().faults.add(page(texts, next));
    }
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 10m",
        "promptTemplate: \"{{.Comments}}\"",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    let prompt = w.task("fix-1").await.spec.prompt;
    assert!(
        prompt.contains("said 1\n") && prompt.contains("said 202"),
        "{prompt}"
    );
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
