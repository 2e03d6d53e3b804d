//! Sources that can't be read: told, and mended without a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::v1alpha1::TaskSpawnerPhase;
use axon_api::{TaskSpawner, Workspace};
use axon_fixtures::github::faults::Fault;
use axon_fixtures::github::store::ItemSpec;
use axon_test::wait;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::{REPO, World, bug, world};
use crate::harness::{PATIENCE, SILENCE};

const WHEN: &str = "when: {githubIssues: {labels: [bug]}}";
const REACHABLE: &str = "SourceReachable";

#[tokio::test]
async fn what_the_source_needs_and_has_not_is_named_and_waited_for() {
    let w = world().await;
    w.put(1, bug());
    let delete = DeleteParams::default();
    w.bench
        .namespace
        .api::<Workspace>()
        .delete("w", &delete)
        .await
        .unwrap();
    w.bench
        .namespace
        .api::<Secret>()
        .delete("gh", &delete)
        .await
        .unwrap();
    w.spawner("fix", WHEN, "").await;
    let message = w
        .until_condition("fix", REACHABLE, "False", "WorkspaceNotFound")
        .await;
    assert!(message.contains("Workspace \"w\""), "{message}");
    let status = w
        .until("fix", "is failed", |s| s.phase == Some(TaskSpawnerPhase::Failed))
        .await;
    assert!(status.message.unwrap().starts_with("WorkspaceNotFound: "));
    w.until_condition("fix", "Stalled", "True", "WorkspaceNotFound")
        .await;
    w.add_workspace().await;
    let message = w
        .until_condition("fix", REACHABLE, "False", "SecretNotFound")
        .await;
    assert!(message.contains("Secret \"gh\""), "{message}");
    // Nothing was asked of GitHub without the token that is referred to.
    assert_eq!(w.github.world().record.count("/issues"), 0);
    w.add_secret().await;
    w.until_tasks(&["fix-1"]).await;
    w.until_condition("fix", REACHABLE, "True", "Read").await;
    w.until_condition("fix", "Stalled", "False", "Working").await;
}

#[tokio::test]
async fn a_paused_spawner_finds_its_source_when_it_is_there() {
    let w = world().await;
    w.put(1, bug());
    let secrets = w.bench.namespace.api::<Secret>();
    secrets.delete("gh", &DeleteParams::default()).await.unwrap();
    w.spawner("fix", &format!("{WHEN}\nsuspend: true"), "").await;
    w.until_condition("fix", REACHABLE, "False", "SecretNotFound")
        .await;
    w.add_secret().await;
    w.until("fix", "shows what waits", |s| s.waiting.len() == 1).await;
    w.until_condition("fix", REACHABLE, "True", "Read").await;
}

fn fault(status: u16, headers: &[(&str, &str)]) -> Fault {
    Fault {
        path: "/issues".into(),
        times: Some(1_000_000),
        status: Some(status),
        body: Some(json!({"message": "on purpose"})),
        headers: headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..Fault::default()
    }
}

/// Waits until a spawner has that many events of a reason, and returns what they say.
async fn until_events(w: &World, name: &str, reason: &str, number: usize) -> Vec<String> {
    let events = w.bench.namespace.api::<Event>();
    let what = format!("{number} events {reason}");
    let found = wait::until(&what, PATIENCE, async || {
        let all = events.list(&ListParams::default()).await?;
        let of = |e: &&Event| {
            let about = e.regarding.as_ref();
            let is_spawner = about.and_then(|about| about.kind.as_deref()) == Some("TaskSpawner");
            e.reason.as_deref() == Some(reason)
                && is_spawner
                && about.and_then(|about| about.name.as_deref()) == Some(name)
        };
        let notes: Vec<String> = all.iter().filter(of).filter_map(|e| e.note.clone()).collect();
        Ok((notes.len() >= number).then_some(notes))
    });
    let notes = found.await.unwrap();
    assert_eq!(notes.len(), number, "{reason}: {notes:?}");
    notes
}

#[tokio::test]
async fn what_github_refuses_is_told_and_heals() {
    let w = world().await;
    // Not in the match: what is there to do changes nothing.
    w.put(1, ItemSpec::default());
    w.spawner("fix", WHEN, "").await;
    w.until_condition("fix", REACHABLE, "True", "Read").await;
    for (n, (status, headers, reason)) in [
        (401, &[][..], "Unauthorized"),
        (403, &[], "Forbidden"),
        (404, &[], "RepositoryNotFound"),
        (403, &[("retry-after", "3")], "RateLimited"),
        (502, &[], "Unreachable"),
    ]
    .into_iter()
    .enumerate()
    {
        w.github.world().faults.add(fault(status, headers));
        let message = w.until_condition("fix", REACHABLE, "False", reason).await;
        assert!(
            reason != "RateLimited" || message.contains(" until 20"),
            "{message}"
        );
        // Written with the condition.
        let told = w.status("fix").await;
        assert_eq!(told.phase, Some(TaskSpawnerPhase::Failed), "{reason}");
        let said = told.message.unwrap_or_default();
        assert!(said.starts_with(&format!("{reason}: ")), "{said}");
        let notes = until_events(&w, "fix", reason, 1).await;
        assert!(notes[0].contains("org/repo"), "{notes:?}");
        w.github.world().faults.clear();
        let healed = w
            .until("fix", "runs", |s| s.phase == Some(TaskSpawnerPhase::Running))
            .await;
        w.until_condition("fix", REACHABLE, "True", "Read").await;
        let said = healed.message.unwrap_or_default();
        assert!(said.starts_with("found 0 items"), "{said}");
        until_events(&w, "fix", "Recovered", n + 1).await;
    }
}

#[tokio::test]
async fn one_refusal_after_another_is_told_anew_and_nothing_is_made() {
    let w = world().await;
    w.put(1, bug());
    w.github.world().faults.add(fault(401, &[]));
    w.spawner("fix", WHEN, "").await;
    w.until_condition("fix", REACHABLE, "False", "Unauthorized").await;
    for (status, reason) in [(403, "Forbidden"), (404, "RepositoryNotFound")] {
        w.github.world().faults.clear();
        w.github.world().faults.add(fault(status, &[]));
        w.until_condition("fix", REACHABLE, "False", reason).await;
        until_events(&w, "fix", reason, 1).await;
    }
    assert!(w.tasks().await.is_empty());
    w.github.world().faults.clear();
    w.until_tasks(&["fix-1"]).await;
    let status = w
        .until("fix", "runs", |s| s.phase == Some(TaskSpawnerPhase::Running))
        .await;
    assert_eq!(status.total_tasks_created, Some(1));
    until_events(&w, "fix", "Recovered", 1).await;
}

#[tokio::test]
async fn each_fault_has_an_event_of_its_own() {
    let w = world().await;
    w.put(1, bug());
    w.spawner("fix", WHEN, "").await;
    w.until_tasks(&["fix-1"]).await;
    for said in ["the first time", "the second time"] {
        w.github.world().faults.add(Fault {
            path: "/issues".into(),
            times: Some(1_000_000),
            status: Some(401),
            body: Some(json!({"message": said})),
            ..Fault::default()
        });
        w.until_condition("fix", REACHABLE, "False", "Unauthorized").await;
        w.github.world().faults.clear();
        w.until_condition("fix", REACHABLE, "True", "Read").await;
    }
    let notes = until_events(&w, "fix", "Unauthorized", 2).await.join("; ");
    until_events(&w, "fix", "Recovered", 2).await;
    assert!(
        notes.contains("the first time") && notes.contains("the second time"),
        "{notes}"
    );
}

#[tokio::test]
async fn a_namespace_that_allows_no_marks_is_told() {
    let w = world().await;
    w.put(1, bug());
    w.put(2, bug());
    w.apply(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: less}\nrules:\n\
         - {apiGroups: [\"\"], resources: [secrets], verbs: [get]}\n\
         - {apiGroups: [axon.io], resources: [tasks], verbs: [create]}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: axon-spawner}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: less}\n\
         subjects: [{kind: ServiceAccount, name: axon-spawner}]",
    )
    .await;
    w.spawner("fix", WHEN, "").await;
    w.until_tasks(&["fix-1", "fix-2"]).await;
    w.until_condition("fix", "ItemsBlocked", "False", "NoneBlocked")
        .await;
    tokio::time::sleep(SILENCE * 2).await;
    for number in [1, 2] {
        w.github.world().store.remove_item(REPO, number);
    }
    let message = w
        .until_condition("fix", "ItemsBlocked", "True", "AccessDenied")
        .await;
    assert!(
        message.contains("patch tasks \"fix-1\"") && !message.contains("fix-2"),
        "{message}"
    );
    // What else there is to do is done.
    w.put(3, bug());
    w.until_tasks(&["fix-1", "fix-2", "fix-3"]).await;
    w.until_condition("fix", "ItemsBlocked", "True", "AccessDenied")
        .await;
}

#[tokio::test]
async fn a_namespace_that_narrows_the_role_is_told_what_is_missing() {
    let w = world().await;
    w.put(1, bug());
    // Everything but Tasks.
    w.apply(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: less}\nrules:\n\
         - {apiGroups: [\"\"], resources: [secrets], verbs: [get]}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: axon-spawner}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: less}\n\
         subjects: [{kind: ServiceAccount, name: axon-spawner}]",
    )
    .await;
    w.spawner("fix", WHEN, "").await;
    let message = w
        .until_condition("fix", "ItemsBlocked", "True", "AccessDenied")
        .await;
    assert!(
        message.contains("axon-spawner") && message.contains("create tasks"),
        "{message}"
    );
    let spawners = w.bench.namespace.api::<TaskSpawner>();
    let status = spawners.get("fix").await.unwrap().status.unwrap();
    assert_eq!((status.total_tasks_created, status.claims.len()), (Some(0), 0));
    let bindings = w.bench.namespace.api::<RoleBinding>();
    let narrowed = bindings.list(&ListParams::default()).await.unwrap();
    assert!(
        narrowed
            .iter()
            .all(|b| b.name_any() != "axon-spawner" || b.role_ref.name == "less")
    );
    bindings
        .delete("axon-spawner", &DeleteParams::default())
        .await
        .unwrap();
    // Rights are looked at again half a minute after a refusal at the earliest.
    w.until_tasks_within(&["fix-1"], PATIENCE * 4).await;
}

/// Whole TaskSpawners with a long template are in memory two at a time. Those of two namespaces whose hosts hang, at the
/// listing and at the comments, are far more.
#[tokio::test]
async fn slow_hosts_of_others_do_not_hold_up_a_large_spawner() {
    let (listing, comments, own) = (world().await, world().await, world().await);
    let template = format!("promptTemplate: '{{{{.Comments}}}} {}'", "x".repeat(20_000));
    for (slow, path) in [(&listing, "/issues"), (&comments, "/comments")] {
        slow.put(1, bug());
        slow.github
            .world()
            .store
            .comment(REPO, 1, ["a comment".to_owned()]);
        slow.github.world().faults.add(Fault {
            path: path.into(),
            times: Some(1_000_000),
            delay_ms: 3_600_000,
            ..Fault::default()
        });
        for n in 0..4 {
            slow.spawner(&format!("slow-{n}"), WHEN, &template).await;
        }
    }
    // All of them have asked by then, and wait.
    tokio::time::sleep(SILENCE).await;
    own.put(1, bug());
    own.spawner("fix", WHEN, &template).await;
    own.until_tasks_within(&["fix-1"], Duration::from_secs(15)).await;
    assert!(comments.tasks().await.is_empty());
    let spawners = comments.bench.namespace.api::<TaskSpawner>();
    wait::until("a slow one to tell why", PATIENCE, async || {
        let all = spawners.list(&ListParams::default()).await?;
        let conditions = all
            .into_iter()
            .filter_map(|s| s.status)
            .flat_map(|s| s.conditions);
        let mut blocked =
            conditions.filter(|c| c.reason == "CommentsUnreadable" || c.type_ == "ItemsBlocked");
        Ok(blocked.find(|c| c.message.contains("more than 16 KiB")))
    })
    .await
    .unwrap();
}
