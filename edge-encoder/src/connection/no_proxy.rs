//! Lists of hosts that are reached without a proxy, as in the variable `NO_PROXY`.
//!
//! The entries are separated by commas. `*` is every host. A name is that host and all hosts in its domain, with or
//! without a dot or `*.` at its beginning. An IP address is that address, and `ADDRESS/BITS` a network. Names and
//! addresses may end with a port, and then apply to that port only.

use std::net::IpAddr;

/// Returns whether a list contains a host. IPv6 addresses are in brackets, as in a URL.
pub(super) fn lists_host(list: &str, host: &str, port: u16) -> bool {
    list.split(',').map(str::trim).any(|entry| is_entry_of(entry, host, port))
}

fn is_entry_of(entry: &str, host: &str, port: u16) -> bool {
    let (entry, entry_port) = split_port(entry);
    if entry.is_empty() || entry_port.is_some_and(|entry_port| entry_port != port) {
        return false;
    }
    match parse_address(host) {
        _ if entry == "*" => true,
        Some(address) => is_in_network(address, entry),
        None => is_in_domain(host, entry),
    }
}

/// Splits off the port. An IPv6 address has one only if it is in brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let split = entry.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
    match split.and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    }
}

/// Parses an IP address, which may be in brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn is_in_network(address: IpAddr, entry: &str) -> bool {
    let Some((network, bits)) = entry.split_once('/') else { return parse_address(entry) == Some(address) };
    let (Some(network), Ok(bits)) = (parse_address(network), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            bits <= 32 && (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            bits <= 128 && (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
        }
        _ => false,
    }
}

fn is_in_domain(host: &str, entry: &str) -> bool {
    let domain = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let subdomain = host.strip_suffix(&domain);
    !domain.is_empty() && subdomain.is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_domains_addresses_and_networks_are_found() {
        let list = "decoder.example, .lan,*.Office.example,192.0.2.7,198.51.100.0/24,[2001:db8::7],2001:db8:1::/48,\
                    only.example:8443";
        for host in [
            "decoder.example",
            "a.DECODER.example",
            "camera.lan",
            "office.example.",
            "x.office.example",
            "192.0.2.7",
            "198.51.100.200",
            "[2001:db8::7]",
            "[2001:db8:1:2::3]",
            "[::ffff:192.0.2.7]",
            "only.example",
        ] {
            assert!(lists_host(list, host, 8443), "{host}");
        }
        for host in
            ["notdecoder.example", "example", "plan", "192.0.2.8", "198.51.101.1", "[2001:db8::8]", "a.b"]
        {
            assert!(!lists_host(list, host, 8443), "{host}");
        }
        assert!(!lists_host(list, "only.example", 443));
    }

    #[test]
    fn a_star_is_every_host_and_an_empty_list_none() {
        assert!(lists_host("*", "decoder.example", 443) && lists_host("x, *", "192.0.2.7", 80));
        for list in ["", ",", " , ", "198.51.100.0/33", "/8", ".", "*."] {
            assert!(!lists_host(list, "198.51.100.1", 80) && !lists_host(list, "x.example", 80), "{list}");
        }
        assert!(lists_host("0.0.0.0/0", "198.51.100.1", 80) && !lists_host("0.0.0.0/0", "[::1]", 80));
    }
}
