//! Metrics about the talk with GitHub.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// Most hosts that have a label of their own.
const MAX_HOSTS: usize = 100;
/// How long what is left of a limit is of interest: GitHub counts by the hour.
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    host: String,
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Account {
    host: String,
    credential: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Source {
    source: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Fault {
    fault: &'static str,
}

/// The figures; clones share them.
#[derive(Clone, Debug, Default)]
pub struct GithubMetrics {
    requests: Family<Request, Counter>,
    remaining: Family<Account, Gauge>,
    listings: Family<Source, Counter>,
    odd: Family<Fault, Counter>,
    kept: Gauge,
    /// Hosts that have a label of their own.
    hosts: Arc<Mutex<BTreeSet<String>>>,
    /// When each account was last told something: credentials come and go.
    told: Arc<Mutex<HashMap<Account, Instant>>>,
}

impl GithubMetrics {
    /// Makes the figures part of a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "github_requests",
            "Requests to GitHub, by host and status; 304 costs nothing of the rate limit, error is no answer",
            Family::clone(&self.requests),
        );
        registry.register(
            "github_rate_limit_remaining",
            "Requests that GitHub still allows in this hour, by host and a hash of the credential",
            Family::clone(&self.remaining),
        );
        registry.register(
            "github_listings",
            "Listings of issues and pull requests that were asked for, by source: github or shared",
            Family::clone(&self.listings),
        );
        registry.register(
            "github_odd_entries",
            "Entries of listings, by fault: unreadable ones were left out, of cut ones a part was (a long text, many labels)",
            Family::clone(&self.odd),
        );
        registry.register(
            "github_kept_bytes",
            "Memory that the items of listings take between polls",
            self.kept.clone(),
        );
    }

    pub(super) fn request(&self, host: &str, status: Option<u16>) {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        let host = self.label(host);
        self.requests.get_or_create(&Request { host, status }).inc();
    }

    pub(super) fn remaining(&self, host: &str, credential: &str, left: u64) {
        let account = Account {
            host: self.label(host),
            credential: credential.chars().take(10).collect(),
        };
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.remaining.get_or_create(&account).set(left);
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.insert(account, now).is_none() {
            told.retain(|account, at| {
                let counts = now.duration_since(*at) < HOUR;
                if !counts {
                    self.remaining.remove(account);
                }
                counts
            });
        }
    }

    /// Returns the label of a host. Namespace users choose hosts below a wildcard, and each label is a series that stays.
    fn label(&self, host: &str) -> String {
        let mut hosts = self.hosts.lock();
        if hosts.contains(host) || hosts.len() < MAX_HOSTS {
            hosts.insert(host.to_owned());
            return host.to_owned();
        }
        "other".into()
    }

    pub(super) fn odd(&self, unreadable: usize, cut: usize) {
        for (fault, number) in [("unreadable", unreadable), ("cut", cut)] {
            if number > 0 {
                let number = u64::try_from(number).unwrap_or(u64::MAX);
                self.odd.get_or_create(&Fault { fault }).inc_by(number);
            }
        }
    }

    pub(super) fn kept(&self, bytes: usize) {
        self.kept.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn listing(&self, shared: bool) {
        let source = if shared { "shared" } else { "github" };
        self.listings.get_or_create(&Source { source }).inc();
    }

    /// Gives each metric a value, so that a test can list their names.
    pub fn touch(&self) {
        self.request("github.com", None);
        self.remaining("github.com", "c", 1);
        self.listing(true);
        self.odd(1, 1);
        self.kept(1);
    }

    /// Returns the number of requests so far with this status; `None` for those without an answer.
    #[must_use]
    pub fn requests(&self, host: &str, status: Option<u16>) -> u64 {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        let host = host.to_owned();
        self.requests.get_or_create(&Request { host, status }).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn credentials_that_are_gone_leave_nothing_behind() {
        let (metrics, mut registry) = (GithubMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        metrics.remaining("github.com", "stays", 1);
        for hour in 0..5 {
            metrics.remaining("github.com", &format!("rotated-{hour}"), 10);
            tokio::time::advance(HOUR / 2).await;
            metrics.remaining("github.com", "stays", 1);
            tokio::time::advance(HOUR / 2).await;
        }
        let series = |word: &str| text().matches(word).count();
        assert_eq!((series("rotated-"), series("\"stays\"")), (1, 1), "{}", text());
    }

    #[test]
    fn hosts_are_a_bounded_number_of_series() {
        let metrics = GithubMetrics::default();
        for n in 0..300 {
            metrics.request(&format!("tenant-{n}.ghe.com"), None);
        }
        assert_eq!(metrics.requests("tenant-0.ghe.com", None), 1);
        assert_eq!(metrics.requests("other", None), 200);
    }
}
