//! Makes sure that a namespace has its NetworkPolicy `axon-agents` before a Job is created there.
//!
//! A crowd of Tasks costs no more calls than one: a namespace is looked at by one of them at a time, and what was found is good
//! for a minute. If the policy can't be had, no Job is created: an agent without it would reach everything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axon_api::labels;
use axon_api::network::{self, Allow, NAME, Plan};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::kube::call::{CallError, timed};
use crate::kube::impersonation::is_about_rights;

/// Lifetime of the cached answer that a namespace has its policy.
const GOOD: Duration = Duration::from_secs(60);
/// Lifetime of a cached refusal.
const REFUSED: Duration = Duration::from_secs(5);
/// Shortest time between two looks at a namespace, whatever happens in it.
const APART: Duration = Duration::from_secs(2);
/// Lifetime of a cached transient failure.
const FAILED: Duration = Duration::from_secs(1);
/// Most namespaces that are remembered.
const MOST: usize = 10_000;

/// Settings of the NetworkPolicy of Tasks' pods.
#[derive(Clone, Debug)]
pub struct Options {
    /// False if the operator writes no NetworkPolicies.
    pub is_managed: bool,
    /// Networks that pods of all namespaces may reach.
    pub allow: Allow,
    /// Name servers that pods ask, as far as the operator knows them.
    pub name_servers: Vec<IpAddr>,
}

/// Whether Jobs can be created in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The policy is there, or an administrator wants none.
    Yes,
    /// No Job can be created until somebody changes something; the message says what.
    Refused(String),
    /// Another Task's look has just failed.
    Later,
    /// Another Task looks at this moment.
    Busy,
}

impl Ready {
    fn period(&self) -> Duration {
        match self {
            Self::Yes => GOOD,
            Self::Refused(_) => REFUSED,
            Self::Later | Self::Busy => FAILED,
        }
    }
}

/// Keeps the policies. Clones share what is known.
#[derive(Clone)]
pub struct Network {
    client: Client,
    options: Arc<Options>,
    namespaces: Arc<Mutex<HashMap<String, Arc<Known>>>>,
}

/// Cached answer about a namespace.
#[derive(Default)]
struct Known {
    /// Held during a look, so that there is one at a time. Nobody waits for it: that would hold a worker.
    looking: tokio::sync::Mutex<()>,
    found: Mutex<Option<(Instant, Ready)>>,
    is_stale: AtomicBool,
}

impl Known {
    /// Returns what was found, while it is good.
    fn found(&self) -> Option<Ready> {
        let found = self.found.lock();
        let (at, ready) = found.as_ref()?;
        let is_stale = self.is_stale.load(Ordering::Relaxed);
        let period = ready.period().min(if is_stale { APART } else { GOOD });
        (at.elapsed() < period).then(|| ready.clone())
    }

    fn keep(&self, ready: Ready) {
        let mut found = self.found.lock();
        *found = Some((Instant::now(), ready));
    }
}

impl Network {
    /// Returns one that knows nothing yet.
    #[must_use]
    pub fn new(client: Client, options: Options) -> Self {
        Self {
            client,
            options: Arc::new(options),
            namespaces: Arc::default(),
        }
    }

    /// Makes sure of a namespace's policy, unless that was done a moment ago. Does not wait for another Task's look.
    ///
    /// # Errors
    /// [`CallError`] for a call that may go well when it is repeated.
    pub async fn ensure(&self, namespace: &str) -> Result<Ready, CallError> {
        if !self.options.is_managed {
            return Ok(Ready::Yes);
        }
        let known = self.namespace(namespace);
        if let Some(ready) = known.found() {
            return Ok(ready);
        }
        let Ok(_looking) = known.looking.try_lock() else {
            return Ok(Ready::Busy);
        };
        // A look may have ended in between.
        if let Some(ready) = known.found() {
            return Ok(ready);
        }
        // Before the look: what goes during it counts again.
        known.is_stale.store(false, Ordering::Relaxed);
        let looked = self.look(namespace).await;
        let ready = match &looked {
            Ok(ready) => ready.clone(),
            Err(error) if error.is_refusal() => Ready::Refused(words(namespace, error)),
            Err(_) => Ready::Later,
        };
        if let Ready::Refused(why) = &ready {
            tracing::warn!(%namespace, why, "no Jobs are created");
        }
        known.keep(ready.clone());
        match looked {
            Err(error) if ready == Ready::Later => Err(error),
            _ => Ok(ready),
        }
    }

    /// Has a namespace looked at again before the next Job: one of its Tasks was deleted, and so the namespace itself may have
    /// been, and another one created under its name.
    pub fn doubt(&self, namespace: &str) {
        let all = self.namespaces.lock();
        if let Some(known) = all.get(namespace) {
            known.is_stale.store(true, Ordering::Relaxed);
        }
    }

    fn namespace(&self, namespace: &str) -> Arc<Known> {
        let mut all = self.namespaces.lock();
        if all.len() >= MOST && !all.contains_key(namespace) {
            all.clear();
        }
        Arc::clone(all.entry(namespace.to_owned()).or_default())
    }

    async fn look(&self, namespace: &str) -> Result<Ready, CallError> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let about = timed("get namespace", namespaces.get_metadata(namespace)).await?;
        let more = match network::of_namespace(namespace, about.metadata.annotations.as_ref()) {
            Ok(Some(more)) => more,
            Ok(None) => {
                tracing::debug!(%namespace, "an annotation turns NetworkPolicy {NAME} off");
                return Ok(Ready::Yes);
            }
            Err(error) => return Ok(Ready::Refused(error.to_string())),
        };
        let allow = self.options.allow.clone().and(&more);
        let wanted = network::policy(namespace, &allow, &self.options.name_servers);
        let policies = Api::<NetworkPolicy>::namespaced(self.client.clone(), namespace);
        let found = timed("get networkpolicy axon-agents", policies.get_opt(NAME)).await?;
        match network::plan(found.as_ref(), &wanted) {
            Plan::Keep => {}
            Plan::LeaveAlone => {
                tracing::debug!(%namespace, "NetworkPolicy {NAME} is an administrator's and is left alone");
            }
            Plan::Apply => {
                let params = PatchParams::apply(labels::MANAGER).force();
                let patch = Patch::Apply(&wanted);
                timed(
                    "apply networkpolicy axon-agents",
                    policies.patch(NAME, &params, &patch),
                )
                .await?;
                tracing::info!(%namespace, "NetworkPolicy {NAME} written");
            }
        }
        Ok(Ready::Yes)
    }
}

/// Returns how long a Task waits after another one's look has failed; `chance` is from 0 to 1 and keeps a crowd apart.
pub(crate) fn pause(chance: f64) -> Duration {
    FAILED.mul_f64(2.0 + 2.0 * chance)
}

fn words(namespace: &str, error: &CallError) -> String {
    let said = error.said().map(|said| said.message.as_str()).unwrap_or_default();
    let why = match is_about_rights(said) {
        true => format!(
            "the operator may not read namespace {namespace} or write networkpolicies {NAME} in it: apply config/rbac of this release, \
             or run `kubectl axon install`; `kubectl axon install --agent-network-policy=off` does without the policy"
        ),
        false => "the cluster's rules refuse it".to_owned(),
    };
    format!("no agent starts without NetworkPolicy {NAME}: {why} ({said})")
}

/// Returns the name servers of a `resolv.conf`.
#[must_use]
pub fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let servers = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    });
    servers.collect()
}

#[cfg(test)]
mod tests;
