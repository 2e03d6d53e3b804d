//! Workspaces whose Secret is a GitHub App's: the operator makes a token for each Task and renews it.

mod failures;
mod hosts;
mod revocation;
mod scope;
mod secrets;
mod tokens;

use std::collections::BTreeMap;

use axon_api::v1alpha1::GithubToken;
use axon_api::{Task, TaskPhase, TaskStatus, Workspace, labels};
use axon_fixtures::github::accounts::{AppSpec, TokenSpec};
use axon_fixtures::github::{APP_KEY_PKCS8, GithubHost};
use axon_fixtures::server::Background;
use axon_test::operator_process::SECRET_HOSTS;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, bench, status};

struct World {
    bench: Bench,
    github: GithubHost,
    _server: Background,
    url: String,
}

impl World {
    /// Gives the Workspace `ws` another repository.
    async fn point_at(&self, repo: &str) {
        self.patch_workspace(json!({ "repo": repo })).await;
    }

    /// Changes fields of the spec of the Workspace `ws`.
    async fn patch_workspace(&self, spec: Value) {
        let patch = json!({ "spec": spec });
        let workspaces = self.bench.namespace.api::<Workspace>();
        workspaces
            .patch("ws", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// A GitHub with the App 77, whose installation 88 gives tokens for that many seconds, and a Workspace `ws` with the
    /// Secret `app`.
    async fn new(token_seconds: i64) -> Self {
        let world = Self::without_secret(token_seconds).await;
        world
            .put_secret(&[
                ("appID", "77"),
                ("installationID", "88"),
                ("privateKey", APP_KEY_PKCS8),
            ])
            .await;
        world
    }

    async fn without_secret(token_seconds: i64) -> Self {
        let bench = bench().await;
        let github = GithubHost::default();
        let server = Background::start(github.router()).await.unwrap();
        let app = AppSpec {
            installation: 88,
            token_seconds: Some(token_seconds),
            ..AppSpec::default()
        };
        github.world().accounts.put_app("77", app);
        let url = format!("{}/acme/widgets", server.url());
        let world = Self {
            bench,
            github,
            _server: server,
            url,
        };
        world.put_workspace().await;
        world
    }

    async fn put_workspace(&self) {
        let workspace = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {{name: ws}}\nspec: {{repo: '{}', secretRef: {{name: app}}}}",
            self.url
        );
        self.bench.namespace.apply(&workspace).await.unwrap();
    }

    async fn put_secret(&self, data: &[(&str, &str)]) {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "annotations": {labels::HOSTS: SECRET_HOSTS}}, "stringData": data});
        self.bench.namespace.apply(&secret.to_string()).await.unwrap();
    }

    async fn create(&self, name: &str) {
        self.bench.create(name, "workspaceRef: {name: ws}").await;
    }

    async fn secret(&self, name: &str) -> Secret {
        self.bench.namespace.api().get(name).await.unwrap()
    }

    /// Returns the Secrets that the containers of the Task's Job get `GITHUB_TOKEN` from.
    async fn token_secrets(&self, name: &str) -> Vec<String> {
        let job: Job = self.bench.namespace.api().get(name).await.unwrap();
        let pod = job.spec.unwrap().template.spec.unwrap();
        let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
        containers
            .flat_map(|container| container.env.iter().flatten())
            .filter(|variable| variable.name == "GITHUB_TOKEN")
            .map(|variable| {
                let source = variable.value_from.as_ref().unwrap();
                source.secret_key_ref.as_ref().unwrap().name.clone()
            })
            .collect()
    }

    /// Returns what the token may do; `None` for one that has ended.
    fn of_token(&self, token: &str) -> Option<TokenSpec> {
        let world = self.github.world();
        world.accounts.of_app(token, world.now()).cloned()
    }

    fn install(&self, app: AppSpec) {
        let app = AppSpec {
            installation: 88,
            ..app
        };
        self.github.world().accounts.put_app("77", app);
    }

    async fn widen(&self, app: serde_json::Value) {
        self.patch_workspace(json!({ "githubApp": app })).await;
    }

    /// Returns the token that a Task was given.
    async fn token_of(&self, name: &str) -> String {
        self.bench.until_phase(name, TaskPhase::Pending).await;
        token(&self.secret(&format!("{name}-github-token")).await)
    }

    async fn secret_and_status(&self, name: &str) -> (Secret, GithubToken) {
        let pending = self.bench.until_phase(name, TaskPhase::Pending).await;
        let token = pending.github_token.unwrap();
        (self.secret(&token.secret_name).await, token)
    }

    async fn until_nothing_is_left(&self, name: &str) -> TaskStatus {
        let is_gone = |task: &Task| status(task).github_token.is_none();
        let namespace = &self.bench.namespace;
        let task = namespace
            .wait_for(name, "has no token", PATIENCE, is_gone)
            .await
            .unwrap();
        status(&task)
    }

    async fn has_secret(&self, name: &str) -> bool {
        let secrets = self.bench.namespace.api::<Secret>();
        secrets.get_opt(name).await.unwrap().is_some()
    }

    async fn until_told(&self, reason: &str) -> String {
        let events = self.bench.namespace.api::<Event>();
        let told = wait::until("an event", PATIENCE, async || {
            let all = events.list(&ListParams::default()).await?;
            Ok(all
                .into_iter()
                .find(|event| event.reason.as_deref() == Some(reason)))
        });
        told.await.unwrap().note.unwrap()
    }

    fn revoked(&self) -> u64 {
        self.github.world().record.count("DELETE /installation/token 204")
    }

    fn minted(&self) -> u64 {
        self.github.world().accounts.minted()
    }
}

fn token(secret: &Secret) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()["GITHUB_TOKEN"].0.clone()).unwrap()
}
