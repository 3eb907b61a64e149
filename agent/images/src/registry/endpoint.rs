//! Where a registry is, and how much it must prove.

use std::net::IpAddr;

use reqwest::Url;

use crate::Reference;

/// The name under which Docker's registry answers.
const DOCKER_HOST: &str = "registry-1.docker.io";

/// One address to ask for a repository.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The name for people.
    pub(crate) name: String,
    /// Base addresses to try, best first, each ending in a slash.
    pub(crate) bases: Vec<Url>,
    /// Whether any certificate will do.
    pub(crate) is_insecure: bool,
    /// Whether this is this machine.
    pub(crate) is_loopback: bool,
}

/// The registries that may be spoken to without trusted TLS.
#[derive(Debug, Clone, Default)]
pub(crate) struct InsecureRegistries {
    names: Vec<String>,
    networks: Vec<(IpAddr, u8)>,
}

impl InsecureRegistries {
    pub(crate) fn new(entries: &[String]) -> Self {
        let mut registries = Self::default();
        for entry in entries {
            match parse_network(entry) {
                Some(network) => registries.networks.push(network),
                None => registries.names.push(entry.clone()),
            }
        }
        registries
    }

    async fn contains(&self, domain: &str) -> bool {
        if self.names.iter().any(|name| name == domain) {
            return true;
        }
        if self.networks.is_empty() {
            return false;
        }
        let target = (host_of(domain).to_owned(), 0);
        match tokio::net::lookup_host(target).await {
            Ok(addresses) => addresses.into_iter().any(|address| {
                let inside = |network: &(IpAddr, u8)| is_inside(address.ip(), *network);
                self.networks.iter().any(inside)
            }),
            // It cannot be reached either then, which is reported where it matters.
            Err(_unknown_name) => false,
        }
    }
}

impl Endpoint {
    /// Returns the registry of a reference.
    pub(crate) async fn of(reference: &Reference, insecure: &InsecureRegistries) -> Option<Self> {
        let domain = reference.domain();
        let host = match domain {
            "docker.io" => DOCKER_HOST,
            domain => domain,
        };
        Self::at(domain, host, insecure).await
    }

    /// Returns a mirror by its address, which may name a scheme.
    pub(crate) async fn mirror(address: &str, insecure: &InsecureRegistries) -> Option<Self> {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Self::at(address, address, insecure).await;
        };
        let host = rest.trim_end_matches('/');
        let mut endpoint = Self::at(host, host, insecure).await?;
        endpoint.bases = vec![Url::parse(&format!("{scheme}://{host}/")).ok()?];
        Some(endpoint)
    }

    async fn at(name: &str, host: &str, insecure: &InsecureRegistries) -> Option<Self> {
        let is_loopback = is_loopback(host_of(host));
        let is_insecure = is_loopback || insecure.contains(name).await;
        let schemes: &[&str] = if is_insecure {
            &["https", "http"]
        } else {
            &["https"]
        };
        let parse = |scheme: &&str| Url::parse(&format!("{scheme}://{host}/")).ok();
        Some(Self {
            name: name.to_owned(),
            bases: schemes.iter().map(parse).collect::<Option<_>>()?,
            is_insecure,
            is_loopback,
        })
    }
}

/// Returns the host without port and brackets.
fn host_of(domain: &str) -> &str {
    if let Some(rest) = domain.strip_prefix('[') {
        return rest
            .split_once(']')
            .map_or(rest, |(address, _port)| address);
    }
    domain.split_once(':').map_or(domain, |(host, _port)| host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    Some((address.parse().ok()?, bits.parse().ok()?))
}

fn is_inside(address: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    let common = |a: u128, b: u128, width: u32| {
        let shift = width.saturating_sub(u32::from(bits));
        a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => common(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => common(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{InsecureRegistries, host_of, is_loopback};

    #[tokio::test]
    async fn insecure_registries_are_names_and_networks() {
        let entries = ["reg:5000".to_owned(), "10.0.0.0/8".to_owned()];
        let insecure = InsecureRegistries::new(&entries);
        assert!(insecure.contains("reg:5000").await);
        assert!(!insecure.contains("reg").await);
        assert!(insecure.contains("10.1.2.3:5000").await);
        assert!(!insecure.contains("11.1.2.3:5000").await);
    }

    #[test]
    fn this_machine_is_recognised() {
        for domain in ["localhost:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(host_of(domain)), "{domain}");
        }
        for domain in ["localhost.example.org", "128.0.0.1:80", "docker.io"] {
            assert!(!is_loopback(host_of(domain)), "{domain}");
        }
    }
}
