//! A proxy between an operator and the API server that counts calls, and lets them fail on demand.
//!
//! It speaks plain HTTP on loopback, so that nothing needs a certificate. Who calls is told by the caller's own token,
//! which is sent on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Router, routing};
use futures::StreamExt as _;
use http::{HeaderName, StatusCode, header};
use kube::config::AuthInfo;
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Longest body of a request.
const MAX_BODY: usize = 8 << 20;

/// A call that came through.
#[derive(Clone, Debug)]
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// The query; empty if there is none.
    pub query: String,
    /// Status code that was answered; `None` while there is none, and for calls that were never answered.
    pub answer: Option<u16>,
}

impl Call {
    /// Returns true for calls that change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Returns true for calls that last: watches.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.query
            .split('&')
            .any(|part| part == "watch=true" || part == "watch=1")
    }

    /// Returns true for writes about Tasks, Jobs and the like: neither elections nor events, which lead to nothing.
    #[must_use]
    pub fn is_work(&self) -> bool {
        self.is_write() && !self.path.contains("/leases") && !self.is_event()
    }

    /// Returns true for writes that only ask whether they would go well.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.query.split('&').any(|part| part == "dryRun=All")
    }

    /// Returns true for writes of events.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.is_write() && self.path.contains("/events")
    }
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None,
    /// It is answered with this status and not sent on. With 429 and 503 goes `Retry-After: 1`.
    Refuse(u16),
    /// As [`Fault::Refuse`], but only if its body has this text. The call has this answer.
    RefuseText(&'static str, u16),
    /// It is sent on after a while.
    Delay(Duration),
    /// It is sent on, and its answer is replaced by this status: the caller can't know that it was done.
    Hide(u16),
    /// Its answer is cut off after a while. For watches.
    Cut(Duration),
    /// It is not sent on, and nobody is answered any more until [`FaultProxy::revive`].
    DieBefore,
    /// It is sent on, and nobody is answered any more until [`FaultProxy::revive`].
    DieAfter,
}

type Rule = Box<dyn FnMut(&Call) -> Fault + Send>;

/// A running proxy. It ends with the runtime that started it.
#[derive(Clone)]
pub struct FaultProxy {
    url: String,
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    rule: Mutex<Rule>,
    calls: Mutex<Vec<Call>>,
    dead: watch::Sender<bool>,
}

impl FaultProxy {
    /// Starts a proxy in front of the API server of `config`. Every call goes through until there is a rule.
    ///
    /// # Errors
    /// If no port is free or the client can't be built.
    pub async fn start(mut config: Config) -> Result<Self> {
        // Failures are passed on, not mended here.
        config.default_retry = false;
        config.auth_info = AuthInfo::default();
        let inner = Arc::new(Inner {
            client: Client::try_from(config)?,
            rule: Mutex::new(Box::new(|_| Fault::None)),
            calls: Mutex::default(),
            dead: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = Router::new()
            .fallback(routing::any(pass))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, inner })
    }

    /// Returns the address, as kubeconfigs write it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets what decides about every further call.
    pub fn set_rule(&self, rule: impl FnMut(&Call) -> Fault + Send + 'static) {
        *self.inner.rule.lock() = Box::new(rule);
    }

    /// Returns all calls so far, in the order of their arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().clone()
    }

    /// Waits until a rule has said [`Fault::DieBefore`] or [`Fault::DieAfter`], and that was done.
    ///
    /// # Errors
    /// If the proxy has ended.
    pub async fn death(&self) -> Result<()> {
        let mut dead = self.inner.dead.subscribe();
        dead.wait_for(|dead| *dead).await.context("the proxy has ended")?;
        Ok(())
    }

    /// Answers again.
    pub fn revive(&self) {
        self.inner.dead.send_replace(false);
    }
}

impl Inner {
    /// Notes a call and returns its number.
    fn note(&self, call: Call) -> usize {
        let mut calls = self.calls.lock();
        calls.push(call);
        calls.len() - 1
    }

    fn answered(&self, number: usize, status: StatusCode) {
        let mut calls = self.calls.lock();
        if let Some(call) = calls.get_mut(number) {
            call.answer = Some(status.as_u16());
        }
    }

    async fn send(&self, request: Request) -> Result<Response> {
        let (mut parts, body) = request.into_parts();
        let hop = [header::HOST, header::CONNECTION, header::CONTENT_LENGTH];
        for name in hop
            .iter()
            .chain([&header::TRANSFER_ENCODING, &header::ACCEPT_ENCODING])
        {
            parts.headers.remove(name);
        }
        let body = body::to_bytes(body, MAX_BODY).await?;
        let request = http::Request::from_parts(parts, kube::client::Body::from(body));
        let (mut parts, body) = self.client.send(request).await?.into_parts();
        let hop: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        for name in hop {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, Body::new(body)))
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let call = Call {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        answer: None,
    };
    let mut dead = inner.dead.subscribe();
    if *dead.borrow_and_update() {
        return silence().await;
    }
    let (request, body) = match read_body(request).await {
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(%error, "a request can't be read");
            return refusal(502);
        }
    };
    let has_text = |text: &str| String::from_utf8_lossy(&body).contains(text);
    let fault = inner.rule.lock()(&call);
    let number = inner.note(call);
    match fault {
        Fault::Refuse(code) => return refusal(code),
        Fault::RefuseText(text, code) if has_text(text) => {
            inner.answered(number, StatusCode::from_u16(code).unwrap_or_default());
            return refusal(code);
        }
        Fault::DieBefore => {
            inner.dead.send_replace(true);
            return silence().await;
        }
        Fault::Delay(pause) => tokio::time::sleep(pause).await,
        _ => {}
    }
    // On its own: what was sent is done and noted, whether or not anyone still waits for the answer.
    let sender = Arc::clone(&inner);
    let sent = tokio::spawn(async move {
        let response = match sender.send(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%error, "the API server does not answer");
                refusal(502)
            }
        };
        sender.answered(number, response.status());
        response
    });
    let is_last = fault == Fault::DieAfter;
    let response = tokio::select! {
        response = sent => response,
        // What others have asked for is done or not, but they learn of neither.
        () = until_dead(&mut dead), if !is_last => return silence().await,
    };
    let response = response.unwrap_or_else(|_| refusal(502));
    match fault {
        Fault::DieAfter => {
            inner.dead.send_replace(true);
            silence().await
        }
        Fault::Hide(code) => refusal(code),
        Fault::Cut(after) => {
            let (parts, body) = response.into_parts();
            let stream = body.into_data_stream().take_until(tokio::time::sleep(after));
            Response::from_parts(parts, Body::from_stream(stream))
        }
        _ => response,
    }
}

/// Reads the body of a request, and returns the request with that body again.
async fn read_body(request: Request) -> Result<(Request, body::Bytes)> {
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, MAX_BODY).await?;
    Ok((Request::from_parts(parts, Body::from(body.clone())), body))
}

async fn until_dead(dead: &mut watch::Receiver<bool>) {
    let _ = dead.wait_for(|dead| *dead).await;
}

/// Never answers; ends with the connection.
async fn silence() -> Response {
    std::future::pending().await
}

fn refusal(code: u16) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": match code { 400 => "BadRequest", 422 => "Invalid", 429 => "TooManyRequests", 503 => "ServiceUnavailable", _ => "InternalError" },
        "message": "refused by the fault proxy",
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    if matches!(code, 429 | 503) {
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    response
}
