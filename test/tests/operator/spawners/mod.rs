//! TaskSpawners: the real operator and API server, and a GitHub that speaks the real API.

mod again;
mod apps;
mod comments;
mod cron;
mod faults;
mod github;
mod hosts;
mod limits;
mod preview;
mod strangers;

use std::time::Duration;

use axon_api::v1alpha1::TaskSpawnerStatus;
use axon_api::{Task, TaskSpawner};
use axon_fixtures::github::GithubHost;
use axon_fixtures::github::accounts::TokenSpec;
use axon_fixtures::github::store::ItemSpec;
use axon_fixtures::server::Background;
use axon_test::operator_process::SECRET_HOSTS;
use axon_test::wait;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};

use crate::harness::{Bench, PATIENCE, bench};

pub const REPO: &str = "org/repo";
const TOKEN: &str = "ghp_test";

/// A namespace with a Workspace of a GitHub of its own.
pub struct World {
    pub bench: Bench,
    pub github: GithubHost,
    pub server: Background,
}

pub async fn world() -> World {
    let github = GithubHost::default();
    github
        .world()
        .accounts
        .put_token(TOKEN, TokenSpec::default(), jiff::Timestamp::now());
    let server = Background::start(github.router()).await.unwrap();
    let world = World {
        bench: bench().await,
        github,
        server,
    };
    world.add_secret().await;
    world.add_workspace().await;
    world
}

pub fn bug() -> ItemSpec {
    ItemSpec {
        labels: vec!["bug".into()],
        ..ItemSpec::default()
    }
}

impl World {
    pub async fn add_secret(&self) {
        let secret = format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: gh, annotations: {{axon.io/hosts: '{SECRET_HOSTS}'}}}}, stringData: {{GITHUB_TOKEN: {TOKEN}}}}}"
        );
        self.apply(&secret).await;
    }

    pub async fn add_workspace(&self) {
        let url = self.server.url();
        self.apply(&format!(
            "{{apiVersion: axon.io/v1alpha1, kind: Workspace, metadata: {{name: w}}, spec: {{repo: \"{url}/{REPO}.git\", secretRef: {{name: gh}}}}}}"
        ))
        .await;
    }

    pub async fn apply(&self, yaml: &str) {
        self.bench.namespace.apply(yaml).await.unwrap();
    }

    /// Makes a spawner of issues; `more` are further lines of its spec, `template` of its template. It looks
    /// every second, unless `more` has a poll interval.
    pub async fn spawner(&self, name: &str, more: &str, template: &str) {
        let indent = |text: &str, by: usize| {
            text.lines()
                .map(|l| format!("{:by$}{l}\n", ""))
                .collect::<String>()
        };
        let interval = if more.contains("pollInterval") {
            ""
        } else {
            "  pollInterval: 1s\n"
        };
        self.apply(&format!(
            "apiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {{name: {name}}}\nspec:\n{interval}{}  \
             taskTemplate:\n    type: claude-code\n    workspaceRef: {{name: w}}\n    \
             credentials: {{type: api-key, secretRef: {{name: key}}}}\n{}",
            indent(more, 2),
            indent(template, 4),
        ))
        .await;
    }

    pub fn put(&self, number: u64, item: ItemSpec) {
        self.github.world().store.put_item(REPO, number, item);
    }

    pub fn label(&self, number: u64, label: &str, on: bool) {
        self.github.world().store.label(REPO, number, label, on);
    }

    pub async fn edit(&self, name: &str, patch: serde_json::Value) {
        let api = self.bench.namespace.api::<TaskSpawner>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Names of the Tasks, sorted.
    pub async fn tasks(&self) -> Vec<String> {
        let tasks = self
            .bench
            .namespace
            .api::<Task>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let mut names: Vec<String> = tasks.iter().map(ResourceExt::name_any).collect();
        names.sort();
        names
    }

    pub async fn until_tasks(&self, wanted: &[&str]) {
        self.until_tasks_within(wanted, PATIENCE).await;
    }

    pub async fn until_tasks_within(&self, wanted: &[&str], limit: Duration) {
        let what = format!("tasks {wanted:?}");
        let found = wait::until(&what, limit, async || {
            Ok((self.tasks().await == wanted).then_some(()))
        });
        if let Err(error) = found.await {
            let (last, status) = (self.tasks().await, self.statuses().await);
            panic!("{error}: there are {last:?}; {status:#?}");
        }
    }

    async fn statuses(&self) -> Vec<Option<TaskSpawnerStatus>> {
        let all = self
            .bench
            .namespace
            .api::<TaskSpawner>()
            .list(&ListParams::default())
            .await
            .unwrap();
        all.into_iter().map(|s| s.status).collect()
    }

    pub async fn status(&self, name: &str) -> TaskSpawnerStatus {
        let found = self.bench.namespace.api::<TaskSpawner>().get(name).await;
        found.unwrap().status.unwrap_or_default()
    }

    pub async fn task(&self, name: &str) -> Task {
        self.bench
            .namespace
            .wait_for(name, "to be there", PATIENCE, |_| true)
            .await
            .unwrap()
    }

    pub async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&TaskSpawnerStatus) -> bool,
    ) -> TaskSpawnerStatus {
        let is = |s: &TaskSpawner| s.status.as_ref().is_some_and(&wanted);
        let found = self
            .bench
            .namespace
            .wait_for_object(name, what, PATIENCE, is)
            .await
            .unwrap();
        found.status.unwrap()
    }

    /// Waits until a condition has this status and reason, and returns its message.
    pub async fn until_condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> String {
        let find = |s: &TaskSpawnerStatus| {
            s.conditions
                .iter()
                .find(|c| c.type_ == kind && c.status == status && c.reason == reason)
                .cloned()
        };
        let what = format!("{kind} {status} {reason}");
        let status = self.until(name, &what, |s| find(s).is_some()).await;
        find(&status).unwrap().message
    }
}
