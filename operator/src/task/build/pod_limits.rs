//! What a Task's pod may use at most if the Task says nothing: memory, disk, time and silence. Pure.
//!
//! A pod without limits takes what its node has. One agent's build then fills the node's disk, and the kubelet evicts pods of
//! others.

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::contract::env;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::job::literal;

/// The resources that a default can name.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The defaults; a zero or an empty list is no default.
#[derive(Clone, Debug, Default)]
pub struct PodLimits {
    /// Requests of each container.
    pub requests: ResourceList,
    /// Limits of each container.
    pub limits: ResourceList,
    /// Most bytes of each of the pod's empty volumes.
    pub scratch: Option<Amount>,
    /// Longest time of a run, with the wait for a node.
    pub deadline: Duration,
    /// Longest silence of an agent.
    pub stall_timeout: Duration,
}

/// An amount of a resource, greater than zero, as Kubernetes writes it: `500m`, `4Gi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(String);

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceList(BTreeMap<String, Amount>);

/// Why a list or an amount can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Neither a number nor a number with a unit.
    #[error("{0:?} is no amount such as 500m, 4Gi or 0")]
    Amount(String),
    /// Not `RESOURCE=AMOUNT`.
    #[error("{0:?} is not RESOURCE=AMOUNT, with cpu, memory or ephemeral-storage as resource")]
    Entry(String),
}

impl Amount {
    /// Reads an amount; none if it is zero or empty.
    ///
    /// # Errors
    /// If it is no amount.
    pub fn parse(text: &str) -> Result<Option<Self>, AmountError> {
        let text = text.trim();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = text.strip_suffix(unit).unwrap_or_default();
        let is_unit = matches!(unit, "" | "m" | "k" | "Ki" | "M" | "Mi" | "G" | "Gi" | "T" | "Ti");
        match number.parse::<f64>() {
            _ if text.is_empty() => Ok(None),
            Ok(number) if is_unit && number == 0.0 => Ok(None),
            Ok(_) if is_unit && number.len() <= 20 => Ok(Some(Self(text.to_owned()))),
            _ => Err(AmountError::Amount(text.to_owned())),
        }
    }

    fn quantity(&self) -> Quantity {
        Quantity(self.0.clone())
    }

    /// Returns the amount as a number, to be compared with another one.
    fn value(&self) -> f64 {
        let unit = self
            .0
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = self
            .0
            .strip_suffix(unit)
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        let kibi = |power| 1024f64.powi(power);
        number
            * match unit {
                "m" => 1e-3,
                "k" => 1e3,
                "M" => 1e6,
                "G" => 1e9,
                "T" => 1e12,
                "Ki" => kibi(1),
                "Mi" => kibi(2),
                "Gi" => kibi(3),
                "Ti" => kibi(4),
                _ => 1.0,
            }
    }
}

impl PodLimits {
    /// Returns the resource of which more is reserved than may be used, if there is one: the API server would refuse every Job.
    #[must_use]
    pub fn contradiction(&self) -> Option<&str> {
        let less = |(name, reserved): &(&String, &Amount)| {
            let most = self.limits.0.get(*name);
            most.is_some_and(|most| most.value() < reserved.value())
        };
        self.requests.0.iter().find(less).map(|(name, _)| name.as_str())
    }
}

impl ResourceList {
    /// Reads `RESOURCE=AMOUNT` entries with commas between them. A resource with zero has no default.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let mut all = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, amount) = entry.split_once('=').unwrap_or((entry, ""));
            if !RESOURCES.contains(&name) || amount.is_empty() {
                return Err(AmountError::Entry(entry.to_owned()));
            }
            if let Some(amount) = Amount::parse(amount)? {
                all.insert(name.to_owned(), amount);
            }
        }
        Ok(Self(all))
    }
}

/// Puts the defaults into a Task's Job. A Task that says anything of a resource, as a request or as a limit, gets no default
/// for it: a default could contradict it.
pub(crate) fn apply(limits: &PodLimits, job: &mut Job) {
    let Some(spec) = job.spec.as_mut() else { return };
    let whole_seconds = i64::try_from(limits.deadline.as_secs()).unwrap_or(i64::MAX);
    if spec.active_deadline_seconds.is_none() && whole_seconds > 0 {
        spec.active_deadline_seconds = Some(whole_seconds);
    }
    let Some(pod) = spec.template.spec.as_mut() else {
        return;
    };
    for volume in pod.volumes.iter_mut().flatten() {
        if let (Some(scratch), Some(empty)) = (&limits.scratch, &mut volume.empty_dir) {
            empty.size_limit.get_or_insert_with(|| scratch.quantity());
        }
    }
    for container in pod.init_containers.iter_mut().flatten() {
        resources(limits, container);
    }
    for container in &mut pod.containers {
        resources(limits, container);
        let variables = container.env.get_or_insert_default();
        // A Task may set the variable itself as well.
        if !limits.stall_timeout.is_zero() && !variables.iter().any(|known| known.name == env::STALL_TIMEOUT)
        {
            let silence = format!("{}s", limits.stall_timeout.as_secs());
            variables.push(literal(env::STALL_TIMEOUT, &silence));
        }
    }
}

fn resources(limits: &PodLimits, container: &mut Container) {
    let all = container.resources.get_or_insert_default();
    let ResourceRequirements {
        requests,
        limits: most,
        ..
    } = &*all;
    let named: Vec<String> = requests
        .iter()
        .chain(most)
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    let unnamed = |list: &ResourceList| -> Vec<(String, Quantity)> {
        let own = list.0.iter().filter(|(name, _)| !named.contains(name));
        own.map(|(name, amount)| (name.clone(), amount.quantity()))
            .collect()
    };
    let (requests, most) = (unnamed(&limits.requests), unnamed(&limits.limits));
    for (name, amount) in &most {
        all.limits
            .get_or_insert_default()
            .insert(name.clone(), amount.clone());
        // Of a resource with a limit alone, Kubernetes would reserve the whole limit.
        let reserved = all.requests.get_or_insert_default();
        reserved.insert(name.clone(), Quantity("0".into()));
    }
    if !requests.is_empty() {
        all.requests.get_or_insert_default().extend(requests);
    }
}

#[cfg(test)]
mod tests;
