//! What the admission policies of the installation refuse to the operator's own token and to the accounts `axon-spawner`,
//! whatever RBAC allows. All other tests of this binary run the real operator under the same policies.

use axon_api::{Task, TaskReason};
use axon_operator::identity::Identity;
use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::PodState;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, bench, operators_config};

const HOME: &str = "axon-system";

struct World {
    bench: Bench,
    /// The operator itself, as one who has stolen its token.
    own: Client,
    /// The operator as the namespace's `axon-spawner`.
    acting: Client,
}

impl World {
    async fn new() -> Self {
        let bench = bench().await;
        let config = operators_config(ControlPlane::shared().await.unwrap()).await;
        let own = Client::try_from(config).unwrap();
        let acting = Identity::new(own.clone())
            .client_for(bench.namespace.name())
            .await
            .unwrap();
        Self { bench, own, acting }
    }

    fn name(&self) -> &str {
        self.bench.namespace.name()
    }

    /// Returns the Job that the operator creates for a Task with all that a Task may change about its pod, ready to be created
    /// again under another name.
    async fn job(&self) -> Value {
        self.bench.create("t", OVERRIDES).await;
        self.bench
            .kubelet
            .report_job("t", &PodState::ContainerCreating)
            .await
            .unwrap();
        let mut job =
            serde_json::to_value(self.bench.namespace.api::<Job>().get("t").await.unwrap()).unwrap();
        for server_s in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
            "generation",
        ] {
            job["metadata"].as_object_mut().unwrap().remove(server_s);
        }
        job["metadata"]["name"] = json!("copy");
        let object = job.as_object_mut().unwrap();
        object.remove("status");
        object["spec"].as_object_mut().unwrap().remove("selector");
        for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
            let labels = job.pointer_mut(labels).unwrap().as_object_mut().unwrap();
            labels.retain(|key, _| !key.contains("controller-uid") && !key.contains("job-name"));
        }
        job
    }
}

const OVERRIDES: &str = "
podOverrides:
  serviceAccountName: robot
  automountServiceAccountToken: true
  priorityClassName: system-cluster-critical
  nodeSelector: {disk: ssd}
  tolerations: [{operator: Exists}]
  imagePullSecrets: [{name: pull}]
  labels: {team: a}
  annotations: {team: a, container.apparmor.security.beta.kubernetes.io/agent: runtime/default}
  resources: {limits: {cpu: '1', memory: 1Gi}}
  env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]
  volumes:
    - {name: a, secret: {secretName: s}}
    - {name: b, configMap: {name: c}}
    - {name: c, persistentVolumeClaim: {claimName: p}}
    - {name: d, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}
    - {name: e, emptyDir: {}}
  volumeMounts: [{name: a, mountPath: /s}]
";

/// Creates an object without keeping it, and returns the API server's answer.
async fn tried<K>(client: &Client, namespace: &str, object: &Value) -> Result<(), String>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    K::DynamicType: Default,
{
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let object: K = serde_json::from_value(object.clone()).unwrap();
    let created = Api::<K>::namespaced(client.clone(), namespace).create(&params, &object);
    created.await.map(drop).map_err(|error| error.to_string())
}

/// As [`tried`], by server-side apply, as the operator does it.
async fn applied<K>(client: &Client, namespace: &str, object: &Value) -> Result<(), String>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    K::DynamicType: Default,
{
    let name = object["metadata"]["name"].as_str().unwrap();
    let params = PatchParams::apply("thief").force().dry_run();
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let patched = api.patch(name, &params, &Patch::Apply(object));
    patched.await.map(drop).map_err(|error| error.to_string())
}

/// Asserts that a policy refuses, and in these words.
#[track_caller]
fn refused(what: &str, answer: Result<(), String>, policy: &str, words: &str) {
    let said = answer.expect_err(what);
    let denial = format!("ValidatingAdmissionPolicy '{policy}.axon.io'");
    assert!(said.contains(&denial) && said.contains(words), "{what}: {said}");
}

fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = object.clone();
    let mut at = &mut changed;
    for key in pointer.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value;
    changed
}

#[tokio::test]
async fn the_operators_token_starts_no_pod_that_is_more_than_a_tasks() {
    let w = World::new().await;
    let job = w.job().await;
    tried::<Job>(&w.own, w.name(), &job)
        .await
        .expect("what the operator builds itself, with all overrides, passes");
    let (pod, agent) = ("/spec/template/spec", "/spec/template/spec/containers/0");
    let security = format!("{agent}/securityContext");
    let rows = [
        (
            "/metadata/ownerReferences".to_owned(),
            json!([]),
            "only for Tasks",
        ),
        (
            "/metadata/ownerReferences/0/kind".into(),
            json!("TaskSpawner"),
            "only for Tasks",
        ),
        (
            "/metadata/ownerReferences/0/name".into(),
            json!("other"),
            "only for Tasks",
        ),
        (
            "/metadata/labels/app.kubernetes.io~managed-by".into(),
            json!("me"),
            "have the labels",
        ),
        (
            "/spec/template/metadata/labels".into(),
            json!({}),
            "have the labels",
        ),
        (
            format!("{pod}/serviceAccountName"),
            json!("axon-spawner"),
            "no pod can run as",
        ),
        (format!("{pod}/hostNetwork"), json!(true), "the node's network"),
        (format!("{pod}/hostPID"), json!(true), "the node's network"),
        (format!("{pod}/hostIPC"), json!(true), "the node's network"),
        (
            format!("{pod}/shareProcessNamespace"),
            json!(true),
            "the node's network",
        ),
        (
            format!("{pod}/nodeName"),
            json!("control-plane-0"),
            "the node's network",
        ),
        (
            format!("{pod}/volumes/0"),
            json!({"name": "root", "hostPath": {"path": "/"}}),
            "volumes of the kinds",
        ),
        (
            format!("{pod}/volumes/0"),
            json!({"name": "n", "nfs": {"server": "s", "path": "/"}}),
            "volumes of the kinds",
        ),
        (format!("{pod}/securityContext"), json!({}), "runAsNonRoot"),
        (
            format!("{pod}/securityContext/runAsUser"),
            json!(0),
            "runAsNonRoot",
        ),
        (
            format!("{pod}/securityContext/seccompProfile"),
            json!({"type": "Unconfined"}),
            "seccomp",
        ),
        (
            format!("{pod}/securityContext/sysctls"),
            json!([{"name": "net.core.somaxconn", "value": "1"}]),
            "sysctls",
        ),
        (
            format!("{pod}/securityContext/appArmorProfile"),
            json!({"type": "Unconfined"}),
            "seccomp",
        ),
        (security.clone(), Value::Null, "each container"),
        (format!("{security}/privileged"), json!(true), "each container"),
        (
            format!("{security}/allowPrivilegeEscalation"),
            json!(true),
            "each container",
        ),
        (format!("{security}/runAsUser"), json!(0), "each container"),
        (
            format!("{security}/readOnlyRootFilesystem"),
            json!(false),
            "each container",
        ),
        (
            format!("{security}/capabilities/drop"),
            json!([]),
            "each container",
        ),
        (
            format!("{security}/capabilities/add"),
            json!(["SYS_ADMIN"]),
            "each container",
        ),
        (
            format!("{security}/seccompProfile"),
            json!({"type": "Unconfined"}),
            "each container",
        ),
        (
            format!("{security}/procMount"),
            json!("Unmasked"),
            "each container",
        ),
        (
            format!("{pod}/initContainers"),
            json!([{"name": "i", "image": "i"}]),
            "each container",
        ),
        (
            format!("{agent}/ports"),
            json!([{"containerPort": 80, "hostPort": 80}]),
            "opens no ports",
        ),
        (
            "/spec/template/metadata/annotations".into(),
            json!({"container.apparmor.security.beta.kubernetes.io/agent": "unconfined"}),
            "AppArmor",
        ),
    ];
    for (pointer, value, words) in rows {
        let mut hostile = job.clone();
        if let Some(key) = pointer.strip_prefix("/metadata/labels/") {
            hostile["metadata"]["labels"][key.replace('~', "/")] = value.clone();
        } else {
            hostile = with(&job, &pointer, value.clone());
        }
        let what = format!("{pointer} = {value}");
        let answer = tried::<Job>(&w.own, w.name(), &hostile).await;
        // Of privileged and allowPrivilegeEscalation together the API server's own validation speaks first.
        refused(&what, answer, "operator-jobs", words);
    }
}

#[tokio::test]
async fn the_operators_token_does_nothing_in_system_namespaces() {
    let w = World::new().await;
    let job = w.job().await;
    let closed = format!("{}-closed", w.name());
    let labelled: Namespace =
        serde_json::from_value(json!({"metadata": {"name": closed, "labels": {"axon.io/tasks": "denied"}}}))
            .unwrap();
    let namespaces = Api::<Namespace>::all(w.bench.namespace.client().clone());
    namespaces
        .create(&PostParams::default(), &labelled)
        .await
        .unwrap();
    for namespace in ["kube-system", "kube-public", HOME, &closed] {
        let mut job = job.clone();
        job["metadata"].as_object_mut().unwrap().remove("namespace");
        let answer = tried::<Job>(&w.own, namespace, &job).await;
        refused(namespace, answer, "operator-jobs", "no Task can run in namespace");
        let map = json!({"metadata": {"name": "m", "ownerReferences": job["metadata"]["ownerReferences"]}, "immutable": true});
        let answer = tried::<ConfigMap>(&w.own, namespace, &map).await;
        refused(
            namespace,
            answer,
            "operator-configmaps",
            "no Task can run in namespace",
        );
        let answer = applied::<ServiceAccount>(&w.own, namespace, &account()).await;
        refused(
            namespace,
            answer,
            "operator-serviceaccounts",
            "is not created in namespace",
        );
        let answer = applied::<RoleBinding>(&w.own, namespace, &binding(namespace)).await;
        refused(
            namespace,
            answer,
            "operator-rolebindings",
            "is not created in namespace",
        );
    }
    namespaces
        .delete(&closed, &DeleteParams::default())
        .await
        .unwrap();
}

fn account() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "axon-spawner"},
        "automountServiceAccountToken": false})
}

fn binding(subject_s: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "axon-spawner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "axon-spawner"},
        "subjects": [{"kind": "ServiceAccount", "name": "axon-spawner", "namespace": subject_s}]})
}

#[tokio::test]
async fn the_operators_token_grants_the_one_role_to_the_one_account() {
    let w = World::new().await;
    let name = w.name();
    applied::<RoleBinding>(&w.own, name, &binding(name))
        .await
        .unwrap();
    let user = json!([{"kind": "User", "name": "thief", "apiGroup": "rbac.authorization.k8s.io"}]);
    let mut two = binding(name);
    two["subjects"].as_array_mut().unwrap().push(user[0].clone());
    for (what, hostile) in [
        ("an account of another namespace", binding(HOME)),
        ("a person", with(&binding(name), "/subjects", user)),
        ("somebody more", two),
        ("nobody", with(&binding(name), "/subjects", json!([]))),
        (
            "another account",
            with(&binding(name), "/subjects/0/name", json!("default")),
        ),
    ] {
        let answer = applied::<RoleBinding>(&w.own, name, &hostile).await;
        refused(
            what,
            answer,
            "operator-rolebindings",
            "only RoleBinding axon-spawner",
        );
    }
    applied::<ServiceAccount>(&w.own, name, &account()).await.unwrap();
    for (pointer, value) in [
        ("/automountServiceAccountToken", json!(true)),
        ("/secrets", json!([{"name": "db"}])),
        ("/imagePullSecrets", json!([{"name": "db"}])),
    ] {
        let answer = applied::<ServiceAccount>(&w.own, name, &with(&account(), pointer, value)).await;
        refused(
            pointer,
            answer,
            "operator-serviceaccounts",
            "without token and without Secrets",
        );
    }
    let map = json!({"metadata": {"name": "m"}, "immutable": true});
    let answer = tried::<ConfigMap>(&w.own, name, &map).await;
    refused(
        "a ConfigMap without a Task",
        answer,
        "operator-configmaps",
        "that a Task owns",
    );
}

#[tokio::test]
async fn the_operators_token_deletes_only_jobs_of_tasks() {
    let w = World::new().await;
    let job = json!({"metadata": {"name": "backup"}, "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "i"}]}}}});
    let job: Job = serde_json::from_value(job).unwrap();
    let jobs = w.bench.namespace.api::<Job>();
    jobs.create(&PostParams::default(), &job).await.unwrap();
    let own = Api::<Job>::namespaced(w.own.clone(), w.name());
    let deleted = own.delete("backup", &DeleteParams::default()).await;
    let answer = deleted.map(drop).map_err(|error| error.to_string());
    refused(
        "another one's Job",
        answer,
        "operator-deletes",
        "only Jobs of Tasks",
    );
    w.job().await;
    own.delete("t", &DeleteParams::background().dry_run())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_spawners_account_writes_only_its_own_secrets_and_tasks() {
    let w = World::new().await;
    let name = w.name();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "t-github-token", "labels": {"app.kubernetes.io/managed-by": "axon-operator"},
        "ownerReferences": [{"apiVersion": "axon.io/v1alpha1", "kind": "Task", "name": "t", "uid": "u"}]}});
    tried::<Secret>(&w.acting, name, &secret).await.unwrap();
    for (what, hostile, words) in [
        (
            "a ServiceAccount's token",
            {
                let token = with(&secret, "/type", json!("kubernetes.io/service-account-token"));
                with(
                    &token,
                    "/metadata/annotations",
                    json!({"kubernetes.io/service-account.name": "default"}),
                )
            },
            "of type Opaque",
        ),
        (
            "another name",
            with(&secret, "/metadata/name", json!("db")),
            "TASK-github-token",
        ),
        (
            "no owner",
            with(&secret, "/metadata/ownerReferences", json!([])),
            "that a Task owns",
        ),
        (
            "no label",
            with(&secret, "/metadata/labels", json!({})),
            "that a Task owns",
        ),
    ] {
        refused(
            what,
            tried::<Secret>(&w.acting, name, &hostile).await,
            "spawner-secrets",
            words,
        );
    }
    // Somebody's Secret does not become a Task's.
    let secrets = w.bench.namespace.api::<Secret>();
    for taken in ["db", "my-github-token"] {
        let own: Secret = serde_json::from_value(json!({"metadata": {"name": taken}})).unwrap();
        secrets.create(&PostParams::default(), &own).await.unwrap();
        let stolen = with(&secret, "/metadata/name", json!(taken));
        let api = Api::<Secret>::namespaced(w.acting.clone(), name);
        let patched = api
            .patch(taken, &PatchParams::default(), &Patch::Merge(&stolen))
            .await;
        let answer = patched.map(drop).map_err(|error| error.to_string());
        refused(
            taken,
            answer,
            "spawner-secrets",
            "ServiceAccount axon-spawner writes only Secrets",
        );
    }
    let task = json!({"metadata": {"name": "x", "labels": {"axon.io/taskspawner": "s"}},
        "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}}});
    tried::<Task>(&w.acting, name, &task).await.unwrap();
    let answer = tried::<Task>(&w.acting, name, &with(&task, "/metadata/labels", json!({}))).await;
    refused("a person's Task", answer, "spawner-tasks", "axon.io/taskspawner");
}

#[tokio::test]
async fn nothing_runs_as_a_spawners_account_and_nobody_gets_its_token() {
    let w = World::new().await;
    let admin = w.bench.namespace.client();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "axon-spawner", "containers": [
        {"name": "c", "image": "i", "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]}});
    let answer = tried::<Pod>(admin, w.name(), &pod).await;
    refused(
        "a pod",
        answer,
        "spawner-pods",
        "choose another serviceAccountName",
    );
    let other = with(&pod, "/spec/serviceAccountName", json!("default"));
    tried::<Pod>(admin, w.name(), &other).await.unwrap();
    let accounts = w.bench.namespace.api::<ServiceAccount>();
    let request = k8s_openapi::api::authentication::v1::TokenRequest::default();
    let made = accounts.create_token_request("axon-spawner", &PostParams::default(), &request);
    let answer = made.await.map(drop).map_err(|error| error.to_string());
    refused("a token", answer, "spawner-tokens", "nothing runs as it");
    let made = accounts.create_token_request("default", &PostParams::default(), &request);
    made.await.unwrap();
}

#[tokio::test]
async fn a_task_in_the_operators_namespace_says_why_it_does_not_run() {
    let w = World::new().await;
    let tasks = Api::<Task>::namespaced(w.bench.namespace.client().clone(), HOME);
    let task: Task = serde_json::from_value(json!({"metadata": {"name": w.name()},
        "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}}}))
    .unwrap();
    tasks.create(&PostParams::default(), &task).await.unwrap();
    let refused =
        axon_test::wait::until_object(&tasks, w.name(), "to be refused", PATIENCE, |task: &Task| {
            task.status.as_ref().and_then(|status| status.reason) == Some(TaskReason::PodRefused)
        });
    let message = refused.await.unwrap().status.unwrap().message.unwrap();
    tasks.delete(w.name(), &DeleteParams::default()).await.unwrap();
    assert!(
        message.contains("no Task can run in namespace axon-system"),
        "{message}"
    );
}
