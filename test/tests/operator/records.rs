//! TaskRecords: each finished Task leaves one record of its usage.

use std::time::Duration;

use axon_api::v1alpha1::TaskRecord;
use axon_api::{Task, TaskPhase, TaskReason, naming};
use axon_operator::kube::watch::Scope;
use axon_operator::task::apply::{record, retention};
use axon_test::control_plane::ControlPlane;
use axon_test::wait;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, bench, operators_config, status};

const REPORT: &str =
    r#"{"axon":1,"final":true,"usage":{"costUSD":"0.012224","inputTokens":2001},"outputs":[]}"#;

async fn records(b: &Bench) -> Vec<TaskRecord> {
    let all = b.namespace.api::<TaskRecord>().list(&ListParams::default()).await;
    all.unwrap().items
}

#[tokio::test]
async fn a_task_leaves_one_record_that_outlives_it() {
    let b = bench().await;
    b.create("t", "model: m").await;
    b.until_phase("t", TaskPhase::Pending).await;
    assert!(records(&b).await.is_empty(), "nothing has ended yet");
    b.succeed("t", REPORT).await;
    b.until_phase("t", TaskPhase::Succeeded).await;
    // The record is there before the status says that the Task has ended.
    let all = records(&b).await;
    assert_eq!(all.len(), 1);
    let task = b.namespace.api::<Task>().get("t").await.unwrap();
    let spec = &all[0].spec;
    assert_eq!(Some(&spec.task_uid), task.metadata.uid.as_ref());
    assert_eq!(spec.usage, status(&task).usage);
    assert_eq!(spec.completion_time, status(&task).completion_time);
    assert_eq!(
        (spec.phase, spec.model.as_deref()),
        (TaskPhase::Succeeded, Some("m"))
    );

    let tasks = b.namespace.api::<Task>();
    tasks.delete("t", &DeleteParams::background()).await.unwrap();
    wait::until_gone(&tasks, "t", PATIENCE).await.unwrap();
    // Another Task of the same name, that fails before it starts, has a record of its own.
    b.create("t", "dependsOn: [t]").await;
    b.until_phase("t", TaskPhase::Failed).await;
    // Told apart by UID: times have whole seconds, and both may be of the same one.
    let (first, second): (Vec<_>, Vec<_>) = records(&b)
        .await
        .into_iter()
        .partition(|r| Some(&r.spec.task_uid) == task.metadata.uid.as_ref());
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(first[0].spec.phase, TaskPhase::Succeeded);
    assert_eq!(second[0].spec.reason, Some(TaskReason::DependencyCycle));
    assert_eq!((second[0].spec.attempts, &second[0].spec.usage), (0, &None));
}

#[tokio::test]
async fn what_no_agent_reports_is_estimated_where_the_price_table_knows_the_model() {
    let b = bench().await;
    let tokens = r#"{"axon":1,"final":true,"usage":{"inputTokens":1000000,"outputTokens":100000,"cacheReadTokens":2000000},
        "outputs":["input-tokens: 1000000","output-tokens: 100000"]}"#;
    for (name, more, report, estimate) in [
        ("exact", "model: priced-exactly", tokens, Some("2.50")),
        ("prefix", "model: priced-otherwise", tokens, Some("8.00")),
        ("unpriced", "model: free", tokens, None),
        ("unnamed", "", tokens, None),
        ("reported", "model: priced-exactly", REPORT, None),
    ] {
        b.create(name, more).await;
        b.until_phase(name, TaskPhase::Pending).await;
        b.succeed(name, report).await;
        let done = b.until_phase(name, TaskPhase::Succeeded).await;
        let usage = done.usage.clone().unwrap();
        assert_eq!(usage.estimated_cost_usd.as_deref(), estimate, "{name}");
        assert_eq!(usage.cost_usd.is_some(), name == "reported", "{name}");
        assert!(
            !done.results.contains_key("cost-usd"),
            "{name}: {:?}",
            done.results
        );
        let all = records(&b).await;
        let record = all.iter().find(|r| r.spec.task_name == name).unwrap();
        assert_eq!(record.spec.usage, done.usage, "{name}");
    }
}

#[tokio::test]
async fn a_record_that_was_removed_does_not_come_back_with_a_late_change() {
    let b = bench().await;
    b.create("t", "dependsOn: [t]").await;
    b.until_phase("t", TaskPhase::Failed).await;
    let api = b.namespace.api::<TaskRecord>();
    let name = records(&b).await[0].name_any();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = b.namespace.api::<Task>();
    tasks.patch("t", &PatchParams::default(), &stop).await.unwrap();
    let seen = |t: &Task| status(t).observed_generation == Some(2);
    b.namespace
        .wait_for("t", "has seen the stop", PATIENCE, seen)
        .await
        .unwrap();
    // It would be written before the status.
    assert!(records(&b).await.is_empty());
}

#[tokio::test]
async fn a_record_is_never_changed() {
    let b = bench().await;
    b.create("t", "dependsOn: [t]").await;
    b.until_phase("t", TaskPhase::Failed).await;
    let all = records(&b).await;
    let patch = Patch::Merge(json!({"spec": {"usage": {"costUSD": "0"}}}));
    let api = b.namespace.api::<TaskRecord>();
    let refused = api
        .patch(&all[0].name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("never changed"), "{refused}");
}

#[tokio::test]
async fn an_operator_that_dies_between_record_and_status_leaves_neither_two_records_nor_a_wrong_one() {
    let b = bench().await;
    b.create("t", "").await;
    b.until_phase("t", TaskPhase::Pending).await;
    let task = b.namespace.api::<Task>().get("t").await.unwrap();
    // What an operator wrote that saw the Task fail, and died before it said so.
    let mut ended = status(&task);
    ended.phase = Some(TaskPhase::Failed);
    ended.reason = Some(TaskReason::PodLost);
    let early = record::record_of(&task, &ended).unwrap();
    let api = b.namespace.api::<TaskRecord>();
    api.create(&PostParams::default(), &early).await.unwrap();

    b.succeed("t", REPORT).await;
    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    let all = records(&b).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        all[0].name_any(),
        naming::task_record("t", &task.uid().unwrap_or_default())
    );
    assert_eq!(
        (all[0].spec.phase, &all[0].spec.usage),
        (TaskPhase::Succeeded, &done.usage)
    );
    // The same again changes nothing.
    let uid = all[0].uid();
    record::keep(&task, &done, b.namespace.client()).await.unwrap();
    assert_eq!(records(&b).await[0].uid(), uid);
}

#[tokio::test]
async fn records_go_when_their_time_is_over() {
    let b = bench().await;
    b.create("t", "dependsOn: [t]").await;
    b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(records(&b).await.len(), 1);
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = Client::try_from(operators_config(control_plane).await).unwrap();
    let now = Timestamp::now();
    let day = Duration::from_secs(86_400);
    let others = Api::<TaskRecord>::all(client.clone());
    assert_eq!(
        retention::sweep(&client, &Scope::Cluster, day, now)
            .await
            .unwrap(),
        0
    );
    assert!(
        !others
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // Only this test's namespace is let go: other tests look at their records.
    let own = records(&b).await;
    let later = now + jiff::SignedDuration::from_hours(25);
    let deleted = retention::sweep_in(&client, Some(b.namespace.name()), day, later).await;
    assert_eq!(deleted.unwrap(), own.len());
    assert!(records(&b).await.is_empty());
}
