//! `doctor` against a cluster.

use super::fake::not_found;
use super::*;

/// The admission policies of the installation, or their bindings.
fn admission(kind: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/admission");
    let files = [
        "operator_jobs.yaml",
        "operator_network.yaml",
        "operator_objects.yaml",
        "spawner.yaml",
    ];
    let documents = files.map(|file| {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
        axon_api::yaml::documents(&text).unwrap()
    });
    let all = documents.into_iter().flatten();
    all.filter(|object| object["kind"] == kind).collect()
}

fn admission_kinds() -> Value {
    json!({"groupVersion": "admissionregistration.k8s.io/v1", "resources": [{"name": "validatingadmissionpolicies",
        "singularName": "", "namespaced": false, "kind": "ValidatingAdmissionPolicy", "verbs": []}]})
}

/// A cluster in which all is well, as far as `changed` does not answer first.
/// Returns the document of an API server that has the definitions of this version.
fn schemas() -> Value {
    let all = axon_api::crds::all().into_iter().map(|(_, definition)| {
        let kind = definition.spec.names.kind.clone();
        let schema = definition.spec.versions[0].schema.clone().unwrap();
        let mut schema = serde_json::to_value(schema.open_api_v3_schema).unwrap();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "axon.io", "version": "v1alpha1", "kind": kind}]);
        (kind, schema)
    });
    let all: serde_json::Map<String, Value> = all.collect();
    json!({"openapi": "3.0.0", "components": {"schemas": all}})
}

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
                    "taskbudgets",
                    "taskrecords",
                ];
                Reply::Json(
                    200,
                    json!({"groupVersion": "axon.io/v1alpha1", "resources": names.map(resource)}),
                )
            }
            "/openapi/v3/apis/axon.io/v1alpha1" => Reply::Json(200, schemas()),
            "/apis/admissionregistration.k8s.io/v1" => Reply::Json(200, admission_kinds()),
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies" => {
                list(&admission("ValidatingAdmissionPolicy"))
            }
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings" => {
                list(&admission("ValidatingAdmissionPolicyBinding"))
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
            path if path.starts_with("/apis/rbac.authorization.k8s.io/") => not_found("x"),
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
fn what_bounds_nothing_is_told() {
    let told = |policies: Vec<Value>, bindings: Vec<Value>, parameters: Option<Value>| {
        let fake = cluster(move |request| match request.path.as_str() {
            path if path.ends_with("/validatingadmissionpolicies") => Some(list(&policies)),
            path if path.ends_with("/validatingadmissionpolicybindings") => Some(list(&bindings)),
            "/api/v1/namespaces/axon-system/configmaps/axon-policy" => Some(match &parameters {
                Some(data) => Reply::Json(200, json!({"metadata": {"name": "axon-policy"}, "data": data})),
                None => not_found("axon-policy"),
            }),
            _ => None,
        });
        let out = Home::new().against(&fake, &["doctor"]).out;
        let lines: Vec<&str> = out
            .lines()
            .skip_while(|line| !line.contains(" policy "))
            .collect();
        let fix = lines.get(1).filter(|line| line.contains("fix:"));
        [lines[0], fix.copied().unwrap_or_default()]
            .map(str::trim)
            .join("\n")
            .trim()
            .to_owned()
    };
    let (policies, bindings) = (
        admission("ValidatingAdmissionPolicy"),
        admission("ValidatingAdmissionPolicyBinding"),
    );
    let add_on = json!({"metadata": {"name": "axon-policy"}, "spec": {"policyName": "axon-policy"}});
    let with_add_on = [&bindings[..], &[add_on]].concat();
    let mut ignoring = policies.clone();
    ignoring[0]["spec"]["failurePolicy"] = json!("Ignore");
    let mut auditing = bindings.clone();
    auditing[1]["spec"]["validationActions"] = json!(["Audit"]);
    let all = [
        told(
            policies.clone(),
            with_add_on.clone(),
            Some(json!({"strict": "false"})),
        ),
        told(
            policies.clone(),
            with_add_on.clone(),
            Some(json!({"strict": "true"})),
        ),
        told(policies.clone(), with_add_on, None),
        told(policies.clone(), bindings[2..].to_vec(), None),
        told(policies[..3].to_vec(), bindings.clone(), None),
        told(ignoring, auditing, None),
    ];
    insta::assert_snapshot!(all.join("\n"));
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
