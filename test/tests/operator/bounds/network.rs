//! NetworkPolicies that the operator's token can write.

use axon_api::network::{self, Allow};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{World, applied, refused, with};

fn policy(namespace: &str, allow: &str) -> Value {
    let servers = ["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()];
    serde_json::to_value(network::policy(
        namespace,
        &Allow::parse(allow).unwrap(),
        &servers,
    ))
    .unwrap()
}

#[tokio::test]
async fn the_operators_token_opens_no_network_to_all_and_no_other_pods() {
    let w = World::new().await;
    let name = w.name();
    let list =
        "10.1.0.0/16:443,10.0.0.0/8,192.168.0.0/16:1-65535,fd00::/8,2001:db8::/32:22,public:80,0.0.0.0/1:9";
    for allow in ["", list] {
        applied::<NetworkPolicy>(&w.own, name, &policy(name, allow))
            .await
            .unwrap();
    }
    let good = policy(name, "");
    let to = |peer: Value| with(&good, "/spec/egress/2", json!({"to": [peer]}));
    let labels = "/spec/podSelector/matchLabels";
    let only = "only NetworkPolicy axon-agents";
    let opens = "opens only public addresses";
    let system = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    for (what, hostile, words) in [
        ("all pods", with(&good, "/spec/podSelector", json!({})), only),
        (
            "other pods",
            with(&good, labels, json!({"app.kubernetes.io/component": "web"})),
            only,
        ),
        (
            "some Tasks alone",
            with(
                &good,
                "/spec/podSelector/matchExpressions",
                json!([{"key": "a", "operator": "Exists"}]),
            ),
            only,
        ),
        (
            "ingress alone",
            with(&good, "/spec/policyTypes", json!(["Ingress"])),
            only,
        ),
        ("ingress", with(&good, "/spec/ingress", json!([{}])), only),
        ("all egress", with(&good, "/spec/egress", json!([{}])), opens),
        (
            "a port of everything",
            with(
                &good,
                "/spec/egress",
                json!([{"ports": [{"port": 53, "protocol": "UDP"}]}]),
            ),
            opens,
        ),
        (
            "all addresses",
            to(json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}})),
            opens,
        ),
        ("all of IPv6", to(json!({"ipBlock": {"cidr": "::/0"}})), opens),
        ("all namespaces", to(json!({"namespaceSelector": {}})), opens),
        ("the namespace's pods", to(json!({"podSelector": {}})), opens),
        (
            "all of kube-system",
            to(json!({"namespaceSelector": system.clone()})),
            opens,
        ),
        (
            "all ports of kube-system",
            to(json!({"namespaceSelector": system.clone(), "podSelector": {}})),
            opens,
        ),
        (
            "another port of kube-system",
            with(
                &good,
                "/spec/egress/2",
                json!({"to": [{"namespaceSelector": system, "podSelector": {}}], "ports": [{"port": 443}]}),
            ),
            opens,
        ),
    ] {
        let answer = applied::<NetworkPolicy>(&w.own, name, &hostile).await;
        refused(what, answer, "operator-networkpolicies", words);
    }
    // RBAC knows the one name.
    let other = with(&good, "/metadata/name", json!("other"));
    let said = applied::<NetworkPolicy>(&w.own, name, &other).await.unwrap_err();
    assert!(said.contains("cannot patch resource"), "{said}");
    let own: Api<NetworkPolicy> = Api::namespaced(w.own.clone(), name);
    let said = own
        .delete("axon-agents", &DeleteParams::default())
        .await
        .unwrap_err();
    assert!(said.to_string().contains("cannot delete resource"), "{said}");
}

#[tokio::test]
async fn the_operators_token_changes_no_network_policy_that_an_administrator_has_taken_over() {
    let w = World::new().await;
    let name = w.name();
    let api = |client: &Client| Api::<NetworkPolicy>::namespaced(client.clone(), name);
    let mut own = policy(name, "");
    own["metadata"]["annotations"] = json!({"axon.io/managed": "false"});
    let words = "axon.io/managed";
    let answer = applied::<NetworkPolicy>(&w.own, name, &own).await;
    refused(
        "one that says so itself",
        answer,
        "operator-networkpolicies",
        words,
    );
    let taken: NetworkPolicy = serde_json::from_value(own).unwrap();
    api(w.bench.namespace.client())
        .create(&PostParams::default(), &taken)
        .await
        .unwrap();
    let answer = applied::<NetworkPolicy>(&w.own, name, &policy(name, "")).await;
    refused("a change", answer, "operator-networkpolicies", words);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"axon.io/managed": null}}}));
    let answer = api(&w.own)
        .patch("axon-agents", &PatchParams::default(), &patch)
        .await;
    let answer = answer.map(drop).map_err(|error| error.to_string());
    refused("taking it back", answer, "operator-networkpolicies", words);
}
