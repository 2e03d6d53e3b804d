//! An endless watch of one kind: kube's own, but that its lists are read object by object.
//!
//! kube's watcher reads a page as a whole, as bytes, as text and parsed, all at the same time. With objects of etcd's largest
//! size that is gigabytes for the usual 500, and every replica needs it for each kind at its start.

use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use kube::Client;
use kube::api::{WatchEvent, WatchParams};
use kube::core::Request;
use kube_runtime::watcher::{Error, Event};

use super::listing::Listing;
use super::seen::{Guarded, Seen, Unreadable};

/// Seconds after which the API server ends a watch, so that a new one begins.
const WATCH: u32 = 290;
/// Longest silence of a watch: the API server's end of it may never arrive.
const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 5);

/// What to watch.
#[derive(Clone)]
pub struct Target {
    /// The operator's client.
    pub client: Client,
    /// Path of the collection, such as `/apis/axon.io/v1alpha1/tasks`.
    pub path: String,
    /// Label selector.
    pub labels: Option<String>,
}

enum State<K> {
    Empty,
    Listing(Box<Listing>),
    /// The list is complete, or a watch has ended.
    At(String),
    Watching(String, BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>),
}

/// Watches a kind. After an error the stream goes on: the caller pauses before it asks for more. An object that can't be
/// read is left out and logged: one bad object must not blind the operator to all others.
pub fn events<K: Seen>(target: Target) -> impl Stream<Item = Result<Event<K>, Error>> + Send + 'static {
    stream::unfold((target, State::Empty), async |(target, mut state)| {
        loop {
            let (told, next) = step(&target, state).await;
            state = next;
            if let Some(told) = told {
                return Some((told, (target, state)));
            }
        }
    })
}

type Step<K> = (Option<Result<Event<K>, Error>>, State<K>);

async fn step<K: Seen>(target: &Target, state: State<K>) -> Step<K> {
    match state {
        State::Empty => {
            let listing = Listing::new(target.client.clone(), &target.path, target.labels.as_deref());
            (Some(Ok(Event::Init)), State::Listing(Box::new(listing)))
        }
        State::Listing(mut listing) => match listing.next().await {
            Ok(Some(json)) => {
                let object = Guarded::<K>::of_bytes(&json)
                    .0
                    .map_err(|bad| tell::<K>(&bad))
                    .ok();
                (
                    object.map(|object| Ok(Event::InitApply(object))),
                    State::Listing(listing),
                )
            }
            Ok(None) => match listing.version() {
                Some(version) => (Some(Ok(Event::InitDone)), State::At(version.to_owned())),
                None => (Some(Err(Error::NoResourceVersion)), State::Empty),
            },
            Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Empty),
        },
        State::At(version) => match watch(target, &version).await {
            Ok(events) => (None, State::Watching(version, events)),
            Err(error) => {
                let next = if is_gone(&error) {
                    State::Empty
                } else {
                    State::At(version)
                };
                (Some(Err(Error::WatchStartFailed(error))), next)
            }
        },
        State::Watching(version, mut events) => match tokio::time::timeout(SILENCE, events.next()).await {
            Err(_) | Ok(None) => (None, State::At(version)),
            Ok(Some(Ok(event))) => told(event, version, events),
            Ok(Some(Err(error))) => {
                let next = if is_gone(&error) {
                    State::Empty
                } else {
                    State::Watching(version, events)
                };
                (Some(Err(Error::WatchFailed(error))), next)
            }
        },
    }
}

/// Returns true if the API server no longer has the version to go on from.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

async fn watch<K: Seen>(
    target: &Target,
    version: &str,
) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>> {
    let params = WatchParams {
        label_selector: target.labels.clone(),
        timeout: Some(WATCH),
        ..WatchParams::default()
    };
    let request = Request::new(target.path.as_str()).watch(&params, version);
    let request = request.map_err(kube::Error::BuildRequest)?;
    Ok(target.client.request_events(request).await?.boxed())
}

fn told<K: Seen>(
    event: WatchEvent<Guarded<K>>,
    version: String,
    events: BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>,
) -> Step<K> {
    let (object, is_deleted) = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
        WatchEvent::Deleted(object) => (object, true),
        WatchEvent::Bookmark(mark) => return (None, State::Watching(mark.metadata.resource_version, events)),
        WatchEvent::Error(status) => {
            let next = if status.code == 410 {
                State::Empty
            } else {
                State::Watching(version, events)
            };
            return (Some(Err(Error::WatchError(status.boxed()))), next);
        }
    };
    match object.0 {
        Ok(object) => {
            let version = object.revision().unwrap_or(version);
            let event = if is_deleted {
                Event::Delete(object)
            } else {
                Event::Apply(object)
            };
            (Some(Ok(event)), State::Watching(version, events))
        }
        Err(bad) => {
            tell::<K>(&bad);
            let version = bad.metadata.resource_version.clone().unwrap_or(version);
            // It may have been kept while it could be read: nobody else would ever take it out of the store.
            let gone = K::of_names(&bad.metadata).filter(|_| is_deleted);
            (
                gone.map(|gone| Ok(Event::Delete(gone))),
                State::Watching(version, events),
            )
        }
    }
}

fn tell<K: Seen>(bad: &Unreadable) {
    let (namespace, name) = (&bad.metadata.namespace, &bad.metadata.name);
    tracing::error!(kind = K::KIND, ?namespace, ?name, error = %bad.error, "object can't be read and is ignored");
}
