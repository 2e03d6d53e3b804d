//! Wires the operator together: election, Task controller, HTTP port, and an orderly end.

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::clock::Clock;
use crate::events::Events;
use crate::github::{self, Github};
use crate::identity::Identity;
use crate::images::Images;
use crate::leadership::{self, Timing};
use crate::metrics::Metrics;
use crate::{admin, task};

/// Runs until `stop`, then ends the work, steps down and returns.
///
/// # Errors
/// If the cluster's configuration can't be used or the port is taken.
pub async fn run(args: Args, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let timing = Timing {
        period: args.election_round,
        call_limit: args.election_round,
        ..Timing::default()
    };
    let client = Client::try_from(config.clone()).context("failed to build the Kubernetes client")?;
    let election = leadership::client(config, &timing).context("failed to build the election's client")?;
    let metrics = Metrics::new();
    let (leading, leads) = watch::channel(None);
    let (heartbeat, heard) = watch::channel(Instant::now());

    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {}", args.listen))?;
    let serve = axum::serve(listener, admin::routes(metrics.clone(), heard));

    // Work stops before the lease is given up: the election goes on until the work has ended.
    let stop_election = CancellationToken::new();
    let elect = leadership::run(
        election,
        args.namespace.clone(),
        args.identity.clone(),
        timing,
        leading,
        heartbeat,
        stop_election.clone(),
    );
    let elected = tokio::spawn(elect);
    let shared = Shared {
        identity: Identity::new(client.clone()),
        github: Github::new(
            Clock::system(),
            metrics.github.clone(),
            &github::Options::default(),
        ),
    };
    let work = lead(args, client, shared, metrics, leads);
    tokio::select! {
        () = work => {}
        result = async { serve.await } => result.context("the HTTP port failed")?,
        () = stop.cancelled() => tracing::info!("stopping"),
    }
    stop_election.cancel();
    elected.await.context("the election ended badly")
}

/// What all parts of a replica share.
#[derive(Clone)]
pub struct Shared {
    /// Acts in namespaces.
    pub identity: Identity,
    /// Talks to GitHub.
    pub github: Github,
}

/// Does the leader's work whenever this replica leads.
async fn lead(
    args: Args,
    client: Client,
    shared: Shared,
    metrics: Metrics,
    mut leads: watch::Receiver<Option<Instant>>,
) {
    let images = Images {
        registry: args.image_registry,
        tag: args.image_tag,
    };
    let events = Events::new(client.clone(), &args.identity);
    while leadership::wait_to_lead(&mut leads).await.is_some() {
        metrics.leader.set(1);
        tracing::info!("leading");
        let work = task::controller::run(
            client.clone(),
            shared.clone(),
            images.clone(),
            args.image_pull_limit,
            Clock::system(),
            metrics.clone(),
            events.clone(),
        );
        let housekeeping = task::retention::run(client.clone(), args.record_retention, Clock::system());
        // Dropping the work stops it at once, also between two calls: every write is safe to repeat.
        tokio::select! {
            () = housekeeping => {}
            () = work => tracing::error!("the Task controller ended by itself; it is started again"),
            () = leadership::wait_to_lose(&mut leads) => tracing::warn!("no longer leading"),
        }
        metrics.leader.set(0);
    }
}
