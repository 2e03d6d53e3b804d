//! The real Kueue in front of the operator's Jobs: they wait for quota, are preempted, and go on.
//!
//! The pods' status is played; all else is Kueue's own doing. `make kueue` builds it and runs this.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus, yaml};
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use axon_test::{manifests, wait};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, discovery};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(90);
const DONE: &str = r#"{"axon":1,"final":true,"usage":{"costUSD":"1.00"},"outputs":["branch: b"]}"#;
const QUEUES: &str = r"
apiVersion: kueue.x-k8s.io/v1beta1
kind: ResourceFlavor
metadata: {name: any}
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: WorkloadPriorityClass
metadata: {name: high}
value: 1000
description: before all others
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: LocalQueue
metadata: {name: agents}
spec: {clusterQueue: all}
";

fn file(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Has the API server call a Kueue on this machine: its Service is another name of localhost. Kueue makes the certificates.
async fn hook_in(client: &Client, folder: &Path, port: u16) {
    let place = r"
{apiVersion: v1, kind: Namespace, metadata: {name: kueue-system}}
---
{apiVersion: v1, kind: Secret, metadata: {name: kueue-webhook-server-cert, namespace: kueue-system}}
---
{apiVersion: v1, kind: Service, metadata: {name: kueue-webhook-service, namespace: kueue-system}, spec: {type: ExternalName, externalName: localhost}}
";
    manifests::apply(client, "default", place).await.unwrap();
    for mut document in yaml::documents(&file(folder, "webhooks.yaml")).unwrap() {
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        document["metadata"]["name"] = format!("kueue-{name}").into();
        let hooks = document["webhooks"].as_array_mut().unwrap();
        hooks.retain_mut(|hook| {
            let service = &mut hook["clientConfig"]["service"];
            service["name"] = "kueue-webhook-service".into();
            service["namespace"] = "kueue-system".into();
            service["port"] = port.into();
            let path = service["path"].as_str().unwrap();
            path.contains("batch-v1-job") || path.contains("kueue-x-k8s-io")
        });
        assert!(hooks.len() >= 3, "{hooks:?}");
        manifests::apply(client, "default", &document.to_string())
            .await
            .unwrap();
    }
}

/// Applies Kueue's definitions, and waits until they are served.
async fn define(client: &Client, folder: &Path) {
    let mut kinds = 0;
    for entry in std::fs::read_dir(folder.join("crd")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        manifests::apply(client, "default", &text).await.unwrap();
        kinds += 1;
    }
    wait::until("Kueue's kinds", PATIENCE, async || {
        let group = discovery::group(client, "kueue.x-k8s.io").await;
        let served = group.map_or(0, |group| group.recommended_resources().len());
        Ok((served >= kinds).then_some(()))
    })
    .await
    .unwrap();
}

/// Does what a kubelet does with the Secret of the certificates.
async fn mount_certificates(client: &Client, certificates: &Path) {
    let secrets = Api::<Secret>::namespaced(client.clone(), "kueue-system");
    let data = wait::until("Kueue's certificates", PATIENCE, async || {
        let secret = secrets.get("kueue-webhook-server-cert").await?;
        Ok(secret.data.filter(|data| data.contains_key("tls.crt")))
    })
    .await
    .unwrap();
    for (name, content) in data {
        std::fs::write(certificates.join(name), content.0).unwrap();
    }
}

/// Starts Kueue.
fn start(program: &Path, work: &Path, kubeconfig: &Path, port: u16) -> Child {
    let config = json!({
        "apiVersion": "config.kueue.x-k8s.io/v1beta1", "kind": "Configuration",
        "health": {"healthProbeBindAddress": "127.0.0.1:0"}, "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": work},
        "leaderElection": {"leaderElect": false}, "internalCertManagement": {"enable": true},
        "integrations": {"frameworks": ["batch/job"]},
    });
    let path = work.join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let log = std::fs::File::create(work.join("log")).unwrap();
    Command::new(program)
        .arg(format!("--config={}", path.display()))
        .arg("--feature-gates=VisibilityOnDemand=false")
        .env("KUBECONFIG", kubeconfig)
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Returns the queue of all, with room for this many Tasks.
fn queue_of_all(cores: u32) -> Value {
    let quota = |name: &str, amount: &str| json!({"name": name, "nominalQuota": amount});
    let quotas = [
        quota("cpu", &cores.to_string()),
        quota("memory", "1Ti"),
        quota("ephemeral-storage", "1Ti"),
    ];
    json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "ClusterQueue", "metadata": {"name": "all"},
        "spec": {
            "namespaceSelector": {}, "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [{"coveredResources": ["cpu", "memory", "ephemeral-storage"],
                "flavors": [{"name": "any", "resources": quotas}]}],
        },
    })
}

struct Place {
    namespace: Namespace,
    kubelet: Kubelet,
}

impl Place {
    async fn create(&self, name: &str, labels: &str) {
        let task = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}, labels: {{kueue.x-k8s.io/queue-name: agents{labels}}}}}\n\
             spec: {{type: claude-code, prompt: p, credentials: {{type: none}}, podOverrides: {{resources: {{requests: {{cpu: 600m}}}}}}}}"
        );
        self.namespace.apply(&task).await.unwrap();
    }

    async fn until(&self, name: &str, what: &str, is_wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let found = self.namespace.wait_for(name, what, PATIENCE, |task: &Task| {
            task.status.as_ref().is_some_and(&is_wanted)
        });
        found.await.unwrap().status.unwrap()
    }

    async fn queued(&self, name: &str) -> TaskStatus {
        self.until(name, "is queued", |s| {
            (s.phase, s.reason) == (Some(TaskPhase::Pending), Some(TaskReason::Queued))
        })
        .await
    }

    async fn run(&self, name: &str) {
        self.kubelet
            .report_job(name, &PodState::AgentRunning)
            .await
            .unwrap();
        self.until(name, "runs", |s| s.phase == Some(TaskPhase::Running))
            .await;
    }

    async fn succeed(&self, name: &str) -> TaskStatus {
        let ended = PodState::AgentEnded {
            exit_code: 0,
            message: DONE.into(),
        };
        self.kubelet.report_job(name, &ended).await.unwrap();
        self.until(name, "has succeeded", |s| s.phase == Some(TaskPhase::Succeeded))
            .await
    }
}

/// Needs the folder that `make kueue` makes, in `AXON_KUEUE`.
#[tokio::test]
#[ignore = "needs Kueue: `make kueue`"]
async fn a_task_waits_for_quota_is_preempted_and_goes_on() {
    let folder = PathBuf::from(std::env::var_os("AXON_KUEUE").expect("AXON_KUEUE: run `make kueue`"));
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    define(&client, &folder).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    hook_in(&client, &folder, port).await;
    let work = tempfile::tempdir().unwrap();
    let _kueue = start(
        &folder.join("kueue"),
        work.path(),
        control_plane.kubeconfig(),
        port,
    );
    mount_certificates(&client, work.path()).await;
    let namespace = control_plane.namespace().await.unwrap();
    let place = Place {
        kubelet: Kubelet::new(&namespace),
        namespace,
    };
    // Its webhooks answer once it is ready.
    let queues = format!("{QUEUES}---\n{}", queue_of_all(0));
    let ready = wait::until("Kueue", PATIENCE, async || {
        Ok(place.namespace.apply(&queues).await.ok())
    });
    if ready.await.is_err() {
        let refusal = place.namespace.apply(&queues).await.unwrap_err();
        panic!("{refusal:#}\n{}", file(work.path(), "log"));
    }
    install_rights(&client).await.unwrap();
    let token = token(&client).await.unwrap();
    let _operator = Operator::start_beside(control_plane.kubeconfig(), &token, &[]).unwrap();

    // No quota: it waits, and says for which queue.
    place.create("low", "").await;
    let queued = place.queued("low").await;
    assert!(queued.message.unwrap().contains("queue agents"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(place.kubelet.pod_of("low").await.is_err(), "no pod without quota");
    place.queued("low").await;

    // Quota: it runs.
    place.namespace.apply(&queue_of_all(1).to_string()).await.unwrap();
    place.run("low").await;

    // Preempted: its pod goes, and that is no failure.
    place
        .create("high", ", kueue.x-k8s.io/priority-class: high")
        .await;
    let preempted = place.queued("low").await;
    assert_eq!(preempted.retries, None);
    place.run("high").await;
    let preempted = place
        .until("low", "has told of its run", |s| !s.attempts.is_empty())
        .await;
    assert_eq!(preempted.attempts.len(), 1, "{preempted:?}");
    assert_eq!(
        preempted.attempts[0].reason,
        Some(TaskReason::Queued),
        "{preempted:?}"
    );
    place.succeed("high").await;

    // Admitted again: it goes on and ends well.
    place.run("low").await;
    let ended = place.succeed("low").await;
    assert_eq!((ended.reason, ended.retries), (Some(TaskReason::Completed), None));
    let reasons: Vec<_> = ended.attempts.iter().map(|attempt| attempt.reason).collect();
    assert_eq!(reasons, [Some(TaskReason::Queued), None]);
}
