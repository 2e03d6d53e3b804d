//! Prompts arrive byte for byte and nothing in them is expanded. Secrets stay secret.

use axon_api::Task;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::bench::{CANARY, bench, commit_script};

#[tokio::test]
async fn prompts_arrive_byte_for_byte() {
    let b = bench().await;
    let prompts = [
        (
            "quotes",
            "it's \"quoted\" `back` \\ and\ttabbed\n\nwith lines; rm -rf / # $HOME ${HOME}".to_owned(),
        ),
        (
            "expansion",
            "$(GITHUB_TOKEN) $$(GITHUB_TOKEN) $(ANTHROPIC_API_KEY) $$ $( )".to_owned(),
        ),
        ("dash", "--help -p --version".to_owned()),
        ("unicode", "ünïcödé 日本語 🎉\u{200b}".to_owned()),
        (
            "long",
            format!("$(GITHUB_TOKEN) start {} end", "0123456789 ".repeat(18_700)),
        ),
    ];
    for (name, prompt) in &prompts {
        b.task(name, prompt, json!({})).await;
    }
    for (name, prompt) in &prompts {
        b.until_succeeded(name).await;
        let got = b.fixtures.prompt(&b.run_id(name)).await.unwrap();
        assert!(
            got == *prompt,
            "{name}: {} bytes became {}",
            prompt.len(),
            got.len()
        );
    }
}

#[tokio::test]
async fn a_credential_is_in_no_object_log_or_event() {
    let b = bench().await;
    let script = format!("{}\n", commit_script("x.txt"));
    b.task("good", &script, json!({"branch": "b"})).await;
    b.secret("other", "GITHUB_TOKEN", &format!("{CANARY}-unknown"))
        .await;
    let url = axon_test::fixtures_client::repository_url(&b.repository);
    b.workspace("bad", &url, "secretRef: {name: other}").await;
    b.task("bad", "hi", json!({"workspaceRef": {"name": "bad"}}))
        .await;
    b.until_succeeded("good").await;
    b.until_ended("bad").await;

    let mut found: Vec<(String, String)> = Vec::new();
    let all = ListParams::default();
    let mut look = |what: &str, text: String| found.push((what.to_owned(), text));
    look(
        "tasks",
        json!(b.namespace.api::<Task>().list(&all).await.unwrap()).to_string(),
    );
    look(
        "jobs",
        json!(b.namespace.api::<Job>().list(&all).await.unwrap()).to_string(),
    );
    look(
        "configmaps",
        json!(b.namespace.api::<ConfigMap>().list(&all).await.unwrap()).to_string(),
    );
    look(
        "events",
        json!(b.namespace.api::<Event>().list(&all).await.unwrap()).to_string(),
    );
    let pods = b.namespace.api::<Pod>();
    look("pods", json!(pods.list(&all).await.unwrap()).to_string());
    for pod in pods.list(&all).await.unwrap() {
        for container in ["workspace", "agent"] {
            let params = LogParams {
                container: Some(container.into()),
                ..LogParams::default()
            };
            look(
                container,
                pods.logs(&pod.name_any(), &params).await.unwrap_or_default(),
            );
        }
    }
    let operators: Api<Pod> = Api::namespaced(b.cluster.client().clone(), "axon-system");
    for pod in operators.list(&all).await.unwrap() {
        look(
            "operator",
            operators
                .logs(&pod.name_any(), &LogParams::default())
                .await
                .unwrap(),
        );
    }
    assert!(
        found
            .iter()
            .any(|(what, text)| what == "agent" && text.contains("AXON_OUTPUTS_START")),
        "no log was read"
    );
    for (what, text) in found {
        assert!(!text.contains(CANARY), "a credential is in {what}");
    }
}
