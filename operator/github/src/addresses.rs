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
    /// This machine, its link, several machines, a tunnel, or none.
    Special,
    /// The service of a cloud that gives credentials to its machines and pods.
    Metadata,
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
    /// wildcard is never private. A network allows a cloud's metadata service only if it is that one address: a list such as
    /// `100.64.0.0/10` means an organisation's hosts.
    pub(super) fn admits(&self, name: &str, address: IpAddr) -> bool {
        let address = embedded(address);
        let reach = reach(address);
        let allows = |network: &IpNet| {
            let is_one_address = network.prefix_len() == network.max_prefix_len();
            network.contains(&address) && (is_one_address || reach != Reach::Metadata)
        };
        if self.networks.iter().any(allows) {
            return true;
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_named = self.named.contains(name);
        match reach {
            Reach::Public => true,
            Reach::Private => is_named,
            Reach::Special | Reach::Metadata => is_named && bare.parse::<IpAddr>().is_ok(),
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

/// Returns the IPv4 address that an IPv6 one stands for: mapped or compatible, or translated by NAT64 or 6to4.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let v4 = match v6.segments() {
        // `::1` and `::` are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0, 0, _] => None,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [0, 0, 0, 0, 0, 0xffff | 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    v4.map_or(address, IpAddr::V4)
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

/// By IANA's registry of special-purpose addresses.
fn of_v4(v4: Ipv4Addr) -> Reach {
    match v4.octets() {
        // Most clouds, the credentials of tasks on ECS and of pods on EKS, Oracle, Alibaba, and Azure's wire server, which is a
        // public address by its number.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [192, 0, 0, 192] => Reach::Metadata,
        [100, 100, 100, 200] | [168, 63, 129, 16] => Reach::Metadata,
        // RFC 1918, and RFC 6598 for carriers and clouds.
        [10, ..] | [192, 168, ..] => Reach::Private,
        [172, b, ..] if (16..32).contains(&b) => Reach::Private,
        [100, b, ..] if (64..128).contains(&b) => Reach::Private,
        // This network, loopback, link-local, multicast and reserved.
        [0 | 127 | 224..=255, ..] | [169, 254, ..] => Reach::Special,
        // Protocols' own, benchmarks, documentation, and relays of 6to4.
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Reach::Special
        }
        _ => Reach::Public,
    }
}

fn of_v6(v6: Ipv6Addr) -> Reach {
    match v6.segments() {
        // AWS, also for pods on EKS; Google; Scaleway; and link-local by the number that most clouds have in IPv4.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..] | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => Reach::Metadata,
        [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => Reach::Metadata,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Protocols' own, of which Teredo has an IPv4 address in it, and documentation.
        [0x2001, ..0x200 | 0xdb8, ..] | [0x3fff, ..0x1000, ..] => Reach::Special,
        // Only 2000::/3 is given out as unicast; link-local, loopback, multicast and the rest are outside of it.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Special,
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

    const PRIVATE: [&str; 14] = [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.201",
        "fd00::1",
        "fc00::1",
        "fd00:ec3::254",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ];
    const SPECIAL: [&str; 39] = [
        "127.0.0.1",
        "169.254.169.253",
        "0.0.0.0",
        "0.1.2.3",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::2",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "::ffff:127.0.0.1",
        "::ffff:0:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::1",
        "64:ff9b:1::a00:1",
        "64:ff9b:0:1::a00:1",
        "2002::1",
        "2002:0:1::",
        "2002:7f00:1::",
        // Teredo of 10.0.0.1, whose number is inverted.
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001::1",
        "2001:1ff::1",
        "2001:20::1",
        "2001:db8::1",
        "3fff:fff::1",
    ];
    const METADATA: [&str; 15] = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
        "::ffff:168.63.129.16",
        "64:ff9b::a9fe:a9fe",
        "2002:a83f:8110::",
        "::100.100.100.200",
    ];
    const PUBLIC: [&str; 19] = [
        "140.82.121.6",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "168.63.129.17",
        "192.0.1.1",
        "192.88.98.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:50c0::1",
        "2001:200::1",
        "2001:db9::1",
        "3fff:1000::1",
        "2a0a:a440::1",
        "::ffff:140.82.121.6",
        "64:ff9b::8c52:7906",
        "2002:8c52:7906::1",
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
        for text in PUBLIC {
            assert!(guard.admits("x.lab.example", text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn this_machine_and_its_link_are_no_host_of_any_name() {
        let named = guard("ghe.example,localhost,127.0.0.1,http://[::1]:*", &[]);
        for text in SPECIAL.iter().chain(&METADATA) {
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

    #[test]
    fn a_network_allows_a_clouds_metadata_service_only_by_its_own_address() {
        let wide = guard(
            "ghe.example,169.254.169.254",
            &[
                "100.64.0.0/10",
                "169.254.0.0/16",
                "168.63.0.0/16",
                "192.0.0.0/24",
                "fd00::/8",
                "fe80::/10",
            ],
        );
        for text in METADATA {
            let address = text.parse().unwrap();
            assert!(!wide.admits("ghe.example", address), "{text}");
            let meant = embedded(address);
            let exact = guard("*.lab.example", &[&IpNet::from(meant).to_string()]);
            assert!(exact.admits("x.lab.example", address), "{text}");
        }
        for text in ["169.254.169.253", "100.100.100.201", "fd00:ec3::1"] {
            assert!(wide.admits("x.lab.example", text.parse().unwrap()), "{text}");
        }
        assert!(
            wide.check_literal("169.254.169.254").is_ok(),
            "the administrator has named this address"
        );
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
