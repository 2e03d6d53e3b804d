//! Figures about the talk with GitHub.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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

/// The figures; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    requests: Family<Request, Counter>,
    remaining: Family<Account, Gauge>,
    listings: Family<Source, Counter>,
}

impl Figures {
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
    }

    pub(super) fn request(&self, host: &str, status: Option<u16>) {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        let host = host.to_owned();
        self.requests.get_or_create(&Request { host, status }).inc();
    }

    pub(super) fn remaining(&self, host: &str, credential: &str, left: u64) {
        let account = Account {
            host: host.to_owned(),
            credential: credential.chars().take(10).collect(),
        };
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.remaining.get_or_create(&account).set(left);
    }

    pub(super) fn listing(&self, shared: bool) {
        let source = if shared { "shared" } else { "github" };
        self.listings.get_or_create(&Source { source }).inc();
    }

    /// Gives every figure a value.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.request("github.com", None);
        self.remaining("github.com", "c", 1);
        self.listing(true);
    }

    /// Returns the number of requests so far with this status; `None` for those without an answer.
    #[must_use]
    pub fn requests(&self, host: &str, status: Option<u16>) -> u64 {
        let status = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        let host = host.to_owned();
        self.requests.get_or_create(&Request { host, status }).get()
    }
}
