//! Reads one object as a whole, when something is made of it.

use std::cell::Cell;

use axon_api::labels;
use http::HeaderValue;
use http::header::ACCEPT;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::prune::{Keep, prune};
use super::seen::Named;

/// Most bytes of JSON of `podOverrides`. An empty volume or toleration is a few bytes there and two kilobytes in memory.
const MAX_OVERRIDES: usize = 128 * 1024;

/// An object as the API server has it, without who wrote which field.
#[derive(Clone, Debug)]
pub struct Whole<K> {
    /// The object.
    pub object: K,
    /// Why nothing may be made of it: what it says of its pod is left out.
    pub fault: Option<String>,
}

/// Reads an object; `None` if it does not exist.
///
/// # Errors
/// If the API server does not answer, or with something that can't be read.
pub async fn whole<K>(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<Whole<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let json = text::<K>(client, namespace, name).await?;
    json.map(|json| read(&json).map_err(kube::Error::SerdeError))
        .transpose()
}

/// Reads of an object of kind `K` what a `T` has; `None` if it does not exist.
///
/// # Errors
/// As [`whole`].
pub async fn read_as<K, T>(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<T>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    T: DeserializeOwned,
{
    let json = text::<K>(client, namespace, name).await?;
    json.map(|json| serde_json::from_str(&json).map_err(kube::Error::SerdeError))
        .transpose()
}

async fn text<K>(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let request = Request::new(K::url_path(&(), Some(namespace))).get(name, &GetParams::default());
    let request = request.map_err(kube::Error::BuildRequest)?;
    match client.request_text(request).await {
        Ok(json) => Ok(Some(json)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a status by server-side apply and returns the object as it is then.
///
/// # Errors
/// If the API server refuses it or does not answer.
pub async fn write_status<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    status: &Value,
) -> kube::Result<Whole<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let request = status_patch::<K>(namespace, name, status)?;
    read(&client.request_text(request).await?).map_err(kube::Error::SerdeError)
}

/// Writes a status by server-side apply and returns the version that it gave. The answer has no more than metadata: a
/// crowd of writes would otherwise bring back all the prompts.
///
/// # Errors
/// As [`write_status`].
pub async fn write_status_only<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    status: &Value,
) -> kube::Result<Option<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    version_after(client, status_patch::<K>(namespace, name, status)?).await
}

/// Removes a member of the status of an object that has this version, and returns the version that it has then. Nothing else of
/// the object has to be known for that.
///
/// # Errors
/// As [`write_status`].
pub async fn clear_in_status<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    version: &str,
    member: &str,
) -> kube::Result<Option<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let body = json!({"metadata": {"resourceVersion": version}, "status": {member: null}});
    let path = Request::new(K::url_path(&(), Some(namespace)));
    let request = path.patch_subresource("status", name, &PatchParams::default(), &Patch::Merge(&body));
    version_after(client, request.map_err(kube::Error::BuildRequest)?).await
}

async fn version_after(client: &Client, mut request: http::Request<Vec<u8>>) -> kube::Result<Option<String>> {
    let accept = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    request.headers_mut().insert(ACCEPT, accept);
    let answer: Named = client.request(request).await?;
    Ok(answer.metadata.resource_version)
}

fn status_patch<K>(namespace: &str, name: &str, status: &Value) -> kube::Result<http::Request<Vec<u8>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let params = PatchParams::apply(labels::MANAGER).force();
    let path = Request::new(K::url_path(&(), Some(namespace)));
    let request = path.patch_subresource("status", name, &params, &Patch::Apply(status));
    request.map_err(kube::Error::BuildRequest)
}

fn read<K: DeserializeOwned>(json: &str) -> serde_json::Result<Whole<K>> {
    let overrides = Cell::new(None);
    let json = prune(json, &|path, value| match path {
        ["metadata" | "spec"] | ["metadata", "annotations"] | ["spec", "taskTemplate"] => Keep::Each,
        ["metadata", "managedFields"] | ["metadata", "annotations", super::LAST_APPLIED] => Keep::Nothing,
        ["spec", "podOverrides"] | ["spec", "taskTemplate", "podOverrides"]
            if value.len() > MAX_OVERRIDES =>
        {
            overrides.set(Some(value.len()));
            Keep::Nothing
        }
        _ => Keep::All,
    })?;
    let fault = overrides.get().map(|bytes| {
        format!("podOverrides is {bytes} bytes of JSON, and {MAX_OVERRIDES} are the most: shorten it")
    });
    Ok(Whole {
        object: serde_json::from_str(&json)?,
        fault,
    })
}

#[cfg(test)]
mod tests {
    use axon_api::Task;

    use super::*;

    fn task(volumes: usize) -> Whole<Task> {
        let volumes: Vec<_> = (0..volumes)
            .map(|n| json!({"name": format!("v{n}"), "emptyDir": {}}))
            .collect();
        let task = json!({
            "metadata": {"name": "t", "managedFields": [{"manager": "m"}], "labels": {"a": "b"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "c": "d"}},
            "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}, "podOverrides": {"volumes": volumes}},
        });
        read(&task.to_string()).unwrap()
    }

    #[test]
    fn a_whole_object_has_all_that_its_user_wrote() {
        let whole = task(3);
        assert_eq!(whole.fault, None);
        assert_eq!(whole.object.spec.prompt, "p");
        assert_eq!(whole.object.spec.pod_overrides.unwrap().volumes.len(), 3);
        assert_eq!(whole.object.metadata.annotations.unwrap().len(), 1);
        assert!(whole.object.metadata.labels.is_some() && whole.object.metadata.managed_fields.is_none());
    }

    #[test]
    fn absurd_overrides_are_not_even_parsed() {
        let whole = task(10_000);
        assert!(whole.object.spec.pod_overrides.is_none());
        let fault = whole.fault.unwrap();
        assert!(
            fault.contains("podOverrides") && fault.contains("131072"),
            "{fault}"
        );
    }
}
