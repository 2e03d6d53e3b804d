//! Hosts, as every program reads them.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Splits a host off the beginning of a text, if there is one that every program reads in the same way: a name, an IPv4
/// address in its usual form, or an IPv6 address in brackets.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let end = match text.strip_prefix('[') {
        Some(address) => address.find(']')? + 2,
        None => text
            .find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c))
            .unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    is_plain(host).then_some((host, rest))
}

fn is_plain(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        // An IPv4 address inside has two spellings, and allow-lists know one.
        return ipv6(address).is_some() && !address.contains('.');
    }
    let has_labels = host.split('.').all(|label| !label.is_empty());
    let last = host.rsplit('.').next().unwrap_or_default();
    has_labels
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        // `127.1`, `0x7f000001` and `0177.0.0.1` are names for one program and addresses for another.
        && (!is_number(last) || host.parse::<Ipv4Addr>().is_ok())
}

fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn ipv6(address: &str) -> Option<Ipv6Addr> {
    address.strip_suffix(']')?.parse().ok()
}

/// Returns a host in the one spelling that it has among all of an IPv6 address.
pub(super) fn canonical(host: &str) -> Cow<'_, str> {
    match host.strip_prefix('[').and_then(ipv6) {
        Some(address) => format!("[{address}]").into(),
        None => host.into(),
    }
}
