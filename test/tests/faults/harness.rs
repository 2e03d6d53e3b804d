//! A control plane with one operator behind a proxy. All tests share them: they run one after the other.

use std::pin::pin;
use std::time::Duration;

use axon_api::{Task, TaskPhase, TaskStatus};
use axon_fixtures::fault_proxy::{Call, Fault, FaultProxy};
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::{Kubelet, PodState};
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::{Mutex, MutexGuard};

pub const PATIENCE: Duration = Duration::from_secs(60);

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub struct Bench {
    pub proxy: FaultProxy,
    pub operator: Operator,
    control_plane: &'static ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

/// Returns the right to be the one test that has operators at work.
pub async fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

pub async fn bench() -> Bench {
    bench_with(&[]).await
}

/// Returns a bench whose operator has further arguments.
pub async fn bench_with(more: &[&str]) -> Bench {
    let turn = turn().await;
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    install_rights(&client).await.unwrap();
    let token = token(&client).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let proxy = FaultProxy::start(config).await.unwrap();
    let operator = Operator::start(proxy.url(), &token, more).unwrap();
    Bench {
        proxy,
        operator,
        control_plane,
        _turn: turn,
    }
}

/// The stage of one case: a namespace of its own, so that paths of calls tell the cases apart.
pub struct Stage {
    pub namespace: Namespace,
    pub kubelet: Kubelet,
}

impl Bench {
    pub async fn stage(&self) -> Stage {
        let namespace = self.control_plane.namespace().await.unwrap();
        let kubelet = Kubelet::new(&namespace);
        Stage { namespace, kubelet }
    }

    /// Returns the calls about a stage.
    pub fn calls(&self, stage: &Stage) -> Vec<Call> {
        let part = format!("/namespaces/{}/", stage.namespace.name());
        let all = self.proxy.calls();
        all.into_iter().filter(|call| call.path.contains(&part)).collect()
    }

    /// Plays `life`, in which the operator is started again whenever it dies by the proxy's rule. Returns what the life
    /// gave, and how many deaths there were.
    pub async fn through_deaths<T>(&mut self, life: impl Future<Output = T>) -> (T, usize) {
        let proxy = self.proxy.clone();
        let (mut life, mut deaths) = (pin!(life), 0);
        let end = loop {
            tokio::select! {
                end = &mut life => break end,
                death = proxy.death() => {
                    death.unwrap();
                    deaths += 1;
                    self.restart().await;
                }
            }
        };
        proxy.set_rule(|_| Fault::None);
        (end, deaths)
    }

    /// Starts the operator again if it has died by a write that came after the end of what is looked at.
    pub async fn bury(&mut self) {
        let death = tokio::time::timeout(Duration::from_millis(100), self.proxy.death());
        if death.await.is_ok() {
            self.restart().await;
        }
    }

    async fn restart(&mut self) {
        self.operator.kill_and_restart().await.unwrap();
        self.proxy.revive();
    }

    /// Returns how many Jobs the API server was made to create.
    pub fn created_jobs(&self, stage: &Stage) -> usize {
        self.created(stage, "/jobs")
    }

    /// Returns how many Tasks the API server was made to create by the operator.
    pub fn created_tasks(&self, stage: &Stage) -> usize {
        self.created(stage, "/tasks")
    }

    fn created(&self, stage: &Stage, kind: &str) -> usize {
        let created = |call: &&Call| {
            call.method == "POST"
                && call.path.ends_with(kind)
                && call.answer == Some(201)
                && !call.is_dry_run()
        };
        self.calls(stage).iter().filter(created).count()
    }
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

impl Stage {
    pub async fn create(&self, name: &str, more: &str) {
        self.namespace.apply(&task(name, more)).await.unwrap();
    }

    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let wanted = |t: &Task| wanted(&status(t));
        let task = self
            .namespace
            .wait_for(name, what, PATIENCE, wanted)
            .await
            .unwrap();
        status(&task)
    }

    /// Lets the Task's next pod run, and waits until the Task says so.
    pub async fn run(&self, name: &str) {
        let pod = self
            .kubelet
            .report_job(name, &PodState::AgentRunning)
            .await
            .unwrap();
        let pod = pod.metadata.name;
        self.until(name, "runs", |s| {
            s.phase == Some(TaskPhase::Running) && s.pod_name == pod
        })
        .await;
    }

    /// Lets the agent of the Task's pod end.
    pub async fn end(&self, name: &str, exit_code: i32, report: &str) {
        let state = PodState::AgentEnded {
            exit_code,
            message: report.to_owned(),
        };
        self.kubelet.report_job(name, &state).await.unwrap();
    }
}
