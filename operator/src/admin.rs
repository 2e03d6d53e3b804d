//! The HTTP port: `/healthz`, `/readyz`, `/metrics`.
//!
//! Health says that this process works, not that the API server does: restarting the operator brings no API server
//! back. It fails only when the election's rounds stop, which nothing but a stuck process does.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Silence of the election after which the process counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Returns the routes. `heartbeat` holds the time of the election's last round, successful or not.
pub fn routes(metrics: Metrics, heartbeat: watch::Receiver<Instant>) -> Router {
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
    let ready = alive.clone();
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new()
        .route("/healthz", get(async move || alive()))
        .route("/readyz", get(async move || ready()))
        .route(
            "/metrics",
            get(async move || ([(header::CONTENT_TYPE, open_metrics)], metrics.text())),
        )
}
