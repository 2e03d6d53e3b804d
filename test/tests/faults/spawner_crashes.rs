//! The operator is killed again and again in the life of spawners, and started again: each item gets its Tasks, under
//! the same names and never too many at once, and the books are right in the end.

use std::time::{Duration, Instant};

use axon_api::v1alpha1::{Claim, TaskSpawnerStatus};
use axon_api::{Task, TaskPhase, TaskSpawner, labels};
use axon_fixtures::fault_proxy::{Call, Fault};
use axon_fixtures::github::GithubHost;
use axon_fixtures::github::store::ItemSpec;
use axon_test::wait;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{PATIENCE, Stage, bench, status};
use crate::spawners::{REPO, github, until};

/// Most Tasks of the spawner of issues that have not ended.
const AT_ONCE: usize = 2;
/// As long as several deaths in a row may take.
const LONG: Duration = PATIENCE.saturating_mul(3);

/// Its Tasks wait for one that never is: when they end is the test's to say, and no Job is made.
const OF_ISSUES: &str = "
apiVersion: axon.io/v1alpha1
kind: TaskSpawner
metadata: {name: fix}
spec:
  when: {githubIssues: {excludeLabels: [hold], authors: {associations: [ALL]}}}
  pollInterval: 1s
  maxConcurrency: 2
  maxTotalTasks: 4
  taskTemplate:
    type: claude-code
    workspaceRef: {name: w}
    credentials: {type: none}
    dependsOn: [nobody]";

const OF_CLOCK: &str = r#"
apiVersion: axon.io/v1alpha1
kind: TaskSpawner
metadata: {name: yearly}
spec:
  when: {cron: {schedule: "0 9 1 1 *"}}
  taskTemplate: {type: claude-code, credentials: {type: none}, dependsOn: [nobody]}
"#;

/// What is the same in the end, however often the operator died: of each spawner its Tasks, how many it has made by its
/// own count, and what it is still about to make.
type Books = Vec<(Vec<String>, Option<i64>, Vec<Claim>)>;

async fn tasks_of(stage: &Stage, spawner: &str) -> anyhow::Result<Vec<Task>> {
    let own = ListParams::default().labels(&format!("{}={spawner}", labels::TASK_SPAWNER));
    Ok(stage.namespace.api::<Task>().list(&own).await?.items)
}

/// Waits until the spawner of issues has made so many Tasks.
///
/// Only the test ends Tasks, after a call of this: if there were ever too many at once, a call of this sees it.
async fn made(stage: &Stage, number: usize) -> Vec<Task> {
    let tasks = wait::until("more Tasks of the spawner", LONG, async || {
        let tasks = tasks_of(stage, "fix").await?;
        Ok((tasks.len() >= number).then_some(tasks))
    })
    .await
    .unwrap();
    let active = tasks.iter().filter(|task| {
        let phase = status(task).phase;
        !phase.is_some_and(TaskPhase::is_terminal)
    });
    assert!(
        active.count() <= AT_ONCE,
        "too many Tasks have not ended: {tasks:#?}"
    );
    tasks
}

/// Waits until a spawner says that all its claims are fulfilled and that these items have to wait.
async fn settled(stage: &Stage, name: &str, waiting: usize) -> TaskSpawnerStatus {
    let wanted = |s: &TaskSpawner| {
        let status = s.status.as_ref();
        status.is_some_and(|s| s.claims.is_empty() && s.waiting.len() == waiting)
    };
    let found = stage
        .namespace
        .wait_for_object(name, "to be settled", LONG, wanted);
    found.await.unwrap().status.unwrap()
}

async fn end(stage: &Stage, tasks: &[Task]) {
    let api = stage.namespace.api::<Task>();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded", "completionTime": now}}));
    for task in tasks {
        api.patch_status(&task.name_any(), &PatchParams::default(), &ended)
            .await
            .unwrap();
    }
}

fn label(github: &GithubHost, issue: u64, labels: &[&str]) {
    let item = ItemSpec {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..ItemSpec::default()
    };
    github.world().store.put_item(REPO, issue, item);
}

/// Three issues with room for two, of which one is put aside and taken up again; one issue too many; and a schedule.
async fn life(stage: &Stage) -> Books {
    let (github, _server) = github(stage, 1..=3).await;
    stage.namespace.apply(OF_ISSUES).await.unwrap();
    made(stage, 2).await;
    settled(stage, "fix", 1).await;
    end(stage, &made(stage, 2).await).await;
    end(stage, &made(stage, 3).await).await;

    label(&github, 1, &["hold"]);
    let has_left = |task: &Task| {
        let mark = task.annotations().get(labels::MATCH);
        mark.is_some_and(|mark| mark.starts_with("left:"))
    };
    let fix_1 = stage
        .namespace
        .wait_for("fix-1", "says that its issue has left", LONG, has_left);
    fix_1.await.unwrap();
    label(&github, 1, &[]);
    made(stage, 4).await;
    label(&github, 4, &[]);
    let of_issues = settled(stage, "fix", 1).await;
    late_run(stage).await;
    let of_clock = settled(stage, "yearly", 0).await;

    let mut books = Books::new();
    for (name, status) in [("fix", of_issues), ("yearly", of_clock)] {
        let tasks = tasks_of(stage, name).await.unwrap();
        let names = tasks.iter().map(ResourceExt::name_any).collect();
        books.push((names, status.total_tasks_created, status.claims));
    }
    made(stage, 4).await;
    // The next operator would look for this host.
    let all = stage.namespace.api::<TaskSpawner>();
    let (delete, everything) = (DeleteParams::default(), ListParams::default());
    all.delete_collection(&delete, &everything).await.unwrap();
    books
}

/// Lets a run of the schedule be due: the last one that was dealt with is made to be long ago.
async fn late_run(stage: &Stage) {
    stage.namespace.apply(OF_CLOCK).await.unwrap();
    until(stage, "yearly", "knows its next run", |s| {
        s.status.as_ref().is_some_and(|s| s.next_run_time.is_some())
    })
    .await;
    let long_ago = Patch::Merge(json!({"status": {"handledUntil": "2026-01-01T08:00:00Z"}}));
    let all = stage.namespace.api::<TaskSpawner>();
    all.patch_status("yearly", &PatchParams::default(), &long_ago)
        .await
        .unwrap();
    wait::until("the run of the schedule", LONG, async || {
        Ok((!tasks_of(stage, "yearly").await?.is_empty()).then_some(()))
    })
    .await
    .unwrap();
}

/// What spawners write: their own status, the Tasks that they create, and marks on those. The rest of a Task's life and
/// the namespace's rights are other tests', and whoever dies at a trial has done nothing since the last write.
fn is_of_spawner(call: &Call) -> bool {
    let is_status = call.path.ends_with("/status");
    let is_of_kind = call.path.contains("/taskspawners/") && is_status
        || call.path.ends_with("/tasks")
        || call.path.contains("/tasks/") && !is_status;
    call.is_work() && !call.is_dry_run() && is_of_kind
}

#[tokio::test]
async fn spawners_whose_operator_dies_at_every_write_make_the_same_tasks() {
    let mut b = bench().await;
    // A process that keeps nothing dies in the same state before a write and after the one before it, so that each state
    // takes one death of one kind. A restart takes seconds: all deaths of a kind are in one life, every second write
    // apart. One that was not done is made anew, which makes it every third call: before the third write, the fifth
    // and so on, and after the first, the third and so on.
    let mut expected = None;
    for (fault, first, step) in [(Fault::DieBefore, 2, 3), (Fault::DieAfter, 0, 2)] {
        let stage = b.stage().await;
        let part = format!("/namespaces/{}/", stage.namespace.name());
        let (case, mut next) = (format!("{fault:?}"), first);
        b.proxy.set_rule(move |call| {
            if !is_of_spawner(call) || !call.path.contains(&part) {
                return Fault::None;
            }
            if next > 0 {
                next -= 1;
                return Fault::None;
            }
            next = step - 1;
            fault.clone()
        });
        let start = Instant::now();
        let (books, deaths) = b.through_deaths(life(&stage)).await;
        b.bury().await;
        println!("{deaths} deaths: {case}, {:?}", start.elapsed());
        assert!(deaths >= 6, "a life has more writes than {deaths} deaths take");
        let tasks: usize = books.iter().map(|(names, ..)| names.len()).sum();
        assert_eq!(b.created_tasks(&stage), tasks, "{case}: {:#?}", b.calls(&stage));
        for (names, total, claims) in &books {
            let made = i64::try_from(names.len()).ok();
            assert_eq!((*total, claims.as_slice()), (made, &[][..]), "{case}: {books:#?}");
        }
        assert_eq!(books[0].0, ["fix-1", "fix-1-r2", "fix-2", "fix-3"], "{case}");
        assert_eq!(books, *expected.get_or_insert(books.clone()), "{case}");
    }
}
