//! Changes that are still accepted when the parameters become tighter.

use axon_api::{Task, TaskSpawner};
use axon_test::{control_plane, wait};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::super::manifest::Manifest;
use super::{PATIENCE, install};

#[tokio::test]
async fn what_is_forbidden_by_now_can_still_be_stopped() {
    let namespace = control_plane::namespace().await.unwrap();
    install(&namespace, &json!({ "images": "", "maxDeadlineSeconds": "3600" })).await;
    let deadline = "/spec/podOverrides/activeDeadlineSeconds";
    Manifest::task()
        .named("long")
        .with(deadline, 3600)
        .create(&namespace)
        .await
        .unwrap();
    Manifest::cron()
        .named("nightly")
        .with("/spec/taskTemplate/podOverrides/activeDeadlineSeconds", 3600)
        .create(&namespace)
        .await
        .unwrap();
    let tightened = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "axon-policy"},
        "data": {"images": "", "maxDeadlineSeconds": "60"}});
    namespace.apply(&tightened.to_string()).await.unwrap();
    wait::until("the tighter policy to be in force", PATIENCE, async || {
        let late = Manifest::task().with(deadline, 3600).create(&namespace).await;
        Ok(late.is_err().then_some(()))
    })
    .await
    .unwrap();

    let change = async |path: Value| -> kube::Result<()> {
        let (params, change) = (PatchParams::default(), Patch::Merge(&path));
        if path["spec"]["stop"] == true {
            let tasks = namespace.api::<Task>();
            tasks.patch("long", &params, &change).await.map(drop)
        } else {
            let spawners = namespace.api::<TaskSpawner>();
            spawners.patch("nightly", &params, &change).await.map(drop)
        }
    };
    change(json!({"metadata": {"annotations": {"note": "x"}}}))
        .await
        .unwrap();
    let edited = change(json!({"spec": {"pollInterval": "1m"}})).await.unwrap_err();
    assert!(edited.to_string().contains("to 60 at most"), "{edited}");
    change(json!({"spec": {"stop": true}})).await.unwrap();
    change(json!({"spec": {"suspend": true}})).await.unwrap();
    let refused = change(json!({"spec": {"suspend": false}})).await.unwrap_err();
    assert!(refused.to_string().contains("to 60 at most"), "{refused}");
    let background = DeleteParams::background();
    namespace.api::<Task>().delete("long", &background).await.unwrap();
    namespace
        .api::<TaskSpawner>()
        .delete("nightly", &background)
        .await
        .unwrap();
}
