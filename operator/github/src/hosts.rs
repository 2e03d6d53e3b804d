//! Lists of hosts: those that the operator talks to, and those that a Secret is for. Pure.
//!
//! An entry is `HOST`, `HOST:PORT` or `HOST:*`, with `*.` in front for all subdomains and `http://` in front for hosts
//! without TLS. A port that is not named is the usual one of the scheme.

use std::fmt;

pub use axon_api::git::host_entry as entry;

/// Hosts that the operator talks to unless `--github-hosts` says otherwise.
const USUAL: &str = "github.com,*.ghe.com";
/// Hosts that a Secret without the annotation is for.
const OF_A_SECRET: &str = "github.com";

/// A list of hosts.
#[derive(Clone, PartialEq, Eq)]
pub struct Hosts(Vec<Entry>);

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    text: String,
    plain: bool,
    name: Name,
    port: Port,
}

#[derive(Clone, PartialEq, Eq)]
enum Name {
    Is(String),
    /// A domain with a dot in front: all that is below it, and not the domain itself.
    Below(String),
}

#[derive(Clone, PartialEq, Eq)]
enum Port {
    Usual,
    Any,
    Is(u16),
}

/// An entry that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host: use HOST, HOST:PORT, *.DOMAIN or http://HOST")]
pub struct BadHost(String);

impl Default for Hosts {
    fn default() -> Self {
        Self(
            USUAL
                .split(',')
                .filter_map(|text| Entry::parse(text).ok())
                .collect(),
        )
    }
}

impl Hosts {
    /// Reads a list that is separated by commas. Empty entries do not count.
    ///
    /// # Errors
    /// [`BadHost`] for the first entry that is none.
    pub fn parse(list: &str) -> Result<Self, BadHost> {
        let entries = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self(entries.map(Entry::parse).collect::<Result<_, _>>()?))
    }

    /// Returns the hosts of a Secret that names none.
    #[must_use]
    pub fn of_a_secret() -> Self {
        Self(Entry::parse(OF_A_SECRET).into_iter().collect())
    }

    /// Returns true if an entry names `host`, with its port, for that scheme: `plain` is true for `http`.
    #[must_use]
    pub fn name(&self, plain: bool, host: &str) -> bool {
        let (name, port) = split(host);
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => return false,
        };
        // A text that is no host at all must not reach a URL, whatever it ends in.
        is_host(name) && self.0.iter().any(|entry| entry.fits(plain, name, port))
    }

    /// Returns the names of hosts, without ports, that the list has in full.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|entry| match &entry.name {
            Name::Is(name) => Some(name.as_str()),
            Name::Below(_) => None,
        })
    }

    /// Returns the list with a host more, as text.
    #[must_use]
    pub fn with(&self, entry: &str) -> String {
        let mut all: Vec<&str> = self.0.iter().map(|entry| entry.text.as_str()).collect();
        // A credential is for one host: the default gives way.
        if *self == Self::of_a_secret() {
            all.clear();
        }
        all.push(entry);
        all.join(",")
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|entry| &entry.text))
            .finish()
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let (plain, rest) = match lower.split_once("://") {
            None => (false, lower.as_str()),
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            Some(_) => return Err(bad()),
        };
        let (name, port) = split(rest.trim_end_matches('/'));
        let port = match port {
            None => Port::Usual,
            Some("*") => Port::Any,
            Some(text) => match text.parse().map_err(|_| bad())? {
                443 if !plain => Port::Usual,
                80 if plain => Port::Usual,
                port => Port::Is(port),
            },
        };
        let name = match name.strip_prefix("*.") {
            Some(domain) if is_host(domain) && domain.contains('.') => Name::Below(format!(".{domain}")),
            None if is_host(name) => Name::Is(name.to_owned()),
            _ => return Err(bad()),
        };
        Ok(Self {
            text: lower.clone(),
            plain,
            name,
            port,
        })
    }

    fn fits(&self, plain: bool, name: &str, port: Option<u16>) -> bool {
        let is_named = match &self.name {
            Name::Is(own) => own == name,
            Name::Below(domain) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|sub| !sub.is_empty()),
        };
        let has_port = match self.port {
            Port::Usual => port.is_none(),
            Port::Any => true,
            Port::Is(own) => port == Some(own),
        };
        is_named && has_port && plain == self.plain
    }
}

/// Parts a host and its port. The colons of an IPv6 address are in brackets.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn is_host(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty()
        && name
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_one_scheme_one_host_and_one_port() {
        let hosts =
            Hosts::parse("github.com, GHE.example:8443,http://lab:8080,http://[::1]:*,https://x.example:443")
                .unwrap();
        for (plain, host) in [
            (false, "github.com"),
            (false, "ghe.example:8443"),
            (true, "lab:8080"),
            (true, "[::1]:1"),
            (true, "[::1]"),
            (false, "x.example"),
        ] {
            assert!(hosts.name(plain, host), "{plain} {host}");
        }
        for (plain, host) in [
            (true, "github.com"),
            (false, "github.com:444"),
            (false, "api.github.com"),
            (false, "github.com.evil"),
            (false, "ghe.example"),
            (false, "lab:8080"),
            (true, "lab"),
            (false, "[::1]:1"),
            (false, ""),
            (false, "github.com:x"),
        ] {
            assert!(!hosts.name(plain, host), "{plain} {host}");
        }
    }

    #[test]
    fn a_wildcard_is_for_what_is_below_it_and_for_hosts_alone() {
        let hosts = Hosts::default();
        assert!(hosts.name(false, "octo.ghe.com") && hosts.name(false, "github.com"));
        for evil in [
            "ghe.com",
            ".ghe.com",
            "evil/x.ghe.com",
            "10.0.0.5/admin?y=.ghe.com",
            "u@x.ghe.com",
            "x.ghe.com:8443",
            "xghe.com",
            "x..ghe.com",
        ] {
            assert!(!hosts.name(false, evil), "{evil}");
        }
        assert_eq!(hosts.exact().collect::<Vec<_>>(), ["github.com"]);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "*", "*.", "*.com", "a/b", "ftp://x", "x:y", "x:99999", "a b", "http://", "u@h", "x?*",
        ] {
            assert!(Hosts::parse(bad).is_err(), "{bad}");
        }
        assert!(!Hosts::parse(" , ").unwrap().name(false, "github.com"));
    }

    #[test]
    fn a_host_is_added_to_those_that_were_named_and_takes_the_place_of_the_default() {
        assert_eq!(Hosts::of_a_secret().with("ghe.example"), "ghe.example");
        let named = Hosts::parse("ghe.example").unwrap();
        assert_eq!(
            named.with(&entry(true, "lab:8080")),
            "ghe.example,http://lab:8080"
        );
    }
}
