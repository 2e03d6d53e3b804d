//! Which servers are reached without the proxy that the environment names.

/// Returns the hosts that `NO_PROXY` names.
pub(crate) fn no_proxy() -> String {
    std::env::var("NO_PROXY")
        .or_else(|_| std::env::var("no_proxy"))
        .unwrap_or_default()
}

/// Returns true for hosts that are reached directly: loopback ones, as in Go, and those in `list`.
pub(crate) fn is_exempt(host: &str, list: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let address: Option<std::net::IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    list.split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            if let (Some(ip), Some((network, bits))) = (address, entry.split_once('/')) {
                return in_network(ip, network, bits);
            }
            let name = entry.split_once(':').map_or(entry.as_str(), |(name, _)| name);
            match name.trim_start_matches('*').strip_prefix('.') {
                Some(domain) => host.ends_with(&format!(".{domain}")),
                None => host == name || host.ends_with(&format!(".{name}")),
            }
        })
}

fn in_network(ip: std::net::IpAddr, network: &str, bits: &str) -> bool {
    use std::net::IpAddr;
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(ip) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(ip) & mask == u128::from(network) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_exempt;

    #[test]
    fn exempt_hosts_are_those_that_go_exempts() {
        let list = "internal.example, .corp.example,10.0.0.0/8,192.168.1.7, *.wild.example";
        for host in [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "internal.example",
            "a.internal.example",
            "k8s.corp.example",
            "10.3.4.5",
            "192.168.1.7",
            "x.wild.example",
        ] {
            assert!(is_exempt(host, list), "{host}");
        }
        for host in ["example.org", "corp.example", "11.0.0.1", "notinternal.example"] {
            assert!(!is_exempt(host, list), "{host}");
        }
        assert!(is_exempt("anything", "*"));
    }
}
