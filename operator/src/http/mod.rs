//! The HTTP port: `/healthz`, `/readyz`, `/metrics`.
//!
//! Health says that this process works, not that the API server does: restarting the operator brings no API server
//! back. It fails only when the election's rounds stop, which nothing but a stuck process does.
//!
//! Readiness says that this replica takes part in the work, so that a rollout of a version that can't, for want of a
//! right or of a way to the API server, stops before it has replaced all others. Once ready it stays so.

pub mod listen;
pub mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ha::membership::Membership;
use crate::metrics::Metrics;

/// Silence of the election after which the process counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// What a replica must have done to be ready.
#[derive(Clone)]
pub struct Readiness {
    /// The spawners and what they depend on were read.
    pub filled: watch::Receiver<bool>,
    /// The replica was counted among the live ones.
    pub members: watch::Receiver<Option<Membership>>,
}

impl Readiness {
    /// Returns what is still to come.
    fn lack(&self) -> Option<&'static str> {
        if self.members.borrow().is_none() {
            return Some("this replica has not joined the others yet: see its log for errors about leases\n");
        }
        if !*self.filled.borrow() {
            return Some("the spawners were not read yet: see the log for errors about watches\n");
        }
        None
    }
}

/// Returns the routes. `heartbeat` holds the time of the election's last round, successful or not.
pub fn routes(metrics: Metrics, heartbeat: watch::Receiver<Instant>, readiness: Readiness) -> Router {
    let alive = move || {
        let silence = heartbeat.borrow().elapsed();
        if silence < STUCK {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no election round for {} s\n", silence.as_secs()),
            )
        }
    };
    let (was_ready, alive_too) = (Arc::new(AtomicBool::new(false)), alive.clone());
    let ready = move || {
        if !was_ready.load(Ordering::Relaxed) {
            if let Some(lack) = readiness.lack() {
                return (StatusCode::SERVICE_UNAVAILABLE, lack.to_owned());
            }
            was_ready.store(true, Ordering::Relaxed);
        }
        alive_too()
    };
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new()
        .route("/healthz", get(async move || alive()))
        .route("/readyz", get(async move || ready()))
        .route(
            "/metrics",
            get(async move || ([(header::CONTENT_TYPE, open_metrics)], metrics.text())),
        )
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(routes: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_is_alive_at_once_and_ready_when_it_has_joined_and_read() {
        let (_heartbeat, heard) = watch::channel(Instant::now());
        let (joined, members) = watch::channel(None);
        let (fill, filled) = watch::channel(false);
        let routes = routes(Metrics::new(), heard, Readiness { filled, members });
        assert_eq!(answer(&routes, "/healthz").await, StatusCode::OK);
        assert_eq!(answer(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        joined.send_replace(Some(Membership {
            me: "a".into(),
            live: ["a".to_owned()].into(),
            until: Instant::now(),
            since: Instant::now(),
        }));
        assert_eq!(answer(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        fill.send_replace(true);
        assert_eq!(answer(&routes, "/readyz").await, StatusCode::OK);
        // Its share goes to others, it does not.
        joined.send_replace(None);
        assert_eq!(answer(&routes, "/readyz").await, StatusCode::OK);
        tokio::time::advance(STUCK).await;
        for path in ["/healthz", "/readyz"] {
            assert_eq!(
                answer(&routes, path).await,
                StatusCode::SERVICE_UNAVAILABLE,
                "{path}"
            );
        }
    }
}
