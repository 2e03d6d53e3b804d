//! Lists objects in small pages and hands them out one by one while the bytes arrive.

use std::pin::Pin;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use kube::Client;
use kube::api::ListParams;
use kube::core::{ListMeta, Request};
use serde::Deserialize;

use super::split::Splitter;

/// Objects on a page. One page is in the API server's memory as a whole, and one object of it in this process's.
const PAGE: u32 = 50;
/// Longest wait for the next bytes of a page.
const SILENCE: Duration = Duration::from_secs(30);

/// A list under way.
pub struct Listing {
    client: Client,
    path: String,
    params: ListParams,
    page: Option<Page>,
    version: Option<String>,
    is_over: bool,
}

struct Page {
    bytes: Pin<Box<dyn AsyncBufRead + Send>>,
    splitter: Splitter,
}

/// A list without its objects.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ListMeta,
}

impl Listing {
    /// Returns the list of what `labels` select below `path`, such as `/apis/axon.io/v1alpha1/tasks`. Nothing is asked for
    /// before the first [`Self::next`].
    #[must_use]
    pub fn new(client: Client, path: &str, labels: Option<&str>) -> Self {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = labels.map(str::to_owned);
        Self {
            client,
            path: path.to_owned(),
            params,
            page: None,
            version: None,
            is_over: false,
        }
    }

    /// Returns the JSON of the next object; none after the last one of the last page.
    ///
    /// # Errors
    /// If a page can't be had. The list then has to begin from its start: the objects of the next one may be newer.
    pub async fn next(&mut self) -> kube::Result<Option<Vec<u8>>> {
        while !self.is_over {
            let page = match &mut self.page {
                Some(page) => page,
                None => {
                    let request = Request::new(self.path.as_str()).list(&self.params);
                    let request = request.map_err(kube::Error::BuildRequest)?;
                    let bytes = patient(self.client.request_stream(request)).await??;
                    self.page.insert(Page {
                        bytes: Box::pin(bytes),
                        splitter: Splitter::default(),
                    })
                }
            };
            let bytes = patient(page.bytes.fill_buf())
                .await?
                .map_err(kube::Error::ReadEvents)?;
            if !bytes.is_empty() {
                let (taken, object) = page.splitter.feed(bytes).map_err(unreadable)?;
                page.bytes.as_mut().consume(taken);
                if object.is_some() {
                    return Ok(object);
                }
                continue;
            }
            let Some(page) = self.page.take() else { continue };
            let rest = page.splitter.finish().map_err(unreadable)?;
            let head: Head = serde_json::from_slice(&rest).map_err(kube::Error::SerdeError)?;
            self.params.continue_token = head.metadata.continue_.filter(|token| !token.is_empty());
            self.version = head
                .metadata
                .resource_version
                .filter(|version| !version.is_empty());
            self.is_over = self.params.continue_token.is_none();
        }
        Ok(None)
    }

    /// Returns the version of the whole list once it is over.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref().filter(|_| self.is_over)
    }
}

fn unreadable(error: super::split::SplitError) -> kube::Error {
    kube::Error::ReadEvents(std::io::Error::other(error))
}

async fn patient<T>(call: impl Future<Output = T>) -> kube::Result<T> {
    let silent = |_| kube::Error::ReadEvents(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(SILENCE, call).await.map_err(silent)
}
