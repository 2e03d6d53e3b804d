//! Watches of our own kinds.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::{Client, Resource};
use kube_runtime::reflector::store::Writer;
use kube_runtime::{WatchStreamExt, reflector, watcher};

use super::{Scope, Seen, events};
use crate::kube::backoff::Pauses;

/// An endless watch of one kind that fills a store and yields every object that was touched.
pub trait Watch<K>: Stream<Item = Result<K, watcher::Error>> + Send + 'static {}
impl<K, S: Stream<Item = Result<K, watcher::Error>> + Send + 'static> Watch<K> for S {}

/// Returns whether the API server serves a kind of ours: definitions older than the operator lack the newer kinds.
///
/// # Errors
/// If the API server does not answer.
pub async fn is_served<K: Resource<DynamicType = ()>>(client: &Client) -> kube::Result<bool> {
    match client.list_api_group_resources(axon_api::API_VERSION).await {
        Ok(served) => Ok(served
            .resources
            .iter()
            .any(|resource| resource.name == K::plural(&()))),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Watches a kind of ours; `told` sees each event after the store.
pub fn watch_custom<K>(
    client: Client,
    scope: &Scope,
    writer: Writer<K>,
    told: impl Fn(&watcher::Event<K>) + Send + 'static,
) -> impl Watch<K>
where
    K: Seen + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Debug,
{
    let events = events::<K>(scope.target::<K>(client, &())).backoff(Pauses::of_watch());
    reflector(writer, events)
        .inspect(move |event| {
            if let Ok(event) = event {
                told(event);
            }
        })
        .touched_objects()
}
