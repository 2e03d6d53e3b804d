//! Offsets of the replicas' clocks, as proof that they are as wrong as the test wants them.

use std::collections::BTreeMap;

use axon_api::labels;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client};

/// By how many seconds a clock may be seen to be off from what it is meant to be: a renewal is seen only after a while.
const TOLERANCE: i64 = 30;

/// The renewal times in the replicas' Leases, compared with the times at which the test sees them.
pub struct Clocks {
    leases: Api<Lease>,
    /// The last renewal of each replica.
    renewals: BTreeMap<String, Timestamp>,
    /// The offset of each replica's clock at its renewals, in seconds; positive if it is ahead.
    ahead: BTreeMap<String, Vec<i64>>,
}

impl Clocks {
    pub fn new(client: Client) -> Self {
        Self {
            leases: Api::namespaced(client, "axon-system"),
            renewals: BTreeMap::new(),
            ahead: BTreeMap::new(),
        }
    }

    pub async fn look(&mut self) {
        let members = ListParams::default().labels(&format!("{}=true", labels::MEMBER));
        let Ok(leases) = self.leases.list(&members).await else {
            return;
        };
        let now = Timestamp::now();
        for spec in leases.into_iter().filter_map(|lease| lease.spec) {
            let (Some(holder), Some(renewal)) = (spec.holder_identity, spec.renew_time) else {
                continue;
            };
            // The first sight of a Lease tells nothing: it may be a dead replica's.
            let known = self.renewals.insert(holder.clone(), renewal.0);
            if known.is_some_and(|known| known != renewal.0) {
                let ahead = renewal.0.duration_since(now).as_secs();
                self.ahead.entry(holder).or_default().push(ahead);
            }
        }
    }

    /// Returns what the replica's clock was seen to be off that comes nearest to `skew`, in seconds.
    pub fn nearest(&self, replica: &str, skew: i64) -> Option<i64> {
        let seen = self.ahead.get(replica)?.iter().copied();
        seen.min_by_key(|ahead| (ahead - skew).abs())
    }

    /// Returns whether the replica's clock was seen to be wrong by so many seconds.
    pub fn was_off(&self, replica: &str, skew: i64) -> bool {
        self.nearest(replica, skew)
            .is_some_and(|ahead| (ahead - skew).abs() <= TOLERANCE)
    }
}
