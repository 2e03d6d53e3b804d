//! Networks beyond the public Internet, as administrators list them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Most entries of a list: each is a rule of a NetworkPolicy.
const MOST: usize = 100;

/// Networks that Tasks' pods can reach in addition to DNS and public addresses. The text form is
/// `10.1.0.0/16:443,fd00:1::/64:8000-8080,public:80`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Vec<Entry>);

/// An entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Further TCP ports of public addresses.
    Public(Ports),
    /// A network; all ports of all protocols, or TCP ports.
    Network(IpNet, Option<Ports>),
}

/// A range of ports, of which both ends are part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Ports {
    pub(super) fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

/// Why a list can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// An entry with an unknown form.
    #[error("{0:?} is no CIDR, CIDR:PORT, CIDR:PORT-PORT or public:PORT, such as 10.1.0.0/16:443")]
    Form(String),
    /// A CIDR with host bits.
    #[error("{entry:?} names an address inside its network: write {network}")]
    HostBits {
        /// The entry as it was written.
        entry: String,
        /// The CIDR without the host bits.
        network: IpNet,
    },
    /// A prefix of length zero, which includes the metadata service of clouds.
    #[error(
        "{0:?} would open every address, and with it the metadata service of clouds: write public:PORT, or smaller networks"
    )]
    Everything(String),
    /// More than 100 entries.
    #[error("{0} entries are too many: {MOST} are the most")]
    TooMany(usize),
}

impl Allow {
    /// Reads entries with commas between them; an empty text allows nothing more.
    ///
    /// # Errors
    /// [`AllowError`] about the first entry that can't be used.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        let mut all = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let entry = parse(entry)?;
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
        match all.len() {
            0..=MOST => Ok(Self(all)),
            more => Err(AllowError::TooMany(more)),
        }
    }

    /// Adds another list.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for entry in &other.0 {
            if !self.0.contains(entry) {
                self.0.push(*entry);
            }
        }
        self
    }

    /// Adds the address of a proxy, if its URL has one: a name can't be part of a NetworkPolicy. Returns whether it had.
    pub fn add_proxy(&mut self, url: &str) -> bool {
        let Some((address, port)) = proxy(url) else {
            return false;
        };
        // One in the pod itself needs no rule.
        if !address.is_loopback() {
            let entry = Entry::Network(IpNet::from(address), Some(Ports::one(port)));
            if !self.0.contains(&entry) {
                self.0.push(entry);
            }
        }
        true
    }

    /// Returns true if it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn public(&self) -> impl Iterator<Item = Ports> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Public(ports) => Some(*ports),
            Entry::Network(..) => None,
        })
    }

    pub(super) fn networks(&self) -> impl Iterator<Item = (IpNet, Option<Ports>)> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Public(_) => None,
            Entry::Network(network, ports) => Some((*network, *ports)),
        })
    }
}

fn parse(entry: &str) -> Result<Entry, AllowError> {
    let form = || AllowError::Form(shortened(entry));
    if let Some(open) = entry.strip_prefix("public:") {
        return ports(open).map(Entry::Public).ok_or_else(form);
    }
    // An IPv6 address has colons, and a prefix length has none.
    let (address, rest) = entry.split_once('/').ok_or_else(form)?;
    let (length, open) = match rest.split_once(':') {
        Some((length, open)) => (length, Some(ports(open).ok_or_else(form)?)),
        None => (rest, None),
    };
    let address: IpAddr = address.parse().map_err(|_| form())?;
    let length = number(length)
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(form)?;
    let network = IpNet::new(address, length).map_err(|_| form())?;
    // Kubernetes reads such an address as one of IPv4, and some networks as one of IPv6.
    if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(form());
    }
    if length == 0 {
        return Err(AllowError::Everything(shortened(entry)));
    }
    if network != network.trunc() {
        return Err(AllowError::HostBits {
            entry: shortened(entry),
            network: network.trunc(),
        });
    }
    Ok(Entry::Network(network, open))
}

fn ports(text: &str) -> Option<Ports> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first > 0 && first <= last).then_some(Ports { first, last })
}

/// Reads digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn proxy(text: &str) -> Option<(IpAddr, u16)> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = url::Url::parse(&whole).ok()?;
    // Of schemes that it does not know, such as socks5, the parser keeps the host as text.
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(1080);
    Some((host.parse().ok()?, port))
}

/// Returns a text as messages show it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
