//! Ranges of addresses that are public.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: u16, second: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), length)
}

/// IPv4 networks of IANA's special-purpose address registry, and the address of Azure's platform server, which looks public.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(168, 63, 129, 16, 32),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// Global unicast, to which fc00::/7, fe80::/10, multicast and mapped addresses do not belong.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);
/// Of these: protocol assignments with Teredo, documentation, and 6to4, which has an IPv4 address inside.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32),
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
];
/// NAT64, by which clusters of IPv6 alone reach hosts of IPv4 such as github.com.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);

/// Returns the networks of public addresses, each with what in it is not public.
pub(super) fn public() -> Vec<(IpNet, Vec<IpNet>)> {
    let v4 = SPECIAL_V4.map(IpNet::V4).to_vec();
    let v6 = SPECIAL_V6.map(IpNet::V6).to_vec();
    let embedded = SPECIAL_V4.map(|net| IpNet::V6(in_nat64(net))).to_vec();
    vec![
        (IpNet::V4(v4_all()), v4),
        (IpNet::V6(GLOBAL_V6), v6),
        (IpNet::V6(NAT64), embedded),
    ]
}

fn v4_all() -> Ipv4Net {
    Ipv4Net::default()
}

/// Returns the addresses by which NAT64 reaches a network.
fn in_nat64(net: Ipv4Net) -> Ipv6Net {
    let bits = u128::from(NAT64.addr()) | u128::from(u32::from(net.addr()));
    let address = Ipv6Addr::from(bits);
    // 96 and at most 32 are no more than 128.
    Ipv6Net::new(address, 96 + net.prefix_len()).unwrap_or(Ipv6Net::from(address))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_embedded_networks_are_those_of_ipv4() {
        assert_eq!(in_nat64(v4(10, 0, 0, 0, 8)).to_string(), "64:ff9b::a00:0/104");
        assert_eq!(
            in_nat64(v4(168, 63, 129, 16, 32)).to_string(),
            "64:ff9b::a83f:8110/128"
        );
    }

    #[test]
    fn what_is_left_out_lies_inside() {
        for (net, except) in public() {
            for inner in except {
                assert!(
                    net.contains(&inner) && inner != net && inner == inner.trunc(),
                    "{inner} {net}"
                );
            }
        }
    }

    #[test]
    fn an_address_of_every_kind_is_on_its_side() {
        let is_public = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            public().iter().any(|(net, except)| {
                net.contains(&address) && !except.iter().any(|inner| inner.contains(&address))
            })
        };
        for good in [
            "140.82.121.3",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::8c52:7903",
        ] {
            assert!(is_public(good), "{good}");
        }
        for bad in [
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.127.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "fd00:ec2::254",
            "fe80::a9fe:a9fe",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
        ] {
            assert!(!is_public(bad), "{bad}");
        }
    }
}
