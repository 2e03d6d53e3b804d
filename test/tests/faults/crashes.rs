//! The operator is killed at every write of a Task's life, before the API server sees it and after it has done it, and
//! started again: the Task comes to the same end, with exactly one Job a run.

use axon_api::v1alpha1::{Attempt, TaskBudget};
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use axon_fixtures::fault_proxy::Fault;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, Stage, bench};

const REPORT: &str = r#"{"axon":1,"final":true,"usage":{"inputTokens":7},"outputs":["branch: b"]}"#;
const FAILURE: &str =
    r#"{"axon":1,"final":true,"reason":"AgentError","message":"boom","usage":{"inputTokens":1}}"#;

/// The part of a status that must be the same, however often the operator died.
fn essence(status: &TaskStatus) -> impl PartialEq + std::fmt::Debug + use<> {
    let attempt = |a: &Attempt| (a.exit_code, a.reason, a.message.clone(), a.usage.clone());
    (
        (status.phase, status.reason, status.message.clone()),
        (
            status.outputs.clone(),
            status.results.clone(),
            status.usage.clone(),
        ),
        (
            status.retries,
            status.next_run.clone(),
            status.satisfied_dependencies.clone(),
        ),
        status.attempts.iter().map(attempt).collect::<Vec<_>>(),
    )
}

/// Plays `life` without a fault and then with a death at each of its writes. `jobs` is how many Jobs it takes.
async fn survives<L>(jobs: usize, life: L)
where
    L: AsyncFn(&Stage) -> Vec<TaskStatus>,
{
    let mut b = bench().await;
    let stage = b.stage().await;
    let expected: Vec<_> = life(&stage).await.iter().map(essence).collect();
    assert_eq!(b.created_jobs(&stage), jobs, "without a fault");
    for fault in [Fault::DieBefore, Fault::DieAfter] {
        let mut write = 0;
        loop {
            let Some((stage, statuses)) = with_death(&mut b, write, fault.clone(), &life).await else {
                break;
            };
            let case = format!("{fault:?} at write {write}");
            let is: Vec<_> = statuses.iter().map(essence).collect();
            assert_eq!(is, expected, "{case}");
            assert_eq!(b.created_jobs(&stage), jobs, "{case}: {:#?}", b.calls(&stage));
            write += 1;
        }
        println!("{write} deaths: {fault:?}");
        assert!(write >= 4, "a life has more writes than {write}");
    }
}

/// Plays `life` with one death; `None` if it came to its end before that.
async fn with_death<L>(
    b: &mut Bench,
    write: usize,
    fault: Fault,
    life: &L,
) -> Option<(Stage, Vec<TaskStatus>)>
where
    L: AsyncFn(&Stage) -> Vec<TaskStatus>,
{
    let stage = b.stage().await;
    let part = format!("/namespaces/{}/", stage.namespace.name());
    let mut left = Some(write);
    b.proxy.set_rule(move |call| {
        if !call.is_work() || !call.path.contains(&part) {
            return Fault::None;
        }
        match left {
            Some(0) => {
                left = None;
                fault.clone()
            }
            Some(n) => {
                left = Some(n - 1);
                Fault::None
            }
            None => Fault::None,
        }
    });
    let (statuses, deaths) = b.through_deaths(life(&stage)).await;
    if deaths == 0 {
        b.bury().await;
        return None;
    }
    Some((stage, statuses))
}

async fn ended(stage: &Stage, name: &str) -> TaskStatus {
    stage
        .until(name, "has ended", |s| s.phase.is_some_and(TaskPhase::is_terminal))
        .await
}

#[tokio::test]
async fn a_task_that_succeeds_and_expires() {
    survives(1, async |stage: &Stage| {
        stage
            .namespace
            .apply(
                "apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {name: ac}\nspec: {agentsMD: x}",
            )
            .await
            .unwrap();
        stage
            .create(
                "t",
                "agentConfigRef: {name: ac}\nttlSecondsAfterFinished: 0\nstallTimeout: 1m",
            )
            .await;
        // Awaited by nobody's success: it is kept from expiring until we have seen its end.
        stage.create("keeper", "dependsOn: [t, never]").await;
        stage.run("t").await;
        stage.end("t", 0, REPORT).await;
        let recorded = |s: &TaskStatus| s.satisfied_dependencies == ["t"];
        let keeper = stage.until("keeper", "has recorded it", recorded).await;
        wait::until_gone(&stage.namespace.api::<Task>(), "t", PATIENCE)
            .await
            .unwrap();
        vec![keeper]
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_run_again() {
    survives(2, async |stage: &Stage| {
        stage
            .create("t", "retryPolicy: {limit: 1, backoff: 1s, on: [AgentError]}")
            .await;
        stage.run("t").await;
        stage.end("t", 1, FAILURE).await;
        stage
            .until("t", "is to run again", |s| s.retries == Some(1))
            .await;
        let second = |s: &TaskStatus| s.next_run.is_none() && s.reason == Some(TaskReason::Starting);
        stage.until("t", "has its second Job", second).await;
        stage.run("t").await;
        stage.end("t", 0, REPORT).await;
        vec![ended(stage, "t").await]
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_stopped() {
    survives(1, async |stage: &Stage| {
        stage.create("t", "").await;
        stage.run("t").await;
        let stop = Patch::Merge(json!({"spec": {"stop": true}}));
        let tasks = stage.namespace.api::<Task>();
        tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
        let status = ended(stage, "t").await;
        wait::until_gone(&stage.namespace.api::<Job>(), "t", PATIENCE)
            .await
            .unwrap();
        vec![status]
    })
    .await;
}

#[tokio::test]
async fn a_chain_that_hands_on_its_results() {
    survives(2, async |stage: &Stage| {
        stage.create("second", "dependsOn: [first]").await;
        stage.create("first", "").await;
        stage.run("first").await;
        stage.end("first", 0, REPORT).await;
        let first = ended(stage, "first").await;
        stage.run("second").await;
        stage.end("second", 0, REPORT).await;
        vec![first, ended(stage, "second").await]
    })
    .await;
}

/// Its tokens are reserved in both budgets before its Job is made, and counted once in each when it has ended.
#[tokio::test]
async fn a_task_that_two_budgets_count() {
    survives(2, async |stage: &Stage| {
        let budgets = stage.namespace.api::<TaskBudget>();
        for name in ["a", "b"] {
            let budget = format!(
                "apiVersion: axon.io/v1alpha1\nkind: TaskBudget\nmetadata: {{name: {name}}}\nspec: \
                 {{limit: {{tokens: 100}}, window: {{every: Month}}}}"
            );
            stage.namespace.apply(&budget).await.unwrap();
        }
        stage.create("t", "budget: {tokens: 60}").await;
        stage.run("t").await;
        // Room for one of them, whatever died since.
        stage.create("u", "budget: {tokens: 60}").await;
        let waits = |s: &TaskStatus| s.reason == Some(TaskReason::BudgetExhausted);
        stage.until("u", "waits for room", waits).await;
        stage.end("t", 0, REPORT).await;
        let first = ended(stage, "t").await;
        for name in ["a", "b"] {
            let books = budgets.get(name).await.unwrap().status.unwrap();
            let spent = books.spent.unwrap();
            assert_eq!((spent.tokens, spent.runs), (7, 1), "{name}");
        }
        let starts = |s: &TaskStatus| s.reason == Some(TaskReason::Starting);
        stage.until("u", "has room", starts).await;
        vec![first]
    })
    .await;
}
