//! One operator for all tests of this binary, with the rights of its own ServiceAccount.

use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use axon_operator::args::Args;
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::Kubelet;
use axon_test::namespace::Namespace;
use axon_test::{operator_process, paths};
use clap::Parser;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(30);
/// The time in which something that must not happen could happen.
pub const SILENCE: Duration = Duration::from_secs(2);

static OPERATOR: OnceCell<()> = OnceCell::const_new();

/// A namespace with an operator that looks after it.
pub struct Bench {
    pub control_plane: &'static ControlPlane,
    pub namespace: Namespace,
    pub kubelet: Kubelet,
}

pub async fn bench() -> Bench {
    let control_plane = ControlPlane::shared().await.unwrap();
    OPERATOR.get_or_init(|| start(control_plane)).await;
    let namespace = control_plane.namespace().await.unwrap();
    let kubelet = Kubelet::new(&namespace);
    Bench {
        control_plane,
        namespace,
        kubelet,
    }
}

pub async fn config(control_plane: &ControlPlane) -> Config {
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

async fn start(control_plane: &ControlPlane) {
    let client = control_plane.client().await.unwrap();
    install_rights(&client).await;
    let config = operators_config(control_plane).await;
    if let Ok(level) = std::env::var("AXON_TEST_LOG") {
        axon_operator::telemetry::start(&level).unwrap();
    }
    let prices = paths::root().join("test/tests/operator/prices.yaml");
    let price_table = format!("--price-table={}", prices.display());
    let args = Args::parse_from([
        "axon-operator",
        price_table.as_str(),
        "--identity=operator-under-test",
        "--listen=127.0.0.1:0",
        "--image-registry=registry.test/axon",
        "--image-tag=v1",
        "--image-pull-limit=4s",
        operator_process::GITHUB_HOSTS,
        // What a machine's clock says must not matter.
        "--clock-skew=120",
    ]);
    // The tests' runtimes end with each test; the operator's lives as long as the process.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(axon_operator::run::run(args, config, CancellationToken::new()))
            .unwrap();
    });
}

/// Returns a configuration with a token of the operator's ServiceAccount, whose rights must be installed.
pub async fn operators_config(control_plane: &ControlPlane) -> Config {
    let client = control_plane.client().await.unwrap();
    let mut config = config(control_plane).await;
    config.auth_info = AuthInfo {
        token: Some(operator_process::token(&client).await.unwrap().into()),
        ..AuthInfo::default()
    };
    config
}

pub async fn install_rights(client: &Client) {
    operator_process::install_rights(client).await.unwrap();
}

/// Returns the manifest of a Task; `more` are further lines of its spec.
pub fn task(name: &str, more: &str) -> String {
    let more: String = more.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}}}\nspec:\n  type: claude-code\n  \
         prompt: do it\n  credentials: {{type: api-key, secretRef: {{name: key}}}}\n{more}"
    )
}

pub fn status(task: &Task) -> TaskStatus {
    task.status.clone().unwrap_or_default()
}

impl Bench {
    pub async fn create(&self, name: &str, more: &str) {
        self.namespace.apply(&task(name, more)).await.unwrap();
    }

    pub async fn until_phase(&self, name: &str, phase: TaskPhase) -> TaskStatus {
        let wanted = |t: &Task| status(t).phase == Some(phase);
        let task = self
            .namespace
            .wait_for(name, &format!("is {phase}"), PATIENCE, wanted)
            .await
            .unwrap();
        status(&task)
    }

    pub async fn until_reason(&self, name: &str, reason: TaskReason) -> TaskStatus {
        let wanted = |t: &Task| status(t).reason == Some(reason);
        let task = self
            .namespace
            .wait_for(name, &format!("has reason {reason}"), PATIENCE, wanted)
            .await
            .unwrap();
        status(&task)
    }

    /// Returns the ConfigMap that the Job of this name mounts.
    pub async fn input(&self, job: &str) -> ConfigMap {
        let job = self.namespace.api::<Job>().get(job).await.unwrap();
        let volumes = job.spec.unwrap().template.spec.unwrap().volumes.unwrap();
        let mounted = volumes.into_iter().find_map(|volume| volume.config_map).unwrap();
        self.namespace.api().get(&mounted.name).await.unwrap()
    }

    /// Lets the Task's agent end well, with a report of these outputs.
    pub async fn succeed(&self, name: &str, report: &str) {
        use axon_test::kubelet::PodState::AgentEnded;
        self.kubelet
            .report_job(
                name,
                &AgentEnded {
                    exit_code: 0,
                    message: report.into(),
                },
            )
            .await
            .unwrap();
    }
}
