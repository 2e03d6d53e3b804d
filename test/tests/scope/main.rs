//! An installation that is limited to some namespaces: the real plugin installs it, and the operator runs with the rights
//! and variables that this gave.
#![cfg(test)]

use std::time::Duration;

use axon_api::{Task, TaskSpawner};
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::operator_process::{self, Operator};
use axon_test::{plugin, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

const PATIENCE: Duration = Duration::from_secs(60);
/// The time in which something that must not happen could happen.
const SILENCE: Duration = Duration::from_secs(3);
const OPERATOR: &str = "axon-operator";

struct World {
    control_plane: ControlPlane,
    client: Client,
    /// The third one is nobody's business.
    namespaces: [Namespace; 3],
}

async fn world() -> World {
    let control_plane = ControlPlane::start(&[]).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespaces = [
        control_plane.namespace().await.unwrap(),
        control_plane.namespace().await.unwrap(),
        control_plane.namespace().await.unwrap(),
    ];
    World {
        control_plane,
        client,
        namespaces,
    }
}

impl World {
    async fn plugin(&self, args: &[&str]) -> plugin::Invocation {
        let done = plugin::run(self.control_plane.kubeconfig(), args).await.unwrap();
        done.succeeded().unwrap();
        done
    }

    async fn install(&self, more: &[&str]) -> plugin::Invocation {
        self.plugin(&[&["install", "--wait=false"], more].concat()).await
    }

    /// Starts an operator as the Deployment would.
    async fn operator(&self) -> Operator {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), "axon-system");
        let spec = deployments.get(OPERATOR).await.unwrap().spec.unwrap();
        let container = spec.template.spec.unwrap().containers.remove(0);
        let mut variables = container.env.unwrap().into_iter();
        let watched = variables.find(|variable| variable.name == "AXON_WATCH_NAMESPACES");
        let list = watched.and_then(|variable| variable.value).unwrap_or_default();
        let token = operator_process::token(&self.client).await.unwrap();
        let list = format!("--watch-namespaces={list}");
        Operator::start_beside(self.control_plane.kubeconfig(), &token, &[&list]).unwrap()
    }

    /// A client with the rights of the operator.
    async fn operators(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.control_plane.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        config.auth_info = AuthInfo {
            token: Some(operator_process::token(&self.client).await.unwrap().into()),
            ..AuthInfo::default()
        };
        Client::try_from(config).unwrap()
    }
}

async fn create(namespace: &Namespace, name: &str) {
    let task = format!(
        "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}}}\nspec:\n  type: codex\n  prompt: do it\n  \
         credentials: {{type: none}}\n"
    );
    namespace.apply(&task).await.unwrap();
}

async fn until_job(namespace: &Namespace, name: &str) {
    wait::until_object(&namespace.api::<Job>(), name, "to be made", PATIENCE, |_| true)
        .await
        .unwrap();
}

/// Asserts that nobody has looked at a Task.
async fn is_untouched(namespace: &Namespace, name: &str) {
    tokio::time::sleep(SILENCE).await;
    let task = namespace.api::<Task>().get(name).await.unwrap();
    assert!(task.status.is_none(), "{:?}", task.status);
}

fn is_forbidden<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.is_forbidden())
}

#[tokio::test]
async fn an_operator_of_some_namespaces_has_rights_in_these_alone_and_works_in_them() {
    let world = world().await;
    let [a, b, c] = &world.namespaces;
    let both = format!("{},{}", a.name(), b.name());
    world.install(&["--watch-namespace", &both]).await;

    let (cluster_roles, cluster_bindings) = (
        Api::<ClusterRole>::all(world.client.clone()),
        Api::<ClusterRoleBinding>::all(world.client.clone()),
    );
    assert!(cluster_roles.get_opt(OPERATOR).await.unwrap().is_none());
    assert!(cluster_bindings.get_opt(OPERATOR).await.unwrap().is_none());
    let operators = world.operators().await;
    let list = ListParams::default();
    assert!(is_forbidden(
        Api::<Task>::all(operators.clone()).list(&list).await
    ));
    for (namespace, may) in [(a, true), (b, true), (c, false)] {
        let tasks = Api::<Task>::namespaced(operators.clone(), namespace.name());
        assert_eq!(
            !is_forbidden(tasks.list(&list).await),
            may,
            "{}",
            namespace.name()
        );
        let jobs = Api::<Job>::namespaced(operators.clone(), namespace.name());
        let delete = DeleteParams::default();
        assert_eq!(
            !is_forbidden(jobs.delete("none", &delete).await),
            may,
            "{}",
            namespace.name()
        );
    }

    let operator = world.operator().await;
    for namespace in [a, b, c] {
        create(namespace, "one").await;
    }
    until_job(a, "one").await;
    until_job(b, "one").await;
    let spawner = "apiVersion: axon.io/v1alpha1\nkind: TaskSpawner\nmetadata: {name: yearly}\nspec:\n  \
                   when: {cron: {schedule: '0 9 1 1 *'}}\n  \
                   taskTemplate: {type: codex, promptTemplate: do it, credentials: {type: none}}\n";
    b.apply(spawner).await.unwrap();
    b.wait_for_object("yearly", "is looked at", PATIENCE, |spawner: &TaskSpawner| {
        spawner.status.is_some()
    })
    .await
    .unwrap();
    is_untouched(c, "one").await;

    // Whoever administers a namespace may take the operator's rights there away; the others do not notice.
    let bindings = b.api::<RoleBinding>();
    let binding = bindings.get(OPERATOR).await.unwrap();
    bindings.delete(OPERATOR, &DeleteParams::default()).await.unwrap();
    drop(operator);
    let operator = world.operator().await;
    create(a, "two").await;
    create(b, "two").await;
    until_job(a, "two").await;
    is_untouched(b, "two").await;
    let restored = RoleBinding {
        metadata: kube::core::ObjectMeta {
            name: binding.metadata.name,
            labels: binding.metadata.labels,
            ..kube::core::ObjectMeta::default()
        },
        ..binding
    };
    bindings.create(&PostParams::default(), &restored).await.unwrap();
    until_job(b, "two").await;
    drop(operator);

    // What an operator of all namespaces left is taken up, and the other way round.
    let said = world.install(&[]).await.stderr;
    assert!(said.contains(&format!("keeps to namespaces {both}")), "{said}");
    let version = world.plugin(&["version"]).await.stdout;
    assert!(version.contains(&both.replace(',', ", ")), "{version}");
    world.install(&["--watch-namespace=*"]).await;
    for namespace in [a, b] {
        assert!(namespace.api::<Role>().get_opt(OPERATOR).await.unwrap().is_none());
        assert!(
            namespace
                .api::<RoleBinding>()
                .get_opt(OPERATOR)
                .await
                .unwrap()
                .is_none()
        );
    }
    let operator = world.operator().await;
    until_job(c, "one").await;
    drop(operator);
    world.install(&["--watch-namespace", a.name()]).await;
    assert!(cluster_bindings.get_opt(OPERATOR).await.unwrap().is_none());
    assert!(is_forbidden(
        Api::<Task>::namespaced(operators.clone(), b.name())
            .list(&list)
            .await
    ));

    let doctor = plugin::run(world.control_plane.kubeconfig(), &["doctor", "-n", b.name()])
        .await
        .unwrap();
    let expected = format!("it does not work in namespace {}, only in {}", b.name(), a.name());
    assert!(doctor.stdout.contains(&expected), "{doctor:#?}");

    world.plugin(&["uninstall", "--yes"]).await;
    assert!(a.api::<RoleBinding>().get_opt(OPERATOR).await.unwrap().is_none());
    assert!(a.api::<Role>().get_opt(OPERATOR).await.unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_told_before_anything_is_applied() {
    let world = world().await;
    let [a, ..] = &world.namespaces;
    let names = format!("{},nowhere", a.name());
    let args = ["install", "--wait=false", "--watch-namespace", &names];
    let done = plugin::run(world.control_plane.kubeconfig(), &args)
        .await
        .unwrap();
    assert_eq!(done.code, Some(5), "{done:#?}");
    assert!(
        done.stderr.contains("namespace \"nowhere\" does not exist"),
        "{done:#?}"
    );
    assert_eq!(done.stdout, "");
    assert!(a.api::<Role>().get_opt(OPERATOR).await.unwrap().is_none());
}
