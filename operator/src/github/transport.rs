//! One HTTP exchange with GitHub: time limit, size limit, connections. What the answer means is decided elsewhere.
//!
//! octocrab carries the requests, by its lower-level functions: its typed ones know neither conditional requests nor the
//! headers of an answer, fail a whole page for one odd entry, and read bodies of any size.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Options;
use super::proxy::Connector;

/// Longest that one exchange may take, body and all.
const LIMIT: Duration = Duration::from_secs(20);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Largest body: a hundred issues with texts of 64 KiB in four-byte characters and room for the rest.
const MAX_BODY: usize = 48 * 1024 * 1024;

/// A request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) bearer: Option<&'a SecretString>,
    pub(super) etag: Option<&'a str>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It may come at another try.
    #[error("{0}")]
    Silent(String),
    /// It is too large to be read.
    #[error("an answer of more than {} MiB", MAX_BODY / 1024 / 1024)]
    TooLarge,
    /// The request can't be made.
    #[error("{0}")]
    Impossible(String),
}

pub(super) struct Transport {
    limit: Duration,
    crab: Octocrab,
}

impl Transport {
    /// Must be called in a runtime.
    pub(super) fn new(options: &Options) -> Self {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Connector {
                direct: http,
                proxies: options.proxies.clone(),
            });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(https);
        let built = OctocrabBuilder::new_empty()
            .with_service(client)
            .with_auth(AuthState::None)
            .build();
        let crab = match built {
            Ok(crab) => crab,
            Err(never) => match never {},
        };
        Self {
            crab,
            limit: options.time_limit.unwrap_or(LIMIT),
        }
    }

    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Answer, Broken> {
        match tokio::time::timeout(self.limit, self.exchange(ask)).await {
            Ok(result) => result,
            Err(_) => Err(Broken::Silent(format!("no answer within {:?}", self.limit))),
        }
    }

    async fn exchange(&self, ask: Ask<'_>) -> Result<Answer, Broken> {
        let impossible = |error: &dyn std::fmt::Display| Broken::Impossible(error.to_string());
        let mut request = Request::builder()
            .method(ask.method)
            .uri(&ask.url)
            .header(USER_AGENT, concat!("kubectl-axon/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/vnd.github+json");
        if let Some(bearer) = ask.bearer {
            let text = format!("Bearer {}", bearer.expose_secret());
            let mut value = HeaderValue::from_str(&text).map_err(|error| impossible(&error))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(etag) = ask.etag {
            request = request.header(http::header::IF_NONE_MATCH, etag);
        }
        let request = self
            .crab
            .build_request(request, None::<&Value>)
            .map_err(|error| impossible(&error))?;
        let answer = self.crab.send(request).await.map_err(|error| silent(&error))?;
        let (parts, body) = answer.into_parts();
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Broken::TooLarge),
            Err(error) => return Err(silent(error.as_ref())),
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

/// Returns the innermost cause, which alone says something: "connection refused", "invalid peer certificate".
fn silent(error: &(dyn std::error::Error + 'static)) -> Broken {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Broken::Silent(cause.to_string())
}

/// Trusts what the machine trusts. An image without certificates can still talk to a host inside the cluster by HTTP;
/// the others then fail with a word about certificates.
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("no trusted certificates are installed: GitHub can't be reached by HTTPS");
    }
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
