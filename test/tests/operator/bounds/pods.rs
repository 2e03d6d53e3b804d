//! Pods that the operator's token can start.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::{World, refused, tried, with};

#[tokio::test]
async fn the_operators_token_starts_no_pod_that_is_more_than_a_tasks() {
    let w = World::new().await;
    let job = w.job().await;
    tried::<Job>(&w.own, w.name(), &job)
        .await
        .expect("what the operator builds itself, with all overrides, passes");
    // A queue's webhook suspends it at its creation.
    let suspended = with(&job, "/spec/suspend", json!(true));
    tried::<Job>(&w.own, w.name(), &suspended)
        .await
        .expect("a queue may suspend a Job");
    let (pod, agent) = ("/spec/template/spec", "/spec/template/spec/containers/0");
    let security = format!("{agent}/securityContext");
    let probe = json!({"httpGet": {"host": "169.254.169.254", "port": 80, "path": "/latest/meta-data"}});
    let mut by_the_old_name = job.pointer(pod).unwrap().clone();
    by_the_old_name["serviceAccount"] = json!("axon-spawner");
    by_the_old_name
        .as_object_mut()
        .unwrap()
        .remove("serviceAccountName");
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
        ("/spec/parallelism".into(), json!(100), "has one pod"),
        ("/spec/completions".into(), json!(100), "has one pod"),
        (
            format!("{pod}/serviceAccountName"),
            json!("axon-spawner"),
            "no pod can run as",
        ),
        // The old name of the field.
        (pod.to_owned(), by_the_old_name, "no pod can run as"),
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
            json!({"name": "workspace", "hostPath": {"path": "/"}}),
            "volumes of the kinds",
        ),
        (
            format!("{pod}/volumes/0"),
            json!({"name": "workspace", "nfs": {"server": "s", "path": "/"}}),
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
        // The API server itself refuses one without the other.
        (
            security.clone(),
            json!({"privileged": true, "allowPrivilegeEscalation": true, "readOnlyRootFilesystem": true,
                "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}}),
            "each container",
        ),
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
            json!(["NET_ADMIN"]),
            "each container",
        ),
        (
            format!("{security}/seccompProfile"),
            json!({"type": "Unconfined"}),
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
            format!("{pod}/schedulerName"),
            json!("mine"),
            "by default-scheduler",
        ),
        (
            format!("{pod}/resourceClaims"),
            json!([{"name": "gpu", "resourceClaimName": "gpu"}]),
            "claims no devices",
        ),
        (
            format!("{pod}/terminationGracePeriodSeconds"),
            json!(86400),
            "60 at most",
        ),
        (
            format!("{agent}/lifecycle"),
            json!({"preStop": {"exec": {"command": ["sleep", "inf"]}}}),
            "no lifecycle handlers",
        ),
        (
            format!("{agent}/lifecycle"),
            json!({"postStart": {"tcpSocket": {"host": "10.96.0.1", "port": 443}}}),
            "no lifecycle handlers",
        ),
        (format!("{agent}/livenessProbe"), probe.clone(), "no probes"),
        (format!("{agent}/readinessProbe"), probe.clone(), "no probes"),
        (format!("{agent}/startupProbe"), probe.clone(), "no probes"),
        (
            format!("{pod}/initContainers"),
            json!([{"name": "i", "image": "i", "restartPolicy": "Always", "startupProbe": probe,
                "securityContext": job.pointer(&security)}]),
            "no probes",
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
        refused(&what, answer, "operator-jobs", words);
    }
}
