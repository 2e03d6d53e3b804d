//! Requests that the admission policies of the installation refuse to the operator's own token and to the accounts `axon-spawner`,
//! whatever RBAC allows. All other tests of this binary run the real operator under the same policies.

use axon_api::Task;
use axon_operator::kube::impersonation::Identity;
use axon_test::control_plane::ControlPlane;
use axon_test::wait;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, bench, operators_config};

const HOME: &str = "axon-system";

mod add_on;
mod network;
mod objects;
mod pods;
mod spawners;

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
        let jobs = self.bench.namespace.api::<Job>();
        let made = wait::until_object(&jobs, "t", "to be made", PATIENCE, |_| true).await;
        let made = match made {
            Ok(job) => job,
            Err(error) => panic!(
                "{error}: {:?}",
                self.bench.namespace.api::<Task>().get("t").await.unwrap().status
            ),
        };
        let mut job = serde_json::to_value(made).unwrap();
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
  annotations: {team: a}
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
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let created = api.create(&params, &object).await;
    created.map(drop).map_err(|error| error.to_string())
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
    let patched = api.patch(name, &params, &Patch::Apply(object)).await;
    patched.map(drop).map_err(|error| error.to_string())
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
