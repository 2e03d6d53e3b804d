//! Which replicas are at work. Every one renews a Lease of its own and looks at those of the others.
//!
//! No clock is compared: a member counts as live while its Lease is seen to change, by the monotonic clock of whoever
//! looks; and it holds itself for live only for a shorter time after a renewal that succeeded. So a member stops before
//! the others take its share, however wrong their clocks are. What is not excluded is a request that was under way;
//! that one is harmless, see [`crate::spawner::plan`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::client::Body;
use kube::core::ObjectList;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ha::server_clock::ClusterClock;
use crate::ha::shard;
use axon_api::labels;

/// The times of membership.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a Lease may stand unchanged until its member counts as gone.
    pub ttl: Duration,
    /// How long a member holds itself for live after a renewal.
    pub fresh: Duration,
    /// Pause between looks at the others.
    pub period: Duration,
    /// Time between renewals, if they succeed.
    pub renewal: Duration,
    /// Longest that a call may take.
    pub call_limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            fresh: Duration::from_secs(8),
            period: Duration::from_secs(1),
            renewal: Duration::from_secs(2),
            call_limit: Duration::from_millis(1500),
        }
    }
}

impl Timing {
    /// Returns how long a member goes by what it has seen of the others, and how long a newcomer, which they can see by
    /// then, waits before it works. Room for a look that fails in between.
    fn settle(&self) -> Duration {
        self.period * 5 / 2 + self.call_limit
    }

    /// Returns until when a replica is a member that has sent its last renewal and its last look at the others then.
    fn until(&self, renewed: Instant, looked: Instant) -> Instant {
        (renewed + self.fresh).min(looked + self.settle())
    }

    /// Returns the age at which a dead member's Lease is removed.
    fn forgotten(&self) -> Duration {
        self.ttl * 12
    }
}

/// Who is live, and how long this replica may rely on being so itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// This replica.
    pub me: String,
    /// All live members, this one included.
    pub live: BTreeSet<String>,
    /// Until when this replica is a member.
    pub until: Instant,
    /// Since when all that is so without a break. Who is no longer live had stopped before.
    pub since: Instant,
}

impl Membership {
    /// Returns whether this replica runs the spawner with this UID.
    #[must_use]
    pub fn owns(&self, uid: &str, now: Instant) -> bool {
        now < self.until && shard::owner(uid, &self.live) == Some(self.me.as_str())
    }
}

/// What has been seen of the members' Leases.
#[derive(Debug, Default)]
struct Sightings(BTreeMap<String, Sighting>);

#[derive(Debug)]
struct Sighting {
    version: String,
    changed: Instant,
}

impl Sightings {
    /// Takes note of the Leases (holder and version) that are there now, and returns who is live.
    fn look(&mut self, leases: &[(String, String)], now: Instant, ttl: Duration) -> BTreeSet<String> {
        self.0.retain(|holder, _| leases.iter().any(|(h, _)| h == holder));
        for (holder, version) in leases {
            let known = self.0.get(holder).is_some_and(|s| s.version == *version);
            if !known {
                let version = version.clone();
                self.0.insert(
                    holder.clone(),
                    Sighting {
                        version,
                        changed: now,
                    },
                );
            }
        }
        let live = self.0.iter().filter(|(_, s)| now < s.changed + ttl);
        live.map(|(holder, _)| holder.clone()).collect()
    }

    fn unchanged_for(&self, holder: &str, now: Instant) -> Duration {
        self.0
            .get(holder)
            .map(|s| now.saturating_duration_since(s.changed))
            .unwrap_or_default()
    }
}

/// One replica's membership.
pub struct Member {
    /// Client without retries and with time limits, see [`crate::ha::leadership::client`].
    pub client: Client,
    /// Namespace of the Leases.
    pub namespace: String,
    /// Name of this replica.
    pub me: String,
    /// Times.
    pub timing: Timing,
    /// Told the server's time by every answer.
    pub clock: ClusterClock,
}

impl Member {
    /// Takes part until `stop`, then removes its Lease.
    pub async fn run(self, members: watch::Sender<Option<Membership>>, stop: CancellationToken) {
        let (mut sightings, mut renewed, mut joined) = (Sightings::default(), None, None::<Instant>);
        loop {
            let sent = Instant::now();
            if renewed.is_none_or(|at| sent >= at + self.timing.renewal.mul_f64(0.8)) {
                match self.renew().await {
                    Ok(()) => {
                        if renewed.is_none_or(|at| sent >= at + self.timing.fresh) {
                            // Whoever looks from now on sees it.
                            joined = Some(Instant::now());
                        }
                        renewed = Some(sent);
                    }
                    Err(error) => tracing::warn!(%error, "failed to renew this replica's lease"),
                }
            }
            let looked = Instant::now();
            let listed = self.list().await;
            let knows = listed.is_ok();
            match listed {
                Ok(leases) => {
                    let now = Instant::now();
                    let seen = leases.iter().filter_map(sighting).collect::<Vec<_>>();
                    let live = sightings.look(&seen, now, self.timing.ttl);
                    // Leaving while in doubt is safe; joining is not: the others must know first.
                    let settled = joined.is_some_and(|at| now >= at + self.timing.settle());
                    let next = renewed
                        .map(|renewed| self.timing.until(renewed, looked))
                        .filter(|until| settled && *until > now && live.contains(&self.me))
                        .map(|until| Membership {
                            me: self.me.clone(),
                            live,
                            until,
                            since: now,
                        });
                    tell(&members, next, now);
                    self.forget(&leases, &sightings, now).await;
                }
                Err(error) => tracing::warn!(%error, "failed to list the replicas' leases"),
            }
            // Answers at ever the same part of a second would tell the server's time no better than to a second.
            let period = if knows {
                self.timing.period
            } else {
                self.timing.period / 3
            };
            let pause = period.mul_f64(rand::random_range(0.8..1.2));
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        members.send_replace(None);
        let (api, lease, params) = (self.api(), self.lease(), DeleteParams::default());
        match timeout(self.timing.call_limit, api.delete(&lease, &params)).await {
            Ok(Ok(_)) => tracing::info!("left"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to remove this replica's lease: it runs out by itself");
            }
            Err(_) => tracing::warn!("failed to remove this replica's lease in time: it runs out by itself"),
        }
    }

    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn lease(&self) -> String {
        axon_api::naming::child("axon-operator-member", &self.me, 253)
    }

    async fn renew(&self) -> Result<(), MemberError> {
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.timing.ttl.as_secs()).ok(),
            // For people; nobody compares it.
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": self.lease(), "labels": { labels::MEMBER: "true", labels::NAME: labels::APP_NAME } },
            "spec": spec,
        });
        let params = PatchParams::apply(labels::MANAGER).force();
        let request = self
            .request()
            .patch(&self.lease(), &params, &Patch::Apply(&lease))?;
        self.send(request).await.map(|_| ())
    }

    async fn list(&self) -> Result<Vec<Lease>, MemberError> {
        let params = ListParams::default().labels(&format!("{}=true", labels::MEMBER));
        let answer = self.send(self.request().list(&params)?).await?;
        Ok(serde_json::from_slice::<ObjectList<Lease>>(&answer)?.items)
    }

    fn request(&self) -> kube::core::Request {
        kube::core::Request::new(<Lease as kube::Resource>::url_path(&(), Some(&self.namespace)))
    }

    /// Sends a request, and takes the server's time from the answer, which the typed calls do not show.
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, MemberError> {
        let sent = Instant::now();
        let call = async {
            let answer = self.client.send(request.map(Body::from)).await?;
            let received = Instant::now();
            let (head, body) = answer.into_parts();
            let body = body.collect_bytes().await?;
            if !head.status.is_success() {
                let said = String::from_utf8_lossy(&body).chars().take(300).collect();
                return Err(MemberError::Refused(head.status.as_u16(), said));
            }
            if let Some(date) = head.headers.get(http::header::DATE).and_then(|d| d.to_str().ok()) {
                self.clock.heard(date, sent, received);
            }
            Ok(body.to_vec())
        };
        timeout(self.timing.call_limit, call)
            .await
            .map_err(|_| MemberError::Timeout)?
    }

    /// Removes the Leases of members that have been gone for long.
    async fn forget(&self, leases: &[Lease], sightings: &Sightings, now: Instant) {
        for lease in leases {
            let Some((holder, version)) = sighting(lease) else {
                continue;
            };
            if holder == self.me || sightings.unchanged_for(&holder, now) < self.timing.forgotten() {
                continue;
            }
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: lease.uid(),
                    resource_version: Some(version),
                }),
                ..DeleteParams::default()
            };
            let name = lease.name_any();
            let removed = timeout(self.timing.call_limit, self.api().delete(&name, &params)).await;
            tracing::info!(%holder, done = matches!(removed, Ok(Ok(_))), "removed the lease of a replica that is gone");
        }
    }
}

/// Only a change wakes the spawners; a renewal is read when it is needed. One that comes after the membership has lapsed
/// is a change: who looked at a spawner meanwhile has let go of it.
fn tell(members: &watch::Sender<Option<Membership>>, next: Option<Membership>, now: Instant) {
    members.send_if_modified(|old| {
        let same = match (old.as_ref(), next.as_ref()) {
            (Some(old), Some(next)) => old.live == next.live && now < old.until,
            (None, None) => true,
            _ => false,
        };
        if !same {
            let live: Vec<&String> = next.iter().flat_map(|m| &m.live).collect();
            tracing::info!(?live, "members changed");
        }
        let since = old.as_ref().map(|old| old.since).filter(|_| same);
        *old = next.map(|next| Membership {
            since: since.unwrap_or(next.since),
            ..next
        });
        !same
    });
}

fn sighting(lease: &Lease) -> Option<(String, String)> {
    let holder = lease.spec.as_ref()?.holder_identity.clone()?;
    Some((holder, lease.resource_version()?))
}

/// A call about Leases that failed.
#[derive(Debug, thiserror::Error)]
enum MemberError {
    #[error("{0}")]
    Call(#[from] kube::Error),
    #[error("failed to build the request: {0}")]
    Request(#[from] kube::core::request::Error),
    #[error("the API server answered {0}: {1}")]
    Refused(u16, String),
    #[error("failed to read the answer: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no answer in time")]
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn leases(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter()
            .map(|(h, v)| ((*h).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn names(live: &BTreeSet<String>) -> Vec<&str> {
        live.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_member_is_live_while_its_lease_is_seen_to_change() {
        let (mut sightings, start) = (Sightings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // One that was never seen to change may be live.
        let live = sightings.look(&leases(&[("a", "1"), ("b", "2")]), at(0), TTL);
        assert_eq!(names(&live), ["a", "b"]);
        let live = sightings.look(&leases(&[("a", "5"), ("b", "2")]), at(9), TTL);
        assert_eq!(names(&live), ["a", "b"]);
        let live = sightings.look(&leases(&[("a", "5"), ("b", "2")]), at(10), TTL);
        assert_eq!(names(&live), ["a"]);
        // A renewal brings it back, and one that left is gone at once.
        let live = sightings.look(&leases(&[("b", "6")]), at(11), TTL);
        assert_eq!(names(&live), ["b"]);
    }

    #[test]
    fn a_member_stops_before_the_others_take_over_and_takes_over_within_fifteen_seconds() {
        let timing = Timing::default();
        assert!(timing.fresh + timing.call_limit < timing.ttl);
        assert!(timing.ttl + timing.period * 2 + timing.call_limit * 2 <= Duration::from_secs(15));
    }

    #[test]
    fn a_newcomer_works_only_when_nobody_goes_by_a_look_from_before_it_came() {
        let (timing, start) = (Timing::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        // The last look before the newcomer's Lease could be seen, by a member that was renewed since.
        let (last_look, came) = (at(0), at(1));
        let until = timing.until(at(3000), last_look);
        assert!(until <= came + timing.settle());
        // Between two looks, one of which fails for as long as it may, nobody stops.
        let next = timing.period.mul_f64(1.2) + timing.call_limit + timing.period.mul_f64(0.4);
        assert!(last_look + next + Duration::from_millis(500) < until);
        // Without renewals the looks do not count.
        assert_eq!(timing.until(at(0), at(7000)), at(8000));
    }

    #[test]
    fn a_renewal_wakes_the_spawners_only_if_the_membership_had_lapsed() {
        let (sender, mut receiver) = watch::channel(None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut told = |until, now| {
            let membership = Membership {
                me: "a".into(),
                live: ["a".to_owned()].into(),
                until: at(until),
                since: at(now),
            };
            tell(&sender, Some(membership), at(now));
            let news = receiver.has_changed().unwrap();
            let known = receiver.borrow_and_update().clone().unwrap();
            assert_eq!(known.until, at(until));
            (news, known.since)
        };
        assert_eq!(told(8, 0), (true, at(0)), "a newcomer");
        assert_eq!(told(10, 2), (false, at(0)), "a renewal in time");
        // Leases could be renewed and not be listed for a while: nobody was told, and time has run out.
        assert_eq!(told(20, 12), (true, at(12)), "a renewal too late");
    }

    #[test]
    fn a_member_that_is_not_fresh_owns_nothing() {
        let now = Instant::now();
        let membership = Membership {
            me: "a".into(),
            live: ["a".to_owned()].into(),
            until: now + Duration::from_secs(1),
            since: now,
        };
        assert!(membership.owns("uid", now));
        assert!(!membership.owns("uid", now + Duration::from_secs(1)));
    }
}
