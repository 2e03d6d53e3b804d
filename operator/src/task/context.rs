//! State that all reconciles of Tasks share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axon_api::{Task, branch_lock};
use kube::{Client, ResourceExt};
use kube_runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::apply::job_burst::JobBurst;
use super::apply::network_policy::{self, Network};
use super::build::pod_defaults::PodDefaults;
use super::build::pod_limits::PodLimits;
use super::decide::prices::PriceTable;
use super::github_token::rules::Token;
use super::observe::expectations::Expectations;
use super::observe::stores::{Readiness, Stores};
use crate::budget::keeper::Keeper;
use crate::images::Images;
use crate::kube::events::Events;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::slots::Turns;
use axon_github::clock::Clock;

/// Settings of the Task controller.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images to run.
    pub images: Images,
    /// The administrator's additions to every Task's pod.
    pub pod_defaults: PodDefaults,
    /// Default limits of Tasks' pods.
    pub pod_limits: PodLimits,
    /// Settings of the NetworkPolicy of Tasks' pods.
    pub agent_network: network_policy::Options,
    /// Longest time for which an image may fail to be pulled.
    pub image_pull_limit: Duration,
    /// Retention of TaskRecords.
    pub record_retention: Duration,
    /// Prices of models.
    pub prices: Arc<PriceTable>,
}

/// State that all reconciles share.
pub struct Context {
    /// Client for reads and writes.
    pub client: Client,
    /// Identities and GitHub.
    pub shared: Shared,
    /// Objects of the watches.
    pub stores: Stores,
    /// True for each store that has its first list.
    pub(super) readiness: Readiness,
    /// Settings.
    pub options: Options,
    /// The clock of all decisions.
    pub clock: Clock,
    /// Metrics that reconciles update.
    pub metrics: Metrics,
    /// Events for people.
    pub events: Events,
    /// Jobs that were just created and may not be in the store yet, by branch key, so that two Tasks decided at the
    /// same moment do not both take a branch. The Jobs themselves are the truth; this only bridges the watch's delay.
    pub(super) branch_claims: Mutex<HashMap<branch_lock::Key, Claim>>,
    /// The number of Jobs that are being created, which defers status writes.
    pub(super) job_burst: JobBurst,
    /// The NetworkPolicies that are there before Jobs.
    pub(super) network: Network,
    /// TaskBudgets.
    pub(super) keeper: Keeper,
    /// Own status writes whose events have not come yet.
    pub(super) expectations: Arc<Expectations>,
    /// Places for Tasks that have ended and whose tokens are revoked.
    pub(super) ending: Semaphore,
    /// Places for Tasks that get tokens.
    pub(super) minting: Turns,
    pub(super) failures: Failures,
    /// Tokens for the next look at a Task, by its UID: one that was just noted in the status, or one that GitHub gave after the
    /// place of a large Task was given back.
    pub(super) late_tokens: Mutex<HashMap<String, Token>>,
}

/// UID of the Task whose Job was last created for a branch. Held while one decides about that branch.
pub(super) type Claim = Arc<tokio::sync::Mutex<Option<String>>>;

/// Number of failed reconciles in a row, by Task: the exponent of the pause.
pub(super) type Failures = Arc<Mutex<HashMap<ObjectRef<Task>, u32>>>;

/// Claims after which they are forgotten.
const MAX_CLAIMS: usize = 10_000;

impl Context {
    pub(super) fn late_token(&self, task: &Task) -> Token {
        let mut late = self.late_tokens.lock();
        let uid = task.metadata.uid.as_deref().unwrap_or_default();
        late.remove(uid).unwrap_or(Token::Unasked)
    }

    pub(super) fn keep_token(&self, task: &Task, token: Token) {
        let mut late = self.late_tokens.lock();
        if late.len() > MAX_CLAIMS {
            // Those of Tasks that were deleted; the others are asked for again.
            late.clear();
        }
        late.insert(task.uid().unwrap_or_default(), token);
    }

    pub(super) fn claim(&self, key: &branch_lock::Key) -> Claim {
        let mut claims = self.branch_claims.lock();
        if claims.len() > MAX_CLAIMS {
            // All but the newest are in the index of Jobs by now; those that are held are of this moment.
            claims.retain(|_, claim| Arc::strong_count(claim) > 1);
        }
        Arc::clone(claims.entry(key.clone()).or_default())
    }
}
