//! `version` against a cluster.

use super::fake::not_found;
use super::*;

/// Answers the question for what is served below `/apis/axon.io/v1alpha1`.
fn served(request: &Request) -> Reply {
    if request.path != "/apis/axon.io/v1alpha1" {
        return not_found("x");
    }
    let names = [
        "workspaces",
        "tasks",
        "tasks/status",
        "taskspawners",
        "agentconfigs",
    ];
    let resource =
        |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "X", "verbs": []});
    let resources: Vec<Value> = names.iter().map(|name| resource(name)).collect();
    Reply::Json(
        200,
        json!({"kind": "APIResourceList", "groupVersion": "axon.io/v1alpha1", "resources": resources}),
    )
}

#[test]
fn a_user_who_may_not_see_the_operator_learns_the_rest() {
    let fake = Fake::start(|request| {
        if request.path.contains("deployments") {
            let message = "deployments is forbidden: User \"dev\" cannot get";
            return Reply::Json(
                403,
                json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}),
            );
        }
        served(request)
    });
    let done = Home::new().against(&fake, &["version"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .ends_with("operator  unknown\ncrds      agentconfigs, tasks, taskspawners, workspaces\n"),
        "{}",
        done.out
    );
    assert!(
        done.err
            .starts_with("warning: user \"dev\" is not allowed to get deployment"),
        "{}",
        done.err
    );
}

#[test]
fn a_cluster_without_axon_has_no_versions() {
    let fake = Fake::start(|request| match request.path.as_str() {
        "/apis/axon.io/v1alpha1" => Reply::Text(404, "404 page not found\n".to_owned()),
        _ => not_found("axon-operator"),
    });
    let done = Home::new().against(&fake, &["version"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.ends_with("operator  not installed\ncrds      none\n"),
        "{}",
        done.out
    );
    assert!(done.err.contains("kubectl axon install"), "{}", done.err);
}

#[test]
fn versions_of_the_cluster_are_shown_and_skew_is_warned_about() {
    let fake = Fake::start(|request| {
        if request.path.contains("deployments") {
            let container = json!({"name": "operator", "image": "example.com/axon-operator:v9.0.0"});
            return Reply::Json(
                200,
                json!({
                    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "axon-operator"},
                    "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [container]}}},
                    "status": {"readyReplicas": 1},
                }),
            );
        }
        served(request)
    });
    let done = Home::new().against(&fake, &["version"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .contains("operator  v9.0.0 (1 of 2 ready, example.com/axon-operator:v9.0.0)\n"),
        "{}",
        done.out
    );
    assert!(
        done.out
            .contains("crds      agentconfigs, tasks, taskspawners, workspaces\n"),
        "{}",
        done.out
    );
    assert!(
        done.err.contains("warning: ") && done.err.contains("one minor version apart"),
        "{}",
        done.err
    );
}

/// A cluster with an operator in namespace `tools`.
fn elsewhere() -> Fake {
    Fake::start(|request| match request.path.as_str() {
        "/apis/apps/v1/deployments" => {
            assert!(
                request.query.contains("component%3Doperator"),
                "{}",
                request.query
            );
            let container = json!({"name": "operator", "image": "example.com/axon-operator:v0.1.0"});
            list(&[json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "axon-operator", "namespace": "tools"},
                "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [container]}}},
                "status": {"readyReplicas": 2},
            })])
        }
        "/apis/axon.io/v1alpha1" => served(request),
        path => not_found(path.rsplit('/').next().unwrap()),
    })
}

#[test]
fn an_operator_in_another_namespace_is_found_and_no_second_one_installed() {
    let fake = elsewhere();
    let done = Home::new().against(&fake, &["version"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .contains("operator  v0.1.0 (2 of 2 ready, example.com/axon-operator:v0.1.0, namespace tools)\n"),
        "{}",
        done.out
    );
    assert!(!done.err.contains("install"), "{}", done.err);
    let done = Home::new().against(&fake, &["install"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{}", done.err);
    assert!(
        done.err.contains("an operator is in namespace tools already"),
        "{}",
        done.err
    );
    let patched = fake.requests().iter().any(|request| request.method == "PATCH");
    assert!(!patched);
}

#[test]
fn where_was_looked_is_said_to_those_who_may_not_look_everywhere() {
    let fake = Fake::start(|request| match request.path.as_str() {
        "/apis/apps/v1/deployments" => Reply::Json(
            403,
            json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                "message": "deployments is forbidden: User \"dev\" cannot list"}),
        ),
        "/apis/apps/v1/namespaces/axon-system/deployments/axon-operator" => not_found("axon-operator"),
        _ => served(request),
    });
    let done = Home::new().against(&fake, &["version"]);
    assert!(done.out.contains("operator  unknown\n"), "{}", done.out);
    assert!(
        done.err
            .starts_with("warning: no operator is in namespace axon-system, and deployments of other"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("install it"), "{}", done.err);
}
