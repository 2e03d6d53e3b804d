//! Requests of spawners to the API server and to GitHub, with many items and with faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axon_api::{Task, TaskSpawner};
use axon_fixtures::fault_proxy::{Call, Fault};
use axon_fixtures::github::GithubHost;
use axon_fixtures::github::faults::Fault as GithubFault;
use axon_fixtures::github::store::ItemSpec;
use axon_fixtures::server::Background;
use axon_test::wait;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, Stage, bench};

pub const REPO: &str = "org/repo";
/// A source of everybody's issues: these Workspaces have no token that could ask who may write.
const OPEN: &str = "{githubIssues: {authors: {associations: [ALL]}}}";

/// A stage with a Workspace of a GitHub of its own, where `issues` are open.
pub async fn github(stage: &Stage, issues: std::ops::RangeInclusive<u64>) -> (GithubHost, Background) {
    let github = GithubHost::default();
    let server = Background::start(github.router()).await.unwrap();
    for number in issues {
        github.world().store.put_item(REPO, number, ItemSpec::default());
    }
    let repo = format!("{}/{REPO}.git", server.url());
    let workspace = format!(
        "{{apiVersion: axon.io/v1alpha1, kind: Workspace, metadata: {{name: w}}, spec: {{repo: \"{repo}\"}}}}"
    );
    stage.namespace.apply(&workspace).await.unwrap();
    (github, server)
}

async fn spawner(stage: &Stage, name: &str, when: &str, interval: &str) {
    let manifest = format!(
        "apiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {{name: {name}}}\nspec:\n  when: {when}\n  \
         pollInterval: {interval}\n  maxConcurrency: 0\n  taskTemplate:\n    type: claude-code\n    workspaceRef: {{name: w}}\n    \
         credentials: {{type: api-key, secretRef: {{name: key}}}}"
    );
    stage.namespace.apply(&manifest).await.unwrap();
}

pub async fn until(
    stage: &Stage,
    name: &str,
    what: &str,
    wanted: impl Fn(&TaskSpawner) -> bool,
) -> TaskSpawner {
    let found = stage.namespace.wait_for_object(name, what, PATIENCE, wanted);
    found.await.unwrap()
}

fn is_condition(spawner: &TaskSpawner, kind: &str, reason: &str) -> bool {
    let status = spawner.status.as_ref();
    status.is_some_and(|s| s.conditions.iter().any(|c| c.type_ == kind && c.reason == reason))
}

#[tokio::test]
async fn many_large_tasks_are_listed_in_pages_of_one_moment() {
    let b = bench().await;
    let stage = b.stage().await;
    let tasks = stage.namespace.api::<Task>();
    let prompt = "x".repeat(20_000);
    let large = |n: u32| -> Task {
        serde_json::from_value(json!({
            "metadata": {"name": format!("fix-{n}"),
                "labels": {"axon.io/taskspawner": "fix", "axon.io/item": n.to_string()}},
            "spec": {"type": "claude-code", "prompt": prompt, "dependsOn": ["nobody"],
                "credentials": {"type": "api-key", "secretRef": {"name": "key"}}},
        }))
        .unwrap()
    };
    for n in 1..=250 {
        tasks.create(&PostParams::default(), &large(n)).await.unwrap();
    }
    let (_github, _server) = github(&stage, 1..=251).await;
    let is_list = |call: &Call| call.method == "GET" && call.path.ends_with("/tasks") && !call.is_watch();
    let mut forgets = 1;
    b.proxy.set_rule(move |call| {
        if forgets > 0 && is_list(call) && call.query.contains("continue=") {
            forgets -= 1;
            return Fault::Refuse(410);
        }
        Fault::None
    });
    spawner(&stage, "fix", OPEN, "10m").await;
    stage
        .namespace
        .wait_for("fix-251", "to be there", PATIENCE * 2, |_| true)
        .await
        .unwrap();
    b.proxy.set_rule(|_| Fault::None);
    let lists: Vec<Call> = b.calls(&stage).into_iter().filter(is_list).collect();
    assert!(
        lists.iter().all(|call| call.query.contains("limit=50")),
        "{lists:#?}"
    );
    let next = |call: &&Call| call.query.contains("continue=") && call.answer == Some(200);
    let (first, next) = (
        lists
            .iter()
            .filter(|call| !call.query.contains("continue="))
            .count(),
        lists.iter().filter(next).count(),
    );
    // Begun anew once; then each list has four more pages, or five once the new Task is there.
    let lists_of_all = first - 1;
    assert!(
        (lists_of_all * 4..=lists_of_all * 5).contains(&next),
        "{lists:#?}"
    );
}

fn dry_runs(b: &Bench, stage: &Stage) -> usize {
    let is_one = |call: &&Call| call.method == "POST" && call.path.ends_with("/tasks") && call.is_dry_run();
    b.calls(stage).iter().filter(is_one).count()
}

#[tokio::test]
async fn what_stops_one_item_for_all_is_not_tried_with_each() {
    let b = bench().await;
    let stage = b.stage().await;
    let (github, _server) = github(&stage, 1..=50).await;
    for number in 1..=50 {
        github.world().store.comment(REPO, number, ["c".to_owned()]);
    }
    github.world().faults.add(GithubFault {
        path: "/comments".into(),
        times: Some(1_000_000),
        status: Some(403),
        headers: BTreeMap::from([("retry-after".to_owned(), "300".to_owned())]),
        ..GithubFault::default()
    });
    spawner(&stage, "fix", OPEN, "10m").await;
    let told = until(&stage, "fix", "says why nothing goes on", |s| {
        is_condition(s, "ItemsBlocked", "CommentsUnreadable")
    })
    .await;
    let status = told.status.unwrap();
    assert_eq!(status.waiting.len(), 20, "the others wait: {:?}", status.waiting);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = github.world().record.count("/comments");
    assert_eq!((dry_runs(&b, &stage), asked), (1, 1));
}

#[tokio::test]
async fn a_github_that_hangs_does_not_hold_up_schedules() {
    const SPAWNERS: usize = 150;
    let b = bench().await;
    let stage = b.stage().await;
    let (github, _server) = github(&stage, 1..=1).await;
    github.world().faults.add(GithubFault {
        times: Some(1_000_000),
        delay_ms: 17_000,
        ..GithubFault::default()
    });
    for n in 0..SPAWNERS {
        let when = "{githubIssues: {labels: [nothing], authors: {associations: [ALL]}}}";
        spawner(&stage, &format!("s-{n}"), when, "20s").await;
    }
    // Whoever looks now has to wait for the answer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    for n in 0..3 {
        let name = format!("nightly-{n}");
        spawner(&stage, &name, "{cron: {schedule: '0 9 1 1 *'}}", "1m").await;
        until(&stage, &name, "knows its next run", |s| {
            s.status.as_ref().is_some_and(|s| s.next_run_time.is_some())
        })
        .await;
    }
    let took = start.elapsed();
    println!("three schedules beside {SPAWNERS} hanging spawners were taken up in {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Nobody's look is lost.
    github.world().faults.clear();
    let all = stage.namespace.api::<TaskSpawner>();
    wait::until("all have read", PATIENCE * 2, async || {
        let all = all.list(&ListParams::default()).await?;
        let read = all
            .iter()
            .filter(|s| is_condition(s, "SourceReachable", "Read"))
            .count();
        Ok((read == SPAWNERS).then_some(()))
    })
    .await
    .unwrap();
    // The other tests' operators would look for this host.
    let (delete, everything) = (DeleteParams::default(), ListParams::default());
    all.delete_collection(&delete, &everything).await.unwrap();
}
