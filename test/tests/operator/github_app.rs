//! Workspaces whose Secret is a GitHub App's: the operator makes a token for each Task and renews it.

use std::collections::BTreeMap;

use axon_api::{Task, TaskPhase, TaskReason, Workspace, labels};
use axon_test::fixtures::github::accounts::AppSpec;
use axon_test::fixtures::github::faults::Fault;
use axon_test::fixtures::github::{APP_KEY_PKCS8, GithubHost};
use axon_test::fixtures::server::Background;
use axon_test::kubelet::PodState;
use axon_test::operator_process::SECRET_HOSTS;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, SILENCE, bench, status};

#[path = "github_scope.rs"]
mod scope;

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

    fn minted(&self) -> u64 {
        self.github.world().accounts.minted()
    }
}

fn token(secret: &Secret) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()["GITHUB_TOKEN"].0.clone()).unwrap()
}

#[tokio::test]
async fn a_token_is_made_kept_in_a_secret_of_the_task_and_given_to_the_pod() {
    let w = World::new(3600).await;
    w.create("t").await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    let minted = pending.github_token.unwrap();
    assert_eq!(minted.secret_name, "t-github-token");
    let secret = w.secret("t-github-token").await;
    assert!(token(&secret).starts_with("ghs_"));
    let task: Task = w.bench.namespace.api().get("t").await.unwrap();
    assert_eq!(secret.owner_references()[0].uid, task.uid().unwrap());
    assert_eq!(w.token_secrets("t").await, ["t-github-token", "t-github-token"]);
    let job: Job = w.bench.namespace.api().get("t").await.unwrap();
    let text = serde_json::to_string(&job).unwrap();
    assert!(
        text.contains("/axon/github/GITHUB_TOKEN") && !text.contains("ghs_"),
        "{text}"
    );
    assert_eq!(w.minted(), 1);
    // It goes with the Task.
    w.bench
        .namespace
        .api::<Task>()
        .delete("t", &DeleteParams::default())
        .await
        .unwrap();
    wait::until_gone(&w.bench.namespace.api::<Secret>(), "t-github-token", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_long_run_gets_a_fresh_token_before_the_old_one_ends() {
    let w = World::new(8).await;
    w.create("t").await;
    w.bench
        .kubelet
        .report_job("t", &PodState::AgentRunning)
        .await
        .unwrap();
    let first = token(&w.secret("t-github-token").await);
    let mut seen = vec![first];
    while seen.len() < 3 {
        let last = seen.last().unwrap().clone();
        let renewed = wait::until("a fresh token", PATIENCE, async || {
            let now = token(&w.secret("t-github-token").await);
            Ok((now != last).then_some(now))
        });
        seen.push(renewed.await.unwrap());
        // Had it been too late, this GitHub would say no.
        let world = w.github.world();
        assert_eq!(world.record.count(" 401"), 0);
    }
    let running = w.bench.until_phase("t", TaskPhase::Running).await;
    assert!(running.github_token.is_some());
    w.bench.succeed("t", r#"{"axon":1,"final":true}"#).await;
    w.bench.until_phase("t", TaskPhase::Succeeded).await;
    tokio::time::sleep(SILENCE).await;
    let minted = w.minted();
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(w.minted(), minted, "no tokens for what has ended");
}

#[tokio::test]
async fn a_plain_token_is_given_as_it_is_also_where_the_operator_may_not_look() {
    let w = World::without_secret(3600).await;
    // Nothing may be read here.
    let narrow = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: axon-spawner, annotations: {axon.io/managed: 'false'}}\n\
                  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: axon-spawner}\n";
    w.bench.namespace.apply(narrow).await.unwrap();
    w.put_secret(&[("GITHUB_TOKEN", "ghp_plain")]).await;
    w.create("unencrypted").await;
    let failed = w.bench.until_phase("unencrypted", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("may not read Secret app"));
    w.point_at("https://github.com/acme/widgets").await;
    w.create("narrow").await;
    let pending = w.bench.until_phase("narrow", TaskPhase::Pending).await;
    assert_eq!(pending.github_token, None);
    assert_eq!(w.token_secrets("narrow").await, ["app", "app"]);

    let open = World::without_secret(3600).await;
    open.put_secret(&[("GITHUB_TOKEN", "ghp_plain")]).await;
    open.create("open").await;
    open.bench.until_phase("open", TaskPhase::Pending).await;
    assert_eq!(open.token_secrets("open").await, ["app", "app"]);
    assert_eq!(open.minted() + w.minted(), 0);
}

#[tokio::test]
async fn a_secret_that_comes_late_is_waited_for() {
    let w = World::without_secret(3600).await;
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::SecretNotFound).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("Secret app of Workspace ws"));
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    assert!(pending.github_token.is_some());
}

#[tokio::test]
async fn a_secret_for_ssh_that_comes_late_is_waited_for_too() {
    let w = World::without_secret(3600).await;
    w.point_at("git@git.example.com:acme/widgets.git").await;
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::SecretNotFound).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    assert!(waiting.message.unwrap().contains("Secret app of Workspace ws"));
    // A Secret for SSH is never an App's, whatever else is in it.
    w.put_secret(&[
        ("ssh-privatekey", "k"),
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", "x"),
    ])
    .await;
    let pending = w.bench.until_phase("t", TaskPhase::Pending).await;
    assert_eq!((pending.github_token, w.minted()), (None, 0));
}

#[tokio::test]
async fn a_foreign_secret_of_that_name_is_not_touched() {
    let w = World::new(3600).await;
    let foreign =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: t-github-token}\nstringData: {GITHUB_TOKEN: mine}";
    w.bench.namespace.apply(foreign).await.unwrap();
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("t-github-token"));
    assert_eq!(token(&w.secret("t-github-token").await), "mine");
    assert_eq!(w.minted(), 0);
}

#[tokio::test]
async fn what_github_refuses_for_good_fails_the_task_and_names_the_secret_and_its_key() {
    let w = World::new(3600).await;
    w.put_secret(&[
        ("appID", "78"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    w.create("unknown-app").await;
    let failed = w.bench.until_phase("unknown-app", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    let message = failed.message.unwrap();
    for words in ["404", "installation 88 of App 78", "Secret app", "installationID"] {
        assert!(message.contains(words), "{message}");
    }
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", "no key"),
    ])
    .await;
    w.create("bad-key").await;
    let failed = w.bench.until_phase("bad-key", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("Secret app, key privateKey"));
    w.put_secret(&[
        ("appID", "77"),
        ("installationID", "88"),
        ("privateKey", APP_KEY_PKCS8),
    ])
    .await;
    w.github.world().faults.add(Fault {
        status: Some(401),
        body: Some(json!({"message": "A JSON web token could not be decoded"})),
        ..Fault::default()
    });
    w.create("refused").await;
    let failed = w.bench.until_phase("refused", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::AuthFailed));
    assert!(failed.message.unwrap().contains("could not be decoded"));
}

#[tokio::test]
async fn what_heals_is_waited_for_with_a_reason() {
    let w = World::new(3600).await;
    w.github.world().faults.add(Fault {
        status: Some(500),
        times: Some(2),
        ..Fault::default()
    });
    w.create("t").await;
    let waiting = w.bench.until_reason("t", TaskReason::WaitingForToken).await;
    assert_eq!(waiting.phase, Some(TaskPhase::Waiting));
    let message = waiting.message.unwrap();
    assert!(message.contains("500") && message.contains("App 77"), "{message}");
    w.bench.until_phase("t", TaskPhase::Pending).await;
    assert_eq!((w.minted(), w.github.world().record.count(" 500")), (1, 2));
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_the_run_goes_on() {
    let w = World::new(8).await;
    w.create("t").await;
    w.bench
        .kubelet
        .report_job("t", &PodState::AgentRunning)
        .await
        .unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    w.github.world().faults.add(Fault {
        status: Some(503),
        times: Some(1),
        ..Fault::default()
    });
    wait::until("a second token", PATIENCE, async || {
        Ok((w.minted() >= 2).then_some(()))
    })
    .await
    .unwrap();
    let events = w.bench.namespace.api::<k8s_openapi::api::events::v1::Event>();
    let told = wait::until("an event", PATIENCE, async || {
        let all = events.list(&kube::api::ListParams::default()).await?;
        Ok(all
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("TokenNotRenewed")))
    });
    assert!(told.await.unwrap().note.unwrap().contains("503"));
    let task: Task = w.bench.namespace.api().get("t").await.unwrap();
    assert_eq!(status(&task).phase, Some(TaskPhase::Running));
}

#[tokio::test]
async fn a_workspace_that_is_away_for_a_while_does_not_end_the_renewal() {
    let w = World::new(8).await;
    w.create("t").await;
    let kubelet = &w.bench.kubelet;
    kubelet.report_job("t", &PodState::AgentRunning).await.unwrap();
    w.bench.until_phase("t", TaskPhase::Running).await;
    let workspaces = w.bench.namespace.api::<Workspace>();
    workspaces.delete("ws", &DeleteParams::default()).await.unwrap();
    let events = w.bench.namespace.api::<k8s_openapi::api::events::v1::Event>();
    wait::until("an event", PATIENCE, async || {
        let all = events.list(&kube::api::ListParams::default()).await?;
        let is_told = |note: &String| note.contains("Workspace does not exist");
        Ok(all.into_iter().filter_map(|event| event.note).find(is_told))
    })
    .await
    .unwrap();
    let minted = w.minted();
    w.put_workspace().await;
    wait::until("another token", PATIENCE, async || {
        Ok((w.minted() > minted).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_workspace_that_names_no_repository_of_a_github_says_so() {
    let w = World::new(3600).await;
    w.point_at(&w.url.replace("/acme/widgets", "/only-one")).await;
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    assert!(failed.message.unwrap().contains("OWNER/NAME"));
}

#[tokio::test]
async fn a_host_whose_certificate_nobody_knows_is_told_as_such() {
    use axon_github::{
        Credential, Github, GithubError, GithubMetrics, Hosts, ListQuery, Options, Repository,
    };

    // An HTTPS server that is at hand, with a certificate of its own making.
    let control_plane = axon_test::control_plane::ControlPlane::shared().await.unwrap();
    let server = crate::harness::config(control_plane).await.cluster_url;
    let repository = Repository::of(&format!("https://{}/o/r", server.authority().unwrap())).unwrap();
    let github = Github::new(
        axon_github::clock::Clock::system(),
        GithubMetrics::default(),
        &Options {
            hosts: Hosts::parse("127.0.0.1:*,localhost:*").unwrap(),
            private_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..Options::default()
        },
    );
    let query = ListQuery::default();
    let error = github
        .items(&repository, &Credential::anonymous(), &query)
        .await
        .unwrap_err();
    assert!(matches!(&error, GithubError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_token_reaches_the_pod_of_no_host_that_its_secret_does_not_name() {
    let w = World::without_secret(3600).await;
    for (name, data) in [
        ("plain", vec![("GITHUB_TOKEN", "ghp_plain")]),
        (
            "app",
            vec![
                ("appID", "77"),
                ("installationID", "88"),
                ("privateKey", APP_KEY_PKCS8),
            ],
        ),
    ] {
        w.put_secret(&data).await;
        let unnamed = json!({"metadata": {"annotations": {labels::HOSTS: null}}});
        let secrets = w.bench.namespace.api::<Secret>();
        secrets
            .patch("app", &PatchParams::default(), &Patch::Merge(&unnamed))
            .await
            .unwrap();
        w.create(name).await;
        let failed = w.bench.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
        let message = failed.message.unwrap();
        let host = w.url.trim_end_matches("/acme/widgets");
        let command = format!(
            "kubectl -n {} annotate --overwrite secret app axon.io/hosts={host}",
            w.bench.namespace.name()
        );
        assert!(
            message.contains(&command) && message.contains("without encryption"),
            "{message}"
        );
        secrets.delete("app", &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(w.github.world().record.count(""), 0, "nothing was sent there");
    assert!(
        w.bench
            .namespace
            .api::<Job>()
            .get_opt("plain")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn no_token_of_an_app_is_asked_for_at_a_host_that_the_administrator_does_not_allow() {
    let w = World::new(3600).await;
    let localhost = w.url.replace("127.0.0.1", "localhost");
    w.point_at(&localhost).await;
    let both = json!({"metadata": {"annotations": {labels::HOSTS: "http://localhost:*"}}});
    let secrets = w.bench.namespace.api::<Secret>();
    secrets
        .patch("app", &PatchParams::default(), &Patch::Merge(&both))
        .await
        .unwrap();
    w.create("t").await;
    let failed = w.bench.until_phase("t", TaskPhase::Failed).await;
    assert_eq!(failed.reason, Some(TaskReason::InvalidConfig));
    let message = failed.message.unwrap();
    assert!(
        message.contains("--github-hosts") && message.contains("http://localhost:"),
        "{message}"
    );
    assert_eq!((w.minted(), w.github.world().record.count("")), (0, 0));
}

/// A large Task leaves memory while GitHub is slow, and what GitHub says counts nonetheless: a token, and a refusal.
#[tokio::test]
async fn a_large_task_takes_a_token_that_comes_late_and_asks_once() {
    let w = World::new(3600).await;
    let slow = Fault {
        path: "/access_tokens".into(),
        delay_ms: 7000,
        ..Fault::default()
    };
    w.github.world().faults.add(slow.clone());
    let create = async |name: &str| {
        let task = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
            "spec": {"type": "claude-code", "prompt": "x".repeat(20_000), "credentials": {"type": "none"},
                "workspaceRef": {"name": "ws"}}});
        w.bench.namespace.apply(&task.to_string()).await.unwrap();
    };
    create("late").await;
    let jobs = w.bench.namespace.api::<Job>();
    wait::until_object(&jobs, "late", "to be made", PATIENCE, |_| true)
        .await
        .unwrap();
    assert_eq!(w.minted(), 1);
    assert_eq!(w.token_secrets("late").await, ["late-github-token"; 2]);
    w.github.world().faults.add(Fault {
        status: Some(404),
        times: Some(1000),
        ..slow
    });
    create("refused").await;
    let told = |task: &Task| {
        let message = task.status.as_ref().and_then(|s| s.message.as_deref());
        message.is_some_and(|message| message.contains("404"))
    };
    let tasks = w.bench.namespace.api::<Task>();
    wait::until_object(&tasks, "refused", "tells the refusal", PATIENCE, told)
        .await
        .unwrap();
}
