//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of a container, written anew at each start.

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use berth_agent_network::{Attachment, NetworkMode};

use crate::container::record::{ContainerRecord, EndpointRecord};
use crate::create::check::extra_host::ExtraHost;
use crate::options::HostOptions;
use crate::spec::FileMounts;
use crate::start::hosts_file;
use crate::start::links::{self, Linked};

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// What the files are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilesInput<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) domainname: &'a str,
    pub(crate) host: &'a HostOptions,
    pub(crate) network: &'a Attachment,
    pub(crate) linked: &'a [Linked],
    /// The machine's address on the containers' network, if there is one.
    pub(crate) gateway: Option<IpAddr>,
}

/// Writes the three files into a container's folder.
pub(crate) fn write(folder: &Path, input: &FilesInput<'_>) -> io::Result<FileMounts> {
    let files = paths(folder);
    write_file(&files.hostname, &format!("{}\n", input.hostname))?;
    let base = match input.network.mode {
        // The machine's names are the container's own there.
        NetworkMode::Host => {
            std::fs::read_to_string("/etc/hosts").unwrap_or_else(|_missing| LOCAL_HOSTS.to_owned())
        }
        NetworkMode::Bridge | NetworkMode::None => LOCAL_HOSTS.to_owned(),
    };
    write_file(&files.hosts, &hosts(&base, input))?;
    write_file(&files.resolv_conf, &resolv_conf(input.host, input.network))?;
    Ok(files)
}

/// Returns where the files of a container are.
pub(crate) fn paths(folder: &Path) -> FileMounts {
    FileMounts {
        hostname: folder.join("hostname"),
        hosts: folder.join("hosts"),
        resolv_conf: folder.join("resolv.conf"),
    }
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    // Rewritten in place, not replaced: a former start may have it mounted for a moment longer.
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

fn hosts(base: &str, input: &FilesInput<'_>) -> String {
    let mut text = base.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // Writing to a string cannot fail. What is malformed was refused at creation.
    for extra in &input.host.extra_hosts {
        let Ok(extra) = ExtraHost::parse(extra) else {
            continue;
        };
        if let Some(address) = extra.address.or(input.gateway) {
            let _ = writeln!(text, "{address}\t{}", extra.name);
        }
    }
    for linked in input.linked {
        let _ = writeln!(text, "{}\t{}", linked.address, links::names(linked));
    }
    let names = own_names(input.hostname, input.domainname);
    for endpoint in &input.network.endpoints {
        for (address, _) in &endpoint.addresses {
            let _ = writeln!(text, "{address}\t{names}");
        }
    }
    text
}

/// Brings the files of a running container to networks that have changed: its own addresses in
/// `/etc/hosts`, and who resolves names. What the container itself wrote stays.
pub(crate) fn follow(
    folder: &Path,
    record: &ContainerRecord,
    network: &Attachment,
    gone: Option<&EndpointRecord>,
) -> io::Result<()> {
    let files = paths(folder);
    let names = own_names(&record.config.hostname, &record.config.domainname);
    let endpoints = network.endpoints.iter();
    let addresses: Vec<String> = endpoints
        .flat_map(|endpoint| &endpoint.addresses)
        .map(|(address, _)| address.to_string())
        .collect();
    let hosts = hosts_file::change(&files.hosts, |text| {
        with_own(text, &addresses, &names, gone)
    });
    let now = resolv_conf(&record.host, network).into_bytes();
    // Whatever became of the other one: without its own server it finds none of its neighbours.
    let servers = hosts_file::change(&files.resolv_conf, |before| {
        if is_served(before) == is_served(&now) {
            before.to_owned()
        } else {
            now
        }
    });
    hosts.and(servers)
}

/// Returns a hosts file with the lines of the container's own addresses, and without that of an endpoint
/// that is gone.
fn with_own(
    text: &[u8],
    addresses: &[String],
    names: &str,
    gone: Option<&EndpointRecord>,
) -> Vec<u8> {
    let is_gone = |line: &[u8]| {
        let word = first(line);
        let is_its = |e: &EndpointRecord| [&e.ip, &e.ipv6].iter().any(|ip| ip.as_bytes() == word);
        !word.is_empty() && gone.is_some_and(is_its)
    };
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    let mut changed = lines()
        .filter(|line| !is_gone(line))
        .collect::<Vec<_>>()
        .concat();
    for address in addresses {
        let is_there = |line| first(line) == address.as_bytes();
        // One that is gone may have come back.
        if lines().filter(|line| !is_gone(line)).any(is_there) {
            continue;
        }
        if !changed.is_empty() && !changed.ends_with(b"\n") {
            changed.push(b'\n');
        }
        changed.extend(format!("{address}\t{names}\n").bytes());
    }
    changed
}

fn first(line: &[u8]) -> &[u8] {
    hosts_file::words(line).next().unwrap_or_default()
}

/// Tells whether a container's own name server is asked.
fn is_served(resolv_conf: &[u8]) -> bool {
    let line = format!("nameserver {NAME_SERVER}\n");
    let mut lines = resolv_conf.split_inclusive(|byte| *byte == b'\n');
    lines.any(|found| found == line.as_bytes())
}

/// The container's own name server.
const NAME_SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));

/// Returns the full name and the short one.
fn own_names(hostname: &str, domainname: &str) -> String {
    if !domainname.is_empty() {
        return format!("{hostname}.{domainname} {hostname}");
    }
    match hostname.split_once('.') {
        Some((short, _)) => format!("{hostname} {short}"),
        None => hostname.to_owned(),
    }
}

fn resolv_conf(host: &HostOptions, network: &Attachment) -> String {
    let mut text = String::new();
    // Servers that were asked for are asked by that of the container.
    let is_served = network.dns.nameservers == [NAME_SERVER];
    if host.dns.is_empty() || is_served {
        for server in &network.dns.nameservers {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    for server in host.dns.iter().filter(|_| !is_served) {
        let _ = writeln!(text, "nameserver {server}");
    }
    let chosen = |own: &Vec<String>, machines: &Vec<String>| {
        if own.is_empty() {
            machines.clone()
        } else {
            own.clone()
        }
    };
    let mut search = chosen(&host.dns_search, &network.dns.search);
    // A dot alone means none at all.
    search.retain(|domain| domain != ".");
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let options = chosen(&host.dns_options, &network.dns.options);
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use berth_agent_network::{Endpoint, Interface, Resolver};

    use super::*;

    fn attachment() -> Attachment {
        Attachment {
            mode: NetworkMode::Bridge,
            netns: None,
            interface: Some(Interface {
                ip: [172, 17, 0, 2].into(),
                prefix: 16,
                gateway: [172, 17, 0, 1].into(),
                mac: [2, 0, 0, 0, 0, 1],
            }),
            endpoints: vec![Endpoint {
                network: "bridge".to_owned(),
                addresses: vec![(
                    [172, 17, 0, 2].into(),
                    "172.17.0.0/16".parse().expect("subnet"),
                )],
                ..Endpoint::default()
            }],
            ports: Vec::new(),
            dns: Resolver {
                nameservers: vec![IpAddr::from([10, 0, 0, 53])],
                search: vec!["machine.example".to_owned()],
                options: Vec::new(),
            },
        }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_container_finds_itself_and_what_it_was_told() {
        let host = HostOptions {
            extra_hosts: words(&["db:10.0.0.9", "gw=host-gateway"]),
            ..HostOptions::default()
        };
        let linked = [Linked {
            alias: "data".to_owned(),
            name: "db".to_owned(),
            hostname: "abc".to_owned(),
            address: "172.17.0.3".to_owned(),
            env: Vec::new(),
            ports: Vec::new(),
        }];
        let network = attachment();
        let input = FilesInput {
            hostname: "web.example",
            domainname: "",
            host: &host,
            network: &network,
            linked: &linked,
            gateway: Some(IpAddr::from([172, 17, 0, 1])),
        };
        let text = hosts(LOCAL_HOSTS, &input);
        assert!(text.contains("10.0.0.9\tdb\n"));
        assert!(text.contains("172.17.0.1\tgw\n"));
        assert!(text.contains("172.17.0.3\tdata abc db\n"));
        assert!(text.ends_with("172.17.0.2\tweb.example web\n"));
        assert_eq!(own_names("web", "example"), "web.example web");
    }

    #[test]
    fn name_servers_that_were_asked_for_replace_the_machines() {
        let text = |host: HostOptions| resolv_conf(&host, &attachment());
        assert_eq!(
            text(HostOptions::default()),
            "nameserver 10.0.0.53\nsearch machine.example\n"
        );
        let own = HostOptions {
            dns: words(&["1.1.1.1"]),
            dns_search: words(&["a", "b"]),
            dns_options: words(&["ndots:3"]),
            ..HostOptions::default()
        };
        assert_eq!(
            text(own),
            "nameserver 1.1.1.1\nsearch a b\noptions ndots:3\n"
        );
        let none = HostOptions {
            dns_search: words(&["."]),
            ..HostOptions::default()
        };
        assert_eq!(text(none), "nameserver 10.0.0.53\n");
    }

    #[test]
    fn a_new_network_is_told_whatever_the_container_wrote() {
        let folder = tempfile::tempdir().expect("folder");
        let files = paths(folder.path());
        let record = crate::container::Container::for_test().record();
        let mut network = attachment();
        network.dns.nameservers = vec![NAME_SERVER];
        let own = b"172.18.0.9\told\n10.0.0.1\t\xff";
        std::fs::write(&files.hosts, own).expect("hosts");
        std::fs::write(&files.resolv_conf, "nameserver 10.0.0.53\n").expect("resolv.conf");
        let gone = EndpointRecord {
            ip: "172.18.0.9".to_owned(),
            ..EndpointRecord::default()
        };
        follow(folder.path(), &record, &network, Some(&gone)).expect("changed");
        let hosts = std::fs::read(&files.hosts).expect("hosts");
        let expected = b"10.0.0.1\t\xff\n172.17.0.2\t";
        assert!(hosts.starts_with(expected), "{}", hosts.escape_ascii());
        let servers = || std::fs::read_to_string(&files.resolv_conf).expect("resolv.conf");
        assert!(servers().contains("127.0.0.11"));
        // A file that is too long is not cut, and keeps the other one from nothing.
        let long = vec![b'#'; 2 << 20];
        std::fs::write(&files.hosts, &long).expect("hosts");
        std::fs::write(&files.resolv_conf, "nameserver 10.0.0.53\n").expect("resolv.conf");
        follow(folder.path(), &record, &network, None).expect_err("too long");
        assert!(std::fs::read(&files.hosts).expect("hosts") == long);
        assert!(servers().contains("127.0.0.11"));
    }
}
