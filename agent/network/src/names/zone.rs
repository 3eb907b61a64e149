//! Who is known by which name, to whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lease::{EndpointLease, Lease, Leases};

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// The addresses of those who have it, of both families.
    Addresses(Vec<IpAddr>),
    /// The name of the container that has an address.
    Name(String),
}

/// Looks a name up for a container: own links first, then the names on each of its networks, also
/// with the network's name behind a dot.
pub(super) fn look_up(leases: &Leases, asker: &str, name: &str) -> Option<Known> {
    let own = leases.get(asker)?;
    if let Some(address) = reversed(name) {
        return name_of(leases, own, address).map(Known::Name);
    }
    for endpoint in own.endpoints.iter().filter(|endpoint| endpoint.has_names) {
        let suffix = format!(".{}", endpoint.network_name.to_lowercase());
        let short = name.strip_suffix(&suffix);
        for name in [Some(name), short].into_iter().flatten() {
            let found = on_network(leases, endpoint, name);
            if !found.is_empty() {
                return Some(Known::Addresses(found));
            }
        }
    }
    None
}

fn on_network(leases: &Leases, asker: &EndpointLease, name: &str) -> Vec<IpAddr> {
    let is_same = |word: &String| word.to_lowercase() == name;
    let linked = asker.links.iter().find(|(alias, _)| is_same(alias));
    let meant = linked.map(|(_, target)| target.to_lowercase());
    let meant = meant.as_deref().unwrap_or(name);
    let mut found = Vec::new();
    for (_, lease) in leases.attached() {
        let Some(endpoint) = lease.endpoint(&asker.network) else {
            continue;
        };
        if endpoint
            .names
            .iter()
            .any(|word| word.to_lowercase() == meant)
        {
            found.extend(endpoint.addresses.iter().map(|(address, _)| *address));
        }
    }
    // The order of a map is different from run to run only.
    found.sort_unstable();
    found
}

fn name_of(leases: &Leases, own: &Lease, address: IpAddr) -> Option<String> {
    let shared =
        |endpoint: &&EndpointLease| endpoint.has_names && own.endpoint(&endpoint.network).is_some();
    let mut endpoints = leases
        .attached()
        .flat_map(|(_, lease)| lease.endpoints.iter().filter(shared));
    let endpoint =
        endpoints.find(|endpoint| endpoint.addresses.iter().any(|(a, _)| *a == address))?;
    let name = endpoint.names.first()?;
    Some(format!("{name}.{}", endpoint.network_name))
}

/// Reads the name under which the name of an address is asked for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets: Vec<&str> = digits.split('.').collect();
        octets.reverse();
        return octets.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::from);
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut n_digits = 0;
    for digit in digits.rsplit('.') {
        n_digits += 1;
        let value = u128::from_str_radix(digit, 16)
            .ok()
            .filter(|_| digit.len() == 1)?;
        bits = bits << 4 | value;
    }
    (n_digits == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkMode;
    use crate::lease::Attached;

    fn endpoint(network: &str, last: u8, names: &[&str]) -> EndpointLease {
        EndpointLease {
            network: network.to_owned(),
            network_name: network.to_owned(),
            addresses: vec![([10, 0, 0, last].into(), "10.0.0.0/24".parse().unwrap())],
            has_names: true,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..EndpointLease::default()
        }
    }

    fn leases(all: Vec<(&str, Vec<EndpointLease>)>) -> Leases {
        let mut leases = Leases::default();
        for (id, endpoints) in all {
            let mut lease = Lease::new(NetworkMode::Bridge, Vec::new());
            lease.endpoints = endpoints;
            let attached = Attached {
                lease,
                ..Attached::default()
            };
            leases.put(id, attached);
        }
        leases
    }

    fn addresses(last: &[u8]) -> Option<Known> {
        Some(Known::Addresses(
            last.iter().map(|last| [10, 0, 0, *last].into()).collect(),
        ))
    }

    #[test]
    fn names_are_known_on_shared_networks_only() {
        let mut linked = endpoint("one", 2, &["web"]);
        linked.links.insert("Data".to_owned(), "db2".to_owned());
        let leases = leases(vec![
            ("web", vec![linked]),
            ("db1", vec![endpoint("one", 3, &["db1", "db"])]),
            ("db2", vec![endpoint("one", 4, &["db2", "DB"])]),
            ("far", vec![endpoint("two", 5, &["far"])]),
        ]);
        let ask = |name| look_up(&leases, "web", name);
        assert_eq!(ask("db"), addresses(&[3, 4]));
        assert_eq!(ask("db1.one"), addresses(&[3]));
        assert_eq!(ask("data"), addresses(&[4]));
        assert_eq!(ask("web"), addresses(&[2]));
        assert_eq!(ask("far"), None);
        assert_eq!(ask("db1.two"), None);
        assert_eq!(
            ask("3.0.0.10.in-addr.arpa"),
            Some(Known::Name("db1.one".to_owned()))
        );
        assert_eq!(ask("5.0.0.10.in-addr.arpa"), None);
        // Nobody but the one that has the link knows it.
        assert_eq!(look_up(&leases, "db1", "data"), None);
        assert_eq!(look_up(&leases, "nobody", "db"), None);
    }

    #[test]
    fn addresses_are_read_backwards() {
        let v6 = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
        assert_eq!(
            reversed(v6),
            Some("4321:0:1:2:3:4:567:89ab".parse().unwrap())
        );
        assert_eq!(reversed("4.3.2.1.in-addr.arpa"), Some([1, 2, 3, 4].into()));
        for text in [
            "3.2.1.in-addr.arpa",
            "a.ip6.arpa",
            "x.in-addr.arpa",
            "in-addr.arpa",
            "10.ip6.arpa",
        ] {
            assert_eq!(reversed(text), None, "{text}");
        }
    }
}
