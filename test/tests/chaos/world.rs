//! Fifty spawners, their repositories, and what must have come of them.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axon_api::{Task, TaskSpawner};
use axon_fixtures::github::GithubHost;
use axon_fixtures::github::accounts::TokenSpec;
use axon_fixtures::github::store::ItemSpec;
use axon_fixtures::server::Background;
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::wait;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::recorder::Recorder;

const REPOSITORIES: usize = 8;
const OF_GITHUB: usize = 40;
const OF_CLOCK: usize = 10;
/// Seconds between two runs of a schedule. Of two runs that come due while nobody works, one is left out by rule; a
/// slow machine alone may keep everybody from working for a minute.
const RUN_PERIOD: i64 = 120;
/// Seconds after its time at which a run has to have its Task. Replicas that are killed and stopped, and a slow machine,
/// may keep everybody from working for two minutes.
const LATEST_RUN: i64 = 300;
const CONCURRENCY: usize = 2;
const TOTAL: usize = 5;
/// Seconds between two new issues in each repository.
const ISSUE_PERIOD: u64 = 8;

pub struct World {
    pub namespace: Namespace,
    github: GithubHost,
    _server: Background,
    steps: AtomicU64,
    issues: AtomicU64,
    adding: AtomicBool,
}

/// The limits of the n-th spawner of issues: most running at once, and most in all.
fn limits(n: usize) -> (Option<usize>, Option<usize>) {
    match n % 4 {
        0 => (Some(CONCURRENCY), None),
        1 => (None, Some(TOTAL)),
        2 => (Some(CONCURRENCY), Some(TOTAL)),
        _ => (None, None),
    }
}

impl World {
    pub async fn build(control_plane: &ControlPlane) -> Self {
        let github = GithubHost::default();
        github.world().accounts.put_token(
            "ghp_chaos",
            TokenSpec {
                remaining: Some(10_000_000),
                ..TokenSpec::default()
            },
            Timestamp::now(),
        );
        let server = Background::start(github.router()).await.unwrap();
        let namespace = control_plane.namespace().await.unwrap();
        let world = Self {
            namespace,
            github,
            _server: server,
            steps: AtomicU64::new(0),
            issues: AtomicU64::new(0),
            adding: AtomicBool::new(true),
        };
        world.add_issues();
        world.add_spawners().await;
        world
    }

    async fn add_spawners(&self) {
        let url = self._server.url();
        let mut all =
            "apiVersion: v1\nkind: Secret\nmetadata: {name: gh, annotations: {axon.io/hosts: 'http://127.0.0.1:*'}}\nstringData: {GITHUB_TOKEN: ghp_chaos}\n"
                .to_owned();
        for n in 0..REPOSITORIES {
            all += &format!(
                "---\napiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {{name: w{n}}}\nspec: {{repo: \"{url}/org/repo{n}\", secretRef: {{name: gh}}}}\n"
            );
        }
        for n in 0..OF_GITHUB {
            let (concurrency, total) = limits(n);
            let limit =
                |key: &str, value: Option<usize>| value.map_or(String::new(), |v| format!(", {key}: {v}"));
            all += &format!(
                "---\napiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {{name: g{n}}}\nspec: {{pollInterval: 3s{}{}, \
                 when: {{githubIssues: {{labels: [bug]}}}}, taskTemplate: {{type: claude-code, workspaceRef: {{name: w{}}}, \
                 credentials: {{type: none}}, promptTemplate: \"{{{{.Title}}}}\"}}}}\n",
                // Without a number it would be the operator's default.
                limit("maxConcurrency", concurrency.or(Some(0))),
                limit("maxTotalTasks", total),
                n % REPOSITORIES,
            );
        }
        for n in 0..OF_CLOCK {
            all += &format!(
                "---\napiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {{name: c{n}}}\nspec: {{when: {{cron: {{schedule: \"*/2 * * * *\"}}}}, \
                 taskTemplate: {{type: claude-code, credentials: {{type: none}}, promptTemplate: \"{{{{.Time}}}}\"}}}}\n"
            );
        }
        self.namespace.apply(&all).await.unwrap();
    }

    fn spawners(&self) -> Api<TaskSpawner> {
        self.namespace.api()
    }

    /// Waits until every spawner has been looked at.
    pub async fn until_all_run(&self) -> anyhow::Result<()> {
        wait::until("all spawners to run", Duration::from_secs(40), async || {
            let all = self.spawners().list(&ListParams::default()).await?;
            let runs = |s: &TaskSpawner| s.status.as_ref().is_some_and(|s| s.runner.is_some());
            Ok(all.iter().all(runs).then_some(()))
        })
        .await
    }

    /// The API server's time, by the second.
    pub async fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    pub async fn leader(&self) -> Option<String> {
        let leases = Api::<Lease>::namespaced(self.namespace.client().clone(), "axon-system");
        leases
            .get_opt("axon-operator-leader")
            .await
            .ok()??
            .spec?
            .holder_identity
    }

    fn add_issues(&self) {
        let number = self.issues.fetch_add(1, Ordering::Relaxed) + 1;
        for n in 0..REPOSITORIES {
            let item = ItemSpec {
                title: format!("issue {number}"),
                labels: vec!["bug".into()],
                ..ItemSpec::default()
            };
            self.github
                .world()
                .store
                .put_item(&format!("org/repo{n}"), number, item);
        }
    }

    /// A second passes.
    pub async fn step(&self, recorder: &Recorder) {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        if step.is_multiple_of(ISSUE_PERIOD) && self.adding.load(Ordering::Relaxed) {
            self.add_issues();
        }
        if step.is_multiple_of(3) {
            self.finish_tasks(recorder).await;
        }
    }

    pub fn stop_adding(&self) {
        self.adding.store(false, Ordering::Relaxed);
    }

    /// Lets all Tasks end that have a Job by now.
    pub async fn finish_tasks(&self, recorder: &Recorder) {
        let tasks = self.namespace.api::<Task>();
        let succeed = |name: String| {
            let tasks = tasks.clone();
            async move {
                let status = json!({"status": {"phase": "Succeeded", "completionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}});
                // The operator may write first: the next round tries again.
                let _ = tasks
                    .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
                    .await;
            }
        };
        futures::stream::iter(recorder.running())
            .for_each_concurrent(8, succeed)
            .await;
    }

    /// Compares what came to be with what had to.
    pub async fn verdict(&self, recorder: &Recorder, begin: Timestamp) -> Verdict {
        let spawners = self.spawners().list(&ListParams::default()).await.unwrap();
        let issues = usize::try_from(self.issues.load(Ordering::Relaxed)).unwrap();
        let mut verdict = Verdict {
            issues,
            ..Verdict::default()
        };
        recorder.sight(|sight| {
            verdict.tasks = sight.tasks.len();
            verdict.jobs = sight.jobs.len();
            verdict.duplicate_tasks = sight.tasks.values().filter(|t| t.uids.len() > 1).count();
            verdict.duplicate_jobs = sight.jobs.values().filter(|uids| uids.len() > 1).count();
            verdict.tasks_without_job = sight
                .tasks
                .keys()
                .filter(|name| !sight.jobs.contains_key(*name))
                .count();
            for spawner in &spawners {
                let name = spawner.name_any();
                let of_spawner: Vec<_> = sight.tasks.values().filter(|t| t.spawner == name).collect();
                let items: BTreeSet<&str> = of_spawner.iter().map(|t| t.item.as_str()).collect();
                verdict.duplicate_tasks += of_spawner.len() - items.len();
                let status = spawner.status.clone().unwrap_or_default();
                let counted = status.total_tasks_created.unwrap_or_default();
                if counted != i64::try_from(of_spawner.len()).unwrap() || !status.claims.is_empty() {
                    verdict.miscounted.push(format!(
                        "{name}: {counted} counted, {} there, {} claims",
                        of_spawner.len(),
                        status.claims.len()
                    ));
                }
                let most = sight.most_active.get(&name).copied().unwrap_or_default();
                if let Some(n) = name.strip_prefix('g') {
                    let (concurrency, total) = limits(n.parse().unwrap());
                    verdict.limits_exceeded += usize::from(concurrency.is_some_and(|max| most > max));
                    verdict.limits_exceeded += usize::from(total.is_some_and(|max| of_spawner.len() > max));
                    let due = total.map_or(issues, |max| issues.min(max));
                    verdict.missed_items += due.saturating_sub(of_spawner.len());
                } else {
                    for run in runs(begin, Timestamp::now()) {
                        verdict.runs += 1;
                        let id = run.strftime("%Y%m%d-%H%M").to_string();
                        match of_spawner.iter().find(|t| t.item == id) {
                            None => verdict.missed_runs += 1,
                            Some(task) => {
                                let late = task.created.duration_since(run).as_secs();
                                verdict.early_runs += usize::from(late < 0);
                                verdict.latest_run = verdict.latest_run.max(late);
                            }
                        }
                    }
                }
            }
        });
        verdict
    }
}

/// The times of a span at which runs are due, without those of its last seconds.
fn runs(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = from.as_second().div_euclid(RUN_PERIOD) + 1;
    let last = to
        .saturating_sub(SignedDuration::from_secs(20))
        .map_or(0, |t| t.as_second().div_euclid(RUN_PERIOD));
    (first..=last).filter_map(|run| Timestamp::from_second(run * RUN_PERIOD).ok())
}

#[derive(Debug, Default)]
pub struct Verdict {
    issues: usize,
    runs: usize,
    tasks: usize,
    jobs: usize,
    duplicate_tasks: usize,
    duplicate_jobs: usize,
    tasks_without_job: usize,
    missed_items: usize,
    missed_runs: usize,
    early_runs: usize,
    limits_exceeded: usize,
    latest_run: i64,
    miscounted: Vec<String>,
}

impl Verdict {
    /// Returns true for faults that no further waiting mends.
    pub fn is_hopeless(&self) -> bool {
        let wrong = self.duplicate_tasks + self.duplicate_jobs + self.limits_exceeded + self.early_runs;
        wrong > 0 || self.latest_run > LATEST_RUN
    }

    /// Returns the number of outstanding items, runs and Jobs, which may still come.
    pub fn outstanding(&self) -> usize {
        self.missed_items + self.missed_runs + self.tasks_without_job + self.miscounted.len()
    }

    pub fn is_perfect(&self) -> bool {
        !self.is_hopeless() && self.outstanding() == 0
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  issues               {} in each of {REPOSITORIES} repositories, for {OF_GITHUB} spawners",
            self.issues
        )?;
        writeln!(f, "  runs due             {} for {OF_CLOCK} spawners", self.runs)?;
        writeln!(f, "  Tasks, Jobs          {}, {}", self.tasks, self.jobs)?;
        writeln!(f, "  duplicate Tasks      {}", self.duplicate_tasks)?;
        writeln!(f, "  duplicate Jobs       {}", self.duplicate_jobs)?;
        writeln!(f, "  Tasks without a Job  {}", self.tasks_without_job)?;
        writeln!(f, "  missed items         {}", self.missed_items)?;
        writeln!(f, "  missed runs          {}", self.missed_runs)?;
        writeln!(f, "  runs before time     {}", self.early_runs)?;
        writeln!(f, "  latest run           {} s after its time", self.latest_run)?;
        writeln!(f, "  limits exceeded      {}", self.limits_exceeded)?;
        write!(f, "  wrong totals         {}", self.miscounted.len())?;
        self.miscounted
            .iter()
            .take(5)
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}
