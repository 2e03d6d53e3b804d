//! Wires the operator together: election, membership, Task controller, spawners, HTTP port, and an orderly end.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::SignedDuration;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::definitions::Definitions;
use crate::ha::leadership;
use crate::ha::leadership::Timing;
use crate::ha::membership;
use crate::ha::membership::{Member, Membership};
use crate::ha::server_clock::ClusterClock;
use crate::http::Readiness;
use crate::http::{listen, serve};
use crate::images::Images;
use crate::kube::events::Events;
use crate::kube::impersonation::Identity;
use crate::kube::retry;
use crate::kube::watch::{Large, Scope};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::spawner;
use crate::spawner::source::github::reader::GithubReader;
use crate::spawner::state::Context;
use crate::task::context::Options;
use crate::task::decide::prices::PriceTable;
use crate::{http, task};
use axon_github::clock::Clock;
use axon_github::{self as github, Github};

/// The name servers that the kubelet gives every pod of the cluster, unless it asks for others.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Runs until `stop`, then ends the work, steps down and returns.
///
/// # Errors
/// If the price table or the cluster's configuration can't be used or the port is taken.
pub async fn run(args: Args, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let options = Options {
        images: Images {
            registry: args.image_registry.clone(),
            tag: args.image_tag.clone(),
            digests: args.image_digests.clone(),
            exact: args.images.clone(),
        },
        pod_defaults: args.pod_defaults(),
        pod_limits: args.pod_limits(),
        agent_network: args.agent_network(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default()),
        image_pull_limit: args.image_pull_limit,
        record_retention: args.record_retention,
        prices: Arc::new(prices(args.price_table.as_deref())?),
    };
    if let Some(resource) = options.pod_limits.contradiction() {
        anyhow::bail!(
            "--pod-requests reserves more {resource} for a Task than --pod-limits allows: no pod can run so"
        );
    }
    let timing = Timing {
        period: args.election_round,
        call_limit: args.election_round,
        ..Timing::default()
    };
    let client = retry::client(config.clone()).context("failed to build the Kubernetes client")?;
    let election = leadership::client(config, &timing).context("failed to build the election's client")?;
    let metrics = Metrics::new();
    let clock = match args.clock_skew {
        0 => Clock::system(),
        seconds => Clock::skewed(SignedDuration::from_secs(seconds)),
    };
    // Its times are compared with those that others write into objects.
    let cluster_clock = ClusterClock::new(clock);
    let (leading, leads) = watch::channel(None);
    let (heartbeat, heard) = watch::channel(Instant::now());
    let (joined, members) = watch::channel(None);

    let listener =
        listen::listen(args.listen).with_context(|| format!("failed to listen on {}", args.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (filled, filling) = watch::channel(false);
    let readiness = Readiness {
        filled: filling,
        members: members.clone(),
    };
    let routes = http::routes(metrics.clone(), heard, readiness);
    let serve = serve::serve(listener, routes, serve::Limits::default());

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
        timing: membership::Timing::default(),
        clock: cluster_clock.clone(),
    };
    let elected = tokio::spawn(elect);
    let belonged = tokio::spawn(member.run(joined, stop_leases.clone()));
    let events = Events::new(client.clone(), &args.identity);
    let way = github::Options {
        proxies: github::Proxies::new(args.https_proxy.as_deref(), args.no_proxy.as_deref())
            .context("HTTPS_PROXY can't be used")?,
        hosts: args.github_hosts.clone(),
        private_networks: args.github_private_networks.clone(),
        ..github::Options::default()
    };
    let definitions = Definitions::default();
    let shared = Shared {
        definitions: definitions.clone(),
        me: args.identity.clone(),
        identity: Identity::new(client.clone()),
        github: Github::new(cluster_clock.clock(), metrics.github.clone(), &way),
        large: Large::default(),
        scope: args.watch_namespaces.clone(),
        default_concurrency: args.default_concurrency(),
    };
    if let Scope::Namespaces(names) = &shared.scope {
        tracing::info!(namespaces = names.join(","), "works in these namespaces alone");
    }
    let time = cluster_clock.clock();
    let reading = definitions.watch(client.clone(), metrics.clone());
    let spawn = spawners(
        client.clone(),
        shared.clone(),
        metrics.clone(),
        events.clone(),
        cluster_clock,
        members,
        filled,
    );
    let work = lead(options, client, shared, metrics, events, time, leads);
    tokio::select! {
        () = work => {}
        () = spawn => {}
        () = reading => {}
        () = serve => {}
        () = stop.cancelled() => tracing::info!("stopping"),
    }
    stop_leases.cancel();
    let (elected, belonged) = tokio::join!(elected, belonged);
    elected.context("the election ended badly")?;
    belonged.context("the membership ended badly")
}

/// Reads the price table. A folder without any file is that of an optional ConfigMap which nobody has made; in a folder
/// with others the table has another name than it should.
fn prices(file: Option<&Path>) -> anyhow::Result<PriceTable> {
    let Some(file) = file else {
        return Ok(PriceTable::default());
    };
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound && is_empty_folder(file.parent()) => {
            tracing::info!("no price table: a cost that no agent reports stays unknown");
            return Ok(PriceTable::default());
        }
        read => read.with_context(|| format!("failed to read the price table {}", file.display()))?,
    };
    let table = PriceTable::parse(&text)
        .with_context(|| format!("the price table {} can't be used", file.display()))?;
    tracing::info!(models = table.len(), "price table read");
    Ok(table)
}

fn is_empty_folder(folder: Option<&Path>) -> bool {
    let Some(Ok(entries)) = folder.map(std::fs::read_dir) else {
        return false;
    };
    // The kubelet's own entries begin with two dots.
    let visible = |name: std::ffi::OsString| !name.to_string_lossy().starts_with("..");
    !entries.flatten().any(|entry| visible(entry.file_name()))
}

/// Runs this replica's share of the spawners.
async fn spawners(
    client: Client,
    shared: Shared,
    metrics: Metrics,
    events: Events,
    clock: ClusterClock,
    members: watch::Receiver<Option<Membership>>,
    filled: watch::Sender<bool>,
) {
    let Shared {
        me,
        identity,
        github,
        scope,
        default_concurrency,
        definitions,
        ..
    } = shared;
    let count = count_members(members.clone(), metrics.clone());
    let run = spawner::controller::run(members.clone(), client.clone(), &scope, filled, |stores| {
        Context {
            client,
            github: GithubReader::new(github, identity.clone(), clock.clock()),
            identity,
            stores,
            members,
            clock,
            metrics,
            events,
            definitions,
            me,
            default_concurrency,
            large: Large::default(),
            states: spawner::state::SpawnerStates::default(),
            turns: spawner::controller::turns(),
            run_burst: spawner::source::schedule::run_burst::RunBurst::default(),
        }
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
    options: Options,
    client: Client,
    shared: Shared,
    metrics: Metrics,
    events: Events,
    clock: Clock,
    mut leads: watch::Receiver<Option<Instant>>,
) {
    while leadership::wait_to_lead(&mut leads).await.is_some() {
        metrics.leader.set(1);
        tracing::info!("leading");
        let work = task::controller::run(
            client.clone(),
            shared.clone(),
            options.clone(),
            clock.clone(),
            metrics.clone(),
            events.clone(),
        );
        let retention = options.record_retention;
        let housekeeping =
            task::apply::retention::run(client.clone(), &shared.scope, retention, clock.clone());
        // Dropping the work stops it at once, also between two calls: every write is safe to repeat.
        tokio::select! {
            () = work => tracing::error!("the Task controller ended by itself; it is started again"),
            () = housekeeping => {}
            () = leadership::wait_to_lose(&mut leads) => tracing::warn!("no longer leading"),
        }
        metrics.leader.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_table_may_be_absent_but_not_wrong() {
        let folder = std::env::temp_dir().join(format!("axon-prices-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("..data")).unwrap();
        let file = folder.join("prices.yaml");
        assert!(prices(None).unwrap().is_empty());
        assert!(prices(Some(&file)).unwrap().is_empty());
        assert!(prices(Some(&folder.join("none/prices.yaml"))).is_err());

        std::fs::write(folder.join("my-prices.yaml"), "").unwrap();
        let misnamed = prices(Some(&file)).unwrap_err();
        assert!(format!("{misnamed:#}").contains("prices.yaml"), "{misnamed:#}");
        std::fs::write(&file, "models: {m: {input: 1}}").unwrap();
        let wrong = prices(Some(&file)).unwrap_err();
        assert!(
            format!("{wrong:#}").contains("models.m.output: is missing"),
            "{wrong:#}"
        );
        std::fs::write(&file, "models: {m: {input: 1, output: 2}}").unwrap();
        assert_eq!(prices(Some(&file)).unwrap().len(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
