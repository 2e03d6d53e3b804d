//! Applying manifests as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use axon_api::yaml;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;

const MANAGER: &str = "axon-test";

/// Applies all documents of `text`. Those without a namespace go to `namespace`.
///
/// # Errors
/// If a document is no object, or the API refuses it.
pub async fn apply(client: &Client, namespace: &str, text: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in yaml::documents(text)? {
        applied.push(apply_one(client, namespace, &document).await?);
    }
    Ok(applied)
}

async fn apply_one(client: &Client, namespace: &str, document: &Value) -> Result<DynamicObject> {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    let (version, kind) = (
        text("/apiVersion").unwrap_or_default(),
        text("/kind").unwrap_or_default(),
    );
    let name = text("/metadata/name").with_context(|| format!("a {kind} has no name"))?;
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) = pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the API has no {kind:?}"))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = text("/metadata/namespace").unwrap_or(namespace);
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    };
    let parameters = PatchParams::apply(MANAGER).force().validation_strict();
    api.patch(name, &parameters, &Patch::Apply(document))
        .await
        .with_context(|| format!("failed to apply {} {name}", kind.kind))
}
