//! Requests that the operator may and may not send as a namespace's ServiceAccount `axon-spawner`.

use axon_api::labels::MANAGED;
use axon_operator::kube::impersonation::{Act, Identity, IdentityError, NAME};
use axon_test::control_plane::ControlPlane;
use axon_test::{audit, wait};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::harness::{Bench, PATIENCE, bench, operators_config};

struct World {
    bench: Bench,
    client: Client,
    identity: Identity,
}

impl World {
    async fn new() -> Self {
        let bench = bench().await;
        let config = operators_config(ControlPlane::shared().await.unwrap()).await;
        let client = Client::try_from(config).unwrap();
        bench.namespace.apply(SECRET).await.unwrap();
        Self {
            bench,
            identity: Identity::new(client.clone()),
            client,
        }
    }

    fn name(&self) -> &str {
        self.bench.namespace.name()
    }

    fn secrets(&self, client: &Client) -> Api<Secret> {
        Api::namespaced(client.clone(), self.name())
    }

    /// Reads the Secret `gh` until that is refused or, if `allowed`, until it is not: RBAC takes a moment.
    async fn until_read(&self, identity: &Identity, allowed: bool) -> String {
        wait::until("the rights to change", PATIENCE, async || {
            let read = identity.secret(self.name(), "gh").await;
            Ok((read.is_ok() == allowed).then(|| read.err().map(|e| e.to_string()).unwrap_or_default()))
        })
        .await
        .unwrap()
    }
}

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: gh}\nstringData: {GITHUB_TOKEN: t}\n";
/// Reads one Secret and nothing else.
const NARROW: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: narrow}
rules: [{apiGroups: [''], resources: [secrets], resourceNames: [gh], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: axon-spawner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: narrow}
subjects: [{kind: ServiceAccount, name: axon-spawner}]
";

fn is_forbidden<T: std::fmt::Debug>(result: kube::Result<T>) -> bool {
    match result {
        Err(kube::Error::Api(status)) => status.is_forbidden(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_reads_a_secret_as_the_namespace_s_account_and_the_audit_log_names_both() {
    let w = World::new().await;
    let secret = w.identity.secret(w.name(), "gh").await.unwrap().unwrap();
    assert_eq!(secret.data.unwrap()["GITHUB_TOKEN"].0, b"t");
    assert!(w.identity.secret(w.name(), "other").await.unwrap().is_none());
    let path = format!("/api/v1/namespaces/{}/secrets/gh", w.name());
    let line = wait::until("the audit log", PATIENCE, async || {
        let lines = audit::of(ControlPlane::shared().await?)?;
        Ok(lines
            .into_iter()
            .find(|line| line["requestURI"] == path && line["verb"] == "get"))
    });
    let line = line.await.unwrap();
    assert_eq!(
        line["user"]["username"],
        "system:serviceaccount:axon-system:axon-operator"
    );
    let user = format!("system:serviceaccount:{}:axon-spawner", w.name());
    assert_eq!(line["impersonatedUser"]["username"], user);
    let groups = &line["impersonatedUser"]["groups"];
    assert!(
        groups
            .to_string()
            .contains(&format!("system:serviceaccounts:{}", w.name())),
        "{groups}"
    );
    assert_eq!(line["responseStatus"]["code"], 200);
    println!("audit: {} as {user}: get {path}", line["user"]["username"]);
}

#[tokio::test]
async fn without_the_impersonation_it_may_do_nothing_of_that() {
    let w = World::new().await;
    w.identity.client_for(w.name()).await.unwrap();
    let own = w.secrets(&w.client);
    assert!(is_forbidden(own.get("gh").await));
    assert!(is_forbidden(own.list(&ListParams::default()).await));
    assert!(is_forbidden(own.delete("gh", &DeleteParams::default()).await));
    // Nor may it be anybody else, anywhere.
    for user in [
        format!("system:serviceaccount:{}:default", w.name()),
        "system:serviceaccount:kube-system:default".into(),
        "system:serviceaccount:kube-system:job-controller".into(),
        "kubernetes-admin".into(),
    ] {
        let mut config = operators_config(ControlPlane::shared().await.unwrap()).await;
        config.auth_info.impersonate = Some(user.clone());
        let api = w.secrets(&Client::try_from(config).unwrap());
        assert!(is_forbidden(api.get("gh").await), "{user}");
    }
}

#[tokio::test]
async fn as_the_account_it_may_do_what_the_role_says_in_that_namespace_only() {
    let (w, other) = (World::new().await, World::new().await);
    let client = w.identity.client_for(w.name()).await.unwrap();
    assert!(is_forbidden(
        w.secrets(&client).list(&ListParams::default()).await
    ));
    assert!(is_forbidden(
        w.secrets(&client).delete("gh", &DeleteParams::default()).await
    ));
    assert!(
        is_forbidden(other.secrets(&client).get("gh").await),
        "another namespace's"
    );
    let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(client.clone(), w.name());
    assert!(is_forbidden(pods.list(&ListParams::default()).await));
    // What it is made of can't be used to make more.
    let bindings = Api::<RoleBinding>::namespaced(w.client.clone(), w.name());
    let more = |name: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": w.name()}]})
    };
    let params = PatchParams::apply("axon-operator").force();
    for (name, role) in [("other", NAME), ("other", "admin")] {
        let body = more(name, role);
        assert!(
            is_forbidden(bindings.patch(name, &params, &Patch::Apply(&body)).await),
            "{name} {role}"
        );
    }
    bindings_of_admin(&w)
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    let body = more(NAME, "admin");
    assert!(
        is_forbidden(bindings.patch(NAME, &params, &Patch::Apply(&body)).await),
        "no other role"
    );
    let accounts = Api::<ServiceAccount>::namespaced(w.client.clone(), w.name());
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
    assert!(is_forbidden(
        accounts.create(&PostParams::default(), &account).await
    ));
}

fn bindings_of_admin(w: &World) -> Api<RoleBinding> {
    w.bench.namespace.api()
}

#[tokio::test]
async fn an_administrator_narrows_by_another_role_and_the_refusal_says_what_is_missing() {
    let w = World::new().await;
    assert_eq!(w.until_read(&w.identity, true).await, "");
    bindings_of_admin(&w)
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    w.bench.namespace.apply(NARROW).await.unwrap();
    // A fresh operator knows nothing of what the former one has made.
    let identity = Identity::new(w.client.clone());
    let act = Act {
        namespace: w.name(),
        verb: "create",
        resource: "secrets",
        name: "new",
    };
    let create = async |client| {
        let body: Secret = serde_json::from_value(json!({"metadata": {"name": "new"}})).unwrap();
        Api::<Secret>::namespaced(client, w.name())
            .create(&PostParams::default(), &body)
            .await
    };
    let error = wait::until("a refusal", PATIENCE, async || {
        let error = identity.call(act, create).await.err();
        if error.is_none() {
            w.bench
                .namespace
                .api::<Secret>()
                .delete("new", &DeleteParams::default())
                .await?;
        }
        Ok(error)
    });
    let error = error.await.unwrap();
    assert!(matches!(&error, IdentityError::Denied { .. }), "{error}");
    for words in ["axon-spawner", w.name(), "create secrets \"new\"", "RoleBinding"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(w.until_read(&identity, true).await, "", "what is left is left");
    let binding = bindings_of_admin(&w).get(NAME).await.unwrap();
    assert_eq!(
        binding.role_ref.name, "narrow",
        "the operator has not taken it back"
    );
}

#[tokio::test]
async fn an_administrator_narrows_by_an_annotation_and_drift_without_it_is_repaired() {
    let w = World::new().await;
    w.until_read(&w.identity, true).await;
    let bindings = bindings_of_admin(&w);
    let patch = json!({"metadata": {"annotations": {MANAGED: "false"}}, "subjects": null});
    bindings
        .patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let identity = Identity::new(w.client.clone());
    let said = w.until_read(&identity, false).await;
    assert!(said.contains("may not get secrets \"gh\""), "{said}");
    assert!(bindings.get(NAME).await.unwrap().subjects.is_none());

    let patch = json!({"metadata": {"annotations": {MANAGED: null}}});
    bindings
        .patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let identity = Identity::new(w.client.clone());
    assert!(
        identity.secret(w.name(), "gh").await.unwrap().is_some(),
        "repaired before the call"
    );
    bindings.delete(NAME, &DeleteParams::default()).await.unwrap();
    assert!(
        Identity::new(w.client.clone())
            .secret(w.name(), "gh")
            .await
            .unwrap()
            .is_some(),
        "made again"
    );
}
