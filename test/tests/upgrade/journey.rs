//! The journey: the older version at work, the newer definitions, the newer operator, and all the way back.

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::v1alpha1::TaskSpawner;
use axon_api::{Task, TaskPhase};
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, token};
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::version::{NOVEL_FIELD, NOVEL_REASON, Version};

const PATIENCE: Duration = Duration::from_secs(60);
/// The time in which a second run of a Task that has ended could begin.
const SILENCE: Duration = Duration::from_secs(2);

/// Plays the journey. Every Task runs exactly once, whoever of the two operators sees its parts.
pub async fn travel(older: &Version, newer: &Version) {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    let place = Place {
        kubelet: Kubelet::new(&namespace),
        namespace,
    };

    older.define(&client).await;
    older.allow(&client).await;
    let token = token(&client).await.unwrap();
    let start = |version: &Version| version.start(control_plane.kubeconfig(), &token);
    let operator = start(older);
    place.create("done", &[]).await;
    place.run_to_its_end("done").await;
    place.create("going", &[]).await;
    place.run("going").await;
    place
        .create("waits", &[("dependsOn".into(), json!(["going"]))])
        .await;
    place.until("waits", TaskPhase::Waiting).await;
    place.create_spawner(&BTreeMap::new()).await;
    place.until_spawner_is_served().await;

    // Definitions come first: for a while the older operator works under the newer ones.
    newer.define(&client).await;
    let novel: Vec<_> = newer.novel.clone().into_iter().collect();
    place.create("under-newer-definitions", &novel).await;
    place.run("under-newer-definitions").await;
    place.end("going").await;
    place.run("waits").await;

    // The newer operator takes over what the older one began.
    newer.allow(&client).await;
    stop(operator).await;
    let operator = start(newer);
    place.end("under-newer-definitions").await;
    place.end("waits").await;
    place.create("of-newer", &novel).await;
    place.run("of-newer").await;
    place.create_spawner(&newer.novel).await;
    place.until_spawner_is_served().await;
    if !novel.is_empty() {
        place.say_something_new_of("done").await;
    }
    let jobs = place.jobs().await;

    // Back: the operator alone, which meets objects with fields and words that it does not know.
    stop(operator).await;
    let operator = start(older);
    place.end("of-newer").await;
    place.create("back-again", &novel).await;
    place.run_to_its_end("back-again").await;
    place.until_spawner_is_served().await;
    assert_eq!(
        place.field_of("of-newer").await.as_deref(),
        newer.kept(),
        "no field is lost"
    );

    // And the definitions too: unknown fields are not shown any more, and nothing else is lost.
    older.define(&client).await;
    place.create("under-older-definitions", &[]).await;
    place.run_to_its_end("under-older-definitions").await;
    place.create_spawner(&BTreeMap::new()).await;
    place.until_spawner_is_served().await;

    // Forward once more.
    newer.define(&client).await;
    stop(operator).await;
    let operator = start(newer);
    place.create("at-the-end", &novel).await;
    place.run_to_its_end("at-the-end").await;
    tokio::time::sleep(SILENCE).await;
    let now = place.jobs().await;
    for (name, uid) in &jobs {
        assert_eq!(now.get(name), Some(uid), "{name} has run a second time");
    }
    assert_eq!(now.len(), jobs.len() + 3, "{now:?}");
    place.every_task_can_be_deleted().await;
    stop(operator).await;
}

/// Ends an operator as Kubernetes does, so that the next one need not wait for its lease to run out.
async fn stop(mut operator: Operator) {
    operator.terminate().unwrap();
    operator.wait().await.unwrap();
}

struct Place {
    namespace: Namespace,
    kubelet: Kubelet,
}

impl Place {
    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(axon_api::GROUP, axon_api::VERSION, kind);
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.namespace.client().clone(), self.namespace.name(), &resource)
    }

    async fn create(&self, name: &str, more: &[(String, Value)]) {
        let mut task = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
            "spec": {"type": "claude-code", "prompt": "do it", "credentials": {"type": "none"}},
        });
        for (field, value) in more {
            task["spec"][field] = value.clone();
        }
        self.put("Task", name, &task).await;
    }

    async fn create_spawner(&self, more: &BTreeMap<String, Value>) {
        let mut spawner = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "yearly"},
            "spec": {
                "when": {"cron": {"schedule": "0 0 1 1 *"}},
                "taskTemplate": {"type": "claude-code", "credentials": {"type": "none"}, "promptTemplate": "do it"},
            },
        });
        for (field, value) in more {
            spawner["spec"][field] = value.clone();
        }
        self.put("TaskSpawner", "yearly", &spawner).await;
    }

    /// Applies an object. New definitions take a moment to reach the API server's validation, which until then refuses
    /// fields that it does not know.
    async fn put(&self, kind: &str, name: &str, object: &Value) {
        let params = PatchParams::apply("axon-test").force().validation_strict();
        let api = self.api(kind);
        wait::until(&format!("{kind} {name} to be accepted"), PATIENCE, async || {
            Ok(api.patch(name, &params, &Patch::Apply(object)).await.ok())
        })
        .await
        .unwrap();
    }

    async fn until(&self, name: &str, phase: TaskPhase) {
        let is_there = |task: &Task| task.status.as_ref().and_then(|s| s.phase) == Some(phase);
        self.namespace
            .wait_for(name, &format!("is {phase}"), PATIENCE, is_there)
            .await
            .unwrap();
    }

    async fn run(&self, name: &str) {
        self.until(name, TaskPhase::Pending).await;
        self.kubelet
            .report_job(name, &PodState::AgentRunning)
            .await
            .unwrap();
        self.until(name, TaskPhase::Running).await;
    }

    async fn end(&self, name: &str) {
        let ended = PodState::AgentEnded {
            exit_code: 0,
            message: r#"{"axon":1,"final":true,"outputs":["branch: b"]}"#.into(),
        };
        self.kubelet.report_job(name, &ended).await.unwrap();
        self.until(name, TaskPhase::Succeeded).await;
    }

    async fn run_to_its_end(&self, name: &str) {
        self.run(name).await;
        self.end(name).await;
    }

    async fn until_spawner_is_served(&self) {
        let served = |spawner: &TaskSpawner| {
            let generation = spawner.metadata.generation;
            let status = spawner.status.as_ref();
            status.is_some_and(|s| s.observed_generation == generation && s.next_run_time.is_some())
        };
        self.namespace
            .wait_for_object("yearly", "has its next run", PATIENCE, served)
            .await
            .unwrap();
    }

    /// Says of a Task what only a newer operator could.
    async fn say_something_new_of(&self, name: &str) {
        let word = json!({ "status": {"reason": NOVEL_REASON} });
        let tasks = self.api("Task");
        let (params, patch) = (PatchParams::default(), Patch::Merge(word));
        tasks.patch_status(name, &params, &patch).await.unwrap();
    }

    async fn field_of(&self, name: &str) -> Option<String> {
        let task = self.api("Task").get(name).await.unwrap();
        task.data["spec"][NOVEL_FIELD].as_str().map(str::to_owned)
    }

    /// Returns the UID of each Task's Job.
    async fn jobs(&self) -> BTreeMap<String, String> {
        let jobs = self.namespace.api::<Job>();
        let all = jobs.list(&ListParams::default()).await.unwrap().into_iter();
        all.map(|job| (job.name_any(), job.uid().unwrap())).collect()
    }

    async fn every_task_can_be_deleted(&self) {
        let tasks = self.namespace.api::<Task>();
        let all = tasks.list(&ListParams::default()).await.unwrap();
        assert_eq!(all.items.len(), self.jobs().await.len());
        for task in all {
            let name = task.name_any();
            tasks.delete(&name, &DeleteParams::background()).await.unwrap();
            wait::until_gone(&tasks, &name, PATIENCE).await.unwrap();
        }
    }
}
