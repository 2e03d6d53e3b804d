//! `install` and `uninstall` against a cluster that stores what it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::fake::not_found;
use super::*;

type Store = Arc<Mutex<BTreeMap<String, Value>>>;

/// A cluster in which everything works at once.
fn cluster(store: &Store) -> Fake {
    cluster_serving(store, &["validatingadmissionpolicies"])
}

/// The same, which knows these kinds of admission.
fn cluster_serving(store: &Store, admission: &'static [&str]) -> Fake {
    let store = store.clone();
    Fake::start(move |request| {
        let mut store = store.lock().unwrap();
        match request.method.as_str() {
            "PATCH" => {
                let known = store.contains_key(&request.path);
                let object = store
                    .entry(request.path.clone())
                    .or_insert_with(|| request.body.clone());
                object["metadata"]["resourceVersion"] = json!("1");
                object["metadata"]["generation"] = json!(1);
                object["status"] = match object["kind"].as_str().unwrap() {
                    "CustomResourceDefinition" => {
                        let established =
                            json!({"type": "Established", "status": "True", "reason": "", "message": ""});
                        json!({"conditions": [established], "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": []})
                    }
                    "Deployment" => {
                        let all = &object["spec"]["replicas"];
                        json!({"observedGeneration": 1, "replicas": all, "updatedReplicas": all, "availableReplicas": all})
                    }
                    _ => Value::Null,
                };
                Reply::Json(if known { 200 } else { 201 }, object.clone())
            }
            "DELETE" if request.path.ends_with("/tasks") => {
                store.retain(|path, _| !path.starts_with(&request.path));
                Reply::Json(200, json!({"kind": "Status", "status": "Success"}))
            }
            "DELETE" => {
                store.remove(&request.path);
                Reply::Json(200, json!({"kind": "Status", "status": "Success"}))
            }
            "GET" if request.path == "/apis/admissionregistration.k8s.io/v1" => {
                let kind = |name: &&str| json!({"name": name, "singularName": "", "namespaced": false, "kind": "X", "verbs": []});
                let served: Vec<Value> = admission.iter().map(kind).collect();
                Reply::Json(
                    200,
                    json!({"groupVersion": "admissionregistration.k8s.io/v1", "resources": served}),
                )
            }
            _ if request.path.starts_with("/apis/axon.io/v1alpha1/") => {
                let kind = request.path.rsplit('/').next().unwrap();
                let of_kind = store.iter().filter(|(path, _)| {
                    path.contains(&format!("/axon.io/v1alpha1/namespaces/default/{kind}/"))
                });
                list(&of_kind.map(|(_, object)| object.clone()).collect::<Vec<_>>())
            }
            _ if ["/rolebindings", "/roles", "/serviceaccounts", "/networkpolicies"]
                .iter()
                .any(|kind| request.path.ends_with(kind)) =>
            {
                assert!(request.query.contains("labelSelector="), "{}", request.query);
                let kind = request.path.rsplit('/').next().unwrap();
                let named = |name: &str| request.query.contains(&format!("metadata.name%3D{name}"));
                let name = ["axon-spawner", "axon-operator", "axon-agents"]
                    .into_iter()
                    .find(|name| named(name))
                    .unwrap();
                let of_kind = store
                    .iter()
                    .filter(|(path, _)| path.ends_with(&format!("/{kind}/{name}")));
                list(&of_kind.map(|(_, object)| object.clone()).collect::<Vec<_>>())
            }
            _ => match store.get(&request.path) {
                Some(object) => Reply::Json(200, object.clone()),
                None => not_found(request.path.rsplit('/').next().unwrap()),
            },
        }
    })
}

#[test]
fn install_can_be_repeated_and_uninstall_undoes_it() {
    let store = Store::default();
    let fake = cluster(&store);
    let home = Home::new();
    let first = home.against(&fake, &["install"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(
        first.out.lines().all(|line| line.ends_with(" created")),
        "{}",
        first.out
    );
    assert!(first.err.starts_with("axon is ready"), "{}", first.err);
    assert!(
        fake.requests()
            .iter()
            .filter(|r| r.method == "PATCH")
            .all(|r| { r.has("fieldManager=axon-cli") && r.has("force=true") })
    );
    let again = home.against(&fake, &["install"]);
    assert!(
        again.out.lines().all(|line| line.ends_with(" unchanged")),
        "{}",
        again.out
    );

    let tasks = "/apis/axon.io/v1alpha1/namespaces/default/tasks/t1".to_owned();
    store
        .lock()
        .unwrap()
        .insert(tasks, task("t1", &json!({"phase": "Running"})));
    let meta = json!({"name": "axon-spawner", "namespace": "default"});
    let binding =
        json!({"metadata": meta, "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "axon-spawner"}});
    for (path, object) in [
        (
            "/api/v1/namespaces/default/serviceaccounts/axon-spawner",
            json!({"metadata": meta}),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/axon-spawner",
            binding,
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/axon-agents",
            json!({"metadata": {"name": "axon-agents", "namespace": "default"}}),
        ),
    ] {
        store.lock().unwrap().insert(path.to_owned(), object);
    }
    let refused = home.against(&fake, &["uninstall"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("1 task (1 running)"), "{}", refused.err);
    assert!(refused.err.contains("axon-spawner"), "{}", refused.err);
    let kept = home.against(&fake, &["uninstall", "--keep-crds", "-y"]);
    assert_eq!(kept.code, 0, "{}", kept.err);
    assert!(
        kept.out.ends_with(
            "rolebinding/axon-spawner of namespace default deleted\n\
             serviceaccount/axon-spawner of namespace default deleted\n"
        ),
        "{}",
        kept.out
    );
    assert_eq!(
        store.lock().unwrap().len(),
        8,
        "six definitions, a task, and what keeps its network closed are left"
    );
    let gone = home.against(&fake, &["uninstall", "-y"]);
    assert!(
        gone.out
            .contains("networkpolicy/axon-agents of namespace default deleted"),
        "{}",
        gone.out
    );
    assert_eq!(gone.code, 0, "{}", gone.err);
    assert!(
        store.lock().unwrap().is_empty(),
        "{:?}",
        store.lock().unwrap().keys()
    );
    let twice = home.against(&fake, &["uninstall", "-y"]);
    assert_eq!(
        (twice.code, twice.err.as_str()),
        (0, "axon is not installed; there is nothing to remove\n")
    );
}

#[test]
fn what_an_earlier_install_chose_stays() {
    let store = Store::default();
    let fake = cluster(&store);
    let home = Home::new();
    let flags = [
        "--registry=example.com/mirror",
        "--replicas=3",
        "--image-pull-policy=Always",
    ];
    let first = home.against(&fake, &[&["install"][..], &flags].concat());
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(!first.err.contains("keeps"), "{}", first.err);
    let path = "/apis/apps/v1/namespaces/axon-system/deployments/axon-operator";
    let resources = json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}});
    store.lock().unwrap().get_mut(path).unwrap()["spec"]["template"]["spec"]["containers"][0]["resources"] =
        resources.clone();
    let again = home.against(&fake, &["install"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(
        again.err.starts_with(
            "keeps registry example.com/mirror; --registry changes it\n\
             keeps 3 replicas; --replicas changes it\n\
             keeps pull policy Always; --image-pull-policy changes it\n\
             keeps the resources of deployment axon-operator"
        ),
        "{}",
        again.err
    );
    let applied = fake
        .requests()
        .into_iter()
        .filter(|r| r.method == "PATCH" && r.path == path);
    let applied: Vec<Value> = applied.map(|r| r.body).collect();
    let [before, mut after] = <[Value; 2]>::try_from(applied).unwrap();
    let container = &mut after["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"], resources);
    container["resources"] = before["spec"]["template"]["spec"]["containers"][0]["resources"].clone();
    assert_eq!(after, before);
}

#[test]
fn the_policy_goes_with_its_parameters() {
    let store = Store::default();
    let fake = cluster(&store);
    let home = Home::new();
    let (binding, policy) = (
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/axon-policy",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/axon-policy",
    );
    let ours = json!({"metadata": {"name": "axon-policy", "labels": {"app.kubernetes.io/name": "axon"}}});
    for path in [binding, policy] {
        store.lock().unwrap().insert(path.to_owned(), ours.clone());
    }
    let warned = home.against(&fake, &["install"]);
    assert_eq!(warned.code, 0, "{}", warned.err);
    assert!(
        warned
            .err
            .contains("refuses every task, as its configmap axon-policy in namespace axon-system is gone"),
        "{}",
        warned.err
    );
    let gone = home.against(&fake, &["uninstall", "-y"]);
    assert_eq!(gone.code, 0, "{}", gone.err);
    assert!(
        gone.err
            .contains("the admission policies axon-policy of config/policy"),
        "{}",
        gone.err
    );
    let deletions = fake
        .writes()
        .into_iter()
        .filter(|line| line.starts_with("DELETE"));
    let first: Vec<String> = deletions.take(2).collect();
    assert_eq!(first, [format!("DELETE {binding}"), format!("DELETE {policy}")]);

    store
        .lock()
        .unwrap()
        .insert(policy.to_owned(), json!({"metadata": {"name": "axon-policy"}}));
    let other = home.against(&fake, &["uninstall", "-y"]);
    assert_eq!(
        (other.code, other.err.as_str()),
        (0, "axon is not installed; there is nothing to remove\n")
    );
}

#[test]
fn a_cluster_without_admission_policies_gets_all_the_rest() {
    let home = Home::new();
    let whole = home.against(&cluster(&Store::default()), &["install"]);
    let old = cluster_serving(&Store::default(), &[]);
    let older = home.against(&old, &["install"]);
    let mut writes = old.writes().into_iter();
    assert!(writes.all(|line| !line.contains("validatingadmissionpolic")));
    assert_eq!(older.code, 0, "{}", older.err);
    assert!(older.err.contains("Kubernetes 1.30"), "{}", older.err);
    assert!(!whole.err.contains("1.30"), "{}", whole.err);
    let left_out = whole
        .out
        .lines()
        .filter(|line| line.contains("validatingadmissionpolic"));
    assert_eq!(
        older.out.lines().count() + left_out.count(),
        whole.out.lines().count()
    );
}

#[test]
fn uninstall_does_not_take_one_namespace_for_the_whole_cluster() {
    let fake = cluster(&Store::default());
    let home = Home::new();
    let done = home.against(&fake, &["uninstall", "-n", "team-a", "-y"]);
    assert_eq!((done.code, done.out.as_str()), (2, ""), "{}", done.err);
    assert!(
        done.err.contains("\"team-a\" alone") && done.err.contains("hint: leave --namespace out"),
        "{}",
        done.err
    );
    assert_eq!(fake.requests().len(), 0);
    let own = home.against(&fake, &["uninstall", "-n", "axon-system", "-y"]);
    assert_eq!(own.code, 0, "{}", own.err);
}

#[test]
fn all_images_are_listed_without_a_cluster() {
    let done = Home::new().run(&[
        "install",
        "--list-images",
        "--registry",
        "r.example/axon",
        "--tag",
        "v9",
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    let names = [
        "operator",
        "workspace",
        "claude-code",
        "codex",
        "gemini",
        "opencode",
    ];
    let all: String = names
        .iter()
        .map(|name| format!("r.example/axon/axon-{name}:v9\n"))
        .collect();
    assert_eq!(done.out, all);
}
