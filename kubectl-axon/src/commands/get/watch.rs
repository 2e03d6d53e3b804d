//! `get --watch`: a list, and then a row for each change.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use tokio::time::{sleep, timeout};

use super::rows::Rows;
use super::{View, value};
use crate::cluster::reconnect::Patience;
use crate::error::Result;

/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 120;
/// A watch that is open for longer than that without a word is dead, as it is when a laptop wakes up elsewhere.
const DEAD: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
const PAUSE: Duration = Duration::from_millis(500);

impl View<'_> {
    pub(super) async fn watch(&self, name: Option<&str>) -> Result<()> {
        let mut rows = Rows::new(self);
        let mut version = None;
        let mut patience = Patience::default();
        let mut lost = false;
        // What can't be done at all is said at once; what breaks later is tried again.
        self.start(name, &mut rows, &mut version).await?;
        loop {
            match self.changes(name, &mut rows, &mut version).await {
                Ok(()) => {
                    patience.restore();
                    lost = false;
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    if patience.bears(&error) && !std::mem::replace(&mut lost, true) {
                        self.ui.say(&format!("connection lost, trying again: {error}"));
                    }
                    patience.pause(error).await?;
                }
            }
        }
    }

    /// Lists what is watched, and notes the version from which to watch on.
    async fn start(
        &self,
        name: Option<&str>,
        rows: &mut Rows<'_>,
        version: &mut Option<String>,
    ) -> Result<()> {
        let mut params = self.chosen();
        if let Some(name) = name {
            params.field_selector = Some(format!("metadata.name={name}"));
        }
        let api = self.api();
        let list = self.cluster.call(&self.action("list"), api.list(&params)).await?;
        if let (Some(name), true) = (name, list.items.is_empty()) {
            let action = self.action("get").named(name);
            self.cluster.call(&action, api.get(name)).await?;
        }
        if list.items.is_empty() && rows.is_empty() {
            self.say_empty();
        }
        for object in list.items {
            rows.add(&value(object)?, Timestamp::now());
        }
        *version = list.metadata.resource_version;
        rows.flush_sorted()
    }

    /// Writes changes until the watch ends, which watches do all the time.
    async fn changes(
        &self,
        name: Option<&str>,
        rows: &mut Rows<'_>,
        version: &mut Option<String>,
    ) -> Result<()> {
        if version.is_none() {
            self.start(name, rows, version).await?;
        }
        let mut params = WatchParams::default().timeout(WATCH_SECONDS);
        let chosen = self.chosen();
        params.label_selector = chosen.label_selector;
        params.field_selector = match name {
            Some(name) => Some(format!("metadata.name={name}")),
            None => chosen.field_selector,
        };
        let action = self.action("watch");
        let from = version.clone().unwrap_or_default();
        let api = self.api();
        let watch = self.cluster.call(&action, api.watch(&params, &from)).await?;
        let mut events = watch.boxed();
        loop {
            let event = match timeout(DEAD, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                // A refusal comes as the first line of the answer.
                Ok(Err(error @ (kube::Error::Api(_) | kube::Error::SerdeError(_)))) => {
                    return Err(self.cluster.explain(&error, &action));
                }
                // Ended, broken or dead.
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(()),
            };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    note(version, &object);
                    rows.add(&value(object)?, Timestamp::now());
                    rows.flush()?;
                }
                WatchEvent::Deleted(object) => {
                    note(version, &object);
                    let name = object.metadata.name.unwrap_or_default();
                    self.ui.say(&format!("{}/{name} deleted", self.kind.singular()));
                }
                WatchEvent::Bookmark(mark) => *version = Some(mark.metadata.resource_version),
                // The version is too old: start from what there is.
                WatchEvent::Error(status) if status.code == 410 => {
                    *version = None;
                    return Ok(());
                }
                WatchEvent::Error(status) => {
                    return Err(self.cluster.explain(&kube::Error::Api(status), &action));
                }
            }
        }
    }
}

fn note(version: &mut Option<String>, object: &DynamicObject) {
    if let Some(newest) = &object.metadata.resource_version {
        *version = Some(newest.clone());
    }
}
