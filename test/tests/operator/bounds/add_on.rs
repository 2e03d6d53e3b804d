//! The add-on `config/policy` holds for the operator's Jobs too, so that its token does not get around it.

use std::time::Duration;

use axon_api::TaskPhase;
use axon_test::{paths, wait};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::{World, tried, with};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sets the parameters, and waits until a Job with these changes is refused, or passes if `words` are none.
async fn parameters(w: &World, data: &Value, job: &Value, words: Option<&str>) {
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "axon-policy"}, "data": data});
    w.bench.namespace.apply(&map.to_string()).await.unwrap();
    wait::until("the parameters to be in force", PATIENCE, async || {
        let answer = tried::<Job>(&w.own, w.name(), job).await;
        let is_so = match (&answer, words) {
            (Ok(()), None) => true,
            (Err(said), Some(words)) => said.contains(words),
            _ => false,
        };
        Ok(is_so.then_some(()))
    })
    .await
    .unwrap();
}

/// Applies the policy on Jobs to this namespace alone, since the other tests share the API server.
async fn install(w: &World) {
    let text = std::fs::read_to_string(paths::root().join("config/policy/base/job_policy.yaml")).unwrap();
    for mut document in axon_api::yaml::documents(&text).unwrap() {
        let name = json!(format!("axon-policy-jobs-{}", w.name()));
        document["metadata"]["name"] = name.clone();
        if document["kind"] == "ValidatingAdmissionPolicyBinding" {
            let spec = &mut document["spec"];
            spec["policyName"] = name;
            spec["paramRef"]["namespace"] = json!(w.name());
            spec["matchResources"] =
                json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": w.name()}}});
        }
        w.bench.namespace.apply(&document.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn the_operators_token_gets_around_no_rule_for_tasks() {
    let w = World::new().await;
    let all = w.job().await;
    install(&w).await;
    let probe = "one of none.invalid, default";
    parameters(&w, &json!({"serviceAccounts": "none.invalid"}), &all, Some(probe)).await;

    // A Task without overrides runs, although nothing is listed.
    let strict = json!({"strict": "true", "maxDeadlineSeconds": "60"});
    parameters(&w, &strict, &all, Some("one of default")).await;
    w.bench
        .create("plain", "podOverrides: {activeDeadlineSeconds: 60}")
        .await;
    w.bench.until_phase("plain", TaskPhase::Pending).await;

    let pod = "/spec/template/spec";
    let mut plain = all.clone();
    let spec = plain.pointer_mut(pod).unwrap().as_object_mut().unwrap();
    for field in [
        "serviceAccountName",
        "serviceAccount",
        "priorityClassName",
        "nodeSelector",
        "tolerations",
    ] {
        spec.remove(field).unwrap();
    }
    spec["automountServiceAccountToken"] = json!(false);
    let volumes = spec["volumes"].as_array_mut().unwrap();
    volumes.retain(|v| v["projected"].is_null() && v["persistentVolumeClaim"].is_null());
    plain["spec"]["activeDeadlineSeconds"] = json!(60);
    tried::<Job>(&w.own, w.name(), &plain).await.unwrap();
    let first = format!("{pod}/volumes/0");
    let rows = [
        ("/spec/activeDeadlineSeconds", Value::Null, "to 60 at most"),
        ("/spec/activeDeadlineSeconds", json!(61), "to 60 at most"),
        (
            "serviceAccountName",
            json!("deployer"),
            "serviceAccountName deployer",
        ),
        (
            "automountServiceAccountToken",
            json!(true),
            "automountServiceAccountToken",
        ),
        (
            "automountServiceAccountToken",
            Value::Null,
            "automountServiceAccountToken",
        ),
        ("priorityClassName", json!("high"), "priorityClassName high"),
        (
            "runtimeClassName",
            json!("gvisor"),
            "runtimeClassName is not allowed",
        ),
        (
            "tolerations",
            json!([{"key": "gpu", "operator": "Exists"}]),
            "each needs a key",
        ),
        ("nodeSelector", json!({"disk": "ssd"}), "labels []"),
        ("affinity", json!({"nodeAffinity": {}}), "affinity can not be set"),
        (
            &first,
            json!({"name": "workspace", "csi": {"driver": "d"}}),
            "key volumeKinds",
        ),
        (
            &first,
            json!({"name": "workspace", "persistentVolumeClaim": {"claimName": "p"}}),
            "key volumeKinds",
        ),
        (
            &first,
            json!({"name": "workspace", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
            "key tokenAudiences",
        ),
    ];
    all_refused(&w, &plain, &rows).await;

    // Without any parameter some things stay open.
    parameters(
        &w,
        &json!({}),
        &with(&plain, &format!("{pod}/nodeSelector"), json!({"disk": "ssd"})),
        None,
    )
    .await;
    let control_plane = json!([{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]);
    let rows = [
        ("serviceAccountName", json!("deployer"), "key serviceAccounts"),
        (
            "priorityClassName",
            json!("system-node-critical"),
            "key priorityClasses",
        ),
        ("tolerations", json!([{"operator": "Exists"}]), "each needs a key"),
        ("tolerations", control_plane, "each needs a key"),
        (
            &first,
            json!({"name": "workspace", "csi": {"driver": "d"}}),
            "key volumeKinds",
        ),
    ];
    all_refused(&w, &plain, &rows).await;

    let open = json!({"strict": "true", "serviceAccounts": "*", "tokenAudiences": "*", "volumeKinds": "*",
        "priorityClasses": "*", "tolerations": "*", "nodeLabels": "*"});
    parameters(&w, &open, &all, None).await;
}

/// Fields without a slash are the pod's.
async fn all_refused(w: &World, job: &Value, rows: &[(&str, Value, &str)]) {
    for (field, value, words) in rows {
        let pointer = match field.starts_with('/') {
            true => (*field).to_owned(),
            false => format!("/spec/template/spec/{field}"),
        };
        let answer = tried::<Job>(&w.own, w.name(), &with(job, &pointer, value.clone())).await;
        let said = answer.expect_err(field);
        assert!(
            said.contains("ValidatingAdmissionPolicy 'axon-policy-jobs-") && said.contains(words),
            "{field} = {value}: {said}"
        );
    }
}
