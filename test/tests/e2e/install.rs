//! Installing.

use kube::api::{DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt};

use crate::bench::bench;

#[tokio::test]
async fn every_pod_of_the_product_runs_in_a_restricted_namespace() {
    let b = bench().await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(b.cluster.client().clone());
    for name in ["axon-system", "axon-fixtures", b.namespace.name()] {
        let namespace = namespaces.get(name).await.unwrap();
        assert_eq!(
            namespace.labels()["pod-security.kubernetes.io/enforce"],
            "restricted",
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_the_dry_run_of_install_prints_is_in_the_cluster() {
    let b = bench().await;
    let printed = b.cluster.kubectl_axon(&["install", "--dry-run"]).await.unwrap();
    let documents = axon_api::yaml::documents(printed.succeeded().unwrap()).unwrap();
    assert!(documents.len() >= 13, "{} objects", documents.len());
    let version = b.cluster.client().apiserver_version().await.unwrap();
    let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap();
    for document in documents {
        let object: DynamicObject = serde_json::from_value(document).unwrap();
        let types = object.types.clone().unwrap();
        let kind = GroupVersionKind::try_from(types).unwrap();
        let served = kube::discovery::pinned_kind(b.cluster.client(), &kind).await;
        // Older API servers have no admission policies, and `install` leaves them out.
        if kind.group == "admissionregistration.k8s.io" && minor < 30 {
            assert!(served.is_err(), "{} of Kubernetes 1.{minor}", kind.kind);
            continue;
        }
        let (resource, _) = served.unwrap();
        let client = b.cluster.client().clone();
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        api.get(&object.name_any())
            .await
            .unwrap_or_else(|e| panic!("{}/{}: {e}", resource.kind, object.name_any()));
    }
}

#[tokio::test]
async fn one_operator_leads_and_the_other_stands_by() {
    let b = bench().await;
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(b.cluster.client().clone(), "axon-system");
    let holder = axon_test::wait::until("a leader", crate::bench::PATIENCE, async || {
        let lease = leases.get_opt("axon-operator-leader").await?;
        Ok(lease
            .and_then(|l| l.spec)
            .and_then(|s| s.holder_identity)
            .filter(|h| !h.is_empty()))
    });
    let holder = holder.await.unwrap();
    let pods: Api<k8s_openapi::api::core::v1::Pod> =
        Api::namespaced(b.cluster.client().clone(), "axon-system");
    let names: Vec<String> = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    assert!(
        names.contains(&holder),
        "{holder} leads, and the pods are {names:?}"
    );
    assert!(names.len() >= 2);
}
