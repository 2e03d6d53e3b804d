//! Leader election by one Lease, with the algorithm of client-go.
//!
//! A replica reads the Lease and replaces it with the resourceVersion that it has read, so the API server lets one of
//! several candidates through. No clock is compared with another replica's:
//!
//! - a candidate takes the Lease only after it has seen it unchanged, or missing, for longer than a holder works without
//!   a renewal, by its own monotonic clock; a Lease without a holder it takes at once; see [`Seen`];
//! - leadership ends at a deadline on the monotonic clock, counted from before the last good renewal was sent, and
//!   earlier than a candidate may take the Lease;
//! - the client never retries and each round has a time limit, so that no renewal sleeps past the deadline.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, Config, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Name of the Lease.
pub const LEASE: &str = axon_api::LEADER_LEASE;

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a lease is good without renewal. Whole seconds.
    pub ttl: Duration,
    /// Pause between rounds.
    pub period: Duration,
    /// Longest that a round may take.
    pub call_limit: Duration,
    /// How long before the lease's end the work stops.
    pub margin: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            period: Duration::from_millis(1500),
            call_limit: Duration::from_millis(1500),
            margin: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// Returns how long the holder works after it has sent a renewal.
    fn term(&self) -> Duration {
        self.ttl - self.margin
    }

    /// Returns how long a candidate must see the Lease unchanged before it takes it.
    fn patience(&self) -> Duration {
        // The holder sent its renewal before anyone could see it. The rest is for clocks that run at different speeds.
        self.term() + Duration::from_millis(500)
    }
}

/// The result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// The API server has stored a Lease that names this replica.
    Mine,
    /// Another replica holds the Lease or wrote it first, or may still be working.
    Theirs,
    /// No answer, or an error.
    Unknown,
}

/// This replica's part in the election. Only [`next`] changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    Leader { until: Instant },
}

impl Role {
    fn leads(self, now: Instant) -> bool {
        matches!(self, Self::Leader { until } if now < until)
    }
}

fn next(role: Role, round: Round, sent: Instant, received: Instant, timing: &Timing) -> Role {
    let until = sent + timing.term();
    match round {
        // An answer that comes after its own deadline proves nothing: another replica may lead.
        Round::Mine if received < until => Role::Leader { until },
        Round::Unknown if role.leads(received) => role,
        _ => Role::Follower,
    }
}

/// The version of the Lease that was last seen (none while it is missing), and since when.
#[derive(Debug, Default)]
struct Seen(Option<(Option<String>, Instant)>);

impl Seen {
    /// Returns whether this replica may write over what it read at `now`. The times in the Lease do not count: another
    /// replica's clock wrote them.
    fn may_take(
        &mut self,
        lease: Option<&Lease>,
        identity: &str,
        leads: bool,
        now: Instant,
        timing: &Timing,
    ) -> bool {
        let version = lease.and_then(ResourceExt::resource_version);
        let since = match &self.0 {
            Some((known, since)) if *known == version => *since,
            _ => now,
        };
        self.0 = Some((version, since));
        match lease.map(|lease| holder(lease).unwrap_or_default()) {
            // The holder stopped its work before it gave the Lease up.
            Some("") => true,
            Some(it) if it == identity => true,
            // Somebody deleted it: its holder works until it notices, and makes it again.
            None if leads => true,
            _ => now >= since + timing.patience(),
        }
    }
}

/// Takes part in the election until `stop`, then steps down. `leading` holds the deadline up to which this replica may
/// work as leader; `heartbeat` is touched at every round.
pub async fn run(
    client: Client,
    namespace: String,
    identity: String,
    timing: Timing,
    leading: watch::Sender<Option<Instant>>,
    heartbeat: watch::Sender<Instant>,
    stop: CancellationToken,
) {
    let leases = Api::namespaced(client, &namespace);
    let (mut role, mut seen) = (Role::Follower, Seen::default());
    loop {
        let sent = Instant::now();
        let round = round(&leases, &identity, role.leads(sent), &mut seen, &timing).await;
        let before = role;
        role = next(role, round, sent, Instant::now(), &timing);
        if std::mem::discriminant(&before) != std::mem::discriminant(&role) {
            tracing::info!(?role, %identity, "leadership changed");
        }
        leading.send_replace(match role {
            Role::Leader { until } => Some(until),
            Role::Follower => None,
        });
        heartbeat.send_replace(Instant::now());
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(timing.period) => {}
        }
    }
    leading.send_replace(None);
    // Also as a follower: the answer to the write that took the Lease may have been lost.
    match timeout(timing.call_limit, step_down(&leases, &identity)).await {
        Ok(Ok(true)) => tracing::info!("stepped down"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "failed to step down: the lease runs out by itself"),
        Err(_) => tracing::warn!("failed to step down in time: the lease runs out by itself"),
    }
}

/// Takes or renews the Lease if this replica may.
async fn round(leases: &Api<Lease>, identity: &str, leads: bool, seen: &mut Seen, timing: &Timing) -> Round {
    let calls = async {
        let found = leases.get_opt(LEASE).await?;
        if !seen.may_take(found.as_ref(), identity, leads, Instant::now(), timing) {
            return Ok(Round::Theirs);
        }
        let (exists, params) = (found.is_some(), PostParams::default());
        let wanted = held(found, identity, timing.ttl, Timestamp::now());
        let written = if exists {
            leases.replace(LEASE, &params, &wanted).await
        } else {
            leases.create(&params, &wanted).await
        };
        match written {
            Ok(lease) if holder(&lease) == Some(identity) => Ok(Round::Mine),
            Ok(_) => Ok(Round::Theirs),
            // Another one wrote after this read: a conflict, or a Lease that exists already.
            Err(kube::Error::Api(said)) if said.code == 409 => Ok(Round::Theirs),
            Err(error) => Err(error),
        }
    };
    match timeout(timing.call_limit, calls).await {
        Ok(Ok(round)) => round,
        Ok(Err(error)) => {
            tracing::warn!(%error, lease = LEASE, "failed to read or write the lease");
            Round::Unknown
        }
        Err(_) => {
            tracing::warn!(lease = LEASE, "no answer about the lease in time");
            Round::Unknown
        }
    }
}

/// Removes the holder from the Lease if this replica is it, and returns whether it was.
async fn step_down(leases: &Api<Lease>, identity: &str) -> kube::Result<bool> {
    let found = leases.get_opt(LEASE).await?;
    let Some(mut lease) = found.filter(|lease| holder(lease) == Some(identity)) else {
        return Ok(false);
    };
    lease.spec.get_or_insert_default().holder_identity = Some(String::new());
    leases.replace(LEASE, &PostParams::default(), &lease).await?;
    Ok(true)
}

/// Returns the Lease with this replica as its holder, in the version that was read.
fn held(found: Option<Lease>, identity: &str, ttl: Duration, now: Timestamp) -> Lease {
    let mut lease = found.unwrap_or_default();
    lease.metadata.name = Some(LEASE.into());
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(identity) {
        spec.holder_identity = Some(identity.into());
        spec.acquire_time = Some(MicroTime(now));
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |n| n.saturating_add(1)));
    }
    // For people, doctor and other clients: this election does not read them.
    spec.lease_duration_seconds = i32::try_from(ttl.as_secs()).ok();
    spec.renew_time = Some(MicroTime(now));
    lease
}

fn holder(lease: &Lease) -> Option<&str> {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
}

/// Returns a client for the election alone: no retries, which would sleep past the lease's end, and a read limit.
///
/// # Errors
/// If the client can't be built from `config`.
pub fn client(mut config: Config, timing: &Timing) -> kube::Result<Client> {
    config.default_retry = false;
    config.read_timeout = Some(timing.call_limit);
    config.connect_timeout = Some(timing.call_limit);
    Client::try_from(config)
}

/// Waits until this replica leads. None if the election has ended.
pub async fn wait_to_lead(leading: &mut watch::Receiver<Option<Instant>>) -> Option<()> {
    leading
        .wait_for(|until| until.is_some_and(|u| u > Instant::now()))
        .await
        .ok()
        .map(|_| ())
}

/// Waits until this replica leads no longer: another one took over, or the deadline passed without a renewal.
pub async fn wait_to_lose(leading: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let Some(until) = *leading.borrow_and_update() else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            changed = leading.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn leadership_counts_from_before_the_renewal_was_sent() {
        let (timing, start) = (Timing::default(), Instant::now());
        let leader = Role::Leader {
            until: at(start, 8000),
        };
        for role in [Role::Follower, leader] {
            assert_eq!(next(role, Round::Mine, start, at(start, 1500), &timing), leader);
            assert_eq!(next(role, Round::Theirs, start, start, &timing), Role::Follower);
            // The process stood still while the call was under way.
            let late = next(role, Round::Mine, start, at(start, 8000), &timing);
            assert_eq!(late, Role::Follower);
        }
    }

    #[test]
    fn errors_keep_leadership_only_until_its_deadline() {
        let (timing, start) = (Timing::default(), Instant::now());
        let leader = Role::Leader {
            until: at(start, 8000),
        };
        let fails = |role, received| {
            next(
                role,
                Round::Unknown,
                at(start, 7000),
                at(start, received),
                &timing,
            )
        };
        assert_eq!(fails(leader, 7999), leader);
        assert_eq!(fails(leader, 8000), Role::Follower);
        assert_eq!(fails(Role::Follower, 7999), Role::Follower);
    }

    #[test]
    fn work_stops_before_the_lease_ends_and_before_anyone_may_take_it() {
        let timing = Timing::default();
        assert!(timing.margin >= timing.call_limit && timing.patience() < timing.ttl);
        assert!(timing.term() < timing.patience());
        // A round may fail, and the next one still renews in time.
        assert!((timing.period + timing.call_limit) * 2 < timing.term());
    }

    #[test]
    fn the_holder_changes_with_its_times_and_a_renewal_changes_only_one() {
        let (ttl, then) = (Timing::default().ttl, Timestamp::UNIX_EPOCH);
        let first = held(None, "a", ttl, then).spec.unwrap();
        assert_eq!(
            (first.lease_transitions, first.acquire_time),
            (Some(0), Some(MicroTime(then)))
        );
        let now = then + jiff::SignedDuration::from_secs(5);
        let renewed = held(Some(held(None, "a", ttl, then)), "a", ttl, now)
            .spec
            .unwrap();
        assert_eq!(renewed.acquire_time, Some(MicroTime(then)));
        assert_eq!(
            (renewed.lease_transitions, renewed.renew_time),
            (Some(0), Some(MicroTime(now)))
        );
        let taken = held(Some(held(None, "a", ttl, then)), "b", ttl, now)
            .spec
            .unwrap();
        assert_eq!(
            (taken.lease_transitions, taken.acquire_time),
            (Some(1), Some(MicroTime(now)))
        );
        assert_eq!(taken.holder_identity.as_deref(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_ends_leadership_without_any_message() {
        let (sender, mut receiver) = watch::channel(Some(Instant::now() + Duration::from_secs(3)));
        let start = Instant::now();
        wait_to_lose(&mut receiver).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        drop(sender);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_moves_the_deadline() {
        let (sender, mut receiver) = watch::channel(Some(Instant::now() + Duration::from_secs(3)));
        let start = Instant::now();
        let renew = async {
            sleep(Duration::from_secs(2)).await;
            sender.send_replace(Some(Instant::now() + Duration::from_secs(3)));
            std::future::pending::<()>().await;
        };
        tokio::select! { () = wait_to_lose(&mut receiver) => {}, () = renew => {} }
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}

#[cfg(test)]
mod race_tests;
