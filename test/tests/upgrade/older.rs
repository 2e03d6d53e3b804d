//! An operator that is newer than its definitions: they lack reasons and fields that it writes.

use std::time::Duration;

use axon_api::v1alpha1::TaskRecord;
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, token};
use axon_test::{plain_http, wait};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::version::Version;

const PATIENCE: Duration = Duration::from_secs(60);
const OVER: &str = "Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Gi\". ";
const REPORT: &str = r#"{"axon":1,"final":false,"usage":{"costUSD":"4.00","inputTokens":7}}"#;

struct Place {
    namespace: Namespace,
    kubelet: Kubelet,
    operator: Operator,
}

impl Place {
    async fn create(&self, name: &str, more: &str) {
        let task = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}}}\nspec: {{type: claude-code, prompt: p, credentials: {{type: none}}, {more}}}"
        );
        wait::until("the Task to be accepted", PATIENCE, async || {
            Ok(self.namespace.apply(&task).await.ok())
        })
        .await
        .unwrap();
    }

    async fn until(&self, name: &str, what: &str, is_wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let found = self.namespace.wait_for(name, what, PATIENCE, |task: &Task| {
            task.status.as_ref().is_some_and(&is_wanted)
        });
        found.await.unwrap().status.unwrap()
    }

    async fn run(&self, name: &str) {
        self.until(name, "has a Job", |s| s.job_name.is_some()).await;
        self.kubelet
            .report_job(name, &PodState::AgentRunning)
            .await
            .unwrap();
        self.until(name, "runs", |s| s.phase == Some(TaskPhase::Running))
            .await;
    }

    async fn end(&self, name: &str, state: PodState, phase: TaskPhase) -> TaskStatus {
        self.kubelet.report_job(name, &state).await.unwrap();
        self.until(name, "has ended", |s| s.phase == Some(phase)).await
    }

    /// Waits until a field that the older definitions lack is refused.
    async fn until_older_definitions_are_served(&self) {
        let body = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "probe"},
            "spec": {"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}, "dependsOn": ["nobody"]},
            "status": {"startTime": "2026-11-30T06:00:00Z"}});
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply("probe")
        };
        let tasks = self.namespace.api::<Task>();
        wait::until("the older definitions", PATIENCE, async || {
            Ok(tasks
                .patch("probe", &params, &Patch::Apply(&body))
                .await
                .err()
                .map(drop))
        })
        .await
        .unwrap();
    }

    /// Returns a figure of the operator; none while it doesn't answer.
    async fn figure(&self, name: &str) -> Option<f64> {
        let request = plain_http::Request::new("GET", &format!("{}/metrics", self.operator.url()?)).unwrap();
        let text = String::from_utf8_lossy(&request.send().await.ok()?.body).into_owned();
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(of)
    }

    async fn until_figure(&self, name: &str, is_wanted: impl Fn(f64) -> bool) {
        wait::until(name, PATIENCE, async || {
            Ok(self.figure(name).await.filter(|value| is_wanted(*value)))
        })
        .await
        .unwrap();
    }

    async fn record_of(&self, name: &str) -> TaskRecord {
        let records = self
            .namespace
            .api::<TaskRecord>()
            .list(&ListParams::default())
            .await
            .unwrap();
        records
            .into_iter()
            .find(|record| record.spec.task_name == name)
            .unwrap()
    }

    /// Returns the one word that conditions have for the Task's state.
    fn told(status: &TaskStatus) -> &str {
        &status.conditions[0].reason
    }
}

#[tokio::test]
async fn definitions_that_lack_reasons_and_fields_end_no_task_and_are_told() {
    let _road = super::ROAD.lock().await;
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    let (older, this) = (Version::older(), Version::this());
    this.define(&client).await;
    this.allow(&client).await;
    let token = token(&client).await.unwrap();
    let mut place = Place {
        kubelet: Kubelet::new(&namespace),
        operator: this.start(control_plane.kubeconfig(), &token),
        namespace,
    };
    place
        .until_figure("axon_definitions_missing", |missing| missing == 0.0)
        .await;
    // Rolled back below an operator at work, which learns of it by what is refused.
    older.define(&client).await;
    place.until_older_definitions_are_served().await;
    place
        .namespace
        .apply("apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ws}\nspec: {repo: 'https://github.com/o/r'}")
        .await
        .unwrap();

    // Through its life: the reason of every phase is one that the definitions lack.
    let branch = "workspaceRef: {name: ws}, branch: b";
    place.create("full", branch).await;
    place.run("full").await;
    let running = place
        .until("full", "runs", |s| s.phase == Some(TaskPhase::Running))
        .await;
    assert_eq!(
        (running.reason, Place::told(&running)),
        (Some(TaskReason::Unknown), "AgentRunning")
    );
    place.create("next", branch).await;
    let over = PodState::OverItsLimit {
        message: OVER.into(),
        report: REPORT.into(),
    };
    let full = place.end("full", over, TaskPhase::Failed).await;
    assert_eq!(
        (full.reason, Place::told(&full)),
        (Some(TaskReason::Unknown), "StorageExceeded")
    );
    assert!(
        full.message.unwrap().contains("AXON_POD_SCRATCH_LIMIT"),
        "the evidence stays"
    );
    let attempt = &full.attempts[0];
    assert!(
        attempt.message.as_ref().unwrap().starts_with("StorageExceeded: "),
        "{attempt:?}"
    );
    assert_eq!(full.usage.unwrap().cost_usd.as_deref(), Some("4.00"));
    let record = place.record_of("full").await.spec;
    assert_eq!(
        (record.reason, record.phase),
        (Some(TaskReason::Unknown), TaskPhase::Failed)
    );
    assert_eq!(record.usage.unwrap().cost_usd.as_deref(), Some("4.00"));

    place
        .until_figure("axon_definitions_missing", |missing| missing >= 6.0)
        .await;

    // The branch is free.
    place.run("next").await;
    let ended = PodState::AgentEnded {
        exit_code: 0,
        message: r#"{"axon":1,"final":true}"#.into(),
    };
    let next = place.end("next", ended, TaskPhase::Succeeded).await;
    assert_eq!(Place::told(&next), "Completed");

    // A stop takes two steps, of which the first is told by its reason alone.
    place
        .create("stopped", "branch: c, workspaceRef: {name: ws}")
        .await;
    place.run("stopped").await;
    let stop = Patch::Merge(json!({"spec": {"stop": true}}));
    let tasks = place.namespace.api::<Task>();
    tasks
        .patch("stopped", &PatchParams::default(), &stop)
        .await
        .unwrap();
    let job_goes = wait::until("the Job to go", PATIENCE, async || {
        let job = place.namespace.api::<Job>().get_opt("stopped").await?;
        Ok(job
            .is_none_or(|job| job.metadata.deletion_timestamp.is_some())
            .then_some(()))
    });
    job_goes.await.unwrap();

    // How often it ran would not be stored, so that it does not run again.
    place
        .create("again", "retryPolicy: {limit: 3, backoff: 1s, on: [AgentError]}")
        .await;
    place.run("again").await;
    let failed = PodState::AgentEnded {
        exit_code: 1,
        message: String::new(),
    };
    let again = place.end("again", failed, TaskPhase::Failed).await;
    assert_eq!(
        (again.reason, again.attempts.len()),
        (Some(TaskReason::AgentError), 1)
    );
    assert!(again.message.unwrap().contains("it is not run again, since"));

    // Told where people look, and once in the log.
    let events = place
        .namespace
        .api::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let notes: Vec<&str> = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("StatusIncomplete"))
        .filter_map(|event| event.note.as_deref())
        .collect();
    assert!(
        notes.iter().all(|note| note.contains("kubectl axon install")) && !notes.is_empty(),
        "{notes:?}"
    );
    place
        .until_figure(
            "axon_refused_writes_total{kind=\"Task\",reason=\"Invalid\",stored=\"Part\"}",
            |n| n >= 4.0,
        )
        .await;
    let log = std::fs::read_to_string(place.operator.log()).unwrap();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("older than this operator"))
        .collect();
    // They were read while they were applied, perhaps, one after the other.
    assert!((1..=4).contains(&lines.len()), "{lines:?}");
    assert!(
        lines.last().unwrap().contains("Task.status.attempts[].jobUID"),
        "{lines:?}"
    );

    // For the other test.
    this.define(&client).await;
    place.operator.kill().await.unwrap();
}
