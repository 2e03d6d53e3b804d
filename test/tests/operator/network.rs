//! The NetworkPolicy that is there before a Task's pod.

use axon_api::network::{Allow, NAME};
use axon_api::{TaskReason, labels};
use axon_operator::task::apply::network_policy::{Network, Options, Ready};
use axon_test::control_plane::ControlPlane;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, SILENCE, bench, config, operators_config};

fn annotated(pairs: &Value) -> Patch<Value> {
    Patch::Merge(json!({"metadata": {"annotations": pairs}}))
}

impl Bench {
    async fn annotate(&self, pairs: Value) {
        let namespaces = Api::<Namespace>::all(self.namespace.client().clone());
        let name = self.namespace.name();
        namespaces
            .patch(name, &PatchParams::default(), &annotated(&pairs))
            .await
            .unwrap();
    }

    async fn until_job(&self, name: &str) -> Job {
        wait::until_object(&self.namespace.api(), name, "to be made", PATIENCE, |_| true)
            .await
            .unwrap()
    }

    fn policies(&self) -> Api<NetworkPolicy> {
        self.namespace.api()
    }
}

/// A freshly started operator, of `client`'s rights, with these settings.
fn fresh(client: Client, allow: &str) -> Network {
    let options = Options {
        is_managed: true,
        allow: Allow::parse(allow).unwrap(),
        name_servers: Vec::new(),
    };
    Network::new(client, options)
}

async fn operator() -> Client {
    let config = operators_config(ControlPlane::shared().await.unwrap()).await;
    Client::try_from(config).unwrap()
}

fn version(object: &impl kube::Resource) -> u64 {
    object.resource_version().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_policy_is_there_before_the_first_job_and_selects_its_pod_whatever_the_task_says() {
    let b = bench().await;
    let labels =
        "podOverrides:\n  labels: {app.kubernetes.io/component: web, app.kubernetes.io/managed-by: me, a: b}";
    b.create("t", labels).await;
    let job = b.until_job("t").await;
    let policy = b.policies().get(NAME).await.unwrap();
    assert!(version(&policy) < version(&job));
    let spec = policy.spec.unwrap();
    let selector = spec.pod_selector.unwrap();
    assert_eq!(selector.match_expressions, None);
    let pod = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    assert_eq!(pod["a"], "b");
    for (key, value) in selector.match_labels.unwrap() {
        assert_eq!(pod.get(&key), Some(&value), "{key}");
    }
    assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
    assert_eq!(spec.ingress.unwrap_or_default(), []);
}

#[tokio::test]
async fn no_agent_starts_while_an_annotation_of_its_namespace_cannot_be_followed() {
    let b = bench().await;
    b.annotate(json!({labels::ALLOW_EGRESS: "10.7.0.0/16:443,0.0.0.0/0"}))
        .await;
    b.create("t", "").await;
    let status = b.until_reason("t", TaskReason::PodRefused).await;
    let message = status.message.unwrap();
    for words in [
        labels::ALLOW_EGRESS,
        b.namespace.name(),
        "0.0.0.0/0",
        "public:PORT",
    ] {
        assert!(message.contains(words), "{message}");
    }
    tokio::time::sleep(SILENCE).await;
    assert!(b.namespace.api::<Job>().get_opt("t").await.unwrap().is_none());
    assert!(b.policies().get_opt(NAME).await.unwrap().is_none());
    b.annotate(json!({labels::ALLOW_EGRESS: "10.7.0.0/16:443"})).await;
    b.until_job("t").await;
    let policy = serde_json::to_string(&b.policies().get(NAME).await.unwrap()).unwrap();
    assert!(policy.contains("10.7.0.0/16"), "{policy}");
}

#[tokio::test]
async fn administrators_turn_it_off_or_write_their_own() {
    let (off, own) = (bench().await, bench().await);
    off.annotate(json!({labels::NETWORK_POLICY: "off"})).await;
    let theirs: NetworkPolicy = serde_json::from_value(json!({"metadata": {"name": NAME,
        "annotations": {labels::MANAGED: "false"}}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}))
    .unwrap();
    let before = own
        .policies()
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();
    for b in [&off, &own] {
        b.create("t", "").await;
        b.until_job("t").await;
    }
    assert!(off.policies().get_opt(NAME).await.unwrap().is_none());
    assert_eq!(own.policies().get(NAME).await.unwrap(), before);
}

#[tokio::test]
async fn what_others_add_to_the_policy_is_removed() {
    let b = bench().await;
    let name = b.namespace.name();
    assert_eq!(
        fresh(operator().await, "").ensure(name).await.unwrap(),
        Ready::Yes
    );
    let written = b.policies().get(NAME).await.unwrap();
    let spec = json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]},
        "policyTypes": ["Egress"], "ingress": [{}], "egress": [{}]});
    let body = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": NAME}, "spec": spec});
    let patches = [
        (PatchParams::default(), Patch::Merge(json!({ "spec": spec }))),
        (PatchParams::apply("somebody").force(), Patch::Apply(body)),
        (
            PatchParams::apply("somebody").force(),
            Patch::Apply(
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": NAME},
                "spec": {"podSelector": written.spec.as_ref().unwrap().pod_selector, "ingress": [{}]}}),
            ),
        ),
    ];
    for (params, patch) in patches {
        let changed = b.policies().patch(NAME, &params, &patch).await.unwrap();
        assert_ne!(changed.spec, written.spec, "{patch:?}");
        assert_eq!(
            fresh(operator().await, "").ensure(name).await.unwrap(),
            Ready::Yes
        );
        assert_eq!(
            b.policies().get(NAME).await.unwrap().spec,
            written.spec,
            "{patch:?}"
        );
    }
    let before = version(&b.policies().get(NAME).await.unwrap());
    assert_eq!(
        fresh(operator().await, "").ensure(name).await.unwrap(),
        Ready::Yes
    );
    let after = version(&b.policies().get(NAME).await.unwrap());
    assert_eq!(before, after, "what is as it should be is not written");
}

#[tokio::test]
async fn an_operator_without_the_rights_says_which_ones() {
    let b = bench().await;
    let name = b.namespace.name();
    let mut config = config(ControlPlane::shared().await.unwrap()).await;
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{name}:default"));
    let network = fresh(Client::try_from(config).unwrap(), "");
    let Ready::Refused(why) = network.ensure(name).await.unwrap() else {
        panic!("an account without rights");
    };
    for words in [
        "namespace",
        name,
        "networkpolicies axon-agents",
        "config/rbac",
        "cannot get resource",
    ] {
        assert!(why.contains(words), "{why}");
    }
}
