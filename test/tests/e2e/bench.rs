//! The environment of every test of this binary: the operator installed by the plugin, the fixture servers, and a fresh
//! namespace with credentials, a private repository and a Workspace.

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::labels::HOSTS;
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus};
use axon_test::agents::{SAMPLES, Sample};
use axon_test::cluster::Cluster;
use axon_test::fixtures_client::{Fixtures, model_url, repository_url};
use axon_test::namespace::Namespace;
use axon_test::{paths, wait};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Two cores run everything: pods may have to wait for each other.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The right reason stands in the status five seconds after its cause. How long it took is printed; what fails a test is
/// only what no slow machine explains: a change that nobody was woken by is found by a look minutes later.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// Stands in every credential, so that a leak can be searched for.
pub const CANARY: &str = "canary-5up3r-s3cr3t";

static INSTALLED: OnceCell<()> = OnceCell::const_new();

pub struct Bench {
    pub cluster: Cluster,
    pub namespace: Namespace,
    pub fixtures: Fixtures,
    pub repository: String,
    pub token: String,
}

pub fn image(name: &str) -> String {
    let of = |variable: &str, default: &str| std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    format!(
        "{}/axon-{name}:{}",
        of("REGISTRY", "localhost/axon"),
        of("TAG", "dev")
    )
}

/// The fixtures' host, without and with TLS: what the operator may talk to, and what the Secrets are for.
const SECRET_HOSTS: &str = "http://git.axon-fixtures.svc,git.axon-fixtures.svc";

pub async fn install(cluster: &Cluster) {
    let whole = image("operator");
    let (registry, tag) = whole.rsplit_once("/axon-operator:").unwrap();
    let args = ["install", "--registry", registry, "--tag", tag];
    cluster.kubectl_axon(&args).await.unwrap().succeeded().unwrap();
}

async fn set_up(cluster: &Cluster) {
    install(cluster).await;
    let manifests = std::fs::read_to_string(paths::root().join("test/manifests/fixtures.yaml")).unwrap();
    cluster
        .apply(&manifests.replace("FIXTURES_IMAGE", &image("fixtures")))
        .await
        .unwrap();
    let operators: Api<Deployment> = Api::namespaced(cluster.client().clone(), "axon-system");
    // Nobody wants to wait five minutes for an image that does not exist.
    let env = json!([
        {"name": "AXON_IMAGE_PULL_LIMIT", "value": "15s"},
        {"name": "AXON_GITHUB_HOSTS", "value": SECRET_HOSTS},
    ]);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "operator", "env": env}]}}}});
    operators
        .patch("axon-operator", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    let fixtures: Api<Deployment> = Api::namespaced(cluster.client().clone(), "axon-fixtures");
    for (api, name) in [(&operators, "axon-operator"), (&fixtures, "fixtures")] {
        wait::until_object(api, name, "to be rolled out", PATIENCE, rolled_out)
            .await
            .unwrap();
    }
}

fn rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas);
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == wanted
        && status.available_replicas == wanted
        && status.replicas == wanted
}

pub async fn bench() -> Bench {
    let cluster = Cluster::connect().await.unwrap();
    INSTALLED.get_or_init(|| set_up(&cluster)).await;
    let namespace = cluster.namespace().await.unwrap();
    let fixtures = cluster.fixtures();
    let repository = namespace.name().to_owned();
    let token = format!("{CANARY}-{repository}");
    fixtures.put_repository(&repository, "private=1").await.unwrap();
    fixtures.allow_token(&token).await.unwrap();
    let b = Bench {
        cluster,
        namespace,
        fixtures,
        repository,
        token,
    };
    let key = format!("sk-{CANARY}");
    b.secret_of("key", SAMPLES.iter().map(|sample| (sample.key, key.as_str())))
        .await;
    b.secret("git", "GITHUB_TOKEN", &b.token).await;
    b.workspace(
        "ws",
        &repository_url(&b.repository),
        "ref: main\n  secretRef: {name: git}",
    )
    .await;
    b
}

/// A script for the model: edit, commit, push and say so.
pub fn commit_script(file: &str) -> String {
    format!(
        "Add {file}.\n@bash printf 'made by an agent\\n' > {file} && git add {file} && git commit -q -m 'Add {file}'\n\
         @bash git push -q origin HEAD\n@say {file} is committed and pushed."
    )
}

/// Holds the time from a cause to the status that tells of it against what is promised.
pub fn assert_told(what: &str, cause: Timestamp) {
    assert_told_at(what, cause, Timestamp::now());
}

/// The same of what was told before.
pub fn assert_told_at(what: &str, cause: Timestamp, told: Timestamp) {
    let after = told.duration_since(cause);
    println!("{what} was told after {after:#}");
    assert!(
        after.unsigned_abs() <= TOLD_WITHIN,
        "{what} was told after {after:#}"
    );
}

impl Bench {
    pub async fn secret(&self, name: &str, key: &str, value: &str) {
        self.secret_of(name, [(key, value)]).await;
    }

    pub async fn secret_of(&self, name: &str, entries: impl IntoIterator<Item = (&str, &str)>) {
        let data: BTreeMap<&str, &str> = entries.into_iter().collect();
        let secret: Secret = serde_json::from_value(
            json!({"metadata": {"name": name, "annotations": {HOSTS: SECRET_HOSTS}}, "stringData": data}),
        )
        .unwrap();
        self.namespace
            .api::<Secret>()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    pub async fn workspace(&self, name: &str, repo: &str, more: &str) {
        let yaml = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {{name: {name}}}\nspec:\n  repo: {repo}\n  {more}\n"
        );
        self.namespace.apply(&yaml).await.unwrap();
    }

    /// Returns the id of a Task's run at the scripted model.
    pub fn run_id(&self, task: &str) -> String {
        format!("{}-{task}", self.namespace.name())
    }

    /// Creates a Task with the Workspace `ws`; `spec` is merged over the usual.
    pub async fn task(&self, name: &str, prompt: &str, spec: Value) {
        self.task_of(&SAMPLES[0], name, prompt, spec).await;
    }

    /// Creates a Task of another agent.
    pub async fn task_of(&self, sample: &Sample, name: &str, prompt: &str, spec: Value) {
        let env: Vec<Value> = (sample.endpoint)(&model_url(&self.run_id(name)))
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut object = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
            "spec": {
                "type": sample.kind, "prompt": prompt, "workspaceRef": {"name": "ws"},
                "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
                "podOverrides": {"env": env},
            }
        });
        if let Some(model) = sample.model {
            object["spec"]["model"] = model.into();
        }
        merge(&mut object["spec"], spec);
        let task: Task = serde_json::from_value(object).unwrap();
        self.namespace
            .api::<Task>()
            .create(&PostParams::default(), &task)
            .await
            .unwrap();
    }

    pub async fn until(&self, name: &str, what: &str, wanted: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let is = |task: &Task| task.status.as_ref().is_some_and(&wanted);
        self.namespace
            .wait_for(name, what, PATIENCE, is)
            .await
            .unwrap()
            .status
            .unwrap()
    }

    pub async fn until_ended(&self, name: &str) -> TaskStatus {
        self.until(name, "has ended", |s| s.phase.is_some_and(TaskPhase::is_terminal))
            .await
    }

    pub async fn until_succeeded(&self, name: &str) -> TaskStatus {
        let status = self.until_ended(name).await;
        assert_eq!(
            status.phase,
            Some(TaskPhase::Succeeded),
            "{}",
            axon_test::diagnostics::of_task(&self.namespace, name).await
        );
        status
    }

    pub async fn until_failed(&self, name: &str, reason: TaskReason) -> TaskStatus {
        let status = self.until_ended(name).await;
        let is = (status.phase, status.reason);
        let report = axon_test::diagnostics::of_task(&self.namespace, name).await;
        assert_eq!(is, (Some(TaskPhase::Failed), Some(reason)), "{report}");
        assert!(status.message.as_ref().is_some_and(|m| !m.is_empty()), "{report}");
        status
    }

    /// Waits until the model has a request that it has not answered.
    pub async fn until_model_is_asked(&self, task: &str, requests: usize) {
        let run = self.run_id(task);
        wait::until("a pending model request", PATIENCE, async || {
            let Ok(record) = self.fixtures.record(&run).await else {
                return Ok(None);
            };
            let all = record["requests"].as_array().cloned().unwrap_or_default();
            Ok((all.len() >= requests && all.last().is_some_and(|r| r["endedAt"].is_null())).then_some(()))
        })
        .await
        .unwrap();
    }

    /// Holds a Task's figures against the model's own record.
    pub async fn assert_usage_is_the_models(&self, task: &str, status: &TaskStatus) {
        let totals = self.fixtures.totals(&self.run_id(task)).await.unwrap();
        let usage = status.usage.clone().unwrap_or_default();
        let figure = |value: Option<i64>| u64::try_from(value.unwrap_or_default()).unwrap();
        assert_eq!(
            [
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens
            ]
            .map(figure),
            [
                totals.input_tokens,
                totals.output_tokens,
                totals.cache_read_tokens,
                totals.cache_write_tokens
            ],
            "of task {task}: {status:?}"
        );
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}
