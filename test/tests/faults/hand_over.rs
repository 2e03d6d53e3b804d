//! Replicas with the times of production: who stays runs everything when the leader leaves, in order or by a crash.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::labels::MEMBER;
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use axon_test::{plain_http, wait};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::harness::{PATIENCE, turn};

const SPAWNERS: usize = 20;
/// Most time after a farewell; two seconds are the aim, which `make bench` measures.
const FAREWELL: Duration = Duration::from_secs(30);
/// Most time after a crash; fifteen seconds are the aim.
const CRASH: Duration = Duration::from_secs(60);

struct Replica {
    name: &'static str,
    operator: Operator,
}

impl Replica {
    fn start(control_plane: &ControlPlane, token: &str, name: &'static str) -> Self {
        let operator = Operator::start_replica(control_plane.kubeconfig(), token, name).unwrap();
        Self { name, operator }
    }

    /// The lines of a metric; none while it doesn't answer.
    async fn metric(&self, name: &str) -> Vec<String> {
        let Some(url) = self.operator.url() else {
            return Vec::new();
        };
        let request = plain_http::Request::new("GET", &format!("{url}/metrics")).unwrap();
        let Ok(answer) = request.send().await else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        text.lines().filter(of).map(str::to_owned).collect()
    }

    async fn leads(&self) -> bool {
        let lines = self.metric("axon_leader").await;
        lines.iter().any(|line| line.ends_with(" 1"))
    }

    /// The spawners of a namespace that it runs.
    async fn runs(&self, namespace: &Namespace) -> BTreeSet<String> {
        let lines = self.metric("axon_taskspawner_running").await;
        let of = format!("namespace=\"{}\"", namespace.name());
        lines
            .into_iter()
            .filter(|line| line.contains(&of) && line.ends_with(" 1"))
            .collect()
    }
}

async fn add_spawners(namespace: &Namespace) {
    let mut all = String::new();
    for n in 0..SPAWNERS {
        all += &format!(
            "---\napiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {{name: c{n}}}\nspec: {{when: {{cron: {{schedule: \"0 9 1 1 *\"}}}}, \
             taskTemplate: {{type: claude-code, credentials: {{type: none}}}}}}\n"
        );
    }
    namespace.apply(&all).await.unwrap();
}

/// Waits until both replicas run a share and one of them leads, and returns the leader first.
async fn until_shared(namespace: &Namespace, one: Replica, two: Replica) -> (Replica, Replica) {
    let leads = wait::until("two replicas to share the spawners", PATIENCE, async || {
        let (first, second) = (one.runs(namespace).await, two.runs(namespace).await);
        let is_shared =
            first.len() + second.len() == SPAWNERS && first.is_disjoint(&second) && !second.is_empty();
        let leads = (one.leads().await, two.leads().await);
        // Each status names whose share it is in.
        let shares = is_shared && !first.is_empty() && leads.0 != leads.1;
        let told = shares
            && runners(namespace, one.name).await? == first.len()
            && runners(namespace, two.name).await? == second.len();
        Ok(told.then_some(leads.0))
    });
    if leads.await.unwrap() {
        (one, two)
    } else {
        (two, one)
    }
}

/// Returns how many spawners' status names a replica as who runs them.
async fn runners(namespace: &Namespace, name: &str) -> anyhow::Result<usize> {
    let all = namespace
        .api::<TaskSpawner>()
        .list(&ListParams::default())
        .await?;
    let named = |s: &&TaskSpawner| {
        let status = s.status.as_ref();
        status.and_then(|status| status.runner.as_deref()) == Some(name)
    };
    Ok(all.iter().filter(named).count())
}

/// The time since the leader was asked to end, or died.
struct Times {
    runs: Duration,
    told: Duration,
    leads: Duration,
}

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { runs, told, leads } = self;
        write!(
            f,
            "ran all spawners after {runs:.1?}, said so in each status after {told:.1?} and led after {leads:.1?}"
        )
    }
}

/// Returns the Leases by which replicas are known to be at work.
async fn members(client: &Client) -> Vec<String> {
    let leases = Api::<Lease>::namespaced(client.clone(), "axon-system");
    let of_members = ListParams::default().labels(&format!("{MEMBER}=true"));
    let all = leases.list(&of_members).await.unwrap();
    all.iter().map(ResourceExt::name_any).collect()
}

/// Waits until a replica runs and leads everything alone.
async fn take_over(namespace: &Namespace, who: &Replica, since: Instant, limit: Duration) -> Times {
    let runs = async {
        let all = wait::until("it to run all spawners", limit, async || {
            Ok((who.runs(namespace).await.len() == SPAWNERS).then_some(()))
        });
        all.await.map(|()| since.elapsed())
    };
    let told = async {
        let all = wait::until("each status to name it", limit, async || {
            Ok((runners(namespace, who.name).await? == SPAWNERS).then_some(()))
        });
        all.await.map(|()| since.elapsed())
    };
    let leads = async {
        let lead = wait::until("it to lead", limit, async || Ok(who.leads().await.then_some(())));
        lead.await.map(|()| since.elapsed())
    };
    let (runs, told, leads) = tokio::try_join!(runs, told, leads).unwrap();
    Times { runs, told, leads }
}

#[tokio::test]
async fn who_stays_runs_all_spawners_after_a_farewell_and_after_a_crash() {
    let _turn = turn().await;
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    install_rights(&client).await.unwrap();
    let token = token(&client).await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    add_spawners(&namespace).await;
    let start = |name| Replica::start(control_plane, &token, name);
    let (mut leader, survivor) = until_shared(&namespace, start("leaves-a"), start("leaves-b")).await;

    let pid = i32::try_from(leader.operator.pid().unwrap()).unwrap();
    let since = Instant::now();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let exit = async {
        tokio::time::timeout(FAREWELL, leader.operator.wait())
            .await
            .expect("it ends when it is told to")
            .unwrap();
        since.elapsed()
    };
    let (exit, times) = tokio::join!(exit, take_over(&namespace, &survivor, since, FAREWELL));
    println!("SIGTERM: the leader was gone after {exit:.1?}; who stayed {times}");
    // It was not waited for as for one that has died.
    let members = members(&client).await;
    assert!(
        !members.iter().any(|lease| lease.ends_with(leader.name))
            && members.iter().any(|lease| lease.ends_with(survivor.name)),
        "{members:?}"
    );

    let (mut leader, survivor) = until_shared(&namespace, survivor, start("comes")).await;
    assert_eq!(survivor.name, "comes", "a newcomer does not depose who leads");
    let since = Instant::now();
    leader.operator.kill().await.unwrap();
    let times = take_over(&namespace, &survivor, since, CRASH).await;
    println!("SIGKILL: who stayed {times}");
    // The other tests' operators would run them.
    let all = namespace.api::<TaskSpawner>();
    let (delete, everything) = (DeleteParams::default(), ListParams::default());
    all.delete_collection(&delete, &everything).await.unwrap();
}
