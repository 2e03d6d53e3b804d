//! The effect of AgentConfigs and `podOverrides` on the pod.

use axon_api::{AgentConfig, Task};
use axon_fixtures::fingerprint;
use axon_test::fixtures_client::model_url;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::bench::{CANARY, bench};

#[tokio::test]
async fn an_mcp_server_gets_its_header_from_a_secret_that_nobody_else_sees() {
    let b = bench().await;
    let header = format!("Bearer {CANARY}-mcp");
    b.secret("tickets", "Authorization", &header).await;
    let url = format!("{}/mcp", model_url(&b.run_id("t")));
    let config = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": {"name": "ac"},
        "spec": {"mcpServers": [
            {"name": "tickets", "type": "http", "url": url, "headersFrom": {"secretRef": {"name": "tickets"}}}]},
    });
    b.namespace.apply(&config.to_string()).await.unwrap();
    let prompt = "@tool mcp__tickets__ping {\"text\":\"hello\"}\n@bash env | sort\n@say done";
    b.task("t", prompt, json!({"agentConfigRef": {"name": "ac"}}))
        .await;
    b.until_succeeded("t").await;
    let calls = b.fixtures.mcp_calls(&b.run_id("t")).await.unwrap();
    assert_eq!(calls.as_array().unwrap().len(), 1, "{calls}");
    assert_eq!(calls[0]["arguments"]["text"], "hello");
    assert_eq!(calls[0]["authorization"], json!(fingerprint::of(&header)));
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(!seen.contains("-mcp\""), "the model saw the header");
    let task = b.namespace.api::<Task>().get("t").await.unwrap();
    let pods = b
        .namespace
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let maps = b
        .namespace
        .api::<ConfigMap>()
        .list(&ListParams::default())
        .await
        .unwrap();
    for object in [json!(task), json!(pods.items), json!(maps.items)] {
        assert!(
            !object.to_string().contains(CANARY),
            "a credential is in {object}"
        );
    }
}

#[tokio::test]
async fn a_megabyte_of_plugins_reaches_the_agent() {
    let b = bench().await;
    // Every line differs, so that nothing but real packing makes it small.
    let content: String = (0..10_000)
        .map(|n: u64| format!("{n:x} {:x}\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    let content = format!("---\nname: big\ndescription: Knows the word okapi\n---\n{content}");
    let size = content.len();
    let config = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "AgentConfig", "metadata": {"name": "ac"},
        "spec": {"plugins": [{"name": "p", "skills": (0..6).map(|n| json!({
            "name": format!("big-{n}"), "content": content,
        })).collect::<Vec<_>>()}]},
    });
    assert!(6 * size > 1 << 20, "{size}");
    let config = serde_json::from_value(config).unwrap();
    b.namespace
        .api::<AgentConfig>()
        .create(&PostParams::default(), &config)
        .await
        .unwrap();
    let prompt = "@bash wc -c < /axon/plugin/p/skills/big-5/SKILL.md\n@say done";
    b.task("t", prompt, json!({"agentConfigRef": {"name": "ac"}}))
        .await;
    b.until_succeeded("t").await;
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(seen.contains("okapi"), "the skill is not in the request");
    assert!(
        seen.contains(&size.to_string()),
        "the file is not of {size} bytes"
    );
}

#[tokio::test]
async fn a_restricted_clusters_wishes_reach_the_pod() {
    let b = bench().await;
    let ca: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "ca"}, "data": {"ca.crt": "corporate root"}}))
            .unwrap();
    b.namespace
        .api::<ConfigMap>()
        .create(&PostParams::default(), &ca)
        .await
        .unwrap();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "identity"}});
    b.namespace.apply(&account.to_string()).await.unwrap();
    let overrides = json!({
        "serviceAccountName": "identity",
        "labels": {"team": "core"},
        "annotations": {"example.com/owner": "core"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}}},
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}, {"name": "cache", "emptyDir": {}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/corporate", "readOnly": true},
                         {"name": "cache", "mountPath": "/home/agent/.cache"}],
    });
    let prompt = "@bash cat /etc/corporate/ca.crt && touch /home/agent/.cache/x && ls /home/agent/.cache && \
                  ls /var/run/secrets/kubernetes.io 2>&1 | tail -1\n@say done";
    b.task("t", prompt, json!({"podOverrides": overrides})).await;
    b.until_succeeded("t").await;
    let pods = b
        .namespace
        .api::<Pod>()
        .list(&ListParams::default().labels("team=core"))
        .await
        .unwrap();
    let pod = &pods.items[0];
    assert_eq!(
        pod.spec.as_ref().unwrap().service_account_name.as_deref(),
        Some("identity")
    );
    assert_eq!(
        pod.metadata.annotations.as_ref().unwrap()["example.com/owner"],
        "core"
    );
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(seen.contains("corporate rootx"), "the volumes are not there");
    assert!(seen.contains("No such file"), "the API's token is in the pod");
}
