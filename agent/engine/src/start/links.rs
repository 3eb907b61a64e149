//! Links to other containers: lines of `/etc/hosts` and variables, in the form that Docker gave them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::create::links::LinkRecord;
use crate::create::network_request::exposed_ports;
use crate::start::error::StartError;
use crate::start::{hosts_file, lock, network_files};

/// Another container as a link shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) alias: String,
    pub(crate) name: String,
    pub(crate) hostname: String,
    pub(crate) address: String,
    /// Of the other container.
    pub(crate) env: Vec<String>,
    /// `80/tcp`.
    pub(crate) ports: Vec<String>,
}

impl Engine {
    /// Looks at the containers that a starting one is linked to. Those that were removed meanwhile
    /// are linked to no more.
    pub(super) fn linked(&self, record: &ContainerRecord) -> Result<Vec<Linked>, StartError> {
        let mut all = Vec::new();
        for link in &record.links {
            let Ok(other) = self.containers.find(link.container.as_str()) else {
                continue;
            };
            let other = other.record();
            if !other.status.phase.has_process() {
                return Err(StartError::LinkNotRunning {
                    other: other.name,
                    alias: format!("/{}/{}", record.name, link.alias),
                });
            }
            let on_bridge = other.network.as_ref().and_then(|n| n.endpoint("bridge"));
            let address = on_bridge.map_or("", |n| n.ip.as_str()).to_owned();
            if address.is_empty() {
                return Err(StartError::LinkNotOnBridge(other.id.to_string()));
            }
            all.push(Linked {
                alias: link.alias.clone(),
                name: other.name,
                hostname: other.config.hostname,
                address,
                env: other.config.env,
                ports: other.config.exposed_ports,
            });
        }
        Ok(all)
    }

    /// Tells a container's address to those that are linked to it, now that it may be another, and the
    /// container those that changed while it was started.
    pub(super) fn refresh_links(self: &Arc<Self>, container: &Arc<Container>) {
        let is_concerned = |other: &Arc<Container>| {
            let is_linked = |link: &LinkRecord| &link.container == container.id();
            let is_self = other.id() == container.id();
            other.with_record(|record| {
                let mut links = record.links.iter();
                links.any(|link| is_self || is_linked(link))
            })
        };
        let mut concerned = self.containers.all();
        concerned.retain(is_concerned);
        if concerned.is_empty() {
            return;
        }
        let engine = Arc::clone(self);
        // The start does not wait for it, as with Docker: the container runs already.
        tokio::task::spawn_blocking(move || {
            for container in concerned {
                if let Err(error) = engine.write_links(&container) {
                    tracing::warn!(container = %container.id(), %error, "links not changed");
                }
            }
        });
    }

    /// Brings the lines of a container's links to the addresses of now: whoever does this last writes what
    /// is true, in whichever order starts have asked for it.
    fn write_links(&self, container: &Container) -> io::Result<()> {
        let _one_at_a_time = lock(&container.network_files);
        let links = container.with_record(|record| {
            let links = record.links.clone();
            Some(links).filter(|_| record.status.phase.has_process())
        });
        let Some(links) = links else {
            return Ok(());
        };
        let now = |link: LinkRecord| {
            let other = self.containers.find(link.container.as_str()).ok()?;
            Some((link.alias, other.with_record(on_bridge)?))
        };
        let now: Vec<(String, IpAddr)> = links.into_iter().filter_map(now).collect();
        let path = network_files::paths(&self.paths.container(container.id())).hosts;
        hosts_file::change(&path, |text| with_addresses(text, &now))
    }
}

/// Returns a container's address on the default network, when it has one now.
fn on_bridge(record: &ContainerRecord) -> Option<IpAddr> {
    let network = record.network.as_ref()?;
    network.endpoint("bridge")?.ip.parse().ok()
}

fn with_addresses(text: &[u8], now: &[(String, IpAddr)]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let name = hosts_file::words(line).nth(1);
        let address = name.and_then(|name| now.iter().find(|(alias, _)| alias.as_bytes() == name));
        let rest = line.iter().position(u8::is_ascii_whitespace);
        match rest.zip(address) {
            Some((at, (_alias, address))) => {
                changed.extend(address.to_string().bytes());
                changed.extend(&line[at..]);
            }
            None => changed.extend(line),
        }
    }
    changed
}

/// Returns the names of a linked container, the alias first.
pub(crate) fn names(linked: &Linked) -> String {
    let mut names = vec![linked.alias.as_str(), linked.hostname.as_str()];
    if linked.name != linked.alias {
        names.push(&linked.name);
    }
    names.retain(|name| !name.is_empty());
    names.join(" ")
}

/// Returns the variables that tell a container named `own` of those that it is linked to.
pub(crate) fn variables(own: &str, linked: &[Linked]) -> Vec<String> {
    linked.iter().flat_map(|other| of_one(own, other)).collect()
}

fn of_one(own: &str, other: &Linked) -> Vec<String> {
    let prefix = other.alias.to_ascii_uppercase().replace('-', "_");
    let ip = &other.address;
    let mut ports: Vec<(u16, String)> = other
        .ports
        .iter()
        .filter_map(|text| exposed_ports(text).ok())
        .flatten()
        .map(|(number, protocol)| (number, protocol.to_string()))
        .collect();
    ports.sort();
    let mut env = Vec::new();
    // The lowest is the one that is meant, TCP before others.
    let is_tcp = |(_, protocol): &&(u16, String)| protocol == "tcp";
    if let Some((number, protocol)) = ports.iter().find(is_tcp).or_else(|| ports.first()) {
        env.push(format!("{prefix}_PORT={protocol}://{ip}:{number}"));
    }
    for row in ports.chunk_by(|a, b| a.1 == b.1 && a.0.checked_add(1) == Some(b.0)) {
        if let [(first, protocol), .., (last, _)] = row {
            let key = format!("{prefix}_PORT_{first}_{}", protocol.to_ascii_uppercase());
            env.push(format!("{key}_START={protocol}://{ip}:{first}"));
            env.push(format!("{key}_PORT_START={first}"));
            env.push(format!("{key}_END={protocol}://{ip}:{last}"));
            env.push(format!("{key}_PORT_END={last}"));
        }
    }
    for (number, protocol) in &ports {
        let key = format!("{prefix}_PORT_{number}_{}", protocol.to_ascii_uppercase());
        env.push(format!("{key}={protocol}://{ip}:{number}"));
        env.push(format!("{key}_ADDR={ip}"));
        env.push(format!("{key}_PORT={number}"));
        env.push(format!("{key}_PROTO={protocol}"));
    }
    env.push(format!("{prefix}_NAME=/{own}/{}", other.alias));
    for (name, value) in other.env.iter().filter_map(|word| word.split_once('=')) {
        // What every image has tells nothing of this one.
        if !matches!(name, "HOME" | "PATH") {
            env.push(format!("{prefix}_ENV_{name}={value}"));
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked() -> Linked {
        Linked {
            alias: "my-db".to_owned(),
            name: "db".to_owned(),
            hostname: "0123456789ab".to_owned(),
            address: "172.17.0.2".to_owned(),
            env: vec!["PATH=/bin".to_owned(), "PASSWORD=x=y".to_owned()],
            ports: vec![
                "53/udp".to_owned(),
                "80/tcp".to_owned(),
                "81/tcp".to_owned(),
            ],
        }
    }

    #[test]
    fn variables_are_those_of_dockers_links() {
        let env = variables("web", &[linked()]);
        for word in [
            "MY_DB_PORT=tcp://172.17.0.2:80",
            "MY_DB_PORT_80_TCP=tcp://172.17.0.2:80",
            "MY_DB_PORT_80_TCP_ADDR=172.17.0.2",
            "MY_DB_PORT_80_TCP_PORT=80",
            "MY_DB_PORT_80_TCP_PROTO=tcp",
            "MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
            "MY_DB_PORT_80_TCP_PORT_END=81",
            "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
            "MY_DB_NAME=/web/my-db",
            "MY_DB_ENV_PASSWORD=x=y",
        ] {
            assert!(env.iter().any(|e| e == word), "{word} not in {env:#?}");
        }
        assert!(!env.iter().any(|e| e.contains("PATH")));
    }

    #[test]
    fn names_are_the_alias_the_host_and_the_container() {
        assert_eq!(names(&linked()), "my-db 0123456789ab db");
    }

    #[test]
    fn only_the_lines_of_a_link_change() {
        let text =
            b"127.0.0.1\tlocalhost\n172.17.0.2\tmy-db 0123456789ab db\n172.17.0.3\tdb2\n# \xff";
        let changed = with_addresses(text, &[("my-db".to_owned(), IpAddr::from([172, 17, 0, 9]))]);
        let expected =
            b"127.0.0.1\tlocalhost\n172.17.0.9\tmy-db 0123456789ab db\n172.17.0.3\tdb2\n# \xff";
        assert_eq!(changed, expected);
    }
}
