//! Which addresses the operator connects to. Pure, but for the resolver at the end, which asks the machine's own.
//!
//! A namespace user chooses the host of a Workspace, and the owner of a domain what it resolves to. So the addresses are
//! checked when the connection is made: an answer of the DNS that changes between a check and its use changes nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use ipnet::IpNet;
use tower::Service;

use super::hosts::Hosts;

/// A connection that is not made. It does not show the address: whoever chose the host could map the network by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host has no address on the public network")]
pub(super) struct PrivateAddress;

/// The rule for addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// Hosts of the API that the administrator has named in full.
    named: Arc<BTreeSet<String>>,
    networks: Arc<[IpNet]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    /// A network of an organisation.
    Private,
    /// This machine, its link, several machines, or none.
    Special,
}

impl Guard {
    pub(super) fn new(hosts: &Hosts, networks: &[IpNet]) -> Self {
        // github.com and the enterprises on ghe.com have their API on a host of its own.
        let named = hosts
            .exact()
            .flat_map(|name| [name.to_owned(), format!("api.{name}")])
            .collect();
        Self {
            named: Arc::new(named),
            networks: networks.into(),
        }
    }

    /// Returns true if the operator may connect to `address` as the host `name`.
    ///
    /// A host that the administrator has named in full may be in a private network: that is where a GitHub Enterprise
    /// Server is. Loopback and link-local addresses are for those alone that are named as addresses; a subdomain of a
    /// wildcard is never private.
    pub(super) fn admits(&self, name: &str, address: IpAddr) -> bool {
        let address = embedded(address);
        if self.networks.iter().any(|network| network.contains(&address)) {
            return true;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_named = self.named.contains(name);
        match reach(address) {
            Reach::Public => true,
            Reach::Private => is_named,
            Reach::Special => is_named && bare.parse::<IpAddr>().is_ok(),
        }
    }

    /// Checks the host of a URL that is an address, which is never resolved.
    pub(super) fn check_literal(&self, name: &str) -> Result<(), PrivateAddress> {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) if !self.admits(name, address) => Err(PrivateAddress),
            _ => Ok(()),
        }
    }
}

/// Returns the IPv4 address that an IPv6 one stands for: mapped, or translated by NAT64 or 6to4.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let v4 = match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low]
            if high != 0 =>
        {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => v6.to_ipv4_mapped(),
    };
    v4.map_or(address, IpAddr::V4)
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

fn of_v4(v4: Ipv4Addr) -> Reach {
    match v4.octets() {
        // RFC 1918, and RFC 6598 for carriers and clouds.
        [10, ..] | [192, 168, ..] => Reach::Private,
        [172, b, ..] if (16..32).contains(&b) => Reach::Private,
        [100, b, ..] if (64..128).contains(&b) => Reach::Private,
        // This network, loopback, link-local (the metadata of clouds), protocols' own, benchmarks, multicast and reserved.
        [0 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0, _] => Reach::Special,
        [198, 18 | 19, ..] => Reach::Special,
        _ => Reach::Public,
    }
}

fn of_v6(v6: Ipv6Addr) -> Reach {
    let [first, ..] = v6.segments();
    if first & 0xfe00 == 0xfc00 {
        return Reach::Private;
    }
    // Only 2000::/3 is given out as unicast; link-local, loopback, multicast and the rest are outside of it.
    if first & 0xe000 == 0x2000 {
        Reach::Public
    } else {
        Reach::Special
    }
}

/// Resolves names by the machine's own resolver, to addresses that the guard admits.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    pub(super) inner: GaiResolver,
    pub(super) guard: Guard,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failed>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, text) = (self.guard.clone(), name.as_str().to_ascii_lowercase());
        let found = self.inner.call(name);
        Box::pin(async move {
            let all = found.await?;
            let admitted: Vec<SocketAddr> = all.filter(|address| guard.admits(&text, address.ip())).collect();
            if admitted.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(admitted.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &str, networks: &[&str]) -> Guard {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        Guard::new(&Hosts::parse(hosts).unwrap(), &networks)
    }

    const PRIVATE: [&str; 7] = [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ];
    const SPECIAL: [&str; 13] = [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::127.0.0.1",
    ];

    #[test]
    fn only_hosts_that_are_named_in_full_may_be_in_a_private_network() {
        let guard = guard("ghe.example,octo.ghe.com,*.lab.example", &[]);
        for text in PRIVATE {
            let address = text.parse().unwrap();
            assert!(
                guard.admits("ghe.example", address) && guard.admits("api.octo.ghe.com", address),
                "{text}"
            );
            assert!(
                !guard.admits("x.lab.example", address) && !guard.admits("other", address),
                "{text}"
            );
        }
        for text in ["140.82.121.6", "2606:50c0::1", "172.32.0.1", "100.128.0.1"] {
            assert!(guard.admits("x.lab.example", text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn this_machine_and_its_link_are_no_host_of_any_name() {
        let named = guard("ghe.example,localhost,127.0.0.1,http://[::1]:*", &[]);
        for text in SPECIAL {
            let address = text.parse().unwrap();
            assert!(
                !named.admits("ghe.example", address) && !named.admits("localhost", address),
                "{text}"
            );
        }
        assert!(named.check_literal("127.0.0.1").is_ok() && named.check_literal("[::1]").is_ok());
        for text in ["127.0.0.2", "[fe80::1]", "169.254.169.254", "10.0.0.1"] {
            assert_eq!(named.check_literal(text), Err(PrivateAddress), "{text}");
        }
        assert!(
            named.check_literal("ghe.example").is_ok(),
            "it is resolved and checked then"
        );
    }

    #[test]
    fn networks_that_are_allowed_are_so_for_all_hosts() {
        let guard = guard("*.lab.example", &["10.1.0.0/16", "127.0.0.0/8", "fd00::/8"]);
        for text in ["10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.1.2.3"] {
            assert!(guard.admits("x.lab.example", text.parse().unwrap()), "{text}");
        }
        assert!(!guard.admits("x.lab.example", "10.2.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_is_checked_by_what_it_resolves_to() {
        let mut resolver = Resolver {
            inner: GaiResolver::new(),
            guard: guard("localhost", &[]),
        };
        let name: Name = "localhost".parse().unwrap();
        let error = resolver.call(name.clone()).await.unwrap_err();
        assert!(error.is::<PrivateAddress>(), "{error}");
        resolver.guard = guard("other.example", &["127.0.0.0/8", "::1/128"]);
        assert!(
            resolver
                .call(name)
                .await
                .unwrap()
                .all(|address| address.ip().is_loopback())
        );
    }
}
