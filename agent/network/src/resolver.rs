//! What containers are told about name servers, taken from the machine's own `resolv.conf`.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The public name servers that Docker falls back to as well when the machine has none to offer.
const FALLBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];

/// Where systemd-resolved writes the servers that it asks behind its own loopback address.
const SYSTEMD_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// The content of a `resolv.conf`; its `Display` is the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// The name servers to ask, in order.
    pub nameservers: Vec<IpAddr>,
    /// The domains that short names are tried in.
    pub search: Vec<String>,
    /// Options such as `ndots:0`.
    pub options: Vec<String>,
}

// === impl Resolver ===

impl Resolver {
    /// Reads the machine's file for a container that shares the machine's network.
    pub(crate) fn of_host(path: &Path) -> Self {
        read(path)
    }

    /// Reads the machine's file for a container with a network of its own, where loopback addresses
    /// mean something else and there is no IPv6.
    pub(crate) fn of_container(path: &Path) -> Self {
        let mut resolver = read(path);
        let local = |server: &IpAddr| server.is_loopback();
        if resolver.nameservers.iter().all(local) && path == Path::new("/etc/resolv.conf") {
            let behind = read(Path::new(SYSTEMD_RESOLVED));
            if !behind.nameservers.is_empty() {
                resolver = behind;
            }
        }
        resolver
            .nameservers
            .retain(|server| server.is_ipv4() && !local(server));
        if resolver.nameservers.is_empty() {
            resolver.nameservers = FALLBACK.to_vec();
        }
        resolver
    }

    /// Reads the machine's file for a container that has a name server of its own.
    pub(crate) fn of_named(path: &Path) -> Self {
        let mut resolver = read(path);
        resolver.nameservers = vec![crate::names::ADDRESS.into()];
        // A name without a dot is most often a container's. The machine's wishes come after.
        resolver
            .options
            .retain(|option| !option.starts_with("ndots:"));
        resolver.options.push("ndots:0".to_owned());
        resolver
    }

    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let words = words.map(str::to_owned);
            match keyword {
                Some("nameserver") => resolver
                    .nameservers
                    .extend(words.take(1).filter_map(|word| word.parse::<IpAddr>().ok())),
                // The last of these two wins, as resolv.conf(5) says.
                Some("search" | "domain") => {
                    resolver.search = words.filter(|word| word != ".").collect();
                }
                Some("options") => resolver.options.extend(words),
                _ => {}
            }
        }
        resolver
    }
}

/// A machine without the file is a machine without name servers.
fn read(path: &Path) -> Resolver {
    match std::fs::read_to_string(path) {
        Ok(text) => Resolver::parse(&text),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, path = %path.display(), "cannot read the machine's name servers");
            }
            Resolver::default()
        }
    }
}

impl fmt::Display for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.nameservers {
            writeln!(formatter, "nameserver {server}")?;
        }
        if !self.search.is_empty() {
            writeln!(formatter, "search {}", self.search.join(" "))?;
        }
        if !self.options.is_empty() {
            writeln!(formatter, "options {}", self.options.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_container(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, text).unwrap();
        Resolver::of_container(&path).to_string()
    }

    #[test]
    fn a_container_gets_the_servers_that_it_can_reach() {
        let text = "# made by hand\nnameserver 127.0.0.53\nnameserver 10.0.0.53 # the real one\n\
                    nameserver fd00::53\nnameserver nonsense\ndomain old.example\nsearch a.example b.example\n\
                    options ndots:2\noptions timeout:1\n";
        assert_eq!(
            of_container(text),
            "nameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:2 timeout:1\n"
        );
    }

    #[test]
    fn a_machine_with_only_a_local_server_gives_the_public_ones() {
        assert_eq!(
            of_container("nameserver ::1\nsearch .\n"),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        assert_eq!(of_container(""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }

    #[test]
    fn sharing_the_machines_network_means_sharing_its_servers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 127.0.0.53\nnameserver fd00::53\n").unwrap();
        assert_eq!(
            Resolver::of_host(&path).to_string(),
            "nameserver 127.0.0.53\nnameserver fd00::53\n"
        );
        assert_eq!(
            Resolver::of_host(&directory.path().join("absent")),
            Resolver::default()
        );
    }
}
