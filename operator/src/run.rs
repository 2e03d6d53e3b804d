//! Wires the operator together: election, membership, Task controller, spawners, HTTP port, and an orderly end.

use anyhow::Context as _;
use jiff::SignedDuration;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::clock::Clock;
use crate::cluster_clock::ClusterClock;
use crate::events::Events;
use crate::github::{self, Github};
use crate::identity::Identity;
use crate::images::Images;
use crate::leadership::{self, Timing};
use crate::members::{self, Member, Membership};
use crate::metrics::Metrics;
use crate::spawner::{self, context::Context, source::Source};
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
    let clock = match args.clock_skew {
        0 => Clock::system(),
        seconds => Clock::skewed(SignedDuration::from_secs(seconds)),
    };
    let cluster_clock = ClusterClock::new(clock.clone());
    let (leading, leads) = watch::channel(None);
    let (heartbeat, heard) = watch::channel(Instant::now());
    let (joined, members) = watch::channel(None);

    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("failed to listen on {}", args.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let serve = axum::serve(listener, admin::routes(metrics.clone(), heard));

    // Work stops before leases are given up: election and membership go on until the work has ended.
    let stop_leases = CancellationToken::new();
    let elect = leadership::run(
        election.clone(),
        args.namespace.clone(),
        args.identity.clone(),
        timing,
        leading,
        heartbeat,
        stop_leases.clone(),
    );
    let member = Member {
        client: election,
        namespace: args.namespace.clone(),
        me: args.identity.clone(),
        timing: members::Timing::default(),
        clock: cluster_clock.clone(),
    };
    let elected = tokio::spawn(elect);
    let belonged = tokio::spawn(member.run(joined, stop_leases.clone()));
    let events = Events::new(client.clone(), &args.identity);
    let options = github::Options {
        proxies: github::Proxies::new(args.https_proxy.as_deref(), args.no_proxy.as_deref())
            .context("HTTPS_PROXY can't be used")?,
        ..github::Options::default()
    };
    let shared = Shared {
        identity: Identity::new(client.clone()),
        github: Github::new(cluster_clock.clock(), metrics.github.clone(), &options),
    };
    let spawn = spawners(
        args.identity.clone(),
        client.clone(),
        shared.clone(),
        metrics.clone(),
        events.clone(),
        cluster_clock,
        members,
    );
    let work = lead(args, client, shared, metrics, events, clock, leads);
    tokio::select! {
        () = work => {}
        () = spawn => {}
        result = async { serve.await } => result.context("the HTTP port failed")?,
        () = stop.cancelled() => tracing::info!("stopping"),
    }
    stop_leases.cancel();
    let (elected, belonged) = tokio::join!(elected, belonged);
    elected.context("the election ended badly")?;
    belonged.context("the membership ended badly")
}

/// What all parts of a replica share.
#[derive(Clone)]
pub struct Shared {
    /// Acts in namespaces.
    pub identity: Identity,
    /// Talks to GitHub.
    pub github: Github,
}

/// Runs this replica's share of the spawners.
async fn spawners(
    me: String,
    client: Client,
    shared: Shared,
    metrics: Metrics,
    events: Events,
    clock: ClusterClock,
    members: watch::Receiver<Option<Membership>>,
) {
    let Shared { identity, github } = shared;
    let count = count_members(members.clone(), metrics.clone());
    let run = spawner::controller::run(members.clone(), client.clone(), |stores| Context {
        client,
        source: Source::new(github, identity.clone(), clock.clock()),
        identity,
        stores,
        members,
        clock,
        metrics,
        events,
        me,
        memories: std::sync::Mutex::default(),
    });
    tokio::select! {
        () = run => tracing::error!("the spawners ended by themselves"),
        () = count => {}
    }
}

async fn count_members(mut members: watch::Receiver<Option<Membership>>, metrics: Metrics) {
    loop {
        let live = members.borrow_and_update().as_ref().map_or(0, |m| m.live.len());
        metrics
            .spawners
            .members
            .set(i64::try_from(live).unwrap_or_default());
        if members.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Does the leader's work whenever this replica leads.
async fn lead(
    args: Args,
    client: Client,
    shared: Shared,
    metrics: Metrics,
    events: Events,
    clock: Clock,
    mut leads: watch::Receiver<Option<Instant>>,
) {
    let images = Images {
        registry: args.image_registry,
        tag: args.image_tag,
    };
    while leadership::wait_to_lead(&mut leads).await.is_some() {
        metrics.leader.set(1);
        tracing::info!("leading");
        let work = task::controller::run(
            client.clone(),
            shared.clone(),
            images.clone(),
            args.image_pull_limit,
            clock.clone(),
            metrics.clone(),
            events.clone(),
        );
        let housekeeping = task::retention::run(client.clone(), args.record_retention, clock.clone());
        // Dropping the work stops it at once, also between two calls: every write is safe to repeat.
        tokio::select! {
            () = work => tracing::error!("the Task controller ended by itself; it is started again"),
            () = housekeeping => {}
            () = leadership::wait_to_lose(&mut leads) => tracing::warn!("no longer leading"),
        }
        metrics.leader.set(0);
    }
}
