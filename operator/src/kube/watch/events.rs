//! An endless watch of one kind, in one collection or in several: kube's own, but that lists are read object by object.
//!
//! kube's watcher reads a page as a whole, as bytes, as text and parsed, all at the same time. With objects of etcd's largest
//! size that is gigabytes for the usual 500, and every replica needs it for each kind at its start.

use std::time::Duration;

use futures::stream::{self, BoxStream, SelectAll};
use futures::{Stream, StreamExt as _};
use kube::Client;
use kube::api::{WatchEvent, WatchParams};
use kube::core::Request;
use kube_runtime::utils::Backoff as _;
use kube_runtime::watcher::{Error, Event};

use super::listing::Listing;
use super::seen::{Guarded, Seen, Unreadable};
use crate::kube::backoff::Pauses;

/// Seconds after which the API server ends a watch, so that a new one begins.
const WATCH: u32 = 290;
/// Longest silence of a watch: the API server's end of it may never arrive.
const SILENCE: Duration = Duration::from_secs(WATCH as u64 + 5);
/// Pause before a collection that may not be read is tried again.
const LEFT_OUT: Duration = Duration::from_secs(10);
/// HTTP status for a version that the API server no longer has.
const GONE: u16 = 410;

/// What to watch.
#[derive(Clone)]
pub struct Target {
    /// The operator's client.
    pub client: Client,
    /// Paths of the collections, such as `/apis/axon.io/v1alpha1/tasks`, of which none contains another.
    pub paths: Vec<String>,
    /// Label selector.
    pub labels: Option<String>,
}

enum State<K> {
    Empty,
    Listing(Lists),
    Watching(SelectAll<BoxStream<'static, Told<K>>>),
}

/// The lists that make up the first one.
struct Lists {
    under_way: Box<Listing>,
    /// `resourceVersion` from which each watch starts; none for a collection that the operator cannot read.
    versions: Vec<Option<String>>,
}

type Told<K> = Result<Event<K>, Error>;

/// Watches a kind. After an error the stream goes on: the caller pauses before it asks for more. An object that can't be
/// read is left out and logged: one bad object must not blind the operator to all others.
///
/// Of several collections, one that may not be read is left out too, and tried again: whoever administers a namespace can
/// take the operator's rights there away, and must not take its sight of other namespaces.
pub fn events<K: Seen>(target: Target) -> impl Stream<Item = Told<K>> + Send + 'static {
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

async fn step<K: Seen>(target: &Target, state: State<K>) -> (Option<Told<K>>, State<K>) {
    match state {
        State::Empty => match target.list(0) {
            Some(under_way) => {
                let versions = Vec::new();
                let lists = Lists { under_way, versions };
                (Some(Ok(Event::Init)), State::Listing(lists))
            }
            None => std::future::pending().await,
        },
        State::Listing(mut lists) => match lists.under_way.next().await {
            Ok(Some(json)) => {
                let object = readable(&json).map(|object| Ok(Event::InitApply(object)));
                (object, State::Listing(lists))
            }
            Ok(None) => match lists.under_way.version().map(str::to_owned) {
                Some(version) => go_on(target, lists, Some(version)),
                None => (Some(Err(Error::NoResourceVersion)), State::Empty),
            },
            // All of them: then the operator itself lacks the right.
            Err(error) if target.is_left_out(&error) && !lists.is_last_hope(target) => {
                target.tell_of(lists.versions.len(), &error);
                go_on(target, lists, None)
            }
            Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Empty),
        },
        State::Watching(mut all) => match all.next().await {
            Some(Err(error)) if begins_anew(&error) => (Some(Err(error)), State::Empty),
            Some(told) => (Some(told), State::Watching(all)),
            None => (None, State::Empty),
        },
    }
}

/// Begins the next list, or the watches after the last one.
fn go_on<K: Seen>(target: &Target, mut lists: Lists, version: Option<String>) -> (Option<Told<K>>, State<K>) {
    lists.versions.push(version);
    if let Some(under_way) = target.list(lists.versions.len()) {
        return (None, State::Listing(Lists { under_way, ..lists }));
    }
    let watches = lists.versions.into_iter().enumerate();
    let watches = watches.map(|(index, version)| follow(target.clone(), index, version).boxed());
    (
        Some(Ok(Event::InitDone)),
        State::Watching(stream::select_all(watches)),
    )
}

impl Lists {
    /// Returns true if this is the last list and none before it was complete.
    fn is_last_hope(&self, target: &Target) -> bool {
        self.versions.len() + 1 == target.paths.len() && self.versions.iter().all(Option::is_none)
    }
}

impl Target {
    fn list(&self, index: usize) -> Option<Box<Listing>> {
        let path = self.paths.get(index)?;
        Some(Box::new(Listing::new(
            self.client.clone(),
            path,
            self.labels.as_deref(),
        )))
    }

    /// Returns true if the others are watched without the collection with which this happened.
    fn is_left_out(&self, error: &kube::Error) -> bool {
        self.paths.len() > 1 && matches!(error, kube::Error::Api(status) if status.is_forbidden())
    }

    fn tell_of(&self, index: usize, error: &kube::Error) {
        let path = self.paths.get(index).map_or("", String::as_str);
        tracing::warn!(path, %error, "may not be read and is left out; will try again");
    }
}

/// One collection after its first list.
enum Follow<K> {
    /// The operator cannot read the collection (403).
    LeftOut,
    /// A list after a time without access. True once an object of the list was emitted: if the list then fails, a later deletion of the
    /// object would be missed.
    Listing(Box<Listing>, bool),
    /// The list is complete, or a watch has ended.
    At(String),
    Watching(String, BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>),
}

/// Watches one collection from this version on. Without one nobody knows of its objects, so that a list needs only to add.
///
/// One of several pauses by itself after an error: the caller would pause for all of them, one error after the other.
fn follow<K: Seen>(
    target: Target,
    index: usize,
    version: Option<String>,
) -> impl Stream<Item = Told<K>> + Send + 'static {
    let state = version.map_or(Follow::LeftOut, Follow::At);
    let start = (target, state, Pauses::of_watch());
    stream::unfold(start, move |(target, mut state, mut pauses)| async move {
        loop {
            let (told, next) = follow_on(&target, index, state).await;
            state = next;
            match told {
                None => {}
                Some(Err(error)) if target.paths.len() > 1 && !begins_anew(&error) => {
                    let path = target.paths.get(index).map_or("", String::as_str);
                    tracing::warn!(path, %error, "a watch is broken and is set up again");
                    tokio::time::sleep(pauses.next().unwrap_or(LEFT_OUT)).await;
                }
                Some(told) => {
                    pauses.reset();
                    return Some((told, (target, state, pauses)));
                }
            }
        }
    })
}

async fn follow_on<K: Seen>(target: &Target, index: usize, state: Follow<K>) -> (Option<Told<K>>, Follow<K>) {
    match state {
        Follow::LeftOut => {
            tokio::time::sleep(LEFT_OUT).await;
            let listing = target.list(index);
            let next = listing.map_or(Follow::LeftOut, |listing| Follow::Listing(listing, false));
            (None, next)
        }
        Follow::Listing(mut listing, has_told) => match listing.next().await {
            Ok(Some(json)) => {
                let object = readable(&json).map(|object| Ok(Event::Apply(object)));
                let has_told = has_told || object.is_some();
                (object, Follow::Listing(listing, has_told))
            }
            Ok(None) => match listing.version() {
                Some(version) => (None, Follow::At(version.to_owned())),
                None => (Some(Err(Error::NoResourceVersion)), Follow::LeftOut),
            },
            Err(error) if has_told => (Some(Err(Error::InitialListFailed(error))), Follow::LeftOut),
            Err(error) => {
                target.tell_of(index, &error);
                (None, Follow::LeftOut)
            }
        },
        Follow::At(version) => match watch(target, index, &version).await {
            Ok(events) => (None, Follow::Watching(version, events)),
            Err(error) if target.is_left_out(&error) => {
                target.tell_of(index, &error);
                tokio::time::sleep(LEFT_OUT).await;
                (None, Follow::At(version))
            }
            Err(error) => (Some(Err(Error::WatchStartFailed(error))), Follow::At(version)),
        },
        Follow::Watching(version, mut events) => match tokio::time::timeout(SILENCE, events.next()).await {
            Err(_) | Ok(None) => (None, Follow::At(version)),
            Ok(Some(Ok(event))) => told(event, version, events),
            Ok(Some(Err(error))) => (
                Some(Err(Error::WatchFailed(error))),
                Follow::Watching(version, events),
            ),
        },
    }
}

/// Returns true if there is nothing to go on from: the API server no longer has the version, or a list broke off.
fn begins_anew(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(_) | Error::NoResourceVersion => true,
        Error::WatchStartFailed(kube::Error::Api(status)) | Error::WatchFailed(kube::Error::Api(status)) => {
            status.code == GONE
        }
        Error::WatchError(status) => status.code == GONE,
        _ => false,
    }
}

async fn watch<K: Seen>(
    target: &Target,
    index: usize,
    version: &str,
) -> kube::Result<BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>> {
    let params = WatchParams {
        label_selector: target.labels.clone(),
        timeout: Some(WATCH),
        ..WatchParams::default()
    };
    let path = target.paths.get(index).map_or("", String::as_str);
    let request = Request::new(path).watch(&params, version);
    let request = request.map_err(kube::Error::BuildRequest)?;
    Ok(target.client.request_events(request).await?.boxed())
}

fn told<K: Seen>(
    event: WatchEvent<Guarded<K>>,
    version: String,
    events: BoxStream<'static, kube::Result<WatchEvent<Guarded<K>>>>,
) -> (Option<Told<K>>, Follow<K>) {
    let (object, is_deleted) = match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
        WatchEvent::Deleted(object) => (object, true),
        WatchEvent::Bookmark(mark) => {
            return (None, Follow::Watching(mark.metadata.resource_version, events));
        }
        WatchEvent::Error(status) => {
            let error = Error::WatchError(status.boxed());
            return (Some(Err(error)), Follow::Watching(version, events));
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
            (Some(Ok(event)), Follow::Watching(version, events))
        }
        Err(bad) => {
            tell::<K>(&bad);
            let version = bad.metadata.resource_version.clone().unwrap_or(version);
            // It may have been kept while it could be read: nobody else would ever take it out of the store.
            let gone = K::of_names(&bad.metadata).filter(|_| is_deleted);
            (
                gone.map(|gone| Ok(Event::Delete(gone))),
                Follow::Watching(version, events),
            )
        }
    }
}

fn readable<K: Seen>(json: &[u8]) -> Option<K> {
    Guarded::<K>::of_bytes(json).0.map_err(|bad| tell::<K>(&bad)).ok()
}

fn tell<K: Seen>(bad: &Unreadable) {
    let (namespace, name) = (&bad.metadata.namespace, &bad.metadata.name);
    tracing::error!(kind = K::KIND, ?namespace, ?name, error = %bad.error, "object can't be read and is ignored");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axon_api::Workspace;
    use http::{Request as HttpRequest, Response, StatusCode};
    use kube::client::Body;
    use kube_runtime::WatchStreamExt as _;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    const NAMESPACES: usize = 20;
    const OUTAGE: Duration = Duration::from_secs(60);

    /// Answers lists with nothing and watches with one object, after the time of `OUTAGE`; watches fail before.
    fn cluster() -> Client {
        let start = Instant::now();
        let answer = move |request: HttpRequest<Body>| async move {
            let path = request.uri().path().to_owned();
            let namespace = path.split('/').nth(5).unwrap_or_default().to_owned();
            let is_watch = request.uri().query().unwrap_or_default().contains("watch");
            let json = |status: StatusCode, text: String| {
                Ok::<_, std::convert::Infallible>(
                    Response::builder()
                        .status(status)
                        .body(Body::from(text.into_bytes()))
                        .unwrap(),
                )
            };
            if !is_watch {
                let list = json!({"kind": "WorkspaceList", "apiVersion": "axon.io/v1alpha1", "metadata": {"resourceVersion": "1"}, "items": []});
                return json(StatusCode::OK, list.to_string());
            }
            if start.elapsed() < OUTAGE {
                return json(StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned());
            }
            // A watch is not answered all the time.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let object = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "w", "namespace": namespace, "resourceVersion": "2"}, "spec": {"repo": "https://h/o/r"}});
            json(
                StatusCode::OK,
                format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"),
            )
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test(start_paused = true)]
    async fn all_namespaces_are_seen_soon_after_an_outage() {
        let paths = (0..NAMESPACES).map(|n| format!("/apis/axon.io/v1alpha1/namespaces/n{n}/workspaces"));
        let target = Target {
            client: cluster(),
            paths: paths.collect(),
            labels: None,
        };
        let begun = Instant::now();
        let mut events = events::<Workspace>(target).backoff(Pauses::of_watch()).boxed();
        let mut seen = BTreeSet::new();
        while seen.len() < NAMESPACES {
            let next = tokio::time::timeout(OUTAGE * 2, events.next());
            match next.await.expect("events go on") {
                Some(Ok(Event::Apply(workspace))) => seen.extend(workspace.metadata.namespace),
                Some(Ok(_)) => {}
                other => panic!("{other:?} after {:?}", begun.elapsed()),
            }
            assert!(begun.elapsed() < OUTAGE * 3, "{seen:?}");
        }
        let after = begun.elapsed() - OUTAGE;
        assert!(after < Duration::from_secs(10), "{after:?}");
    }
}
