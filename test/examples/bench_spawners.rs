//! `make bench`: a thousand TaskSpawners in one replica of the operator, and how long their hand-over takes.
//!
//! A real kube-apiserver and etcd, the operator's release build as a process of its own with the times of production,
//! and a GitHub that speaks the real API. The spawned Tasks wait for another one for ever, so that what is measured is
//! the spawners.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axon_api::Task;
use axon_fixtures::github::GithubHost;
use axon_fixtures::github::accounts::TokenSpec;
use axon_fixtures::github::store::ItemSpec;
use axon_fixtures::server::Background;
use axon_test::bench_table::{BenchTable, load, round, rss, spread};
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use axon_test::{plain_http, wait};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube_runtime::{WatchStreamExt as _, watcher};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::{Value, json};

const OF_GITHUB: usize = 900;
const OF_CLOCK: usize = 100;
const REPOSITORIES: usize = 30;
/// Issues of each repository; GitHub filters none of them away.
const ISSUES: u64 = 20;
/// Those that spawners pick.
const PICKED: u64 = 2;
const PERIOD: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(400);
const PARALLEL: usize = 16;
const TOKEN: &str = "ghp_bench";

fn number(variable: &str, default: u32) -> u32 {
    let given = std::env::var(variable).ok().and_then(|n| n.parse().ok());
    given.unwrap_or(default)
}

#[tokio::main]
async fn main() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let mut bench = Bench::start(control_plane).await?;
    bench.table.note("load average before", load(), "");
    bench.fill().await?;
    bench.steady(number("AXON_BENCH_PERIODS", 4)).await?;
    bench.hand_over(number("AXON_BENCH_ROUNDS", 5)).await?;
    bench.table.note("load average after", load(), "");
    bench.table.print("bench_spawners")
}

struct Bench {
    control_plane: &'static ControlPlane,
    namespace: Namespace,
    github: GithubHost,
    server: Background,
    token: String,
    operator: Operator,
    table: BenchTable,
    /// Seconds from each run's time until its Task was seen.
    late: Arc<Mutex<Vec<f64>>>,
}

/// Returns the processor time that a process has used, in seconds.
fn cpu(operator: &Operator) -> Result<f64> {
    let pid = operator.pid().context("the operator runs")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces.
    let (_, rest) = stat.rsplit_once(") ").context("it has a name")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|t| t.parse::<f64>().ok());
    let used = ticks(11).zip(ticks(12)).context("it has times")?;
    // Linux shows processes' times in hundredths of a second, whatever its clock does.
    Ok((used.0 + used.1) / 100.0)
}

/// Returns the sum of a metric over all its labels.
async fn metric(operator: &Operator, name: &str) -> Result<f64> {
    let url = operator.url().context("it listens")?;
    let answer = plain_http::Request::new("GET", &format!("{url}/metrics"))?
        .send()
        .await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let of = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        let labelled = rest.starts_with('{') || rest.starts_with(' ');
        labelled.then(|| rest.rsplit(' ').next()?.parse().ok()).flatten()
    };
    Ok(text.lines().filter_map(of).sum())
}

impl Bench {
    async fn start(control_plane: &'static ControlPlane) -> Result<Self> {
        let client = control_plane.client().await?;
        install_rights(&client).await?;
        let github = GithubHost::default();
        let plenty = TokenSpec {
            remaining: Some(100_000_000),
            ..TokenSpec::default()
        };
        github.world().accounts.put_token(TOKEN, plenty, Timestamp::now());
        let server = Background::start(github.router()).await?;
        let token = token(&client).await?;
        Ok(Self {
            control_plane,
            namespace: control_plane.namespace().await?,
            github,
            server,
            operator: Operator::start_replica(control_plane.kubeconfig(), &token, "operator-0")?,
            token,
            table: BenchTable::default(),
            late: Arc::default(),
        })
    }

    fn put_issue(&self, repository: usize, issue: u64, picked: bool) {
        let label = if picked { "axon" } else { "other" };
        let item = ItemSpec {
            title: format!("Issue {issue}"),
            body: Some("It does not work. ".repeat(50)),
            labels: vec![label.to_owned(), "bug".to_owned()],
            ..ItemSpec::default()
        };
        let path = format!("org/repo{repository}");
        self.github.world().store.put_item(&path, issue, item);
    }

    /// Makes the repositories and the spawners, and waits until all of them have done what there is to do.
    async fn fill(&mut self) -> Result<()> {
        let url = self.server.url();
        let mut first = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: gh, annotations: {{axon.io/hosts: 'http://127.0.0.1:*'}}}}\nstringData: {{GITHUB_TOKEN: {TOKEN}}}\n"
        );
        for n in 0..REPOSITORIES {
            for issue in 1..=ISSUES {
                self.put_issue(n, issue, issue <= PICKED);
            }
            first += &format!(
                "---\napiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {{name: w{n}}}\nspec: {{repo: \"{url}/org/repo{n}\", secretRef: {{name: gh}}}}\n"
            );
        }
        self.namespace.apply(&first).await?;
        let template = json!({"type": "claude-code", "credentials": {"type": "none"}, "dependsOn": ["never"],
            "promptTemplate": "{{.Title}}{{.Time}}", "branch": "axon-{{.ID}}"});
        let of_github = |n: usize| {
            let mut template = template.clone();
            if let Some(fields) = template.as_object_mut() {
                fields.insert(
                    "workspaceRef".into(),
                    json!({"name": format!("w{}", n % REPOSITORIES)}),
                );
            }
            // Half of them leave the choice of a label to GitHub, half want a second one.
            let labels = if n.is_multiple_of(2) {
                json!(["bug", "axon"])
            } else {
                json!(["axon"])
            };
            json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": format!("g{n}")},
                "spec": {"pollInterval": "60s", "maxConcurrency": 0, "when": {"githubIssues": {"labels": labels, "excludeLabels": ["axon/needs-input"]}},
                    "taskTemplate": template}})
        };
        let of_clock = |n: usize| {
            json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": format!("c{n}")},
                "spec": {"when": {"cron": {"schedule": "* * * * *"}}, "maxConcurrency": 0, "taskTemplate": template}})
        };
        self.watch_runs();
        let all: Vec<Value> = (0..OF_GITHUB)
            .map(of_github)
            .chain((0..OF_CLOCK).map(of_clock))
            .collect();
        let started = Instant::now();
        let namespace = &self.namespace;
        stream::iter(all.into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL, async |spawner| {
                namespace.apply(&spawner.to_string()).await.map(|_| ())
            })
            .await?;
        // The operator's own metrics: lists of all spawners would be most of the load.
        let spawned = f64::from(u32::try_from(OF_GITHUB)?) * f64::from(u32::try_from(PICKED)?);
        loop {
            let runs = {
                let late = self.late.lock();
                f64::from(u32::try_from(late.len())?)
            };
            let created = metric(&self.operator, "axon_taskspawner_tasks_created_total").await?;
            if created - runs >= spawned {
                break;
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{created} Tasks, {runs} of them of runs"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = round(started.elapsed().as_secs_f64());
        self.table
            .note("1000 spawners made and 1800 Tasks created", took.into(), "s");
        Ok(())
    }

    /// Notes when the Tasks of runs are seen.
    fn watch_runs(&self) {
        let late = Arc::clone(&self.late);
        let tasks: kube::Api<PartialObjectMeta<Task>> = self.namespace.api();
        let events = watcher(
            tasks,
            watcher::Config::default().labels(axon_api::labels::TASK_SPAWNER),
        )
        .default_backoff()
        .touched_objects();
        let seen: Mutex<BTreeSet<String>> = Mutex::default();
        tokio::spawn(events.for_each(move |task| {
            let now = Timestamp::now();
            if let Ok(task) = task
                && let Some(run) = task.name_any().split_once('-').and_then(|(_, id)| tick_of(id))
                && seen.lock().insert(task.name_any())
            {
                let seconds = now.duration_since(run).as_secs_f64();
                late.lock().push(seconds);
            }
            futures::future::ready(())
        }));
    }

    /// Some periods in which one issue is new in one repository.
    async fn steady(&mut self, periods: u32) -> Result<()> {
        // The first minute has the rest of the work in it.
        tokio::time::sleep(PERIOD + Duration::from_secs(15)).await;
        self.github.world().record = Default::default();
        self.late.lock().clear();
        let writes = metric(&self.operator, "axon_taskspawner_status_writes_total").await?;
        let (begin, used) = (Instant::now(), cpu(&self.operator)?);
        let mut most = 0.0_f64;
        for period in 0..periods {
            self.put_issue(usize::try_from(period)?, 100, true);
            for _ in 0..PERIOD.as_secs() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                most = most.max(rss(&self.operator)?);
            }
        }
        let elapsed = begin.elapsed().as_secs_f64();
        let share = (cpu(&self.operator)? - used) / elapsed;
        let count = |part: &str| self.github.world().record.count(part);
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let (all, same) = (count("/issues ") as f64, count("/issues 304") as f64);
        #[expect(clippy::cast_precision_loss, reason = "thirty")]
        let listings = all / (elapsed / PERIOD.as_secs_f64()) / REPOSITORIES as f64;
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        let others = count("GET ") as f64 - all;
        let written = metric(&self.operator, "axon_taskspawner_status_writes_total").await? - writes;
        let late = std::mem::take(&mut *self.late.lock());
        self.table
            .note("RSS with 1000 spawners, the most", most.into(), "MiB, aim 100");
        self.table
            .note("CPU at polls of 60 s", round(share).into(), "of a core, aim 0.2");
        self.table.note(
            "listings a repository and period",
            round(listings).into(),
            "aim 1",
        );
        self.table.note(
            "listings answered 304",
            round(same / all).into(),
            "of all, aim 0.95",
        );
        self.table
            .note("other requests to GitHub", others.into(), "in all");
        self.table.note(
            "writes of spawners' status",
            round(written / elapsed).into(),
            "1/s",
        );
        self.table.note(
            "from a run's time to its Task, 100 at once",
            spread(late),
            "s, aim p99 1",
        );
        Ok(())
    }

    /// A second replica comes and goes, in order and by a crash.
    async fn hand_over(&mut self, rounds: u32) -> Result<()> {
        let all = f64::from(u32::try_from(OF_GITHUB + OF_CLOCK)?);
        let (mut exits, mut moved, mut crashed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut led, mut led_crashed) = (Vec::new(), Vec::new());
        for n in 0..rounds * 2 {
            let crash = n % 2 == 1;
            let mut other = Operator::start_replica(
                self.control_plane.kubeconfig(),
                &self.token,
                &format!("operator-{}", n + 1),
            )?;
            wait::until("the spawners to be shared", PATIENCE, async || {
                let (one, two) = (self.running(&self.operator).await, self.running(&other).await);
                Ok((one + two == all && two > all * 0.3).then_some(()))
            })
            .await?;
            tokio::time::sleep(Duration::from_secs(8)).await;
            // The leader leaves: it has both to give up.
            let leads = metric(&self.operator, "axon_leader").await? > 0.0;
            if leads {
                std::mem::swap(&mut self.operator, &mut other);
            }
            let pid = other.pid().and_then(|pid| i32::try_from(pid).ok());
            let pid = Pid::from_raw(pid.context("it runs")?);
            let begin = Instant::now();
            if crash {
                other.kill().await?;
            } else {
                kill(pid, Signal::SIGTERM)?;
            }
            let survivor = &self.operator;
            let take_over = async {
                while self.running(survivor).await < all {
                    ensure!(begin.elapsed() < PATIENCE, "the spawners are not taken over");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(begin.elapsed().as_secs_f64())
            };
            let lead = async {
                while metric(survivor, "axon_leader").await? < 1.0 {
                    ensure!(begin.elapsed() < PATIENCE, "nobody leads");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(begin.elapsed().as_secs_f64())
            };
            let exit = async {
                other.wait().await?;
                anyhow::Ok(begin.elapsed().as_secs_f64())
            };
            let (taken, leading, exit) = tokio::try_join!(take_over, lead, exit)?;
            if crash {
                crashed.push(taken);
                led_crashed.push(leading);
            } else {
                exits.push(exit);
                moved.push(taken);
                led.push(leading);
            }
        }
        self.table.note("SIGTERM to exit", spread(exits), "s, aim 2");
        self.table.note(
            "SIGTERM to all spawners run by the other",
            spread(moved),
            "s, aim 2",
        );
        self.table
            .note("SIGTERM of the leader to the other leading", spread(led), "s");
        self.table.note(
            "SIGKILL to all spawners run by the other",
            spread(crashed),
            "s, aim 15",
        );
        self.table.note(
            "SIGKILL of the leader to the other leading",
            spread(led_crashed),
            "s, aim 15",
        );
        Ok(())
    }

    async fn running(&self, operator: &Operator) -> f64 {
        metric(operator, "axon_taskspawner_running")
            .await
            .unwrap_or_default()
    }
}

/// Returns the time of the run that `YYYYMMDD-HHMM` stands for, in UTC.
fn tick_of(id: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M", id).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}
