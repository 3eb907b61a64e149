//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of a container, written anew at each start.

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use berth_agent_network::{Attachment, NetworkMode};

use crate::options::HostOptions;
use crate::spec::FileMounts;

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// Writes the three files into a container's folder.
pub(crate) fn write(
    folder: &Path,
    hostname: &str,
    host: &HostOptions,
    network: &Attachment,
) -> io::Result<FileMounts> {
    let files = FileMounts {
        hostname: folder.join("hostname"),
        hosts: folder.join("hosts"),
        resolv_conf: folder.join("resolv.conf"),
    };
    write_file(&files.hostname, &format!("{hostname}\n"))?;
    let base = match network.mode {
        // The machine's names are the container's own there.
        NetworkMode::Host => {
            std::fs::read_to_string("/etc/hosts").unwrap_or_else(|_missing| LOCAL_HOSTS.to_owned())
        }
        NetworkMode::Bridge | NetworkMode::None => LOCAL_HOSTS.to_owned(),
    };
    let address = network.interface.as_ref().map(|i| IpAddr::from(i.ip));
    let gateway = network.interface.as_ref().map(|i| IpAddr::from(i.gateway));
    write_file(
        &files.hosts,
        &hosts(&base, hostname, address, gateway, &host.extra_hosts),
    )?;
    write_file(&files.resolv_conf, &resolv_conf(&host.dns, network))?;
    Ok(files)
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    // Rewritten in place, not replaced: a former start may have it mounted for a moment longer.
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

fn hosts(
    base: &str,
    hostname: &str,
    address: Option<IpAddr>,
    gateway: Option<IpAddr>,
    extra: &[String],
) -> String {
    let mut text = base.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for line in extra {
        let Some((name, target)) = line.split_once([':', '=']) else {
            continue;
        };
        let target = match (target, gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            (target, _) => target.trim_matches(['[', ']']).to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{target}\t{name}");
    }
    if let Some(address) = address {
        let short = hostname.split('.').next().unwrap_or(hostname);
        let names = if short == hostname {
            hostname.to_owned()
        } else {
            format!("{hostname} {short}")
        };
        let _ = writeln!(text, "{address}\t{names}");
    }
    text
}

fn resolv_conf(own: &[String], network: &Attachment) -> String {
    let mut text = String::new();
    if own.is_empty() {
        for server in &network.dns.nameservers {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    for server in own {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !network.dns.search.is_empty() {
        let _ = writeln!(text, "search {}", network.dns.search.join(" "));
    }
    if !network.dns.options.is_empty() {
        let _ = writeln!(text, "options {}", network.dns.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_finds_itself_and_what_it_was_told() {
        let extra = ["db:10.0.0.9".to_owned(), "gw:host-gateway".to_owned()];
        let address = Some(IpAddr::from([172, 17, 0, 2]));
        let gateway = Some(IpAddr::from([172, 17, 0, 1]));
        let text = hosts(LOCAL_HOSTS, "web.example", address, gateway, &extra);
        assert!(text.contains("10.0.0.9\tdb\n"));
        assert!(text.contains("172.17.0.1\tgw\n"));
        assert!(text.ends_with("172.17.0.2\tweb.example web\n"));
    }
}
