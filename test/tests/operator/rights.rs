//! The rights that a spawner's Tasks are created with, and their limits.

use std::collections::BTreeSet;
use std::fmt::Debug;

use axon_api::{AgentConfig, Task, TaskSpawner, Workspace};
use axon_operator::kube::impersonation::Identity;
use axon_test::control_plane::ControlPlane;
use axon_test::{audit, wait};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::{Bench, PATIENCE, bench, operators_config};
use crate::spawners::{bug, world};

/// Everybody may ask the API server who they are and what they may do.
const OF_EVERYBODY: [&str; 2] = ["authorization.k8s.io/", "authentication.k8s.io/"];
const OPERATOR: &str = "system:serviceaccount:axon-system:axon-operator";

/// The operator itself, and it as the namespace's `axon-spawner`.
async fn clients(bench: &Bench) -> (Client, Client) {
    let config = operators_config(ControlPlane::shared().await.unwrap()).await;
    let own = Client::try_from(config).unwrap();
    let identity = Identity::new(own.clone());
    let name = bench.namespace.name();
    let acting = identity.client_for(name).await.unwrap();
    // RBAC takes a moment.
    wait::until("the rights to be known", PATIENCE, async || {
        let secrets = Api::<Secret>::namespaced(acting.clone(), name);
        Ok(secrets.get_opt("any").await.ok().map(|_| ()))
    })
    .await
    .unwrap();
    (own, acting)
}

/// Returns what may be done in a namespace, as `GROUP/RESOURCE VERB`; with names if only objects of these names are meant.
async fn rights(client: &Client, namespace: &str) -> BTreeSet<String> {
    let question = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.into()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let reviews = Api::<SelfSubjectRulesReview>::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &question).await.unwrap();
    let status = answer.status.unwrap();
    assert!(!status.incomplete, "{status:?}");
    let mut all = BTreeSet::new();
    for rule in status.resource_rules {
        let names = rule.resource_names.unwrap_or_default().join(",");
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    all.insert(format!("{group}/{resource} {verb} {names}").trim_end().to_owned());
                }
            }
        }
    }
    all.retain(|right| !OF_EVERYBODY.iter().any(|group| right.starts_with(group)));
    all
}

/// Asserts that the API server refuses a call, and because of a missing right.
fn refused<T: Debug>(what: &str, result: kube::Result<T>) {
    match result {
        Err(kube::Error::Api(status)) => {
            assert!(
                status.is_forbidden() && status.message.contains(" cannot "),
                "{what}: {status:?}"
            );
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// Asserts that nobody may create or change objects of this kind with this client.
async fn may_not_write<K>(client: &Client, namespace: &str, spec: Value)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    K::DynamicType: Default,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let object: K = serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": spec})).unwrap();
    refused(&kind, api.create(&PostParams::default(), &object).await);
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let patched = api
        .patch("x", &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    refused(&kind, patched);
}

#[tokio::test]
async fn a_spawner_s_task_is_made_by_the_namespace_s_account_as_the_audit_log_has_it() {
    let w = world().await;
    w.put(1, bug());
    w.spawner("fix", "when: {githubIssues: {labels: [bug]}}", "")
        .await;
    w.until_tasks(&["fix-1"]).await;
    let namespace = w.bench.namespace.name();
    let path = format!("/apis/axon.io/v1alpha1/namespaces/{namespace}/tasks");
    let made = wait::until("the audit log", PATIENCE, async || {
        let mut lines = audit::of(ControlPlane::shared().await?)?;
        lines.retain(|line| {
            let asked = line["requestURI"].as_str().unwrap_or_default();
            let is_dry = asked.contains("dryRun");
            line["verb"] == "create" && asked.split('?').next() == Some(path.as_str()) && !is_dry
        });
        Ok((!lines.is_empty()).then_some(lines))
    });
    let made = made.await.unwrap();
    assert_eq!(made.len(), 1, "{made:#?}");
    let (line, account) = (
        &made[0],
        format!("system:serviceaccount:{namespace}:axon-spawner"),
    );
    assert_eq!(line["user"]["username"], OPERATOR);
    assert_eq!(line["impersonatedUser"]["username"], account);
    assert_eq!(line["objectRef"]["resource"], "tasks");
    assert_eq!(line["responseStatus"]["code"], 201);
}

#[tokio::test]
async fn the_account_may_do_exactly_what_its_work_needs() {
    let bench = bench().await;
    let namespace = bench.namespace.name();
    let (_, acting) = clients(&bench).await;
    let meant = [
        "/secrets create",
        "/secrets delete",
        "/secrets get",
        "/secrets patch",
        "axon.io/tasks create",
        "axon.io/tasks get",
        "axon.io/tasks list",
        "axon.io/tasks patch",
    ];
    assert_eq!(rights(&acting, namespace).await, meant.map(str::to_owned).into());
    // And so it is when it is tried.
    bench.create("t", "dependsOn: [never]").await;
    let tasks = Api::<Task>::namespaced(acting.clone(), namespace);
    tasks.get("t").await.unwrap();
    let (delete, list) = (DeleteParams::default(), ListParams::default());
    refused("delete a Task", tasks.delete("t", &delete).await);
    refused("delete all Tasks", tasks.delete_collection(&delete, &list).await);
    let status = json!({"status": {"phase": "Succeeded"}});
    let patched = tasks
        .patch_status("t", &PatchParams::default(), &Patch::Merge(&status))
        .await;
    refused("a Task's status", patched);
    let template = json!({"type": "codex", "credentials": {"type": "none"}});
    let spawner = json!({"when": {"cron": {"schedule": "0 9 1 1 *"}}, "taskTemplate": template});
    may_not_write::<TaskSpawner>(&acting, namespace, spawner).await;
    may_not_write::<Workspace>(&acting, namespace, json!({"repo": "https://github.com/o/r"})).await;
    may_not_write::<AgentConfig>(&acting, namespace, json!({})).await;
    let pod = json!({"spec": {"containers": [], "restartPolicy": "Never"}});
    may_not_write::<Job>(&acting, namespace, json!({"template": pod})).await;
    let own: Secret = serde_json::from_value(json!({"metadata": {"name": "any"}})).unwrap();
    let admins = bench.namespace.api::<Secret>();
    admins.create(&PostParams::default(), &own).await.unwrap();
    let secrets = Api::<Secret>::namespaced(acting, namespace);
    refused("list Secrets", secrets.list(&list).await);
    // The role has the verb, and a policy says for which Secrets.
    let answer = secrets.delete("any", &delete).await.unwrap_err().to_string();
    assert!(answer.contains("spawner-secrets.axon.io"), "{answer}");
    refused(
        "delete all Secrets",
        secrets.delete_collection(&delete, &list).await,
    );
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "any", "resourceVersion": "1"}})).unwrap();
    let replaced = secrets.replace("any", &PostParams::default(), &secret).await;
    refused("replace a Secret", replaced);
}

#[tokio::test]
async fn the_operator_itself_makes_no_tasks_and_touches_no_secrets() {
    let bench = bench().await;
    let namespace = bench.namespace.name();
    let (own, _) = clients(&bench).await;
    let rights = rights(&own, namespace).await;
    let of = |resource: &str| -> Vec<&str> {
        let own = rights
            .iter()
            .filter_map(|right| right.strip_prefix(resource)?.strip_prefix(' '));
        own.collect()
    };
    assert_eq!(of("axon.io/tasks"), ["delete", "get", "list", "watch"]);
    for resource in ["taskspawners", "workspaces", "agentconfigs"] {
        assert_eq!(of(&format!("axon.io/{resource}")), ["get", "list", "watch"]);
    }
    assert_eq!(of("/secrets"), [""; 0]);
    assert!(!rights.iter().any(|right| right.contains('*')), "{rights:?}");
    let take = [
        "create axon-spawner",
        "get axon-spawner",
        "impersonate axon-spawner",
        "patch axon-spawner",
    ];
    assert_eq!(of("/serviceaccounts"), take, "one identity alone");
    // And so it is when it is tried.
    let task = json!({"type": "claude-code", "prompt": "x", "credentials": {"type": "none"}});
    may_not_write::<Task>(&own, namespace, task).await;
}
