//! TaskBudgets: what Tasks may spend is reserved before their Jobs are made, and counted when they have ended.

use std::time::{Duration, Instant};

use axon_api::v1alpha1::{TaskBudget, TaskBudgetStatus, TaskRecord};
use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::kubelet::PodState;
use axon_test::wait;
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, SILENCE, bench, status};

const DOLLAR: &str = "model: priced-exactly\nbudget: {costUSD: 1}";

fn report(dollars: &str) -> String {
    json!({"axon": 1, "final": true, "usage": {"costUSD": dollars, "inputTokens": 10}, "outputs": []})
        .to_string()
}

async fn budget(b: &Bench, name: &str, spec: &str) {
    let manifest =
        format!("apiVersion: axon.io/v1alpha1\nkind: TaskBudget\nmetadata: {{name: {name}}}\nspec: {spec}");
    b.namespace.apply(&manifest).await.unwrap();
}

async fn books(b: &Bench, name: &str) -> TaskBudgetStatus {
    let budget = b.namespace.api::<TaskBudget>().get(name).await.unwrap();
    budget.status.unwrap_or_default()
}

async fn until_books(
    b: &Bench,
    name: &str,
    what: &str,
    wanted: impl Fn(&TaskBudgetStatus) -> bool,
) -> TaskBudgetStatus {
    let wanted = |budget: &TaskBudget| budget.status.as_ref().is_some_and(&wanted);
    let api = b.namespace.api::<TaskBudget>();
    let budget = wait::until_object(&api, name, what, PATIENCE, wanted)
        .await
        .unwrap();
    budget.status.unwrap()
}

fn dollars(books: &TaskBudgetStatus) -> (String, String) {
    let of = |amount: &Option<axon_api::v1alpha1::BudgetAmount>| amount.clone().unwrap_or_default().cost_usd;
    (of(&books.spent), of(&books.reserved))
}

async fn jobs(b: &Bench) -> usize {
    b.namespace
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .len()
}

async fn tasks_with(b: &Bench, reason: TaskReason) -> Vec<String> {
    let all = b
        .namespace
        .api::<Task>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let of = all
        .items
        .iter()
        .filter(|task| status(task).reason == Some(reason));
    of.map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn a_hundred_tasks_of_a_dollar_under_ten_dollars_are_ten_jobs_and_the_next_comes_with_room() {
    let b = bench().await;
    budget(
        &b,
        "team",
        "{limit: {costUSD: 10}, window: {every: Month, timeZone: Europe/Berlin}}",
    )
    .await;
    let names: Vec<String> = (0..100).map(|n| format!("t{n:03}")).collect();
    for crowd in names.chunks(10) {
        join_all(crowd.iter().map(|name| b.create(name, DOLLAR))).await;
    }
    let all_wait = async || Ok((tasks_with(&b, TaskReason::BudgetExhausted).await.len() == 90).then_some(()));
    wait::until("90 Tasks to wait", PATIENCE * 2, all_wait)
        .await
        .unwrap();
    tokio::time::sleep(SILENCE).await;
    assert_eq!(jobs(&b).await, 10, "not one more");
    assert_eq!(dollars(&books(&b, "team").await), ("0.00".into(), "10.00".into()));
    let waiting = tasks_with(&b, TaskReason::BudgetExhausted).await;
    let first = b.namespace.api::<Task>().get(&waiting[0]).await.unwrap();
    let message = status(&first).message.unwrap();
    assert!(message.contains("TaskBudget team"), "{message}");

    // A Task that has spent nothing leaves its room to the next one.
    let started: Vec<String> = names
        .iter()
        .filter(|name| !waiting.contains(name))
        .cloned()
        .collect();
    b.succeed(&started[0], &report("0")).await;
    b.until_phase(&started[0], TaskPhase::Succeeded).await;
    let since = Instant::now();
    let eleventh = async || Ok((jobs(&b).await == 11).then_some(()));
    wait::until("the eleventh Job", PATIENCE, eleventh).await.unwrap();
    let took = since.elapsed();
    println!("the eleventh Job came {took:?} after there was room");
    // By an event: the next round of the sweep is up to 15 s away.
    assert!(took < Duration::from_secs(5), "{took:?}");

    // Two that spend half of what they may leave room for one.
    for name in &started[1..3] {
        b.succeed(name, &report("0.5")).await;
        b.until_phase(name, TaskPhase::Succeeded).await;
    }
    let twelfth = async || Ok((jobs(&b).await == 12).then_some(()));
    wait::until("the twelfth Job", PATIENCE, twelfth).await.unwrap();
    tokio::time::sleep(SILENCE).await;
    assert_eq!(jobs(&b).await, 12);
    let books = books(&b, "team").await;
    assert_eq!(dollars(&books), ("1.00".into(), "9.00".into()));
    assert_eq!(books.spent.unwrap().runs, 3);
}

#[tokio::test]
async fn a_task_starts_under_all_of_its_budgets_or_holds_nothing() {
    let b = bench().await;
    budget(&b, "a-team", "{limit: {costUSD: 10}, window: {rolling: 24h}}").await;
    budget(
        &b,
        "b-runs",
        "{limit: {runs: 1}, window: {every: Day}, taskSelector: {matchLabels: {kind: nightly}}}",
    )
    .await;
    let nightly = |name: &str| {
        format!(
            "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}, labels: {{kind: nightly}}}}\nspec: {{type: opencode, prompt: p, credentials: {{type: none}}, budget: {{costUSD: \"2.50\"}}}}"
        )
    };
    b.namespace.apply(&nightly("first")).await.unwrap();
    let first = b.until_phase("first", TaskPhase::Pending).await;
    assert_eq!(first.budgets, ["a-team", "b-runs"]);
    b.namespace.apply(&nightly("second")).await.unwrap();
    let second = b.until_reason("second", TaskReason::BudgetExhausted).await;
    let message = second.message.unwrap();
    assert!(
        message.contains("TaskBudget b-runs") && message.contains("1 Tasks"),
        "{message}"
    );
    assert_eq!(
        dollars(&books(&b, "a-team").await).1,
        "2.50",
        "the other budget holds nothing for it"
    );
    // Of other Tasks, only the first budget counts one.
    b.create("other", DOLLAR).await;
    assert_eq!(
        b.until_phase("other", TaskPhase::Pending).await.budgets,
        ["a-team"]
    );
    // A higher limit wakes it.
    let higher = Patch::Merge(json!({"spec": {"limit": {"runs": 2}}}));
    b.namespace
        .api::<TaskBudget>()
        .patch("b-runs", &PatchParams::default(), &higher)
        .await
        .unwrap();
    b.until_phase("second", TaskPhase::Pending).await;
    until_books(&b, "a-team", "holds three", |books| dollars(books).1 == "6.00").await;
}

#[tokio::test]
async fn a_task_without_a_cap_gets_one_or_waits_and_one_that_never_fits_fails() {
    let b = bench().await;
    budget(
        &b,
        "team",
        "{limit: {costUSD: 10, tokens: 1000}, window: {every: Week}}",
    )
    .await;
    b.create("none", "model: priced-exactly").await;
    let none = b.until_reason("none", TaskReason::BudgetNeedsCap).await;
    let message = none.message.unwrap();
    assert!(
        message.contains("spec.budget.costUSD") && message.contains("spec.perTask.costUSD"),
        "{message}"
    );
    b.create("large", "model: priced-exactly\nbudget: {costUSD: 11, tokens: 1}")
        .await;
    let large = b.until_phase("large", TaskPhase::Failed).await;
    assert_eq!(large.reason, Some(TaskReason::BudgetExhausted));
    assert!(
        large
            .message
            .unwrap()
            .contains("less than this Task alone may spend")
    );
    // It holds up nobody, and starts once the budget gives it a cap.
    b.create(
        "capped",
        "model: priced-exactly\nbudget: {costUSD: 1, tokens: 100}",
    )
    .await;
    b.until_phase("capped", TaskPhase::Pending).await;
    let give = Patch::Merge(json!({"spec": {"perTask": {"costUSD": "1.50", "tokens": 200}}}));
    b.namespace
        .api::<TaskBudget>()
        .patch("team", &PatchParams::default(), &give)
        .await
        .unwrap();
    let none = b.until_phase("none", TaskPhase::Pending).await;
    let cap = none.budget.unwrap();
    assert_eq!(
        (cap.cost().unwrap().to_string(), cap.tokens()),
        ("1.50".into(), Some(200))
    );
    // What nobody reports counts as the cap.
    b.succeed("none", "").await;
    b.until_phase("none", TaskPhase::Succeeded).await;
    let books = until_books(&b, "team", "counts the cap", |books| dollars(books).0 == "1.50").await;
    assert_eq!(books.spent.unwrap().tokens, 200);
}

#[tokio::test]
async fn a_budget_counts_what_was_spent_before_it_was_made_and_what_runs() {
    let b = bench().await;
    for name in ["done", "runs"] {
        b.create(name, "model: priced-exactly\nbudget: {costUSD: 4}")
            .await;
        b.until_phase(name, TaskPhase::Pending).await;
    }
    b.succeed("done", &report("2.25")).await;
    b.until_phase("done", TaskPhase::Succeeded).await;
    budget(&b, "late", "{limit: {costUSD: 7}, window: {rolling: 1h}}").await;
    let is_counted = |books: &TaskBudgetStatus| dollars(books) == ("2.25".into(), "4.00".into());
    until_books(&b, "late", "counts both", is_counted).await;
    b.create("third", DOLLAR).await;
    b.until_reason("third", TaskReason::BudgetExhausted).await;
    b.succeed("runs", &report("0.75")).await;
    b.until_phase("third", TaskPhase::Pending).await;
    let books = until_books(&b, "late", "counts the end", |books| dollars(books).0 == "3.00").await;
    assert_eq!(books.spent.unwrap().runs, 2);
}

#[tokio::test]
async fn a_task_that_is_deleted_while_it_runs_is_counted_and_leaves_a_record() {
    let b = bench().await;
    budget(&b, "team", "{limit: {costUSD: 10}, window: {every: Day}}").await;
    b.create("t", "model: priced-exactly\nbudget: {costUSD: 3}").await;
    b.until_phase("t", TaskPhase::Pending).await;
    b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    let tasks = b.namespace.api::<Task>();
    let uid = tasks.get("t").await.unwrap().uid().unwrap();
    tasks.delete("t", &DeleteParams::background()).await.unwrap();
    let is_counted = |books: &TaskBudgetStatus| books.reservations.is_empty() && dollars(books).0 == "3.00";
    until_books(&b, "team", "counts the cap", is_counted).await;
    let records = b
        .namespace
        .api::<TaskRecord>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let record = &records
        .iter()
        .find(|record| record.spec.task_uid == uid)
        .unwrap()
        .spec;
    assert_eq!(
        (record.reason, record.incomplete),
        (Some(TaskReason::Deleted), true)
    );
    assert_eq!(
        record.budget.as_ref().unwrap().cost().unwrap().to_string(),
        "3.00"
    );
}

#[tokio::test]
async fn a_budget_that_cannot_be_enforced_says_so_and_lets_nothing_start() {
    let b = bench().await;
    budget(
        &b,
        "mars",
        "{limit: {costUSD: 10}, window: {every: Day, timeZone: Mars/Base}}",
    )
    .await;
    b.create("t", DOLLAR).await;
    let waits = b.until_reason("t", TaskReason::BudgetExhausted).await;
    assert!(waits.message.unwrap().contains("no time zone Mars/Base"));
    let says = |books: &TaskBudgetStatus| {
        let mut conditions = books.conditions.iter();
        conditions.any(|condition| condition.type_ == "Ready" && condition.reason == "InvalidWindow")
    };
    until_books(&b, "mars", "says what is wrong", says).await;
    let mend = Patch::Merge(json!({"spec": {"window": {"timeZone": Value::Null}}}));
    b.namespace
        .api::<TaskBudget>()
        .patch("mars", &PatchParams::default(), &mend)
        .await
        .unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
    // A budget that is gone holds up nobody either.
    budget(&b, "zero", "{limit: {costUSD: 1}, window: {every: Day}}").await;
    b.create("u", "model: priced-exactly\nbudget: {costUSD: 1}").await;
    b.until_reason("u", TaskReason::BudgetExhausted).await;
    b.namespace
        .api::<TaskBudget>()
        .delete("zero", &DeleteParams::default())
        .await
        .unwrap();
    b.until_phase("u", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_task_that_waits_before_another_run_goes_on_with_what_is_reserved_for_it() {
    let b = bench().await;
    budget(&b, "team", "{limit: {costUSD: 10}, window: {every: Day}}").await;
    let more =
        "model: priced-exactly\nbudget: {costUSD: 4}\nretryPolicy: {limit: 1, backoff: 1s, on: [AgentError]}";
    b.create("t", more).await;
    b.until_phase("t", TaskPhase::Pending).await;
    budget(
        &b,
        "mars",
        "{limit: {costUSD: 10}, window: {every: Day, timeZone: Mars/Base}}",
    )
    .await;
    let failed = json!({"axon": 1, "final": true, "reason": "AgentError", "message": "boom",
        "usage": {"costUSD": "1", "inputTokens": 1, "outputTokens": 1}, "outputs": []});
    let end = PodState::AgentEnded {
        exit_code: 1,
        message: failed.to_string(),
    };
    b.kubelet.report_job("t", &end).await.unwrap();
    let waits = b.until_reason("t", TaskReason::BudgetExhausted).await;
    assert_eq!((waits.retries, waits.attempts.len()), (Some(1), 1));
    assert!(waits.next_run.is_some(), "its run is still to come");
    let books = books(&b, "team").await;
    assert_eq!(
        dollars(&books),
        ("0.00".into(), "4.00".into()),
        "what it has spent stays reserved"
    );
    b.namespace
        .api::<TaskBudget>()
        .delete("mars", &DeleteParams::default())
        .await
        .unwrap();
    let starts = b.until_reason("t", TaskReason::Starting).await;
    assert_eq!(starts.retries, Some(1), "not one more");
    b.succeed("t", &report("0.5")).await;
    b.until_phase("t", TaskPhase::Succeeded).await;
    let counted = |books: &TaskBudgetStatus| dollars(books) == ("1.50".into(), "0.00".into());
    until_books(&b, "team", "counts both runs", counted).await;
}

#[tokio::test]
async fn a_task_with_a_given_cap_that_vanishes_counts_as_its_cap() {
    let b = bench().await;
    let given = "{limit: {costUSD: 10}, window: {every: Day}, perTask: {costUSD: 2}}";
    budget(&b, "team", given).await;
    b.create("t", "model: priced-exactly").await;
    b.until_phase("t", TaskPhase::Pending).await;
    b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    // Nothing is left of its run.
    let jobs = b.namespace.api::<Job>();
    jobs.delete("t", &DeleteParams::background()).await.unwrap();
    let lost = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(lost.budgets, ["team"]);
    until_books(&b, "team", "counts the cap", |books| dollars(books).0 == "2.00").await;
    let records = b.namespace.api::<TaskRecord>();
    let record = &records.list(&ListParams::default()).await.unwrap().items[0].spec;
    assert!(record.incomplete);
    assert_eq!(
        record.budget.as_ref().unwrap().cost().unwrap().to_string(),
        "2.00"
    );
    // A budget that is made later reads the same from the record.
    budget(&b, "late", "{limit: {costUSD: 10}, window: {rolling: 1h}}").await;
    until_books(&b, "late", "counts it too", |books| dollars(books).0 == "2.00").await;
}
