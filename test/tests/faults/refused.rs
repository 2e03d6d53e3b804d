//! Writes that the API server refuses for their content: they are made with less in it, and nothing is kept from ending.

use std::time::Duration;

use axon_api::v1alpha1::{TaskRecord, TaskSpawner};
use axon_api::{TaskPhase, TaskReason};
use axon_fixtures::fault_proxy::{Call, Fault};
use axon_test::{plain_http, wait};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;

use crate::harness::{Bench, PATIENCE, Stage, bench};

/// A word that this API server can't read.
const POISON: &str = "poison";
const REPORT: &str = r#"{"axon":1,"final":true,"reason":"AgentError","message":"poison of the agent","usage":{"costUSD":"4.00","inputTokens":7},"outputs":["branch: b","note: poison"]}"#;
const WORKSPACE: &str = "apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}";

fn is_status(call: &Call) -> bool {
    call.method == "PATCH" && call.path.ends_with("/status")
}

fn is_record(call: &Call) -> bool {
    call.method == "POST" && call.path.ends_with("/taskrecords")
}

/// Returns the notes of a stage's events of this reason.
async fn told(stage: &Stage, reason: &str) -> Vec<String> {
    wait::until(reason, PATIENCE, async || {
        let events = stage
            .namespace
            .api::<Event>()
            .list(&ListParams::default())
            .await?;
        let of_reason = events
            .items
            .into_iter()
            .filter(|e| e.reason.as_deref() == Some(reason));
        let notes: Vec<String> = of_reason.filter_map(|event| event.note).collect();
        Ok((!notes.is_empty()).then_some(notes))
    })
    .await
    .unwrap()
}

/// Returns a figure of the operator; 0 if it has none.
async fn figure(b: &Bench, name: &str) -> f64 {
    let url = b.operator.url().unwrap();
    let request = plain_http::Request::new("GET", &format!("{url}/metrics")).unwrap();
    let text = String::from_utf8(request.send().await.unwrap().body.to_vec()).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn counter(kind: &str, reason: &str, stored: &str) -> String {
    format!("axon_refused_writes_total{{kind=\"{kind}\",reason=\"{reason}\",stored=\"{stored}\"}}")
}

#[tokio::test]
async fn a_text_that_the_api_server_does_not_read_keeps_nothing_from_its_end() {
    let b = bench().await;
    let stage = b.stage().await;
    stage.namespace.apply(WORKSPACE).await.unwrap();
    b.proxy.set_rule(|call| match () {
        () if is_status(call) => Fault::RefuseText(POISON, 400),
        () if is_record(call) => Fault::RefuseText(POISON, 422),
        () => Fault::None,
    });
    let more = "workspaceRef: {name: ws}\nbranch: b";
    stage.create("t", &format!("{more}\nmodel: poison")).await;
    stage.run("t").await;
    stage.create("next", more).await;
    stage
        .until("next", "waits for the branch", |s| {
            s.reason == Some(TaskReason::WaitingForBranch)
        })
        .await;
    stage.end("t", 1, REPORT).await;
    let ended = stage
        .until("t", "has failed", |s| s.phase == Some(TaskPhase::Failed))
        .await;
    assert_eq!(
        (ended.reason, &ended.message),
        (Some(TaskReason::AgentError), &None)
    );
    assert!(ended.outputs.is_empty() && ended.results.is_empty(), "{ended:?}");
    assert_eq!(ended.usage.unwrap().cost_usd.as_deref(), Some("4.00"));
    assert_eq!(ended.attempts[0].reason, Some(TaskReason::AgentError));
    assert_eq!(ended.attempts[0].message, None);

    let records = stage
        .namespace
        .api::<TaskRecord>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let record = &records.items[0].spec;
    assert_eq!((record.task_name.as_str(), &record.model), ("t", &None));
    assert_eq!(record.reason, Some(TaskReason::AgentError));
    assert_eq!(record.usage.as_ref().unwrap().input_tokens, Some(7));

    // The branch is free.
    stage.until("next", "has its Job", |s| s.job_name.is_some()).await;
    stage.namespace.api::<Job>().get("next").await.unwrap();
    let note = told(&stage, "StatusIncomplete").await.remove(0);
    assert!(
        note.contains("without texts") && note.contains("refused by the fault proxy"),
        "{note}"
    );
    told(&stage, "RecordIncomplete").await;
    assert!(figure(&b, &counter("Task", "BadRequest", "Part")).await >= 1.0);
    assert!(figure(&b, &counter("TaskRecord", "Invalid", "Part")).await >= 1.0);
    let refused = b
        .calls(&stage)
        .into_iter()
        .filter(|call| call.answer == Some(400))
        .count();
    assert!(
        refused <= 3,
        "the whole is not written again and again: {refused}"
    );
    spawner_has_its_status(&b).await;
    nothing_loops(&b).await;
}

/// A status that is refused whatever it says is tried with growing pauses.
async fn nothing_loops(b: &Bench) {
    let stage = b.stage().await;
    stage.create("t", "").await;
    stage.run("t").await;
    b.proxy.set_rule(|call| {
        if is_status(call) {
            Fault::RefuseText("", 400)
        } else {
            Fault::None
        }
    });
    stage
        .end("t", 0, r#"{"axon":1,"final":true,"outputs":["branch: b"]}"#)
        .await;
    told(&stage, "StatusRefused").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refused = b
        .calls(&stage)
        .into_iter()
        .filter(|call| call.answer == Some(400))
        .count();
    assert!((2..=20).contains(&refused), "{refused}");
    assert!(figure(b, &counter("Task", "BadRequest", "Nothing")).await >= 1.0);
    let records = stage
        .namespace
        .api::<TaskRecord>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(records.items.len(), 1, "what was consumed is kept all the same");
    b.proxy.set_rule(|_| Fault::None);
    let ended = stage
        .until("t", "has succeeded", |s| s.phase == Some(TaskPhase::Succeeded))
        .await;
    assert_eq!(ended.outputs, ["branch: b"]);
}

/// A spawner of which the same is true.
async fn spawner_has_its_status(b: &Bench) {
    let stage = b.stage().await;
    let spawner = "apiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {name: s}\nspec:\n  when: {cron: {schedule: '0 9 1 1 *'}}\n  \
        taskTemplate: {type: claude-code, credentials: {type: none}, promptTemplate: '{{poison}}'}";
    stage.namespace.apply(spawner).await.unwrap();
    let is_invalid = |s: &TaskSpawner| {
        let conditions = s.status.iter().flat_map(|status| &status.conditions);
        let mut templates = conditions.filter(|c| c.type_ == "TemplateValid" && c.status == "False");
        templates.any(|c| c.message.is_empty())
    };
    stage
        .namespace
        .wait_for_object("s", "has a status", PATIENCE, is_invalid)
        .await
        .unwrap();
    told(&stage, "StatusIncomplete").await;
    assert!(figure(b, &counter("TaskSpawner", "BadRequest", "Part")).await >= 1.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = b
        .calls(&stage)
        .into_iter()
        .filter(|call| call.answer == Some(400))
        .count();
    assert!(refused <= 4, "{refused}");
}
