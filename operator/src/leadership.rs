//! Which replica leads. The only user of kube-leader-election.
//!
//! That library can name two leaders: it reads the Lease and then patches it without a precondition, and it tells a
//! stalled holder that it still leads. So its word is taken only under these rules:
//!
//! - its client never retries on its own, and each round has a time limit, so that a renewal can't sleep past the
//!   lease's end;
//! - the holder that comes back must be this replica;
//! - a fresh acquisition counts only after a settle time longer than any rival's round, and after another look;
//! - leadership ends at a deadline on the monotonic clock, counted from before the last good renewal was sent, and
//!   earlier than the lease itself ends.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, Config};
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
    /// read the old Lease just before and overwrite the new one, and longer than a former leader goes without a look,
    /// which a replica with a fast clock may have robbed of a Lease that was still good.
    fn settle(&self) -> Duration {
        self.period + self.call_limit + Duration::from_millis(100)
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

fn next(role: Role, round: Round, sent: Instant, timing: &Timing) -> Role {
    match (role, round) {
        (_, Round::Theirs) => Role::Follower,
        (Role::Follower, Round::Mine) => Role::Settling { since: sent },
        (Role::Settling { since }, Round::Mine) if sent >= since + timing.settle() => Role::Leader {
            until: sent + timing.ttl - timing.margin,
        },
        // A leader that comes back late may have been followed by another one meanwhile.
        (Role::Leader { until }, Round::Mine) if sent >= until => Role::Settling { since: sent },
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
    let lock = LeaseLock::new(client, &namespace, params);
    let mut role = Role::Follower;
    loop {
        let sent = Instant::now();
        let round = round(&lock, &identity, &timing).await;
        let before = role;
        role = next(role, round, sent, &timing);
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

    #[test]
    fn a_fresh_lease_counts_only_after_the_settle_time_and_a_second_look() {
        let (timing, start) = (Timing::default(), Instant::now());
        let settling = next(Role::Follower, Round::Mine, start, &timing);
        assert_eq!(settling, Role::Settling { since: start });
        assert_eq!(next(settling, Round::Mine, at(start, 500), &timing), settling);
        let later = at(start, 3100);
        assert_eq!(
            next(settling, Round::Mine, later, &timing),
            Role::Leader {
                until: later + Duration::from_secs(8)
            }
        );
        assert_eq!(next(settling, Round::Theirs, later, &timing), Role::Follower);
        assert_eq!(next(settling, Round::Unknown, later, &timing), Role::Follower);
    }

    #[test]
    fn errors_keep_leadership_only_until_its_deadline() {
        let (timing, start) = (Timing::default(), Instant::now());
        let leader = Role::Leader {
            until: at(start, 8000),
        };
        assert_eq!(next(leader, Round::Unknown, at(start, 7999), &timing), leader);
        assert_eq!(
            next(leader, Round::Unknown, at(start, 8000), &timing),
            Role::Follower
        );
        assert_eq!(next(leader, Round::Theirs, at(start, 1), &timing), Role::Follower);
        let late = at(start, 9000);
        assert_eq!(
            next(leader, Round::Mine, late, &timing),
            Role::Settling { since: late }
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
#[path = "leadership_race_tests.rs"]
mod race_tests;
