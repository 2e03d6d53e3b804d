//! One HTTP exchange with GitHub: time limit, size limit, connections. What the answer means is decided elsewhere.
//!
//! octocrab carries the requests, by its lower-level functions: its typed ones know neither conditional requests nor the
//! headers of an answer, fail a whole page for one odd entry, and read bodies of any size.

use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioExecutor;
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Options;
use super::addresses::{Guard, PrivateAddress, Resolver};
use super::budget::{Answers, MAX_BODY, Room, SMALL};
use super::proxy::Connector;

/// Longest that one exchange may take, body and all.
const LIMIT: Duration = Duration::from_secs(20);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer waits for memory that others use.
const ROOM_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of an answer's headers; GitHub's have some 2 KiB.
const MAX_HEADERS: u32 = 64 * 1024;
/// Most bytes of HTTP/2 bodies that arrive before they are read, of a stream and of a connection.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// Connections that are kept for later, of each host, and for how long.
const IDLE: (usize, Duration) = (4, Duration::from_secs(60));

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) bearer: Option<&'a SecretString>,
    pub(super) etag: Option<&'a str>,
    /// On whose behalf it is sent.
    pub(super) namespace: &'a str,
    /// JSON.
    pub(super) body: Option<&'a Value>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// A body, and the memory that is reserved for it.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    _room: Option<Room>,
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TransportError {
    /// It may come at another try.
    #[error("{0}")]
    Silent(String),
    /// It is too large to be read.
    #[error("an answer of more than {} MiB", MAX_BODY / 1024 / 1024)]
    TooLarge,
    /// The host has an address that nobody is connected to.
    #[error("{0}")]
    NotAllowed(PrivateAddress),
    /// The request can't be made.
    #[error("{0}")]
    Impossible(String),
}

pub(super) struct Transport {
    limit: Duration,
    crab: Octocrab,
    answers: Answers,
}

impl Transport {
    /// Must be called in a runtime.
    pub(super) fn new(options: &Options) -> Self {
        let guard = Guard::new(&options.hosts, &options.private_networks);
        let resolver = Resolver {
            inner: GaiResolver::new(),
            guard: guard.clone(),
        };
        let mut direct = HttpConnector::new_with_resolver(resolver);
        direct.set_connect_timeout(Some(CONNECT_LIMIT));
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let mut to_proxy = HttpConnector::new();
        to_proxy.set_connect_timeout(Some(CONNECT_LIMIT));
        to_proxy.set_nodelay(true);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Connector {
                direct,
                to_proxy,
                guard,
                proxies: options.proxies.clone(),
            });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .pool_max_idle_per_host(IDLE.0)
            .pool_idle_timeout(IDLE.1)
            .http1_max_buf_size(MAX_HEADERS as usize)
            .http2_max_header_list_size(MAX_HEADERS)
            .http2_initial_stream_window_size(WINDOWS.0)
            .http2_initial_connection_window_size(WINDOWS.1)
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
            answers: Answers::default(),
        }
    }

    pub(super) async fn send(&self, ask: Request<'_>) -> Result<Response, TransportError> {
        match tokio::time::timeout(self.limit, self.exchange(ask)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Silent(format!(
                "no answer within {:?}",
                self.limit
            ))),
        }
    }

    async fn exchange(&self, ask: Request<'_>) -> Result<Response, TransportError> {
        let impossible = |error: &dyn std::fmt::Display| TransportError::Impossible(error.to_string());
        let mut request = http::Request::builder()
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
        let host = request
            .uri_ref()
            .and_then(|uri| uri.authority())
            .map(ToString::to_string)
            .unwrap_or_default();
        let request = self
            .crab
            .build_request(request, ask.body)
            .map_err(|error| impossible(&error))?;
        let answer = self.crab.send(request).await.map_err(|error| silent(&error))?;
        let (parts, body) = answer.into_parts();
        let body = self
            .read((&host, ask.namespace), parts.status, &parts.headers, body)
            .await?;
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    /// Reads a body. No coding is asked for, so none is undone: the bytes that arrive are those that are kept.
    async fn read<B>(
        &self,
        (host, namespace): (&str, &str),
        status: StatusCode,
        headers: &HeaderMap,
        mut body: B,
    ) -> Result<Body, TransportError>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: std::error::Error + 'static,
    {
        let (mut bytes, mut room, mut limit) = (Vec::new(), None, SMALL);
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| silent(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit && room.is_none() {
                if !status.is_success() {
                    // Of a refusal its first words are enough.
                    let rest = SMALL - bytes.len();
                    bytes.extend_from_slice(data.get(..rest).unwrap_or(&data));
                    break;
                }
                limit = length.unwrap_or(MAX_BODY);
                if limit > MAX_BODY {
                    return Err(TransportError::TooLarge);
                }
                let reserved =
                    tokio::time::timeout(ROOM_LIMIT, self.answers.room(host, namespace, limit)).await;
                let Ok(Some(reserved)) = reserved else {
                    return Err(TransportError::Silent(
                        "no memory is free for an answer of its size".into(),
                    ));
                };
                room = Some(reserved);
                bytes.reserve_exact(limit.saturating_sub(bytes.len()));
            }
            if bytes.len() + data.len() > limit {
                return Err(TransportError::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Body { bytes, _room: room })
    }
}

/// Returns the innermost cause, which alone says something: "connection refused", "invalid peer certificate".
fn silent(error: &(dyn std::error::Error + 'static)) -> TransportError {
    let mut cause = error;
    loop {
        if let Some(private) = cause.downcast_ref::<PrivateAddress>() {
            return TransportError::NotAllowed(*private);
        }
        let Some(inner) = cause.source() else { break };
        cause = inner;
    }
    TransportError::Silent(cause.to_string())
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
