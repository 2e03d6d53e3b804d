//! Which replica leads. The only user of kube-leader-election.
//!
//! That library can name two leaders: it reads the Lease and then patches it without a precondition, and it tells a
//! stalled holder that it still leads. And it compares the holder's clock with its own: one that runs fast takes a Lease
//! that is still good, and leaves one that nobody can have until its time has come. So its word is taken only under these
//! rules:
//!
//! - its client never retries on its own, and each round has a time limit, so that a renewal can't sleep past the
//!   lease's end;
//! - whoever does not hold the Lease asks for it only when it has stood unchanged for as long as its holder may go on
//!   without renewing it, by this replica's own monotonic clock, or was given up; see [`Seen`];
//! - the holder that comes back must be this replica;
//! - a fresh acquisition counts only after a settle time longer than any rival's round, and after another look;
//! - leadership ends at a deadline on the monotonic clock, counted from before the last good renewal was sent, and
//!   earlier than the lease itself ends.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, Config, ResourceExt};
use kube_leader_election::{LeaseLock, LeaseLockParams, LeaseLockResult};
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
    /// Returns how long a fresh acquisition must stand before it counts: longer than a rival's round, which may have
    /// read the old Lease just before and overwrite the new one.
    fn settle(&self) -> Duration {
        self.period + self.call_limit + Duration::from_millis(100)
    }

    /// Returns how long a Lease must have stood unchanged until its holder leads no more: it stops so long after it sent
    /// its last renewal, which was before anyone could see it. Half a second for clocks that run at different speeds.
    fn patience(&self) -> Duration {
        self.ttl - self.margin + Duration::from_millis(500)
    }
}

/// What a round of the election found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// The Lease names this replica.
    Mine,
    /// The Lease names another one.
    Theirs,
    /// No answer that can be trusted.
    Unknown,
}

/// This replica's part in the election, moved by rounds. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    /// The Lease names this replica since; the settle time is running.
    Settling {
        since: Instant,
    },
    Leader {
        until: Instant,
    },
}

/// What a replica that does not hold the Lease may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Somebody may be leading.
    Held,
    /// There is none, or it names this replica.
    Open,
    /// Nobody leads by it any more.
    Over,
}

/// The Lease as it was last seen, and since when. Pure.
#[derive(Debug, Default)]
struct Seen(Option<(String, Instant)>);

impl Seen {
    /// Judges a Lease that was read at `now`. What its times say is not looked at: they are another clock's.
    fn judge(&mut self, lease: Option<&Lease>, identity: &str, now: Instant, timing: &Timing) -> Standing {
        let Some(lease) = lease else {
            self.0 = None;
            return Standing::Open;
        };
        let version = lease.resource_version().unwrap_or_default();
        let since = match &self.0 {
            Some((known, since)) if *known == version => *since,
            _ => {
                self.0 = Some((version, now));
                now
            }
        };
        match holder(lease).unwrap_or_default() {
            // Whoever gives it up has stopped before.
            "" => Standing::Over,
            it if it == identity => Standing::Open,
            _ if now >= since + timing.patience() => Standing::Over,
            _ => Standing::Held,
        }
    }
}

fn next(role: Role, round: Round, sent: Instant, received: Instant, timing: &Timing) -> Role {
    match (role, round) {
        (_, Round::Theirs) => Role::Follower,
        (Role::Follower, Round::Mine) => Role::Settling { since: sent },
        (Role::Settling { since }, Round::Mine) if sent >= since + timing.settle() => Role::Leader {
            until: sent + timing.ttl - timing.margin,
        },
        // A leader that comes back late may have been followed by another one meanwhile.
        (Role::Leader { until }, Round::Mine) if received >= until => Role::Settling { since: sent },
        (Role::Leader { .. }, Round::Mine) => Role::Leader {
            until: sent + timing.ttl - timing.margin,
        },
        (Role::Leader { until }, Round::Unknown) if sent >= until => Role::Follower,
        // Without a second look the settle time proves nothing.
        (Role::Settling { .. }, Round::Unknown) => Role::Follower,
        (same, _) => same,
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
    let params = LeaseLockParams {
        holder_id: identity.clone(),
        lease_name: LEASE.into(),
        lease_ttl: timing.ttl,
    };
    let leases = Api::namespaced(client.clone(), &namespace);
    let lock = LeaseLock::new(client, &namespace, params);
    let (mut role, mut seen) = (Role::Follower, Seen::default());
    loop {
        let sent = Instant::now();
        let round = match role {
            Role::Follower => bid(&leases, &lock, &identity, &mut seen, &timing).await,
            Role::Settling { .. } | Role::Leader { .. } => round(&lock, &identity, &timing).await,
        };
        let before = role;
        role = next(role, round, sent, Instant::now(), &timing);
        // The library answers late at worst after `call_limit`; a deadline that has passed meanwhile is no leadership.
        if matches!(role, Role::Leader { until } if until <= Instant::now()) {
            role = Role::Follower;
        }
        if std::mem::discriminant(&before) != std::mem::discriminant(&role) {
            tracing::info!(?role, %identity, "leadership changed");
        }
        leading.send_replace(match role {
            Role::Leader { until } => Some(until),
            _ => None,
        });
        heartbeat.send_replace(Instant::now());
        let pause = if matches!(role, Role::Settling { .. }) {
            timing.settle()
        } else {
            timing.period
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(pause) => {}
        }
    }
    let held = !matches!(role, Role::Follower);
    leading.send_replace(None);
    if held {
        match timeout(timing.call_limit, lock.step_down()).await {
            Ok(Ok(())) => tracing::info!("stepped down"),
            Ok(Err(error)) => tracing::warn!(%error, "failed to step down: the lease runs out by itself"),
            Err(_) => tracing::warn!("failed to step down in time: the lease runs out by itself"),
        }
    }
}

/// A round of a replica that does not hold the Lease.
async fn bid(
    leases: &Api<Lease>,
    lock: &LeaseLock,
    identity: &str,
    seen: &mut Seen,
    timing: &Timing,
) -> Round {
    let lease = match timeout(timing.call_limit, leases.get_opt(LEASE)).await {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) => {
            tracing::warn!(%error, lease = LEASE, "failed to look at the lease");
            return Round::Unknown;
        }
        Err(_) => {
            tracing::warn!(lease = LEASE, "no answer about the lease in time");
            return Round::Unknown;
        }
    };
    match (
        seen.judge(lease.as_ref(), identity, Instant::now(), timing),
        lease,
    ) {
        (Standing::Held, _) => Round::Theirs,
        (Standing::Over, Some(lease)) => match round(lock, identity, timing).await {
            Round::Mine => Round::Mine,
            // By the holder's clock its time is not over, or it lacks what the library wants to read.
            _ if is_removed(leases, &lease, timing).await => round(lock, identity, timing).await,
            _ => Round::Unknown,
        },
        _ => round(lock, identity, timing).await,
    }
}

/// Deletes a Lease by which nobody leads, unless it was written since.
async fn is_removed(leases: &Api<Lease>, lease: &Lease, timing: &Timing) -> bool {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: lease.uid(),
            resource_version: lease.resource_version(),
        }),
        ..DeleteParams::default()
    };
    match timeout(timing.call_limit, leases.delete(LEASE, &params)).await {
        Ok(Ok(_)) => {
            tracing::info!(lease = LEASE, holder = ?holder(lease), "removed a lease by which nobody leads");
            true
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, lease = LEASE, "a lease by which nobody leads is not removed");
            false
        }
        Err(_) => false,
    }
}

async fn round(lock: &LeaseLock, identity: &str, timing: &Timing) -> Round {
    match timeout(timing.call_limit, lock.try_acquire_or_renew()).await {
        Ok(Ok(LeaseLockResult::Acquired(lease))) if holder(&lease) == Some(identity) => Round::Mine,
        Ok(Ok(_)) => Round::Theirs,
        // Someone else was faster to create it.
        Ok(Err(kube_leader_election::Error::CreateLease(kube::Error::Api(said))))
            if said.is_already_exists() =>
        {
            Round::Theirs
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, lease = LEASE, "failed to renew or look at the lease");
            Round::Unknown
        }
        Err(_) => {
            tracing::warn!(lease = LEASE, "no answer about the lease in time");
            Round::Unknown
        }
    }
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

/// Waits until this replica leads, and returns the deadline.
pub async fn wait_to_lead(leading: &mut watch::Receiver<Option<Instant>>) -> Option<()> {
    leading
        .wait_for(|until| until.is_some_and(|u| u > Instant::now()))
        .await
        .ok()
        .map(|_| ())
}

/// Waits until this replica leads no longer: it was told so, or the deadline passed without a renewal.
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

    /// A round that is answered at once.
    fn step(role: Role, round: Round, sent: Instant, timing: &Timing) -> Role {
        next(role, round, sent, sent, timing)
    }

    #[test]
    fn a_fresh_lease_counts_only_after_the_settle_time_and_a_second_look() {
        let (timing, start) = (Timing::default(), Instant::now());
        let settling = step(Role::Follower, Round::Mine, start, &timing);
        assert_eq!(settling, Role::Settling { since: start });
        assert_eq!(step(settling, Round::Mine, at(start, 500), &timing), settling);
        let later = at(start, 3100);
        assert_eq!(
            step(settling, Round::Mine, later, &timing),
            Role::Leader {
                until: later + Duration::from_secs(8)
            }
        );
        assert_eq!(step(settling, Round::Theirs, later, &timing), Role::Follower);
        assert_eq!(step(settling, Round::Unknown, later, &timing), Role::Follower);
    }

    #[test]
    fn errors_keep_leadership_only_until_its_deadline() {
        let (timing, start) = (Timing::default(), Instant::now());
        let leader = Role::Leader {
            until: at(start, 8000),
        };
        assert_eq!(step(leader, Round::Unknown, at(start, 7999), &timing), leader);
        assert_eq!(
            step(leader, Round::Unknown, at(start, 8000), &timing),
            Role::Follower
        );
        assert_eq!(step(leader, Round::Theirs, at(start, 1), &timing), Role::Follower);
        let late = at(start, 9000);
        assert_eq!(
            step(leader, Round::Mine, late, &timing),
            Role::Settling { since: late }
        );
        // Sent in time, but a rival may have acted before the answer came.
        let sent = at(start, 7900);
        assert_eq!(
            next(leader, Round::Mine, sent, at(start, 8100), &timing),
            Role::Settling { since: sent }
        );
    }

    #[test]
    fn work_stops_before_the_lease_ends_and_a_rivals_round_fits_the_settle_time() {
        let timing = Timing::default();
        assert!(timing.margin >= timing.call_limit && timing.settle() > timing.call_limit);
        assert!(timing.period + timing.call_limit < timing.ttl - timing.margin);
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
