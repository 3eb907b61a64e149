//! Links to other containers: lines of `/etc/hosts` and variables, in the form that Docker gave them.

use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::create::network_request::exposed_ports;
use crate::start::error::StartError;

/// Longest `/etc/hosts` that is looked through: the container can write to it as well. A longer one is left alone.
const LONGEST_HOSTS: u64 = 1024 * 1024;

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

    /// Tells a container's address to those that are linked to it, now that it may be another.
    pub(super) fn refresh_links(&self, container: &Container) {
        let address = container.with_record(|record| {
            record
                .network
                .as_ref()?
                .endpoint("bridge")
                .map(|e| e.ip.clone())
        });
        let Some(Ok(address)) = address.map(|text| text.parse::<IpAddr>()) else {
            return;
        };
        let linked = |other: &Arc<Container>| {
            other.with_record(|record| {
                let links = record
                    .links
                    .iter()
                    .filter(|l| &l.container == container.id());
                let aliases: Vec<String> = links.map(|link| link.alias.clone()).collect();
                (record.status.phase.has_process() && !aliases.is_empty()).then_some(aliases)
            })
        };
        let all = self.containers.all();
        let changes: Vec<(PathBuf, Vec<String>)> = all
            .iter()
            .filter_map(|other| {
                let path = self.paths.container(other.id()).join("hosts");
                Some((path, linked(other)?))
            })
            .collect();
        if changes.is_empty() {
            return;
        }
        // The start does not wait for it, as with Docker: the container runs already.
        tokio::task::spawn_blocking(move || {
            for (path, aliases) in changes {
                if let Err(error) = change_hosts(&path, &aliases, address) {
                    tracing::warn!(path = %path.display(), error = %error, "link not changed");
                }
            }
        });
    }
}

/// Changes the address of names in a hosts file. It is written in place, since it is mounted; what is in
/// the container's own lines, text or not, stays.
fn change_hosts(path: &Path, aliases: &[String], address: IpAddr) -> io::Result<()> {
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    let mut text = Vec::new();
    let length = (&file).take(LONGEST_HOSTS + 1).read_to_end(&mut text)?;
    if length as u64 > LONGEST_HOSTS {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let changed = with_address(&text, aliases, address);
    if changed == text {
        return Ok(());
    }
    file.rewind()?;
    file.write_all(&changed)?;
    file.set_len(changed.len() as u64)
}

fn with_address(text: &[u8], aliases: &[String], address: IpAddr) -> Vec<u8> {
    let mut changed = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let name = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .nth(1);
        let is_alias = name.is_some_and(|name| aliases.iter().any(|a| a.as_bytes() == name));
        let rest = line.iter().position(u8::is_ascii_whitespace);
        match rest.filter(|_| is_alias) {
            Some(at) => {
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
        let changed = with_address(text, &["my-db".to_owned()], IpAddr::from([172, 17, 0, 9]));
        let expected =
            b"127.0.0.1\tlocalhost\n172.17.0.9\tmy-db 0123456789ab db\n172.17.0.3\tdb2\n# \xff";
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_hosts_file_that_is_too_long_is_left_alone_and_others_become_shorter() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hosts");
        let alias = ["db".to_owned()];
        let line = "172.17.0.200\tdb\n";
        let long = line.to_owned() + &"#".repeat(1 << 20);
        fs::write(&path, &long).expect("file");
        let address = IpAddr::from([10, 0, 0, 1]);
        change_hosts(&path, &alias, address).expect_err("too long");
        assert!(fs::read_to_string(&path).expect("file") == long);
        fs::write(&path, line).expect("file");
        change_hosts(&path, &alias, address).expect("changed");
        assert_eq!(fs::read_to_string(&path).expect("file"), "10.0.0.1\tdb\n");
    }
}
