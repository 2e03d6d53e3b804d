//! The ordinary life of a Task, and what must not happen in it.

use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{PATIENCE, SILENCE, bench, status};

const REPORT: &str = r#"{"axon":1,"final":true,"usage":{"costUSD":"0.012224","inputTokens":2001,"outputTokens":101,"cacheReadTokens":1000,"cacheWriteTokens":400},"outputs":["branch: feature/x","commit: 0123456789abcdef0123456789abcdef01234567","base-branch: main","cost-usd: 0.012224","input-tokens: 2001","output-tokens: 101"]}"#;

#[tokio::test]
async fn a_task_runs_once_and_its_status_has_everything() {
    let b = bench().await;
    b.create("t", "").await;
    let pending = b.until_phase("t", TaskPhase::Pending).await;
    assert_eq!(pending.job_name.as_deref(), Some("t"));
    let pod = b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    let running = b.until_phase("t", TaskPhase::Running).await;
    assert!(running.start_time.is_some());
    assert_eq!(running.pod_name, Some(pod.name_any()));
    b.succeed("t", REPORT).await;

    let done = b.until_phase("t", TaskPhase::Succeeded).await;
    let usage = done.usage.unwrap();
    assert_eq!(
        usage.cost_usd.as_deref(),
        Some("0.012224"),
        "all digits of the agent's figure"
    );
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(2001), Some(101)));
    assert_eq!(
        (usage.cache_read_tokens, usage.cache_write_tokens),
        (Some(1000), Some(400))
    );
    assert_eq!(done.results["branch"], "feature/x");
    assert_eq!(done.outputs.len(), 6);
    assert_eq!((done.reason, done.message), (Some(TaskReason::Completed), None));
    assert!(done.completion_time.unwrap() >= done.start_time.unwrap());
    let ready = done.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.observed_generation),
        ("True", Some(1))
    );

    let events = wait::until("the events of t", PATIENCE, async || {
        let all = b.namespace.api::<Event>().list(&ListParams::default()).await?;
        let mut reasons: Vec<String> = all
            .into_iter()
            .filter(|e| {
                e.regarding
                    .as_ref()
                    .is_some_and(|r| r.kind.as_deref() == Some("Task"))
            })
            .filter_map(|e| e.reason)
            .collect();
        reasons.sort();
        Ok((reasons.len() >= 3).then_some(reasons))
    });
    assert_eq!(
        events.await.unwrap(),
        ["TaskCreated", "TaskRunning", "TaskSucceeded"]
    );
}

#[tokio::test]
async fn a_finished_task_whose_job_vanishes_does_not_run_again() {
    let b = bench().await;
    b.create("t", "").await;
    b.until_phase("t", TaskPhase::Pending).await;
    b.succeed("t", REPORT).await;
    let before = b.until_phase("t", TaskPhase::Succeeded).await;
    let jobs = b.namespace.api::<Job>();
    jobs.delete("t", &DeleteParams::background()).await.unwrap();
    wait::until_gone(&jobs, "t", PATIENCE).await.unwrap();
    tokio::time::sleep(SILENCE).await;
    assert!(
        jobs.get_opt("t").await.unwrap().is_none(),
        "a second Job was made"
    );
    let after = b.namespace.api::<Task>().get("t").await.unwrap();
    assert_eq!(status(&after), before);
}

#[tokio::test]
async fn a_job_that_is_deleted_under_its_task_ends_it() {
    let b = bench().await;
    b.create("t", "").await;
    b.kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    b.until_phase("t", TaskPhase::Running).await;
    b.namespace
        .api::<Job>()
        .delete("t", &DeleteParams::background())
        .await
        .unwrap();
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::PodLost));
    assert!(failed.completion_time.is_some());
}

#[tokio::test]
async fn a_missing_workspace_is_named_and_its_appearance_starts_the_task() {
    let b = bench().await;
    b.create("t", "workspaceRef: {name: ws}\nagentConfigRef: {name: ac}")
        .await;
    let waiting = b.until_reason("t", TaskReason::WorkspaceNotFound).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("ws"));
    assert!(b.namespace.api::<Job>().get_opt("t").await.unwrap().is_none());
    b.namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}")
        .await
        .unwrap();
    b.until_reason("t", TaskReason::AgentConfigNotFound).await;
    b.namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {name: ac}\nspec: {agentsMD: Be kind.}")
        .await
        .unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
    let job = b.namespace.api::<Job>().get("t").await.unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.init_containers.unwrap()[0].name, "workspace");
    let input = b.input("t").await;
    assert_eq!(input.data.unwrap()["agents.md"], "Be kind.");
}

#[tokio::test]
async fn a_long_prompt_arrives_byte_for_byte() {
    let b = bench().await;
    let prompt = format!("- $(X) \"é\" {}", "0123456789".repeat(20_000));
    let mut object: Task = axon_api::yaml::from_str(&crate::harness::task("t", "")).unwrap();
    object.spec.prompt = prompt.clone();
    b.namespace
        .api::<Task>()
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    b.until_phase("t", TaskPhase::Pending).await;
    let input = b.input("t").await;
    assert_eq!(input.immutable, Some(true));
    assert!(input.data.unwrap()["prompt"] == prompt);
}

#[tokio::test]
async fn a_foreign_job_is_not_adopted() {
    let b = bench().await;
    b.namespace
        .apply(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: t}\nspec: {suspend: true, template: {spec: {restartPolicy: Never, \
             containers: [{name: c, image: x}]}}}",
        )
        .await
        .unwrap();
    b.create("t", "").await;
    let failed = b.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("does not belong"));
    assert!(b.namespace.api::<Job>().get_opt("t").await.unwrap().is_some());
}

#[tokio::test]
async fn time_to_live_ends_every_finished_task() {
    let b = bench().await;
    b.create("now", "ttlSecondsAfterFinished: 0").await;
    b.create("soon", "ttlSecondsAfterFinished: 2").await;
    b.create("jobless", "ttlSecondsAfterFinished: 0\ndependsOn: [jobless]")
        .await;
    b.create("kept", "").await;
    for name in ["now", "soon", "kept"] {
        b.until_phase(name, TaskPhase::Pending).await;
        b.succeed(name, REPORT).await;
    }
    let tasks = b.namespace.api::<Task>();
    for name in ["now", "soon", "jobless"] {
        wait::until_gone(&tasks, name, PATIENCE).await.unwrap();
    }
    b.until_phase("kept", TaskPhase::Succeeded).await;
    wait::until_gone(&b.namespace.api::<Job>(), "now", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn deleting_a_task_removes_what_it_owns() {
    let b = bench().await;
    b.namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: AgentConfig\nmetadata: {name: ac}\nspec: {agentsMD: x}")
        .await
        .unwrap();
    b.create("t", "agentConfigRef: {name: ac}").await;
    b.until_phase("t", TaskPhase::Pending).await;
    let input = b.input("t").await.name_any();
    b.namespace
        .api::<Task>()
        .delete("t", &DeleteParams::background())
        .await
        .unwrap();
    wait::until_gone(&b.namespace.api::<Task>(), "t", PATIENCE)
        .await
        .unwrap();
    wait::until_gone(&b.namespace.api::<Job>(), "t", PATIENCE)
        .await
        .unwrap();
    wait::until_gone(&b.namespace.api::<ConfigMap>(), &input, PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_task_that_is_created_again_starts_from_nothing() {
    let b = bench().await;
    for round in 0..3 {
        b.create("t", "").await;
        b.until_phase("t", TaskPhase::Pending).await;
        let report = format!(r#"{{"axon":1,"final":true,"usage":{{"inputTokens":{round}}}}}"#);
        b.succeed("t", &report).await;
        let done = b.until_phase("t", TaskPhase::Succeeded).await;
        assert_eq!(done.usage.unwrap().input_tokens, Some(round));
        assert_eq!(done.attempts.len(), 1);
        let params = if round == 0 {
            DeleteParams::foreground()
        } else {
            DeleteParams::background()
        };
        b.namespace.api::<Task>().delete("t", &params).await.unwrap();
        wait::until_gone(&b.namespace.api::<Task>(), "t", PATIENCE)
            .await
            .unwrap();
    }
}

/// What a text of Windows-1252 that was read as Latin-1 has for an apostrophe, DEL, and what is no character.
const UNSTORABLE: &str = "it\u{92}s broken \u{7f}\u{9f}\u{fffe}\u{ffff}";

#[tokio::test]
async fn no_character_of_a_report_keeps_a_task_from_ending_and_no_claim_fails_it() {
    let b = bench().await;
    for name in ["message", "evidence", "claims"] {
        b.create(name, "").await;
        b.kubelet.report_job(name, &PodState::AgentRunning).await.unwrap();
    }
    let report = json!({"axon": 1, "final": true, "reason": "AgentError", "message": UNSTORABLE, "outputs": [format!("note: {UNSTORABLE}")]});
    let ended = |exit_code: i32, message: String| PodState::AgentEnded { exit_code, message };
    b.kubelet
        .report_job("message", &ended(1, report.to_string()))
        .await
        .unwrap();
    b.kubelet
        .report_job("evidence", &ended(1, UNSTORABLE.to_owned()))
        .await
        .unwrap();
    let expected = "it\u{fffd}s broken \u{fffd}\u{fffd}\u{fffd}\u{fffd}";
    for name in ["message", "evidence"] {
        let failed = b.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(failed.message.as_deref(), Some(expected), "{name}");
    }

    let report = json!({"axon": 1, "final": true, "usage": {"costUSD": "inf", "inputTokens": -5, "outputTokens": 9},
        "outputs": ["branch: b", "commit: \u{1b}[2J", "cost-usd: inf"]});
    b.succeed("claims", &report.to_string()).await;
    let done = b.until_phase("claims", TaskPhase::Succeeded).await;
    let usage = done.usage.unwrap();
    assert_eq!(
        (usage.cost_usd, usage.input_tokens, usage.output_tokens),
        (None, None, Some(9))
    );
    assert_eq!(done.outputs, ["branch: b"]);
    let told = done.attempts[0].message.as_deref().unwrap();
    assert!(
        told.contains("usage.costUSD") && told.contains("output commit"),
        "{told}"
    );
}
