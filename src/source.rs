//! The source address, as the proxy trusts it, against a policy's networks.

use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::problem::Problem;

/// The networks that callbacks may come from.
#[derive(Debug, Clone)]
pub(crate) struct SourceAddresses(Vec<IpNet>);

impl SourceAddresses {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether one of them has the address. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is its IPv4 one.
    pub(crate) fn contain(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.0.iter().any(|network| network.contains(&source))
    }
}

/// Reads a CIDR, or a single address, of either family.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, Problem> {
    const EXPECTED: Problem = Problem::Expected("a network such as `216.147.0.0/18` or `2001:db8::/32`");
    // `IpNet` reads the same, by a reader of addresses of its own: 6 KB more of the Wasm module.
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address = address.parse::<IpAddr>().map_err(|_| EXPECTED)?;
    let network = match prefix {
        None => Some(IpNet::from(address)),
        Some(prefix) => prefix_length(prefix).and_then(|length| IpNet::new(address, length).ok()),
    };
    network.map(|network| canonical(network).trunc()).ok_or(EXPECTED)
}

/// One to three digits, and nothing else (`u8` would read a sign, too).
fn prefix_length(text: &str) -> Option<u8> {
    let digits = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A network of IPv4-mapped addresses as its IPv4 one, for that is how sources are compared.
fn canonical(network: IpNet) -> IpNet {
    /// The length of `::ffff:0:0/96`.
    const MAPPED_PREFIX: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX));
    match mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()) {
        Some(v4) => IpNet::V4(v4),
        None => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_and_mapped_addresses() {
        let texts = ["216.147.0.0/18", "10.1.2.3", "2001:db8::/32", "::ffff:192.0.2.0/120"];
        let networks = SourceAddresses::new(texts.iter().map(|text| parse_network(text).unwrap()).collect());
        for (source, inside) in [
            ("216.147.0.0", true),
            ("216.147.63.255", true),
            ("216.147.64.0", false),
            ("216.146.255.255", false),
            ("::ffff:216.147.1.1", true),
            ("::ffff:216.147.64.1", false),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            // Not the mapped form: another address.
            ("::216.147.1.1", false),
        ] {
            assert_eq!(networks.contain(source.parse().unwrap()), inside, "{source}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "example.com",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/",
            "::/129",
            "all",
            "10.0.0.0/8 ",
            "10.0.0.0/+8",
            "10.0.0.0/0008",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
        ] {
            assert!(parse_network(text).is_err(), "{text}");
        }
    }
}
