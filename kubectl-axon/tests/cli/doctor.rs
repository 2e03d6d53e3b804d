//! `doctor` against a cluster.

use super::fake::not_found;
use super::*;

/// A cluster in which all is well, as far as `changed` does not answer first.
fn cluster(changed: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Fake {
    Fake::start(move |request| {
        if let Some(reply) = changed(request) {
            return reply;
        }
        let path = request.path.as_str();
        if path.ends_with("accessreviews") {
            let mut review = request.body.clone();
            review["status"] = json!({"allowed": true});
            return Reply::Json(201, review);
        }
        match path {
            "/version" => Reply::Json(
                200,
                json!({"major": "1", "minor": "34", "gitVersion": "v1.34.4",
                "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
            ),
            "/apis/axon.io/v1alpha1" => {
                let resource = |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "X", "verbs": []});
                let names = [
                    "tasks",
                    "taskspawners",
                    "workspaces",
                    "agentconfigs",
                    "taskrecords",
                ];
                Reply::Json(
                    200,
                    json!({"groupVersion": "axon.io/v1alpha1", "resources": names.map(resource)}),
                )
            }
            "/apis/apps/v1/namespaces/axon-system/deployments/axon-operator" => Reply::Json(
                200,
                json!({"metadata": {"name": "axon-operator"}, "status": {"readyReplicas": 2}, "spec": {"replicas": 2,
                    "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": "r/axon-operator:v0.1.0"}]}}}}),
            ),
            "/apis/coordination.k8s.io/v1/namespaces/axon-system/leases/axon-operator-leader" => Reply::Json(
                200,
                json!({"metadata": {}, "spec": {"holderIdentity": "a", "renewTime": "2126-01-02T09:00:00.000000Z"}}),
            ),
            "/api/v1/namespaces/default" => Reply::Json(
                200,
                json!({"metadata": {"name": "default", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
            ),
            "/api/v1/namespaces/default/secrets/s" => {
                Reply::Json(200, json!({"metadata": {}, "data": {"OTHER": ""}}))
            }
            "/api/v3/rate_limit" => Reply::Json(401, json!({"message": "Bad credentials"})),
            path if request.method == "GET" && !path.contains("/secrets") => list(&[]),
            _ => not_found("x"),
        }
    })
}

#[test]
fn a_healthy_cluster_passes() {
    let done = Home::new().against(&cluster(|_| None), &["doctor"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let stable: Vec<&str> = done.out.lines().filter(|l| !l.contains("127.0.0.1")).collect();
    insta::assert_snapshot!(stable.join("\n"));
}

#[test]
fn what_is_broken_has_a_fix_and_an_exit_code() {
    let fake = cluster(|request| {
        let denied = request.path.ends_with("/selfsubjectaccessreviews")
            && request.body["spec"]["resourceAttributes"]["verb"] == "create";
        let mut review = request.body.clone();
        review["status"] = json!({"allowed": false});
        if denied {
            return Some(Reply::Json(201, review));
        }
        request
            .path
            .contains("/deployments/")
            .then(|| not_found("axon-operator"))
    });
    let home = Home::with_config(&format!(
        "secret: s\nworkspace: {{repo: \"{}/o/r.git\", token: t}}\n",
        fake.url()
    ));
    let done = home.against(&fake, &["doctor"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    let faults: Vec<&str> = done
        .out
        .lines()
        .filter(|l| !l.starts_with("ok"))
        .map(str::trim)
        .collect();
    insta::assert_snapshot!(faults.join("\n"));
    let json = home.against(&fake, &["doctor", "-o", "json"]);
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &read["healthy"]), (1, &json!(false)));
    assert!(
        fake.writes().iter().all(|w| w.ends_with("accessreviews")),
        "it only looks"
    );
}

#[test]
fn a_server_that_does_not_answer_is_all_there_is_to_say() {
    let done = Home::new().run(&["doctor", "--server", "http://127.0.0.1:1"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.out.lines().count(), 2, "{}", done.out);
    assert!(done.out.contains("connection refused"), "{}", done.out);
}

#[test]
fn an_operator_in_another_namespace_is_looked_at_there() {
    let fake = cluster(|request| match request.path.as_str() {
        "/apis/apps/v1/namespaces/axon-system/deployments/axon-operator" => Some(not_found("axon-operator")),
        "/apis/apps/v1/deployments" => {
            let container = json!({"name": "c", "image": "r/axon-operator:v0.1.0"});
            Some(list(&[json!({
                "metadata": {"name": "axon-operator", "namespace": "tools"}, "status": {"readyReplicas": 2},
                "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [container]}}},
            })]))
        }
        path if path.ends_with("/tools/leases/axon-operator-leader") => Some(Reply::Json(
            200,
            json!({"metadata": {}, "spec": {"holderIdentity": "a", "renewTime": "2126-01-02T09:00:00.000000Z"}}),
        )),
        path if path.ends_with("accessreviews") => {
            let user = request.body["spec"]["user"].as_str();
            let mut review = request.body.clone();
            let mine = "system:serviceaccount:tools:axon-operator";
            review["status"] = json!({"allowed": user.is_none_or(|user| user == mine)});
            Some(Reply::Json(201, review))
        }
        _ => None,
    });
    let done = Home::new().against(&fake, &["doctor"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(
        done.out.contains("v0.1.0, 2 of 2 ready, in namespace tools"),
        "{}",
        done.out
    );
    assert!(done.out.contains("an operator leads"), "{}", done.out);
}
